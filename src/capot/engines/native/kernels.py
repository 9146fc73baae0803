"""The compiled part of the engine: five operations on arrays, kept on disk once compiled.

    add_products       y += x @ weights.T, of one matrix or several          matmul.py, tiles.py
    rms_norm           a vector over its root mean square
    swiglu             silu(gate) * up
    rotate_and_store   rotary positions, keys and values into the cache      attention.py
    attend             softmax(queries @ keys) @ values, over the cache      attention.py

The small ones are here.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from numba import prange, types

from capot.engines.decode_plan import DecodePlan
from capot.engines.native import matmul, plans, tiles
from capot.engines.native.attention import BLOCK, attend, rotate_and_store, scratch_shape
from capot.engines.native.numba_cache import cache_errors, njit, warn_uncached
from capot.engines.native.plans import DEFAULTS, KernelPlan
from capot.engines.native.products import (  # fmt: skip
    Matrices,
    add_matmul,
    add_products,
    product_dtype,
    rows_tried,
    uses_tiles,
    usual_plans,
)
from capot.engines.native.simd import BF16_PAIRS, Array, dot, exp, narrow, widen

__all__ = ["BF16_PAIRS", "BLOCK", "Matrices", "add_matmul", "add_products", "attend", "exp", "prepare", "rms_norm"]
__all__ += ["launch_lock", "product_dtype", "rotate_and_store", "scratch_shape", "swiglu", "tune"]

launch_lock = threading.Lock()  # the workqueue layer of Numba dies of two threads at once

SIMD_HASH = "02429a5dac03"


@njit(cache=True)
def rms_norm(x: Array, weight: Array, epsilon: float, out: Array) -> None:
    """Compute out = x / sqrt(mean(x²) + epsilon) * weight (Zhang and Sennrich, 2019).

    Shapes: x, out (T, D), weight (D,).
    """
    depth = x.shape[1]
    for t in range(x.shape[0]):
        # In float32, in the order of ``dot``: PyTorch's ``mean`` may add in another one, which is within the tolerance
        # of the parity tests and outside of equality.
        squares = dot(x[t], x[t])
        scale = np.float32(1) / np.sqrt(squares / np.float32(depth) + np.float32(epsilon))
        for d in range(depth):
            out[t, d] = narrow(x[t, d] * scale * widen(weight[d]), out[t, d])


@njit(parallel=True, cache=True)
def swiglu(gates: Array, ups: Array, out: Array) -> None:
    """Compute out = silu(gates) * ups (SwiGLU: Shazeer, 2020). Shapes: all (T, M)."""
    for t in prange(gates.shape[0]):
        for m in range(gates.shape[1]):
            # silu(x) = x * sigmoid(x); the division is one of float32, ``exp`` ends at 88 and so never overflows.
            silu = gates[t, m] / (np.float32(1) + exp(-gates[t, m]))
            out[t, m] = narrow(silu * ups[t, m], out[t, m])


def _compile(kernel: Any, signature: tuple[Any, ...]) -> bool:
    """Make a kernel ready, and return whether it had to be compiled: it was neither on disk nor at work already."""
    before = sum(kernel.stats.cache_misses.values())  # of this process: another model's opening counts in it
    kernel.compile(signature)
    return bool(sum(kernel.stats.cache_misses.values()) > before)


def _signatures(dtype: np.dtype[Any]) -> list[tuple[Any, tuple[Any, ...]]]:
    """Return each kernel with the types that decoding gives it.

    They are spelt out because a mapped, read-only array is a type of its own to Numba.
    """
    stored = numba.from_dtype(dtype)
    whole = types.int64
    real = types.float64
    weights, weight = types.Array(stored, 2, "C", readonly=True), types.Array(stored, 1, "C", readonly=True)
    like = stored[::1]
    blocks = whole[::1]
    given = numba.from_dtype(product_dtype(dtype))
    rows = types.float32[:, ::1]
    cells = types.float32[:, :, :, ::1]
    plan = (whole, whole, whole)
    product: Any = (matmul.add_products, (whole[:, ::1], like, given[:, ::1], types.float32[::1], *plan))
    if uses_tiles(dtype):
        product = (tiles.add_matmul, (weights, given[:, ::1], rows, *plan))
    return [
        (rms_norm, (rows, weight, real, given[:, ::1])),  # the quickest to compile comes first
        (rotate_and_store, (rows, rows, rows, rows, rows, blocks, like, whole, whole)),
        (swiglu, (rows, rows, given[:, ::1])),
        product,
        (attend, (cells, blocks, like, whole, whole, whole, rows, given[:, :, :, ::1], cells)),
    ]


def prepare(
    dtype: np.dtype[Any], notice: Callable[[], None] | None = None, *, warn: Callable[..., None] | None = None
) -> dict[str, KernelPlan]:
    """Load the kernels for weights of one type from disk, or compile them and leave them there.

    Returns the plan that products of one token go by, for each place that the weights may come from.

    ``notice`` is called, once, as soon as it is known that they must be compiled, ``warn`` with the words that say why
    they will have to be the next time too.
    """
    if cache_errors and warn is not None:
        warn_uncached(warn)
        notice = None
    compiled = False
    signatures = _signatures(dtype)
    for kernel, signature in signatures:
        compiled |= _compile(kernel, signature)
        if notice is not None and compiled:
            notice()
            notice = None
    if compiled:
        # A second signature of a kernel costs a file of its own on disk: the one for heads (Qwen3) is compiled beside
        # the others only while they are compiled anyway, and read from disk when one comes.
        _, (rows, *others, _) = signatures[0]
        rms_norm.compile((rows, *others, rows))
    if warn is not None:
        warn_uncached(warn)
    return _settle_plans(dtype, anew=compiled)


def _settle_plans(dtype: np.dtype[Any], *, anew: bool) -> dict[str, KernelPlan]:
    """Return the plan of each place: chosen now where the kernels were just compiled, else as it was kept, or usual."""
    # Without a place for compiled code there is none for a plan: two seconds more at each opening would gain nothing.
    found = tune(dtype) if anew and not cache_errors else [plans.kept(plans.NAMES[dtype.name], at) for at in DEFAULTS]
    chosen = {plan.place: plans.plan_of(plan) for plan in found if plan is not None}
    # One that was kept while the matrix unit could be used, or could not, is of another kernel.
    ours = {place: plan for place, plan in chosen.items() if plan.rows in rows_tried(dtype)}
    return usual_plans(dtype) | ours


def tune(dtype: np.dtype[Any]) -> list[DecodePlan]:
    """Choose the plans for weights of a type, and keep them; none of memory where that is short.

    Takes two seconds, in which no engine computes.
    """
    from capot.engines.native.tuning import choose  # whose kernels nobody else needs

    with launch_lock:
        found = [choose(dtype, product_dtype(dtype), place) for place in DEFAULTS]
    chosen = [plan for plan in found if plan is not None]
    try:
        plans.keep(chosen)
    except OSError as error:
        cache_errors.append(error)
    return chosen
