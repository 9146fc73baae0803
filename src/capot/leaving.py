"""Whether an answer under way is still wanted.

What computes without the engine (text cut into tokens, a table walked through, a page
written) looks here between two steps, so that it ends soon after its asker has left.
"""

from __future__ import annotations

import contextlib
import contextvars
import threading
from collections.abc import Callable, Iterator

from capot.errors import InterruptedByUser

# Set by a Ctrl-C that ended the last computation early or came as it ended: its answer is given, nothing follows it.
INTERRUPTED = threading.Event()

_gone: contextvars.ContextVar[Callable[[], bool] | None] = contextvars.ContextVar("capot_gone", default=None)


@contextlib.contextmanager
def wanted(gone: Callable[[], bool]) -> Iterator[None]:
    """Inside the block, on this thread or task alone, ``look`` asks ``gone`` whether the asker has left."""
    mark = _gone.set(gone)
    try:
        yield
    finally:
        _gone.reset(mark)


def look() -> None:
    """Raises: InterruptedByUser once whoever asked has left.

    >>> with wanted(lambda: True):
    ...     look()
    Traceback (most recent call last):
    capot.errors.InterruptedByUser: stopped.
    """
    gone = _gone.get()
    if gone is not None and gone():
        raise InterruptedByUser("interrupted")
