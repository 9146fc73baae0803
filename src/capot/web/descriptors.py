"""How many connections the system allows, and what is done where it allows no more."""

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
SPARE = 64  # descriptors for everything else: models that are opened, helpers, a hub
EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
EVERY_S = 60.0  # between two lines of one kind in the terminal
LINES = 5  # of one kind in that time


def connections(asked: int) -> tuple[int, int]:
    """How many connections this process can hold of those ``asked``, and how many may wait to be accepted.

    The limit of descriptors is raised as far as the system lets it, where ``asked`` need it.
    """
    limit = _raised(asked + BACKLOG + SPARE + _in_use())
    if limit is None:
        return asked, BACKLOG
    free = max(limit - _in_use(), 4)
    backlog, spare = min(BACKLOG, free // 4), min(SPARE, free // 4)
    return max(1, min(asked, free - backlog - spare)), backlog


def _raised(wanted: int) -> int | None:
    """The limit of descriptors, at least ``wanted`` where that may be; None where there is none, or none is known."""
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


def _in_use() -> int:
    """Descriptors open now, as the system lists them."""
    try:
        return len(os.listdir("/dev/fd"))
    except OSError:
        return SPARE


class Sparing(logging.Filter):
    """Lets few lines of one kind through: nobody fills the owner's terminal by doing one wrong thing again and again.

    Lines are of one kind where their message is the same before it is filled in.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock, self._began = clock, clock()
        self._told: dict[str, int] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        now = self._clock()
        if now - self._began >= EVERY_S:
            self._began = now
            self._told.clear()
        kind = str(record.msg)[:200]
        self._told[kind] = self._told.get(kind, 0) + 1
        return self._told[kind] <= LINES


def exhausted(say: Callable[..., None], clock: Callable[[], float] = time.monotonic) -> Callable[..., None]:
    """A loop's handler of what goes wrong: that descriptors have ended is said once a minute, the rest as always."""
    told = -EVERY_S

    def handler(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        nonlocal told
        error = context.get("exception")
        if not (isinstance(error, OSError) and error.errno in EXHAUSTED):
            loop.default_exception_handler(context)
        elif clock() - told >= EVERY_S:
            told = clock()
            say("serve.exhausted", reason=os.strerror(error.errno))

    return handler
