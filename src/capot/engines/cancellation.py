"""Stop computing an answer that nobody waits for any more.

Work that does not go through the engine (tokenizing a text, walking through a table, writing a page) calls
``check_cancelled`` between two steps, so that it ends soon after its reader has left.
"""

from __future__ import annotations

import contextlib
import contextvars
import threading
from collections.abc import Callable, Iterator

from capot.errors import InterruptedByUser

# Set by a Ctrl-C that ended the last computation early, or came as it ended: its answer is given, nothing follows it.
INTERRUPTED = threading.Event()

_is_cancelled: contextvars.ContextVar[Callable[[], bool] | None] = contextvars.ContextVar("capot_gone", default=None)


@contextlib.contextmanager
def cancel_when(gone: Callable[[], bool]) -> Iterator[None]:
    """Make ``check_cancelled`` ask ``gone`` inside the block, on this thread or task alone."""
    mark = _is_cancelled.set(gone)
    try:
        yield
    finally:
        _is_cancelled.reset(mark)


def check_cancelled() -> None:
    """Raise InterruptedByUser if whoever asked for the answer has left.

    >>> with cancel_when(lambda: True):
    ...     check_cancelled()
    Traceback (most recent call last):
    capot.errors.InterruptedByUser: stopped.
    """
    gone = _is_cancelled.get()
    if gone is not None and gone():
        raise InterruptedByUser("interrupted")
