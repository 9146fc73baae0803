"""What the lab writes in its owner's terminal: no learner's word reaches it raw.

A name, a path or a prompt may hold what clears a terminal, sets its title or writes a line that looks like ours. So
every record of every logger has its controls written out, and only its first line begins at the margin. What would
go round the loggers (warnings, threads that fail, finalizers) is led through them.
"""

from __future__ import annotations

import contextlib
import logging
import sys
import threading
from collections.abc import Iterator
from typing import Any

from capot.view.visible import paragraph

LONGEST = 20_000  # characters of a record; of a longer one the beginning and the end are kept
log = logging.getLogger("capot.web")


class Written(logging.LogRecord):
    """A record that is safe to print, whoever prints it: handlers find its traceback written already."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        if self.exc_info:
            self.exc_text = printable(logging.Formatter().formatException(self.exc_info))

    def getMessage(self) -> str:
        return printable(super().getMessage())


def printable(text: str) -> str:
    """A text as a terminal may have it: see :func:`paragraph`; of one too long to read, both ends."""
    text = text.rstrip("\n")
    if len(text) > LONGEST:
        text = f"{text[: LONGEST // 2]}\n…\n{text[-LONGEST // 2 :]}"
    return paragraph(text)


@contextlib.contextmanager
def guarded() -> Iterator[None]:
    """Inside the block, whatever this process logs is printable."""
    before = logging.getLogRecordFactory(), threading.excepthook, sys.unraisablehook
    logging.setLogRecordFactory(Written)
    logging.captureWarnings(True)
    threading.excepthook, sys.unraisablehook = _thread, _unraisable
    try:
        yield
    finally:
        logging.captureWarnings(False)
        factory, threading.excepthook, sys.unraisablehook = before
        logging.setLogRecordFactory(factory)


def _thread(args: Any) -> None:
    if args.exc_type is not SystemExit:
        name = args.thread.name if args.thread else "?"
        log.error("%s", name, exc_info=(args.exc_type, args.exc_value, args.exc_traceback))


def _unraisable(args: Any) -> None:
    log.error("%s", args.err_msg or "", exc_info=(args.exc_type, args.exc_value, args.exc_traceback))
