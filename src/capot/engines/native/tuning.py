"""Which plan reads the weights quickest on this machine? All are timed, two seconds at most.

Memory and caches like to be asked in different ways, so each is a trial of its own, on weights that are more than the
caches hold, or less. The plans follow one another in turn, so that a moment in which other programs use
the machine falls on all of them, and each one's median over the same turns counts. The quickest turn would not do:
memory that many machines share is half as fast again for some milliseconds, and whoever meets these would win.
"""

from __future__ import annotations

import functools
import statistics
import time
from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba import prange, types

from capot.engines.decode_plan import DecodePlan
from capot.engines.native.matmul import ROWS_PER_TASK, task_of
from capot.engines.native.numba_cache import njit
from capot.engines.native.plans import DEFAULT, DEFAULTS, NAMES, KernelPlan, cache_bytes, plans_for
from capot.engines.native.products import Matrices, add_products, rows_tried, usual_plans
from capot.engines.native.simd import (  # fmt: skip
    I64,
    LANES,
    Array,
    Value,
    cgutils,
    emit_ahead,
    emit_load,
    emit_starts,
    intrinsic,
    shaped,
    stored_type,
)
from capot.sources.machine import ram

SIMD_HASH = "02429a5dac03"
SECONDS = {"memory": 1.5, "cache": 0.3}  # for everything, unless two turns of all plans take longer
WIDTHS = {"memory": 2048, "cache": 512}  # numbers of a row, as models that are read from there have them
TURNS = 2  # of all plans, before the slower half is out
LAST = 4  # plans of a field that go on to the end
GAIN = 0.97  # of the usual plan's time: less of a gain is noise, and that plan stays
# Bytes. A virtual machine may have more of a shared cache than it is told: 96 MB came from one faster than memory gives
# them, by 15 %, and once chose a plan that is slower in memory.
BUFFER = 192 * 2**20
LARGEST = 256 * 2**20
LARGEST_CACHED = 32 * 2**20


def _reader(rows: int) -> Callable[..., Any]:
    """Return a function that reads whole registers of ``rows`` rows at once, and answers the bits set in any."""

    @intrinsic
    def read(typing: Value, weights: Value, row: Value, whole: Value, ahead: Value) -> Value:
        def emit(context: Value, build: Value, signature: Value, args: Value) -> Value:
            array = context.make_array(signature.args[0])(context, build, args[0])
            depth = cgutils.unpack_tuple(build, array.shape)[1]
            bits = ir.IntType(weights.dtype.bitwidth)
            lanes = LANES * 32 // weights.dtype.bitwidth
            starts = emit_starts(build, array, args[1], range(rows), depth)
            seen = [cgutils.alloca_once_value(build, ir.Constant(shaped(bits, lanes), [0] * lanes)) for _ in starts]
            with cgutils.for_range_slice(build, I64(0), args[2], I64(lanes), I64) as (k, _):
                emit_ahead(build, starts, build.add(k, args[3]), depth)
                for start, cell in zip(starts, seen):
                    line = emit_load(build, start, k, stored_type(weights.dtype), lanes)
                    line = build.bitcast(line, shaped(bits, lanes))
                    build.store(build.or_(build.load(cell), line), cell)
            return _emit_any(build, [build.load(cell) for cell in seen], bits, lanes)

        return types.int64(weights, types.intp, types.intp, types.intp), emit

    return read


def _emit_any(build: Value, registers: list[Value], bits: Value, lanes: int) -> Value:
    """Emit the bits that are set in any lane: every lane counts, or LLVM would read one of them alone."""
    whole = registers[0]
    for other in registers[1:]:
        whole = build.or_(whole, other)
    name = f"llvm.vector.reduce.or.v{lanes}i{bits.width}"
    function = cgutils.get_or_insert_function(build.module, ir.FunctionType(bits, [whole.type]), name)
    return build.zext(build.call(function, [whole]), I64)


_read_one, _read_two, _read_four = (_reader(rows) for rows in (1, 2, 4))


@njit()
def _read_task(weights: Array, first: int, rows: int, numbers: int) -> int:
    found = 0
    for r in range(first, first + ROWS_PER_TASK, rows):
        if rows == 4:
            found |= _read_four(weights, r, weights.shape[1], numbers)
        elif rows == 2:
            found |= _read_two(weights, r, weights.shape[1], numbers)
        else:
            found |= _read_one(weights, r, weights.shape[1], numbers)
    return found


@njit(parallel=True, cache=True)
def read_planned(weights: Array, seen: Array, rows: int, ahead: int, turns: int) -> None:
    """Read weights and do nothing with them, in the order and by the plan of ``add_matmul``.

    Shapes: weights (N, D), D a multiple of a register; seen (tasks,): N is a whole number of tasks.
    """
    numbers = ahead // weights.itemsize
    for turn in prange(len(seen)):
        task = task_of(np.int64(turn), np.int64(len(seen)), turns)
        seen[task] = _read_task(weights, task * ROWS_PER_TASK, rows, numbers)


