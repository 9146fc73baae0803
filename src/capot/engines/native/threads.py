"""Choose how many threads a step of few tokens takes: all, or fewer where other programs use the cores.

All threads of a product end together. One that waits for its core holds up the others, and with it the token: of two
threads beside five busy programs, a token took three to seven times as long as with one. Where a step was interrupted,
a few steps are computed with half of the threads, and the quicker number is kept; now and then a larger one is tried
again. The logits are the same, bit for bit, whatever the number.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numba

FEW = 16  # tokens: more of them keep a thread busy for longer than it waits for a core
BLOCK = 4  # steps that are compared with as many
GAIN = 0.9  # of the time that is kept: less is a difference and not noise
LONGEST = 64  # blocks between two trials, at most


def interruptions() -> int:
    """Return how often the system took a core from this process, which had not done with it."""
    if sys.platform == "win32":  # which does not tell: all threads, always
        return 0
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw


class ThreadChoice:
    """The number of threads of one engine. Only steps of as many tokens are compared with one another."""

    def __init__(
        self, *, clock: Callable[[], float] = time.perf_counter, interrupted: Callable[[], int] = interruptions
    ) -> None:
        self._clock = clock
        self._interrupted = interrupted
        self.kept = 0
        self._restart(tokens=0, most=0)

    def _restart(self, *, tokens: int, most: int) -> None:
        self.kept = min(self.kept, most) or most
        self._tokens = tokens
        self._most = most
        self._trial = 0  # the number that is tried, 0 when none is
        self._seconds: list[float] = []
        self._stops = 0
        self._usual = 0.0  # seconds of a step with what is kept
        self._patience = 1
        self._wait = 1
        self._upwards = False

    @contextmanager
    def step(self, tokens: int) -> Iterator[None]:
        """Compute one step of so many tokens, and note what it took."""
        most = numba.get_num_threads()
        if tokens > FEW or most == 1:
            yield
            return
        if (tokens, most) != (self._tokens, self._most):
            self._restart(tokens=tokens, most=most)
        before = self._interrupted()
        began = self._clock()
        numba.set_num_threads(self.count)
        try:
            yield
        finally:
            numba.set_num_threads(most)
        self.note(self._clock() - began, stops=self._interrupted() - before)

    @property
    def count(self) -> int:
        """Return how many threads the next step takes."""
        return self._trial or self.kept

    def note(self, seconds: float, *, stops: int) -> None:
        """Count one step; after a block of them, try another number, or settle on one."""
        self._seconds.append(seconds)
        self._stops += stops > 0
        if self._trial and seconds > 2 * self._usual:
            self._settle(better=False)  # one such step is enough, and costs enough
        elif len(self._seconds) == BLOCK:
            median = sorted(self._seconds)[BLOCK // 2]  # ``statistics`` takes 3 ms to import
            if self._trial:
                self._settle(better=median < GAIN * self._usual)
            else:
                self._usual = median
                self._try_another(busy=2 * self._stops >= BLOCK)
                self._seconds = []
                self._stops = 0

    def _settle(self, *, better: bool) -> None:
        if better:
            self.kept = self._trial
        self._patience = 1 if better else min(2 * self._patience, LONGEST)
        self._wait = self._patience
        self._trial = 0
        self._seconds = []
        self._stops = 0

    def _try_another(self, *, busy: bool) -> None:
        """Try half of the threads where steps were interrupted, twice as many where there are fewer than all."""
        self._wait -= 1
        if self._wait > 0:
            return
        others = [self.kept // 2] * (busy and self.kept > 1) + [2 * self.kept] * (self.kept < self._most)
        if others:
            self._upwards = not self._upwards
            self._trial = min(others[-1 if self._upwards else 0], self._most)
