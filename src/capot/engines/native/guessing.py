"""The first guesses of each row of logits, and their probabilities, without sorting a vocabulary."""

from __future__ import annotations

import numpy as np
from numba import prange

from capot.engines.native.numba_cache import njit
from capot.engines.native.simd import Array, dot, exp

SIMD_HASH = "02429a5dac03"
SPAN = 64  # logits looked at together: most spans hold no guess
ONES = np.ones(SPAN, np.float32)


@njit(fastmath={"nnan", "nsz"})  # a largest number that fills vector registers cannot watch for NaN
def _largest(numbers: Array) -> np.float32:
    top: np.float32 = numbers[0]
    for number in numbers:
        top = max(top, number)
    return top


@njit()
def _insert(logit: np.float32, index: int, ids: Array, highest: Array) -> None:
    """Put a logit that is above the last of ``highest`` in its place; the lowest id comes first among equals."""
    # Insertion into k places is cheaper than a heap for the small k that anybody looks at, and keeps the order of
    # equals.
    place = len(ids) - 1
    while place > 0 and logit > highest[place - 1]:
        highest[place], ids[place] = highest[place - 1], ids[place - 1]
        place -= 1
    highest[place] = logit
    ids[place] = index


@njit(parallel=True, cache=True)
def guess(logits: Array, ids: Array, shares: Array, scratch: Array) -> None:
    """Find the k highest logits of each row by id, the highest first, and their shares of softmax(row).

    A row's numbers are the same whatever is beside it: its sum is taken span by span, in the order of every sum.

    Shapes: logits (R, V), ids (R, k) int32, shares (R, k), scratch (R, SPAN).
    """
    rows, width = logits.shape
    for r in prange(rows):
        row, found, highest, span = logits[r], ids[r], shares[r], scratch[r]
        highest[:] = -np.inf
        found[:] = 0
        for start in range(0, width, SPAN):
            stop = min(start + SPAN, width)
            # Most spans hold nothing above the k-th so far, and a maximum over 64 numbers is a few instructions.
            if _largest(row[start:stop]) > highest[-1]:
                for i in range(start, stop):
                    if row[i] > highest[-1]:
                        _insert(row[i], i, found, highest)
        # The softmax's sum in float64 over the spans: V terms of float32, one after the other, would lose digits.
        top = highest[0]
        total = 0.0
        for start in range(0, width, SPAN):
            count = min(SPAN, width - start)
            span[count:] = np.float32(0)
            for i in range(count):
                span[i] = exp(row[start + i] - top)
            total += float(dot(span, ONES))
        for i in range(len(found)):
            shares[r, i] = np.exp(np.float64(highest[i] - top)) / total