def buffer_bytes(place: str) -> int:
    """Return how many bytes a trial reads; 0 where there is no such place, or no room.

    Half of the largest cache; or three times as much as it holds, which memory must have four times over. Servers'
    caches are larger than a trial of two seconds needs.
    """
    cache = cache_bytes()
    if place == "cache":
        return min(cache // 2, LARGEST_CACHED)
    wanted = min(max(BUFFER, 3 * cache), LARGEST)
    here = ram()
    free = here.available or here.total
    return 0 if free is not None and free < 4 * wanted else wanted


def choose(
    dtype: np.dtype[Any], product: np.dtype[Any], place: str, *, clock: Callable[[], float] = time.perf_counter
) -> DecodePlan | None:
    """Return the plan that is quickest here for weights of a type in a place; None where ``buffer_bytes`` has none.

    ``product``: the type of what they are multiplied by. To be called while no other thread runs kernels.
    """
    until = clock() + SECONDS[place]
    width = WIDTHS[place]
    rows = buffer_bytes(place) // (width * dtype.itemsize) // ROWS_PER_TASK * ROWS_PER_TASK
    if rows == 0:
        return None
    weights = np.full((rows, width), 1, dtype)
    weights.flags.writeable = False  # mapped weights are: another type to Numba, and another kernel
    x = np.zeros((1, width), product)
    y = np.zeros(rows, np.float32)
    seen = np.empty(rows // ROWS_PER_TASK, np.int64)
    matrices = Matrices(weights)
    usual = usual_plans(dtype)[place]
    add_products(matrices, x, y, usual)  # both are compiled now, if at all, and no page of memory is touched later
    read_planned(weights, seen, *DEFAULT)
    products: dict[KernelPlan, Callable[[], None]] = {}
    readers: dict[KernelPlan, Callable[[], None]] = {}
    for plan in plans_for(numba.get_num_threads(), rows=rows_tried(dtype)):
        products[plan] = functools.partial(add_products, matrices, x, y, plan)
    for plan in plans_for(numba.get_num_threads()):
        readers[plan] = functools.partial(read_planned, weights, seen, *plan)
    taken, read = race([products, readers], kept=[usual, DEFAULTS[place]], until=until, clock=clock)
    best = best_plan(taken, kept=usual)
    return DecodePlan(
        dtype=NAMES[dtype.name],
        place=place,
        rows=best.rows,
        ahead_bytes=best.ahead,
        in_turns=best.turns > 0,
        threads=numba.get_num_threads(),
        bytes_per_second=weights.nbytes / taken[best],
        reader_bytes_per_second=weights.nbytes
        / min(taken[best], *read.values()),  # a product that is quicker reads too
    )


def race(
    fields: list[dict[KernelPlan, Callable[[], None]]],
    *,
    kept: list[KernelPlan],
    until: float,
    clock: Callable[[], float],
) -> list[dict[KernelPlan, float]]:
    """Return the median seconds of the plans that ran to the end, for each field of runners.

    All run in turn. After every ``TURNS`` turns the slower half of each field is out, down to ``LAST`` and the field's
    plan in ``kept``, which go on until the clock says so: the time goes to those among which it is hard to choose.
    """
    seconds: list[dict[KernelPlan, list[float]]] = [{plan: [] for plan in field} for field in fields]
    turn = 0
    while turn < TURNS or clock() < until:
        for field, taken in zip(fields, seconds, strict=True):
            for plan, each in taken.items():
                began = clock()
                field[plan]()
                each.append(clock() - began)
        turn += 1
        if turn % TURNS == 0:
            seconds = [_first_half(taken, plan) for taken, plan in zip(seconds, kept, strict=True)]
    return [{plan: _middle(each) for plan, each in taken.items()} for taken in seconds]


def _middle(seconds: list[float]) -> float:
    # The lower one of two: what disturbs a turn makes it slower.
    return statistics.median_low(seconds)


def _first_half(taken: dict[KernelPlan, list[float]], kept: KernelPlan) -> dict[KernelPlan, list[float]]:
    first = sorted(taken, key=lambda plan: _middle(taken[plan]))[: max(LAST, len(taken) // 2)]
    return {plan: each for plan, each in taken.items() if plan in first or plan == kept}


def best_plan(seconds: dict[KernelPlan, float], *, kept: KernelPlan) -> KernelPlan:
    """Return the quickest plan, ``kept`` where none is quicker than it by more than noise.

    >>> usual, other = KernelPlan(1, 4096, 0), KernelPlan(4, 256, 0)
    >>> best_plan({usual: 1.0, other: 0.98}, kept=usual) == usual
    True
    >>> best_plan({usual: 1.0, other: 0.9}, kept=usual) == other
    True
    """
    best = min(seconds, key=lambda plan: seconds[plan])
    return best if seconds[best] < GAIN * seconds[kept] else kept
