"""The first Ctrl-C ends the work, the second the program."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator

from capot.engines.cancellation import INTERRUPTED


@contextlib.contextmanager
def cancel_on_ctrl_c(cancel: Callable[[], None]) -> Iterator[None]:
    """Call ``cancel`` and set ``INTERRUPTED`` on the first Ctrl-C inside the block; a second one interrupts as usual.

    Without effect outside the main thread, where Python hears no signal.
    """
    before = signal.getsignal(signal.SIGINT)
    # Not ours to take: on other threads ``signal.signal`` raises; SIG_IGN is the wish of whoever started the process
    # (``nohup``), and None a handler that C set.
    if threading.current_thread() is not threading.main_thread() or before in (None, signal.SIG_IGN):
        yield
        return

    def first(*_: object) -> None:
        # The next one is Python's own: a step that hangs can be interrupted.
        signal.signal(signal.SIGINT, before)
        INTERRUPTED.set()
        cancel()

    INTERRUPTED.clear()
    signal.signal(signal.SIGINT, first)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
