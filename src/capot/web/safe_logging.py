"""Make safe what the lab writes in its owner's terminal.

A name, a path or a prompt may hold characters that clear a terminal, set its title or imitate a line of the lab's. So
every log record has its control characters written out, and only its first line begins at the margin. What Python
would print without a logger (warnings, errors of threads and finalizers) is sent through one.
"""

from __future__ import annotations

import contextlib
import logging
import sys
import threading
from collections.abc import Iterator
from typing import Any

from capot.view.visible import paragraph

MAX_RECORD_CHARS = 20_000  # characters of a record; of a longer one the beginning and the end are kept
log = logging.getLogger("capot.web")


class SafeLogRecord(logging.LogRecord):
    """A record that any handler may print: its traceback is formatted and cleaned already."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        # Python formats a traceback only when a handler prints it, after this record was cleaned.
        if self.exc_info:
            self.exc_text = printable(logging.Formatter().formatException(self.exc_info))

    def getMessage(self) -> str:
        return printable(super().getMessage())


def printable(text: str) -> str:
    """Return a text that a terminal may print: see :func:`paragraph`. A very long one keeps both its ends."""
    text = text.rstrip("\n")
    if len(text) > MAX_RECORD_CHARS:
        text = f"{text[: MAX_RECORD_CHARS // 2]}\n…\n{text[-MAX_RECORD_CHARS // 2 :]}"
    return paragraph(text)


@contextlib.contextmanager
def safe_logs() -> Iterator[None]:
    """Make everything that this process logs printable, inside the block."""
    before = logging.getLogRecordFactory(), threading.excepthook, sys.unraisablehook
    logging.setLogRecordFactory(SafeLogRecord)
    logging.captureWarnings(True)
    threading.excepthook = _log_thread_error
    sys.unraisablehook = _log_unraisable
    try:
        yield
    finally:
        logging.captureWarnings(False)
        factory, threading.excepthook, sys.unraisablehook = before
        logging.setLogRecordFactory(factory)


def _log_thread_error(args: Any) -> None:
    if args.exc_type is not SystemExit:
        name = args.thread.name if args.thread else "?"
        log.error("%s", name, exc_info=(args.exc_type, args.exc_value, args.exc_traceback))


def _log_unraisable(args: Any) -> None:
    log.error("%s", args.err_msg or "", exc_info=(args.exc_type, args.exc_value, args.exc_traceback))
