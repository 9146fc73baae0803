"""Run Python's full garbage collections in the lab's quiet moments.

A full collection stops every thread. With the objects of a lab's imports it takes a tenth of a second, and much longer
while one long answer is being built, during which the collector would run again and again. In a lab only young objects
are collected automatically. The old ones are collected when the lab says so, and the objects of the lab itself are
frozen, so that the collector passes over them. An answer being built is not frozen: it would stay in memory for long
after it was sent.
"""

from __future__ import annotations

import contextlib
import gc
import sys
import time
from collections.abc import Callable, Iterator

# Python's own: young objects are cheap to look at while they are few, and the command starts with more.
YOUNG = (700, 10)
NEVER = 1_000_000_000  # of so many looks at the objects of middle age, one would look at the old ones
FEW, MANY = 3_000, 100_000  # old objects: so few more are not worth a look, and so many take too long in a busy lab
FULL_EVERY_S = 600.0  # after which also what was set aside is looked at, and in a busy lab however many there are
SWITCH_INTERVAL_S = 0.0005  # how long a thread keeps the interpreter while another waits for it


@contextlib.contextmanager
def deferred_collection() -> Iterator[None]:
    """Leave old objects to ``IdleCollector`` inside the block, and let threads switch more often."""
    thresholds = gc.get_threshold()
    interval = sys.getswitchinterval()
    gc.set_threshold(*YOUNG, NEVER)
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)
        sys.setswitchinterval(interval)
        gc.unfreeze()


def collect_all() -> None:
    """Collect everything; in a lab, freeze what is still in use."""
    # Unfrozen first: what was in use the last time may be garbage by now.
    gc.unfreeze()
    gc.collect()
    if _is_deferred():
        gc.freeze()


def _is_deferred() -> bool:
    return gc.get_threshold()[2] == NEVER


def _count_old() -> int:
    """Count the old objects that are not frozen."""
    return len(gc.get_objects(generation=2))


class IdleCollector:
    """Decide when one lab collects its old objects."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last = clock()
        self._kept = 0  # objects that the last look has found in use

    def collect_if_due(self, *, quiet: bool) -> None:
        """Collect the old objects if enough are new since the last time.

        ``quiet`` says that nobody waits for an answer.
        """
        if not _is_deferred():
            return
        there = _count_old()
        late = self._clock() - self._last > FULL_EVERY_S
        self._kept = min(self._kept, there)  # some have gone by themselves
        if quiet and late:
            collect_all()
        elif there - self._kept > FEW and (there < MANY or quiet or late):
            gc.collect()
        else:
            return
        self._kept = _count_old()
        if late:
            self._last = self._clock()
