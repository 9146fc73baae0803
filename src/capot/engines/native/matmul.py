"""y += x @ weights.T: nearly all the time and nearly all the bytes of a language model.

One token is a product with a single column, as fast as memory gives the weights. How they are
best asked for differs from machine to machine: a plan (``plans.KernelPlan``) says it, and changes no bit. A few
tokens cost little more, because each weight is read once for all of them; a long prompt
is bound by arithmetic instead.

How many there are changes no bit of the answer. One rule for each stored type says what x
is: beside bfloat16 weights it is rounded to bfloat16, on every machine; beside float16 and
float32 it stays float32. And one order holds for each row: DEPTH numbers at a time are
summed by lanes (``simd``) and added to y, then the next. Where one instruction multiplies
pairs of bfloat16, a lane takes two neighbours at once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import prange, types
from numba.np.numpy_support import carray

from capot.engines.native.numba_cache import njit
from capot.engines.native.simd import (  # fmt: skip
    BF16_PAIRS,
    COLUMNS,
    I64,
    LANES,
    ROWS,
    Array,
    BFloat,
    Value,
    cgutils,
    emit_ahead,
    emit_fma,
    emit_load,
    emit_prefetches,
    emit_starts,
    emit_sum,
    emit_widen,
    fma,
    intrinsic,
    pointer,
    stored_type,
    widen,
    zeros,
)

SIMD_HASH = "02429a5dac03"
# Rows of weights that one thread takes at a time: with DEPTH, 256 KB of bfloat16, which L2 caches hold.
ROWS_PER_TASK = 64
DEPTH = 2048  # and so much of each row, so that six columns of x stay near


def _emit_register(build: Value, base: Value, k: Value, dtype: Value, *, pairs: bool) -> Value:
    """Emit a register's fill of a row from place k on.

    As stored where bfloat16 is multiplied in pairs, else float32.
    """
    if pairs:
        return emit_load(build, base, k, BFloat(), 2 * LANES)
    return emit_widen(build, emit_load(build, base, k, stored_type(dtype), LANES), dtype, LANES)


def _emit_products(build: Value, sums: list[list[Value]], weights: list[Value], values: list[Value]) -> None:
    """Emit sums[r][c] += weights[r] * values[c], register by register."""
    for c, value in enumerate(values):
        for r, weight in enumerate(weights):
            build.store(emit_fma(build, weight, value, build.load(sums[r][c])), sums[r][c])


def _emit_totals(build: Value, sums: list[list[Value]], y_rows: list[Value], first: Value) -> None:
    """Emit the sum of each register's lanes, added to y: row r of the weights is a column of y."""
    for c, y_row in enumerate(y_rows):
        for r, row in enumerate(sums):
            cell = build.gep(y_row, [build.add(first, I64(r))])
            build.store(build.fadd(build.load(cell), emit_sum(build, build.load(row[c]))), cell)


def _emit_loops(
    build: Value,
    rows: list[Value],
    depth: Value,
    args: list[Value],
    step: int,
    columns: int,
    multiply: Callable[[Value], None],
) -> None:
    """Emit the loop over a tile, in which ``multiply`` is emitted, and memory is asked for what comes next.

    ``args``: the first column, where the loop starts and stops, how many numbers ahead a single column asks. Of
    several columns the first ask for the tile after this one. Rows that lie side by side are asked for as one stream,
    of which memory gives most; the same parts of longer rows are not.
    """
    first, start, stop, ahead = args

    def loop(prefetch: Callable[[Value], None]) -> None:
        with cgutils.for_range_slice(build, start, stop, I64(step), I64) as (k, _):
            prefetch(k)
            multiply(k)

    if columns == 1:
        loop(lambda k: emit_ahead(build, rows, build.add(k, ahead), depth))
        return
    size = build.mul(depth, I64(len(rows)))
    with build.if_else(build.icmp_signed("==", first, I64(0))) as (then, otherwise):
        with then, build.if_else(build.icmp_signed("<=", depth, I64(DEPTH))) as (beside, apart):
            with beside:
                stream = [build.gep(rows[0], [build.add(size, I64(row * step))]) for row in range(len(rows))]
                loop(lambda k: emit_prefetches(build, stream, build.mul(k, I64(len(rows)))))
            with apart:
                loop(lambda k: emit_prefetches(build, rows, build.add(k, size)))
        with otherwise:  # which find the rows in a cache
            loop(lambda k: None)


