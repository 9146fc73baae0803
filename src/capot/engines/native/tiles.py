"""y += x @ weights.T with the matrix unit of Intel's processors (AMX), bfloat16 by bfloat16.

A tile register holds 16 rows of 64 bytes. One instruction (TDPBF16PS) multiplies 16 rows of the weights, 32 numbers of
each, by as many numbers of 16 tokens: rows of weights are loaded as the file has them, and only x is packed, once a
product, so that two neighbours of all 16 tokens lie side by side.

The instruction's order is the order of every sum here: of 32 neighbours, the products at even places are added one
after the other, each with one rounding, and those at odd places; then both sums together, and to what came before.
Numbers below 2 ** -126 count as zero. A row's sum begins anew every DEPTH numbers, and is then added to y, as in
``matmul``. One token leaves 15 columns of a tile empty and 16 leave none: the bits are the same, and differ in the last
digits from those of other instructions.

The registers belong to a thread and must be configured there: each task does so, and gives them back. All eight have
one shape, 16 rows of 64 bytes, whatever is in them.

Under a virtual machine, the first of these processors may lose what is in all registers at once (Intel's erratum SPR4:
zeros are saved where the machine is left while a thread's state is). One register is therefore a witness: it holds
known bytes from the begin of a block to its end. Where they are gone, the block is computed again.
Source: Intel 64 and IA-32 Architectures Software Developer's Manual, volume 1, chapter 18, and volume 2, TDPBF16PS.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import llvmlite.binding
import numpy as np
from llvmlite import ir
from numba import prange, types

from capot.engines.native.matmul import DEPTH, ROWS_PER_TASK, add_rest, task_of, tasks_of
from capot.engines.native.numba_cache import njit
from capot.engines.native.simd import (  # fmt: skip
    F32,
    I32,
    I64,
    Array,
    Value,
    cgutils,
    emit_prefetch,
    emit_starts,
    intrinsic,
    shaped,
)

SIMD_HASH = "02429a5dac03"
SIDE = 16  # rows of a tile: of weights, of pairs of x, of sums; and float32 of a row of sums
NUMBERS = 32  # of bfloat16 in a row of a tile
LINE = 64  # bytes of a row of a tile
TILE = SIDE * LINE
WITNESS = 7  # the register; 0 to 3 hold sums, 4 weights, 5 and 6 x
TRIALS = 100  # of one block

I8 = ir.IntType(8)
# The only palette, then the bytes of a row of each register from byte 16 on, 16 bits each, and their rows from 48 on.
CONFIGURATION = bytes([1, *[0] * 15, *[LINE, 0] * 8, *[0] * 16, *[SIDE] * 8, *[0] * 8])


def keep_registers() -> None:
    """Have LLVM keep the registers that are named here, in all that is compiled from now on.

    Its last scheduler may take another register that looks free, and the witness would: LLVM does not see that a
    register which it has not chosen itself is needed in a later basic block.
    """
    llvmlite.binding.set_option("capot", "-break-anti-dependencies=none")


def call(build: Value, name: str, *args: Value) -> None:
    """Emit one of LLVM's intrinsics for tiles. A Python number is a register."""
    values = [I8(arg) if isinstance(arg, int) else arg for arg in args]
    kind = ir.FunctionType(ir.VoidType(), [value.type for value in values])
    build.call(cgutils.get_or_insert_function(build.module, kind, f"llvm.x86.{name}"), values)


def _place(build: Value, address: Value, *further: Value) -> Value:
    for bytes_ in further:
        address = build.add(address, bytes_)
    return build.inttoptr(address, I8.as_pointer())


def _configuration(build: Value) -> Value:
    whole = ir.Constant(ir.ArrayType(I8, len(CONFIGURATION)), bytearray(CONFIGURATION))
    return build.bitcast(cgutils.global_constant(build, "tile_configuration", whole), I8.as_pointer())


@intrinsic
def _configure(typing: Value) -> Value:
    """Give this thread's tile registers their shape."""

    def emit(context: Value, build: Value, signature: Value, args: Value) -> Value:
        call(build, "ldtilecfg", _configuration(build))
        return context.get_dummy_value()

    return types.void(), emit


@intrinsic
def _release(typing: Value) -> Value:
    """Give this thread's tile registers back: the system need not keep them any more when it changes threads."""

    def emit(context: Value, build: Value, signature: Value, args: Value) -> Value:
        call(build, "tilerelease")
        return context.get_dummy_value()

    return types.void(), emit


def _prefetch(build: Value, first: Value, rows: int, place: Value, line: Value, wanted: Value) -> None:
    """Emit the prefetch of one place of as many rows, which may lie in the next block; of none where none is wanted."""
    # What lies beyond a row's end is in the block after this one, as many rows further on.
    beyond = build.select(build.icmp_signed(">=", place, line), build.mul(line, I64(rows - 1)), I64(0))
    with build.if_then(build.icmp_signed(">", wanted, I64(0))), cgutils.for_range(build, I64(rows)) as loop:
        emit_prefetch(build, _place(build, first, place, beyond, build.mul(loop.index, line)))


