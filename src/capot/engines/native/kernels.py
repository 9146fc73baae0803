"""The compiled part of the engine: five operations on arrays, kept on disk once compiled.

    add_product   y += x @ weights.T              product.py
    rms_norm      a vector over its root mean square
    gate          silu(gate) * up
    place         rotate queries and keys by their position, store keys and values
    attend        softmax(queries @ keys) @ values, over the cache      attention.py

The small ones are here.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from numba import njit, prange, types

from capot.engines.native.attention import BLOCK, attend, place, scratch_shape
from capot.engines.native.product import add_product
from capot.engines.native.stored import FAST, PAIRS, Array, exp, narrow, widen

__all__ = ["BLOCK", "PAIRS", "add_product", "attend", "exp", "gate", "place", "prepare", "rms_norm", "rounded"]
__all__ += ["scratch_shape"]

STORED = "a52a9d012d07"
# The first that is there; each but the last lets other threads of the process compute as well.
setattr(numba.config, "THREADING_LAYER_PRIORITY", ["omp", "tbb", "workqueue"])  # noqa: B010 - not in its annotations


# How long a thread that waits for another spins before it sleeps: some microseconds, longer than most waits.
# OpenMP's own milliseconds are quickest where nobody else works; elsewhere they take the core from the very thread
# that is waited for. The boxed model on two cores, tokens/s with those, with these and with none: 2,200, 2,100 and
# 380 on a quiet machine; 2, 100-180 and 300 beside four busy programs. OpenMP reads it once, at the first kernel.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "2000")


@njit(fastmath=FAST, cache=True)
def rounded(x: Array, out: Array) -> None:
    """x in the type of ``out``. Shapes: both (T, D)."""
    for t in range(x.shape[0]):
        for d in range(x.shape[1]):
            out[t, d] = narrow(x[t, d], out[t, d])


@njit(fastmath=FAST, cache=True)
def rms_norm(x: Array, weight: Array, epsilon: float, out: Array) -> None:
    """out = x / sqrt(mean(x²) + epsilon) * weight (Zhang and Sennrich, 2019). Shapes: x, out (T, D), weight (D,)."""
    depth = x.shape[1]
    for t in range(x.shape[0]):
        squares = np.float32(0)
        for d in range(depth):
            squares += x[t, d] * x[t, d]
        scale = np.float32(1) / np.sqrt(squares / np.float32(depth) + np.float32(epsilon))
        for d in range(depth):
            out[t, d] = x[t, d] * scale * widen(weight[d])


@njit(parallel=True, fastmath=FAST, cache=True)
def gate(gates: Array, ups: Array) -> None:
    """gates = silu(gates) * ups, in place (SwiGLU: Shazeer, 2020). Shapes: both (T, M)."""
    for t in prange(gates.shape[0]):
        for m in range(gates.shape[1]):
            gates[t, m] = gates[t, m] / (np.float32(1) + exp(-gates[t, m])) * ups[t, m]


def prepare(dtype: np.dtype[Any], notice: Callable[[], None] | None = None) -> None:
    """Load the kernels for weights of one type from disk, or compile them and leave them there.

    ``notice`` is called, once, as soon as it is known that they must be compiled. The types
    are spelt out because a mapped, read-only array is a type of its own to Numba.
    """
    stored, whole, real = numba.from_dtype(dtype), types.int64, types.float64
    weights, weight = types.Array(stored, 2, "C", readonly=True), types.Array(stored, 1, "C", readonly=True)
    like, blocks = stored[::1], whole[::1]
    rows, cells = types.float32[:, ::1], types.float32[:, :, :, ::1]
    decoding: list[tuple[Any, tuple[Any, ...]]] = [
        (rms_norm, (rows, weight, real, rows)),  # the quickest to compile comes first
        (place, (rows, rows, rows, rows, rows, blocks, like, whole, whole)),
        (gate, (rows, rows)),
        (add_product, (weights, rows, rows)),
        (attend, (cells, blocks, like, whole, whole, whole, rows, cells, cells)),
    ]
    for kernel, signature in decoding:
        kernel.compile(signature)
        if notice is not None and kernel.stats.cache_misses:
            notice()
            notice = None
    if PAIRS and dtype == np.uint16 and any(kernel.stats.cache_misses for kernel, _ in decoding):
        # For prompts alone: compiled with the others, but read from disk when one comes.
        rounded.compile((rows, stored[:, ::1]))
        add_product.compile((weights, stored[:, ::1], rows))
