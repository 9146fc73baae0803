"""Which kernel computes a product here: that of the vector registers, or that of the matrix unit."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from capot.engines.native import matmul, tile_unit, tiles
from capot.engines.native.edited import widened
from capot.engines.native.plans import DEFAULT, DEFAULTS, ROWS, TILE_DEFAULTS, TILE_ROWS, KernelPlan
from capot.engines.native.simd import FEATURES, Array

# Asked once: on such a machine tiles compute every product of bfloat16, of one token as of many, in their own order.
HAS_TILES = tile_unit.usable(FEATURES)
if HAS_TILES:
    tiles.keep_registers()


def product_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return what a product takes beside weights of a type: bfloat16 for bfloat16, else float32."""
    return np.dtype(np.uint16 if dtype == np.uint16 else np.float32)


def uses_tiles(weights: np.dtype[Any]) -> bool:
    """Return whether tiles multiply weights of a type with what ``product_dtype`` says."""
    return bool(HAS_TILES and weights == np.uint16)


def add_matmul(weights: Array, x: Array, y: Array, *plan: int) -> None:
    """Compute y += x @ weights.T, by a plan (``KernelPlan``) where x is one token.

    Shapes: weights (N, D) as stored, x (T, D) as ``product_dtype`` says, y (T, N). In a model of bfloat16 that keeps
    some matrix in another type, x comes as bfloat16 all the same: it is made float32 here, and the plan is the usual.
    """
    # Nearly always one object, which is asked first: a comparison of types takes as long as a small product's launch.
    if weights.dtype is not x.dtype and x.dtype == np.uint16 != weights.dtype:
        x, plan = widened(x), DEFAULT
    kernel = tiles.add_matmul if x.dtype == np.uint16 and uses_tiles(weights.dtype) else matmul.add_matmul
    kernel(weights, x, y, *plan)


class Matrices:
    """Matrices that multiply the same x. Shapes: weights (N, D) each, as stored."""

    def __init__(self, *weights: Array) -> None:
        assert all(each.flags.c_contiguous for each in weights)
        self.weights = weights
        first = weights[0].dtype
        # The kernel takes addresses: the same code serves one matrix and three.
        self.places = np.array([(each.ctypes.data, len(each)) for each in weights], np.int64)
        self.like = np.empty(1, first)
        self.given = product_dtype(first)
        self.together = all(each.dtype == first for each in weights) and not uses_tiles(first)
        ends = list(itertools.accumulate(len(each) for each in weights))
        self._spans = list(itertools.pairwise([0, *ends]))

    def split(self, y: Array, columns: int) -> list[Array]:
        """Return each product's own numbers. Shapes: y (T N + T N' + ...), answers (T, N)."""
        return [y[columns * begin : columns * end].reshape(columns, end - begin) for begin, end in self._spans]


def add_products(matrices: Matrices, x: Array, y: Array, plan: KernelPlan) -> None:
    """Compute y += x @ weights.T for each of several matrices, in one loop over the rows of all where there is one.

    Shapes: x (T, D) as ``product_dtype`` says; y (T N + T N' + ...), one product after the other.
    """
    if matrices.together and x.dtype is matrices.given:
        matmul.add_products(matrices.places, matrices.like, x, y, *plan)
        return
    for weights, part in zip(matrices.weights, matrices.split(y, len(x)), strict=True):
        add_matmul(weights, x, part, *plan)


def usual_plans(dtype: np.dtype[Any]) -> dict[str, KernelPlan]:
    """Return the plan of each place before any was chosen, for weights of a type."""
    return TILE_DEFAULTS if uses_tiles(dtype) else DEFAULTS


def rows_tried(dtype: np.dtype[Any]) -> tuple[int, ...]:
    """Return how many rows at once the plans for weights of a type may take."""
    return TILE_ROWS if uses_tiles(dtype) else ROWS
