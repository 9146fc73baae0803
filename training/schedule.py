"""The budget and what follows from it: nothing here imports torch.

The learning rate and the length of sequences are functions of the fraction of the budget
spent. Only time spent in steps counts: a machine lent to someone else for a while, by a
signal that stops the process, must not shorten the training.
"""

import math
from dataclasses import dataclass

WARM_S = 120.0  # of computing, in which a rate that is held rises to its peak
PAUSE_S = 20.0  # a step longer than this was a pause or a compilation


@dataclass
class Budget:
    """Compute time spent, out of `minutes`."""

    minutes: float
    spent_s: float = 0.0
    typical_s: float = 0.0
    pause_s: float = PAUSE_S  # infinite where the clock stands still in a pause

    def add(self, step_s: float) -> None:
        """Count a step; one longer than a pause counts as a typical one.

        >>> b = Budget(minutes=1); b.add(2.0); b.add(3600.0); b.spent_s
        4.0
        """
        if step_s > self.pause_s:
            step_s = self.typical_s
        else:
            # A moving average, as steps grow longer with the sequences.
            self.typical_s = 0.9 * self.typical_s + 0.1 * step_s if self.typical_s else step_s
        self.spent_s += step_s

    @property
    def fraction(self) -> float:
        """Return the share of the budget spent, 0 to 1."""
        return min(1.0, self.spent_s / (60 * self.minutes))


def rate(fraction: float, *, warm: float = 0.01, hold: float = 0.25) -> float:
    """Return the learning rate as a share of its peak: up, level, then straight down to zero.

    >>> rate(0.0), rate(0.1), rate(1.0)
    (0.05, 1.0, 0.0)
    """
    if fraction < warm:
        # Never zero: a rate of zero would leave the first steps without effect.
        return max(0.05, fraction / warm)
    if fraction < hold:
        return 1.0
    return (1 - fraction) / (1 - hold)


@dataclass
class Plan:
    """When the rate rises and falls, in seconds of computing: up, level, and down in a branch.

    A run that has no end holds its rate. Any checkpoint of it can be ended: a branch falls to zero from there.
    """

    warm_from_s: float = 0.0
    decay_from_s: float | None = None
    end_s: float = 0.0

    def rate(self, spent_s: float, *, warm_s: float = WARM_S) -> float:
        """Return the share of the peak: 1 less the root of the way down (Hägele et al. 2024).

        >>> plan = Plan(0.0, 1000.0, 2000.0)
        >>> [plan.rate(s) for s in (0, 60, 500, 1000, 1250, 2000)]
        [0.05, 0.5, 1.0, 1.0, 0.5, 0.0]
        """
        # Square-root cooldown: measured better than a linear one from a rate that was held (Hägele et al. 2024, section
        # 4).
        if self.decay_from_s is not None and spent_s >= self.decay_from_s:
            way = (spent_s - self.decay_from_s) / max(1e-9, self.end_s - self.decay_from_s)
            return 1 - math.sqrt(min(1.0, way))
        return min(1.0, max(0.05, (spent_s - self.warm_from_s) / warm_s))


@dataclass(frozen=True)
class Phase:
    """Until `until` of the budget: sequences of `length`, `rows` at once, `times` a step."""

    until: float
    length: int
    rows: int
    times: int


PHASES = {
    "tiny": [Phase(0.5, 32, 4, 1), Phase(1.0, 64, 2, 2)],
    "laptop": [Phase(1.0, 256, 16, 1)],
    "cpu": [Phase(0.45, 256, 32, 1), Phase(1.0, 512, 16, 1)],
    "boxed": [Phase(0.1, 256, 32, 1), Phase(1.0, 512, 16, 2)],
    "gpu": [Phase(0.3, 512, 128, 1), Phase(0.6, 512, 128, 2), Phase(1.0, 1024, 64, 4)],
}


def phase(name: str, fraction: float) -> Phase:
    """Return the phase of a recipe at a fraction of the budget."""
    return next(p for p in PHASES[name] if fraction <= p.until)