def _tile(rows: int, columns: int) -> Callable[..., Any]:
    """Return a function that adds to y the product of ``rows`` rows of the weights and ``columns`` rows of x.

    Each weight is loaded and widened once for all columns, each x once for all rows, and the sums stay in registers:
    this is what makes six tokens cost little more than one. The last argument says how many numbers of each row are
    asked of memory before they are read, for a single column. Written in LLVM's own terms, because Numba's optimiser
    keeps 16 sums in registers on a good day and 24 on none. Where x is bfloat16 as well, nothing is widened at all.
    """

    @intrinsic
    def tile(
        typing: Value, weights: Value, row: Value, x: Value, column: Value, y: Value, start: Value, stop: Value,
        ahead: Value,
    ) -> Value:  # fmt: skip
        pairs = BF16_PAIRS and x.dtype == types.uint16

        def emit(context: Value, build: Value, signature: Value, args: Value) -> Value:
            w, xs, ys = (context.make_array(signature.args[i])(context, build, args[i]) for i in (0, 2, 4))
            depth, width = (cgutils.unpack_tuple(build, array.shape)[1] for array in (w, ys))
            w_rows = emit_starts(build, w, args[1], range(rows), depth)
            x_rows = emit_starts(build, xs, args[3], range(columns), depth)
            sums = [[zeros(build) for _ in x_rows] for _ in w_rows]
            step = LANES * (2 if pairs else 1)

            def multiply(k: Value) -> None:
                loaded = [_emit_register(build, base, k, weights.dtype, pairs=pairs) for base in w_rows]
                values = [_emit_register(build, base, k, x.dtype, pairs=pairs) for base in x_rows]
                _emit_products(build, sums, loaded, values)

            _emit_loops(build, w_rows, depth, [args[3], *args[5:]], step, columns, multiply)
            _emit_totals(build, sums, emit_starts(build, ys, args[3], range(columns), width), args[1])
            return context.get_dummy_value()

        # Instantiated once for each width that is used: Numba compiles what is known when it compiles.
        whole = types.intp
        return types.void(weights, whole, x, whole, y, whole, whole, whole), emit

    return tile


_one, _two, _four = (_tile(rows, 1) for rows in (1, 2, 4))
# DEPTH numbers of each row at a time: the columns of x that a tile reads then stay in the cache closest to the core
# while all rows of the task pass over them.
_by_six, _by_four, _by_two, _by_one = (_tile(ROWS, columns) for columns in (COLUMNS, 4, 2, 1))
# As many sums as four by four, and all of x in one pass, where there are 32 registers.
_by_eight = _tile(2, 8)
HAS_EIGHT = LANES == 16


@njit()
def _widest(left: int) -> int:
    """Return how many columns the next tiles take: the fewest passes over rows that lie in a cache by then."""
    if HAS_EIGHT and left in (8, 16):
        return 8
    if left >= COLUMNS:
        return COLUMNS
    return 4 if left >= 4 else min(left, 2)


@njit()
def _add_tiles(weights: Array, first: int, last: int, x: Array, y: Array, whole: int) -> None:
    """Multiply the rows from first to last for all columns.

    DEPTH numbers of them after another, by the largest tiles.
    """
    columns, depth = x.shape  # a whole row ahead: where rows lie side by side, that is the tile after this one
    even = last - (last - first) % ROWS  # rows done by tiles
    for start in range(0, whole, DEPTH):
        stop = min(start + DEPTH, whole)
        c = 0
        while c < columns:
            wide = _widest(columns - c)
            for r in range(first, even, ROWS):
                if wide == 8:
                    for row in range(r, r + ROWS, 2):
                        _by_eight(weights, row, x, c, y, start, stop, depth)
                elif wide == COLUMNS:
                    _by_six(weights, r, x, c, y, start, stop, depth)
                elif wide == 4:
                    _by_four(weights, r, x, c, y, start, stop, depth)
                elif wide == 2:
                    _by_two(weights, r, x, c, y, start, stop, depth)
                else:
                    _by_one(weights, r, x, c, y, start, stop, depth)
            c += wide
        for c in range(columns):
            for r in range(even, last):
                _one(weights, r, x, c, y, start, stop, depth)