def _heard(build: Value) -> Value:
    """Emit what the witness says: the first eight of its bytes."""
    seen = build.bitcast(cgutils.alloca_once(build, ir.ArrayType(I8, TILE)), I8.as_pointer())
    call(build, "tilestored64", WITNESS, seen, I64(LINE))
    return build.load(build.bitcast(seen, I64.as_pointer()))


def _block(rows: int, columns: int) -> Callable[..., Any]:
    """Return a function that multiplies ``rows`` tiles of weights by ``columns`` tiles of x, into sums.

    It takes three addresses: of the first row of weights, of the first 16 tokens of the packed x, of (4, 16, 16) sums;
    and behind the first two, how many bytes further on the next row is, and the next 16 tokens. Numbers of each row
    from ``start`` to ``stop`` are multiplied, and memory is asked for them ``ahead`` bytes before. Returns 0 where the
    registers were lost on the way: the sums are wrong then.
    """

    @intrinsic
    def block(
        typing: Value, weights: Value, line: Value, x: Value, group: Value, sums: Value, start: Value, stop: Value,
        ahead: Value,
    ) -> Value:  # fmt: skip
        def emit(context: Value, build: Value, signature: Value, args: Value) -> Value:
            weights, line, x, group, sums, start, stop, ahead = args
            w_tiles = [build.add(weights, build.mul(line, I64(SIDE * r))) for r in range(rows)]
            x_tiles = [build.add(x, build.mul(group, I64(c))) for c in range(columns)]
            cells = [(r, c) for r in range(rows) for c in range(columns)]
            # Any bytes that are not zero, in each row the same.
            call(build, "tileloadd64", WITNESS, _configuration(build), I64(0))
            for r, c in cells:
                call(build, "tilezero", 2 * r + c)
            with cgutils.for_range_slice(build, start, stop, I64(NUMBERS), I64) as (k, _):
                in_row = build.mul(k, I64(2))  # bytes
                in_group = build.mul(k, I64(LINE // 2))  # a line for two neighbours
                _prefetch(build, weights, rows * SIDE, build.add(in_row, ahead), line, ahead)
                for c, tile in enumerate(x_tiles):
                    call(build, "tileloadd64", 5 + c, _place(build, tile, in_group), I64(LINE))
                for r, tile in enumerate(w_tiles):
                    call(build, "tileloadd64", 4, _place(build, tile, in_row), line)
                    for c in range(columns):
                        call(build, "tdpbf16ps", 2 * r + c, 4, 5 + c)
            for r, c in cells:
                call(build, "tilestored64", 2 * r + c, _place(build, sums, I64((2 * r + c) * TILE)), I64(LINE))
            return _heard(build)

        return types.int64(*[types.int64] * 8), emit

    return block


_two_by_two, _two_by_one, _one_by_two, _one_by_one = (_block(rows, columns) for rows in (2, 1) for columns in (2, 1))


def _transposed(build: Value, lines: list[Value]) -> list[Value]:
    """Emit the transposition of 16 registers of 16 numbers: halves change places, then halves of halves."""
    step = SIDE // 2
    while step:
        for i in (i for i in range(SIDE) if not i & step):
            low = lines[i]
            high = lines[i + step]
            upper = [SIDE + lane - step if lane & step else lane for lane in range(SIDE)]
            lower = [SIDE + lane if lane & step else lane + step for lane in range(SIDE)]
            for at, order in ((i, upper), (i + step, lower)):
                lines[at] = build.shuffle_vector(low, high, ir.Constant(ir.VectorType(I32, SIDE), order))
        step //= 2
    return lines


@intrinsic
def _add_whole_tile(typing: Value, sums: Value, y: Value, column: Value, row: Value) -> Value:
    """Add a whole tile of sums, a line for each row of weights, to y, a line for each token."""

    def emit(context: Value, build: Value, signature: Value, args: Value) -> Value:
        totals, ys = (context.make_array(signature.args[i])(context, build, args[i]) for i in range(2))
        width = cgutils.unpack_tuple(build, ys.shape)[1]
        vector = shaped(F32, SIDE).as_pointer()
        places = [build.bitcast(build.gep(totals.data, [I64(SIDE * i)]), vector) for i in range(SIDE)]
        lines = _transposed(build, [build.load(place, align=4) for place in places])
        for y_row, line in zip(emit_starts(build, ys, args[2], range(SIDE), width), lines, strict=True):
            place = build.bitcast(build.gep(y_row, [args[3]]), vector)
            build.store(build.fadd(build.load(place, align=4), line), place, align=4)
        return context.get_dummy_value()

    return types.void(sums, y, types.intp, types.intp), emit


@njit()
def _add_sums(sums: Array, high: int, wide: int, y: Array, column: int, row: int, skipped: int) -> None:
    """Add the sums of ``high`` by ``wide`` tiles to y, less those of the first rows that are ``skipped``."""
    columns, rows = y.shape
    for i in range(high):
        for j in range(wide):
            c = column + SIDE * j
            r = row + SIDE * i
            tile = sums[2 * i + j]
            if skipped == 0 and c + SIDE <= columns and r + SIDE <= rows:
                _add_whole_tile(tile, y, c, r)
            else:
                for token in range(min(SIDE, columns - c)):
                    for one in range(skipped, min(SIDE, rows - r)):
                        y[c + token, r + one] += tile[one, token]


@njit()
def _multiply(
    high: int, wide: int, weights: int, line: int, x: int, group: int, sums: int, start: int, stop: int, ahead: int
) -> Value:
    """Compute the sums of ``high`` by ``wide`` tiles (see ``_block``)."""
    if high == 2 and wide == 2:
        return _two_by_two(weights, line, x, group, sums, start, stop, ahead)
    if high == 2:
        return _two_by_one(weights, line, x, group, sums, start, stop, ahead)
    if wide == 2:
        return _one_by_two(weights, line, x, group, sums, start, stop, ahead)
    return _one_by_one(weights, line, x, group, sums, start, stop, ahead)


@njit()
def _compute_sums(
    high: int, wide: int, weights: int, line: int, x: int, group: int, sums: Array, start: int, stop: int, ahead: int
) -> None:
    """Compute the sums of ``high`` by ``wide`` tiles, again where the registers were lost."""
    for _ in range(TRIALS):
        if _multiply(high, wide, weights, line, x, group, sums.ctypes.data, start, stop, ahead) != 0:
            return
    sums[...] = np.nan  # a machine that keeps none: no number is better than a wrong one


@njit()
def _add_task(
    weights: Array, few: Array, first: int, last: int, packed: Array, y: Array, whole: int, at_once: int, ahead: int
) -> None:
    """Multiply the rows of weights from first to last for all columns of y, ``at_once`` of them in a block.

    ``few``: 16 rows to read instead where weights has less, else none; ``ahead``: bytes.
    """
    # Addresses keep no array: whoever calls has these three to the end.
    address = few.ctypes.data if len(few) else weights.ctypes.data
    line = 2 * weights.shape[1]
    groups, size = packed.shape
    rows = max(SIDE, y.shape[1])
    sums = np.empty((4, SIDE, SIDE), np.float32)
    strip = DEPTH if y.shape[0] > 1 else max(whole, 1)  # x of many tokens is kept near; one reads its rows to the end
    _configure()
    for begin in range(0, whole, strip):
        for group in range(0, groups, 2):
            wide = min(2, groups - group)
            r = first
            while r < last:
                high = 2 if at_once > SIDE and last - r >= 2 * SIDE else 1
                top = min(r, rows - SIDE)  # the last tile begins where it has 16 rows: some were added before
                for start in range(begin, min(begin + strip, whole), DEPTH):
                    stop = min(start + DEPTH, whole)
                    near = ahead if group == 0 else 0  # the first tokens bring the rows near for all others
                    x = packed.ctypes.data + 2 * size * group
                    place = address + line * top
                    _compute_sums(high, wide, place, line, x, 2 * size, sums, start, stop, near)
                    _add_sums(sums, high, wide, y, SIDE * group, top, r - top)
                r += high * SIDE
    _release()


@njit()
def _pack(x: Array, packed: Array, group: int, whole: int) -> None:
    """Lay 16 tokens side by side, two neighbours of each. Shapes: x (T, D), packed (groups of 16 tokens, 16 D)."""
    first = group * SIDE
    columns = min(SIDE, x.shape[0] - first)
    for k in range(0, whole, 2):
        for c in range(columns):
            packed[group, k * SIDE + 2 * c] = x[first + c, k]
            packed[group, k * SIDE + 2 * c + 1] = x[first + c, k + 1]


@njit(parallel=True, cache=True)
def add_matmul(weights: Array, x: Array, y: Array, rows: int, ahead: int, turns: int) -> None:
    """Compute y += x @ weights.T as ``matmul.add_matmul`` does, for weights and x of bfloat16.

    Shapes: weights (N, D) as stored, x (T, D), y (T, N).
    """
    total, depth = weights.shape
    columns = x.shape[0]
    whole = depth - depth % NUMBERS
    packed = np.zeros(((columns + SIDE - 1) // SIDE, SIDE * whole), np.uint16)
    if columns == 1:  # no work for several threads
        _pack(x, packed, 0, whole)
    else:
        for group in prange(len(packed)):
            _pack(x, packed, np.int64(group), whole)
    few = np.zeros((SIDE if total < SIDE else 0, depth), np.uint16)  # a tile is 16 rows, of which none may be missing
    for r in range(min(total, len(few))):
        few[r] = weights[r]
    at_once = rows if columns == 1 else 2 * SIDE
    asked = ahead if columns == 1 else 2 * depth  # a whole row: where rows lie side by side, that is the next block
    tasks = tasks_of(total)
    for turn in prange(tasks):
        # Numba counts the loop in unsigned numbers, which become floats beside signed ones.
        first = task_of(np.int64(turn), tasks, turns) * ROWS_PER_TASK
        last = min(total, first + ROWS_PER_TASK)
        _add_task(weights, few, first, last, packed, y, whole, at_once, asked)
        add_rest(weights, first, last, x, y, whole)
