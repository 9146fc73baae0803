"""Draw training sequences from the shards: by weight, evenly, and the same for the same seed.

The k-th sequence of a source starts at frac(phase + k x golden ratio) of it: this spreads the
starts evenly, so that nothing is read twice long before the rest is read once. The state is a
count for each source; with it a run resumes exactly.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np

GOLDEN = (5**0.5 - 1) / 2
SNAP = 128  # tokens: a start this near before a document's beginning moves to it


class Source:
    """The shards of one source, seen as one array of ids."""

    # uint16 holds ids below 65,536, half of what int32 would read from disk.
    def __init__(self, folder: Path, row: dict[str, Any]):
        parts = [np.fromfile(folder / f"{name}.bin", dtype=np.uint16) for name in row["shards"]]
        offsets = np.cumsum([0] + [len(p) for p in parts[:-1]])
        starts = [np.load(folder / f"{n}.starts.npy") + o for n, o in zip(row["shards"], offsets, strict=True)]
        self.name = row["name"]
        self.ids = np.concatenate(parts)
        self.starts = np.concatenate(starts)

    def sequence(self, k: int, length: int, phase: float) -> np.ndarray:
        """Return ids (length + 1) of the k-th draw; documents follow one another."""
        room = len(self.ids) - length - 1
        if room <= 0:
            return np.resize(self.ids, length + 1)
        # The fractional part of k times the golden ratio has the lowest discrepancy of all such sequences (Weyl, 1916).
        start = int((phase + k * GOLDEN) % 1.0 * room)
        # A start in the middle of a document is what most sequences have; one just before its beginning moves to it.
        at = np.searchsorted(self.starts, start)
        if at < len(self.starts) and self.starts[at] - start <= SNAP and self.starts[at] <= room:
            start = int(self.starts[at])
        return self.ids[start : start + length + 1]


class Batches:
    """Batches of ids (rows, length + 1), drawn from all sources by their weights."""

    def __init__(self, folder: Path, *, weight: str = "weight_cpu", seed: int = 0):
        rows = [r for r in json.loads((folder / "index.json").read_text()) if r[weight] > 0]
        self.sources = [Source(folder, row) for row in rows]
        weights = np.array([row[weight] for row in rows], dtype=float)
        self.shares = weights / weights.sum()
        self.seed = seed
        # A phase for each source: two sources of one length would else be read in step.
        self.phases = np.random.Generator(np.random.Philox(seed)).random(len(rows))
        self.counts = [0] * len(rows)
        self.drawn = 0

    def next(self, rows: int, length: int) -> np.ndarray:
        """Return the next batch, int64 (rows, length + 1)."""
        # Philox is keyed by seed and count, so that batch n is the same whether n - 1 was drawn or not.
        key = np.array([self.seed, self.drawn], dtype=np.uint64)  # a stream of its own a batch
        rng = np.random.Generator(np.random.Philox(key=key))
        self.drawn += 1
        chosen = rng.choice(len(self.sources), size=rows, p=self.shares)
        return np.stack([self._draw(int(i), length) for i in chosen]).astype(np.int64)

    def _draw(self, i: int, length: int) -> np.ndarray:
        k = self.counts[i]
        self.counts[i] += 1
        return self.sources[i].sequence(k, length, self.phases[i])

    def state(self) -> dict[str, Any]:
        """Return what `restore` needs."""
        return {"counts": list(self.counts), "drawn": self.drawn}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a state."""
        self.counts = list(state["counts"])
        self.drawn = state["drawn"]