@njit()
def _add_column(weights: Array, first: int, last: int, x: Array, y: Array, whole: int, rows: int, ahead: int) -> None:
    """Multiply the rows from first to last for the only column, ``rows`` of them at once."""
    r = first
    while r < last:
        left = last - r
        at_once = rows if rows <= left else 1
        for start in range(0, whole, DEPTH):
            stop = min(start + DEPTH, whole)
            if at_once == 4:
                _four(weights, r, x, 0, y, start, stop, ahead)
            elif at_once == 2:
                _two(weights, r, x, 0, y, start, stop, ahead)
            else:
                _one(weights, r, x, 0, y, start, stop, ahead)
        r += at_once


@njit()
def _add_rows(weights: Array, first: int, x: Array, y: Array, rows: int, ahead: int) -> None:
    """Multiply the rows of one task, which begins at ``first``, for all columns."""
    last = min(weights.shape[0], first + ROWS_PER_TASK)
    columns, depth = x.shape
    whole = depth - depth % (LANES * 2 if BF16_PAIRS and x.itemsize == 2 else LANES)
    if columns == 1:
        _add_column(weights, first, last, x, y, whole, rows, ahead // weights.itemsize)
    else:
        _add_tiles(weights, first, last, x, y, whole)
    add_rest(weights, first, last, x, y, whole)


@njit()
def add_rest(weights: Array, first: int, last: int, x: Array, y: Array, whole: int) -> None:
    """Multiply what is left of the rows from first to last, one by one: no width need be a multiple of a register's."""
    for c in range(x.shape[0]):
        for r in range(first, last):
            for k in range(whole, x.shape[1]):
                y[c, r] = fma(widen(weights[r, k]), widen(x[c, k]), y[c, r])


@njit()
def task_of(turn: int, tasks: int, threads: int) -> int:
    """Return which task is done at one turn of a parallel loop, of which each thread has one piece.

    ``threads``: that many go through memory together, each taking the next task, and what is left over comes last;
    with 0, each has a piece of memory of its own.
    """
    each = tasks // threads if threads else tasks
    if turn >= each * threads:
        return turn
    return turn % each * threads + turn // each


@njit()
def tasks_of(total: int) -> int:
    """Return how many tasks so many rows are."""
    return (total + ROWS_PER_TASK - 1) // ROWS_PER_TASK


@njit(parallel=True, cache=True)
def add_products(places: Array, like: Array, x: Array, y: Array, rows: int, ahead: int, turns: int) -> None:
    """Compute y += x @ weights.T for each of several matrices, each weight read once whatever the number of columns.

    One loop goes over the rows of all, so threads wait for one another once.

    Shapes: places (matrices, 2), the address and the number N of rows of each, which are as wide as x and of the type
    of ``like``; x (T, D) as ``kernels.product_dtype`` says; y (T N + T N' + ...), one product after the other.
    ``rows``, ``ahead``, ``turns``: the plan of a single column (see ``KernelPlan``).
    """
    columns, depth = x.shape
    tasks = 0
    for m in range(len(places)):
        tasks += tasks_of(places[m, 1])
    for turn in prange(tasks):
        # Numba counts the loop in unsigned numbers, which become floats beside signed ones.
        task = task_of(np.int64(turn), tasks, turns)
        begin = 0
        for m in range(len(places)):
            total = places[m, 1]
            end = begin + columns * total
            if 0 <= task < tasks_of(total):
                weights = carray(pointer(places[m, 0]), (total, depth), like.dtype)
                _add_rows(weights, task * ROWS_PER_TASK, x, y[begin:end].reshape(columns, total), rows, ahead)
            task -= tasks_of(total)
            begin = end


def add_matmul(weights: Array, x: Array, y: Array, *plan: int) -> None:
    """Compute y += x @ weights.T, the product of one matrix. Shapes: weights (N, D), x (T, D), y (T, N)."""
    assert weights.flags.c_contiguous
    assert y.flags.c_contiguous
    place = np.array([(weights.ctypes.data, len(weights))], np.int64)
    add_products(place, np.empty(1, weights.dtype), x, y.reshape(-1), *plan)
