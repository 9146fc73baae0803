"""When Python's collector of cycles looks at everything: in a lab's quiet moments.

No other thread runs meanwhile. With what a lab has imported that takes a tenth of a second, and much longer while
one long answer is being made, to which the collector comes back again and again. In a lab it looks at young objects
by itself, and at all others when the lab says so. What it has found in use it sets aside, and passes over the next
time.
"""

from __future__ import annotations

import contextlib
import gc
import sys
import time
from collections.abc import Callable, Iterator

NEVER = 1_000_000_000  # of so many looks at the objects of middle age, one would look at the old ones
FEW, MANY = 10_000, 100_000  # objects that have come since the last look: worth none, too many for a busy lab
AGAIN_S = 600.0  # after which also what was set aside is looked at, and in a busy lab however many there are
SWITCH_S = 0.0005  # how long a thread keeps the interpreter while another waits for it


@contextlib.contextmanager
def paced() -> Iterator[None]:
    """Inside the block no thread stops the others for long: old objects wait for ``Collector``, turns are short."""
    thresholds, interval = gc.get_threshold(), sys.getswitchinterval()
    gc.set_threshold(*thresholds[:2], NEVER)
    sys.setswitchinterval(SWITCH_S)
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)
        sys.setswitchinterval(interval)
        gc.unfreeze()


def everything() -> None:
    """Look at all objects, and in a paced lab set aside those in use."""
    gc.unfreeze()
    gc.collect()
    if _paced():
        gc.freeze()


def _paced() -> bool:
    return gc.get_threshold()[2] == NEVER


class Collector:
    """Decides when to look, for one lab."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._last = clock, clock()

    def look(self, *, quiet: bool) -> None:
        """Look at what has come since the last time, where it is worth it. ``quiet``: nobody waits for an answer."""
        if not _paced():
            return
        come, late = len(gc.get_objects(generation=2)), self._clock() - self._last > AGAIN_S
        if quiet and late:
            everything()
        elif come > FEW and (come < MANY or quiet or late):
            gc.collect()
            gc.freeze()
        else:
            return
        if late:
            self._last = self._clock()
