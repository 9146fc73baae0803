"""When Python's collector of cycles looks at everything: in a lab's quiet moments.

No other thread runs meanwhile. With what a lab has imported that takes a tenth of a second, and much longer while
one long answer is being made, to which the collector comes back again and again. In a lab it looks at young objects
by itself, and at the others when the lab says so; what the lab is made of is set aside, and passed over. An answer
under way is not, since it would stay there for long once it is over.
"""

from __future__ import annotations

import contextlib
import gc
import sys
import time
from collections.abc import Callable, Iterator

NEVER = 1_000_000_000  # of so many looks at the objects of middle age, one would look at the old ones
FEW, MANY = 3_000, 100_000  # old objects: so few more are not worth a look, and so many take too long in a busy lab
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


def _old() -> int:
    """How many old objects there are that are not set aside."""
    return len(gc.get_objects(generation=2))


class Collector:
    """Decides when to look, for one lab."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._last = clock, clock()
        self._kept = 0  # objects that the last look has found in use

    def look(self, *, quiet: bool) -> None:
        """Look at old objects, where enough have come since the last time. ``quiet``: nobody waits for an answer."""
        if not _paced():
            return
        there, late = _old(), self._clock() - self._last > AGAIN_S
        self._kept = min(self._kept, there)  # some have gone by themselves
        if quiet and late:
            everything()
        elif there - self._kept > FEW and (there < MANY or quiet or late):
            gc.collect()
        else:
            return
        self._kept = _old()
        if late:
            self._last = self._clock()
