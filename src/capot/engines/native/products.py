"""Which kernel computes a product here: that of the vector registers, or that of the matrix unit."""

from __future__ import annotations

from typing import Any

import numpy as np

from capot.engines.native import matmul, tile_unit, tiles
from capot.engines.native.edited import widened
from capot.engines.native.plans import DEFAULT, DEFAULTS, TILE_DEFAULTS, KernelPlan
from capot.engines.native.simd import FEATURES, Array

# Asked once: on such a machine tiles compute every product of bfloat16, of one token as of many, in their own order.
HAS_TILES = tile_unit.usable(FEATURES)


def product_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return what a product takes beside weights of a type: bfloat16 for bfloat16, else float32."""
    return np.dtype(np.uint16 if dtype == np.uint16 else np.float32)


def product_kernel(weights: np.dtype[Any], x: np.dtype[Any]) -> Any:
    """Return the compiled function that multiplies weights and x of these types."""
    return tiles.add_matmul if HAS_TILES and weights == x == np.uint16 else matmul.add_matmul


def add_matmul(weights: Array, x: Array, y: Array, *plan: int) -> None:
    """Compute y += x @ weights.T, by a plan (``KernelPlan``) where x is one token.

    Shapes: weights (N, D) as stored, x (T, D) as ``product_dtype`` says, y (T, N). In a model of bfloat16 that keeps
    some matrix in another type, x comes as bfloat16 all the same: it is made float32 here, and the plan is the usual.
    """
    # Nearly always one object, which is asked first: a comparison of types takes as long as a small product's launch.
    if weights.dtype is not x.dtype and x.dtype == np.uint16 != weights.dtype:
        x, plan = widened(x), DEFAULT
    product_kernel(weights.dtype, x.dtype)(weights, x, y, *plan)


def usual_plans(dtype: np.dtype[Any]) -> dict[str, KernelPlan]:
    """Return the plan of each place before any was chosen, for weights of a type."""
    return TILE_DEFAULTS if product_kernel(dtype, product_dtype(dtype)) is tiles.add_matmul else DEFAULTS
