"""Keep KV caches between two jobs, so that a prompt with a known prefix computes only the rest."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from capot.engines import protocol
from capot.engines.protocol import Capability, Engine
from capot.engines.scheduler.job import Job
from capot.errors import CapabilityError


def common_prefix(first: Sequence[int], second: Sequence[int]) -> int:
    """Return how many ids two texts begin with alike.

    A binary search over slices, which compare at C speed, is much quicker than a loop over ids.

    >>> common_prefix([1, 2, 3, 4], [1, 2, 9])
    2
    """
    low = 0
    high = min(len(first), len(second))
    while low < high:
        middle = (low + high + 1) // 2
        if first[low:middle] == second[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


class PrefixCache:
    """Idle sequences, least recently used first, under one budget of bytes."""

    def __init__(self, engine: Engine, *, budget: int) -> None:
        self.engine = engine
        self.budget = budget
        self.idle: OrderedDict[int, tuple[str, protocol.Sequence]] = OrderedDict()
        self.evicted = 0

    @property
    def nbytes(self) -> int:
        return sum(sequence.nbytes for _, sequence in self.idle.values())

    def take(self, job: Job) -> tuple[protocol.Sequence, int]:
        """Return a sequence for ``job``, and how many of its tokens are cached already; none for an edited text."""
        # Hidden states or attention of all positions must be computed, cache or not: reuse would leave holes.
        found = self._longest(job) if not (job.want.positions or job.edits) else None
        if found is not None:
            key, shared = found
            _, sequence = self.idle.pop(key)
            if self._cropped(sequence, shared):
                return sequence, shared
            sequence.close()
        return self.engine.open_sequence(), 0

    def _longest(self, job: Job) -> tuple[int, int] | None:
        """Return the key of the idle sequence with the longest common prefix, and that length."""
        best, best_shared = None, 0
        for key, (owner, sequence) in self.idle.items():
            # Caches are never shared between owners, not even for equal texts: the time that an answer takes would tell
            # what another has asked.
            if owner != job.owner:
                continue
            # At least one token is computed: its logits are what the job wants.
            shared = min(common_prefix(sequence.ids, job.ids), len(job.ids) - 1)
            if shared >= max(1, best_shared) and self._worth(shared, sequence, job):
                best = key
                best_shared = shared
        return None if best is None else (best, best_shared)

    def _worth(self, shared: int, sequence: protocol.Sequence, job: Job) -> bool:
        """Return whether a prefix is long enough to take its sequence over.

        Two texts that share a few words keep a cache each: taking over would lose the other text's cache.
        """
        if shared < len(sequence.ids) and Capability.PREFIX not in self.engine.capabilities:
            return False
        # The common part must be at least half of the shorter text: else the other text's next turn would recompute
        # more than this one saves.
        return 2 * shared >= min(len(job.ids), len(sequence.ids))

    @staticmethod
    def _cropped(sequence: protocol.Sequence, length: int) -> bool:
        if length < len(sequence.ids):
            try:
                sequence.crop(length)
            except CapabilityError:  # a sliding window that has already forgotten what lies before
                return False
        return True

    def give(self, sequence: protocol.Sequence, *, owner: str, in_use: int) -> None:
        """Keep a sequence for its owner's next job, within the budget."""
        sequence.resume()
        if not sequence.ids:
            sequence.close()
            return
        # By identity: two sequences of one owner may hold the same ids.
        self.idle[id(sequence)] = (owner, sequence)
        self.shrink(in_use)

    def shrink(self, in_use: int) -> None:
        """Evict the least recently used until all fits beside the ``in_use`` bytes of running jobs."""
        held = self.nbytes
        while self.idle and held + in_use > self.budget:
            _, (_, sequence) = self.idle.popitem(last=False)
            held -= sequence.nbytes
            sequence.close()
            self.evicted += 1

    def forget(self, owner: str | None = None) -> None:
        """Close one owner's idle sequences, or everybody's."""
        for key, (whose, sequence) in list(self.idle.items()):
            if owner is None or whose == owner:
                del self.idle[key]
                sequence.close()
