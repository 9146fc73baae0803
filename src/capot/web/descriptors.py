"""Find out how many connections the system allows, and report when it allows no more."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import time
from collections.abc import Callable
from typing import Any

BACKLOG = 128  # connections that may wait to be accepted: all of them at once, before any is looked at
RESERVED = 64  # descriptors for everything else: models that are opened, helpers, a hub
EXHAUSTION_ERRNOS = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
REPEAT_WINDOW_S = 60.0  # between two lines of one kind in the terminal
MAX_REPEATS = 5  # of one kind in that time


def connection_limit(asked: int, *, outward: int = 0) -> tuple[int, int]:
    """Return how many of the ``asked`` connections this process can hold, and how many may wait to be accepted.

    ``outward`` are connections to a server that has the model. Raises the limit of file descriptors as far as the
    system permits, if ``asked`` needs it.
    """
    limit = _raise_limit(asked + outward + BACKLOG + RESERVED + _open_descriptors())
    if limit is None:
        return asked, BACKLOG
    free = max(limit - _open_descriptors(), 4)
    free -= min(outward, free // 2)
    backlog, spare = min(BACKLOG, free // 4), min(RESERVED, free // 4)
    return max(1, min(asked, free - backlog - spare)), backlog


def _raise_limit(wanted: int) -> int | None:
    """Return the limit of descriptors, raised to ``wanted`` if possible; None if there is none or nobody knows."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return None
    if soft < wanted:
        most = wanted if hard == resource.RLIM_INFINITY else min(hard, wanted)
        with contextlib.suppress(OSError, ValueError):  # macOS has a limit that it does not tell
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def _open_descriptors() -> int:
    """Count the open descriptors, as the system lists them."""
    try:
        return len(os.listdir("/dev/fd"))
    except OSError:
        return RESERVED


class RepeatFilter(logging.Filter):
    """Let few repetitions of a log message through, so that nobody can flood the owner's terminal.

    Two records repeat each other if their messages are equal before the arguments are filled in.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._window_start = clock()
        self._counts: dict[str, int] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        now = self._clock()
        if now - self._window_start >= REPEAT_WINDOW_S:
            self._window_start = now
            self._counts.clear()
        kind = str(record.msg)[:200]
        self._counts[kind] = self._counts.get(kind, 0) + 1
        return self._counts[kind] <= MAX_REPEATS


def exhaustion_handler(say: Callable[..., None], clock: Callable[[], float] = time.monotonic) -> Callable[..., None]:
    """Return an exception handler for the event loop.

    It reports once a minute that descriptors have run out, and hands everything else to the default handler.
    """
    last_said = -REPEAT_WINDOW_S

    def handler(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        nonlocal last_said
        error = context.get("exception")
        if not (isinstance(error, OSError) and error.errno in EXHAUSTION_ERRNOS):
            loop.default_exception_handler(context)
        elif clock() - last_said >= REPEAT_WINDOW_S:
            last_said = clock()
            say("serve.exhausted", reason=os.strerror(error.errno))

    return handler
