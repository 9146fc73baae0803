"""The figures of the card that need only held-out text: bits per byte and calibration."""

import lzma
import math
from dataclasses import dataclass, field
from typing import Any

import torch

from training.reading import Reader

BINS = 10


@dataclass
class Tally:
    """Bits and bytes of a source, and for each bin of confidence how often it was right."""

    bits: float = 0.0
    bytes: int = 0
    tokens: int = 0
    correct: int = 0
    bins: list[list[float]] = field(default_factory=lambda: [[0, 0.0, 0] for _ in range(BINS)])

    def add_bins(self, confidence: torch.Tensor, right: torch.Tensor) -> None:
        """Count predictions: how many, sum of confidence, how many right."""
        where = (confidence * BINS).long().clamp(max=BINS - 1)
        for b in range(BINS):
            chosen = where == b
            self.bins[b][0] += int(chosen.sum())
            self.bins[b][1] += float(confidence[chosen].sum())
            self.bins[b][2] += int(right[chosen].sum())


def windows(length: int, context: int) -> list[tuple[int, int, int]]:
    """Return (start, first scored, end): each window after the first re-reads half a context.

    >>> windows(10, 8)
    [(0, 0, 8), (2, 8, 10)]
    """
    found = []
    scored = 0
    while scored < length:
        end = min(length, context if scored == 0 else scored + context // 2)
        found.append((max(0, end - context), scored, end))
        scored = end
    return found


def score_texts(reader: Reader, texts: list[str]) -> Tally:
    """Score documents token by token, each from its beginning.

    Bits per byte are total bits over total UTF-8 bytes: they compare models of any tokenizer.
    """
    total = Tally()
    context = reader.model.shape.context
    for text in texts:
        ids = reader.ids(text)
        total.bytes += len(text.encode())
        total.tokens += len(ids) - 1
        for start, scored, end in windows(len(ids) - 1, context):
            rows = reader.log_probs(ids[start:end])[scored - start :]
            targets = torch.tensor(ids[scored + 1 : end + 1])
            total.bits -= float(rows.gather(1, targets[:, None]).sum()) / math.log(2)
            best = rows.max(dim=-1)
            right = best.indices == targets
            total.correct += int(right.sum())
            total.add_bins(best.values.exp(), right)
    return total


def calibration(tallies: list[Tally]) -> dict[str, Any]:
    """Return the expected calibration error (Guo et al. 2017, eq. 3) and its bins."""
    bins = [[sum(t.bins[b][i] for t in tallies) for i in range(3)] for b in range(BINS)]
    count = sum(b[0] for b in bins)
    error = sum(abs(b[1] - b[2]) for b in bins) / count
    rows = [{"count": n, "confidence": s / n, "right": r / n} for n, s, r in bins if n]
    return {"expected_error": error, "predictions": count, "bins": rows}


def xz_bits_per_byte(texts: list[str]) -> float:
    """Return the bits per byte that xz -9 needs for the same texts together: a yardstick."""
    data = "\n".join(texts).encode()
    return 8 * len(lzma.compress(data, preset=9)) / len(data)
