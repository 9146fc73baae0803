"""The loops in which all the time goes, compiled once by Numba and kept on disk.

Everything a transformer computes is here, as five operations on NumPy arrays:

    add_product   y += x @ weights.T      nearly all the time and all the bytes
    rms_norm      a vector divided by its root mean square
    gate          silu(gate) * up
    place         rotate queries and keys by their position, store keys and values
    attend        softmax(queries @ keys) @ values, over the cache

Weights stay as the file has them. What a number is follows from the array's type:
float32 is itself, uint16 the bits of a bfloat16, int16 the bits of a float16 (NumPy
has no bfloat16, Numba no float16). All sums are float32.

The intrinsics live in this file because Numba's disk cache sees changes of the file
of a function only.
"""

from __future__ import annotations

from collections.abc import Callable

import llvmlite.binding
import numba
import numpy as np
from llvmlite import ir
from numba import carray, get_thread_id, njit, prange, types
from numba.core import cgutils
from numba.extending import intrinsic

numba.config.THREADING_LAYER_PRIORITY = ["omp", "tbb", "workqueue"]

# Sums may be reordered, as vector units need; NaN and infinity keep their meaning.
FAST = {"reassoc", "contract", "nsz"}
BLOCK = 64  # tokens in a block of the cache
TILE = 16  # queries that share one widening of a block
UNSEEN = np.float32(-1e30)  # the score of a token that a query does not see: its exponential is nothing

# How many float32 a vector register holds, and how many rows of weights fit in the
# registers next to six columns of x: 4 x 6 sums, 4 weights and 1 x are 29 of 32.
_FEATURES = llvmlite.binding.get_host_cpu_features()
LANES = 16 if _FEATURES.get("avx512f") else 8 if _FEATURES.get("avx") else 4
ROWS = 2 if LANES == 8 else 4
COLUMNS = 6
SHARE = 64  # rows of weights that one thread takes at a time: with DEPTH, 256 KB of bfloat16, which L2 caches hold
DEPTH = 2048  # and so much of each row, so that six columns of x stay near; a single column is let stay whole
PAIRS = LANES == 16 and _FEATURES.get("avx512bf16", False)  # one instruction multiplies and adds pairs of bfloat16

F32, I32, I64 = ir.FloatType(), ir.IntType(32), ir.IntType(64)


class _BFloat(ir.Type):
    """LLVM's bfloat16, which llvmlite does not name."""

    def _to_string(self) -> str:
        return "bfloat"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _BFloat)

    def __hash__(self) -> int:
        return hash(_BFloat)


def _shaped(scalar: ir.Type, lanes: int) -> ir.Type:
    return ir.VectorType(scalar, lanes) if lanes > 1 else scalar


def _emit_widen(build, value, dtype, lanes):
    """LLVM code that makes float32 of stored numbers, one or ``lanes`` at once."""
    if dtype == types.float32:
        return value
    if dtype == types.int16:  # float16: the machine converts
        return build.fpext(build.bitcast(value, _shaped(ir.HalfType(), lanes)), _shaped(F32, lanes))
    wide = build.zext(value, _shaped(I32, lanes))  # bfloat16: the upper half of a float32
    sixteen = ir.Constant(_shaped(I32, lanes), [16] * lanes if lanes > 1 else 16)
    return build.bitcast(build.shl(wide, sixteen), _shaped(F32, lanes))


@intrinsic
def widen(typing, number):
    """The float32 that stored bits stand for."""
    return types.float32(number), lambda context, build, sig, args: _emit_widen(build, args[0], number, 1)


@intrinsic
def narrow(typing, number, like):
    """The stored bits nearest to a float32, in the type of ``like``."""

    def emit(context, build, signature, args):
        if like == types.float32:
            return args[0]
        if like == types.int16:
            return build.bitcast(build.fptrunc(args[0], ir.HalfType()), ir.IntType(16))
        bits = build.bitcast(args[0], I32)  # round to nearest, ties to even: add 0x7FFF, plus one if odd
        odd = build.and_(build.lshr(bits, I32(16)), I32(1))
        return build.trunc(build.lshr(build.add(bits, build.add(odd, I32(0x7FFF))), I32(16)), ir.IntType(16))

    return like(types.float32, like), emit


@intrinsic
def power_of_two(typing, exponent):
    """2 ** exponent, by writing the exponent's bits. ``exponent`` is an int32 above -127."""

    def emit(context, build, signature, args):
        return build.bitcast(build.shl(build.add(args[0], I32(127)), I32(23)), F32)

    return types.float32(types.int32), emit


@intrinsic
def pointer(typing, address):
    """An address as what ``carray`` takes."""

    def emit(context, build, signature, args):
        return build.inttoptr(args[0], ir.IntType(8).as_pointer())

    return types.voidptr(types.int64), emit


@njit(fastmath=FAST)
def exp(x):
    """e ** x for any float32, in a form that fills vector registers (the C library's does not).

    x = n ln 2 + r, and a polynomial for r (Cephes, ``expf``): off by 2e-7 of the value at most.
    """
    x = min(max(x, np.float32(-87.0)), np.float32(88.0))
    n = np.floor(x * np.float32(1.44269504) + np.float32(0.5))
    r = x - n * np.float32(0.693359375) + n * np.float32(2.12194440e-4)
    p = np.float32(1.9875691500e-4) * r + np.float32(1.3981999507e-3)
    p = (p * r + np.float32(8.3334519073e-3)) * r + np.float32(4.1665795894e-2)
    p = (p * r + np.float32(1.6666665459e-1)) * r + np.float32(5.0000001201e-1)
    return (p * r * r + r + np.float32(1.0)) * power_of_two(np.int32(n))


# ---------------------------------------------------------------- the product


def _tile(rows: int, columns: int):
    """A function that adds to y the product of ``rows`` rows of the weights and ``columns`` rows of x.

    Each weight is loaded and widened once for all columns, each x once for all rows, and
    the sums stay in registers: this is what makes six tokens cost little more than one.
    Written in LLVM's own terms, because Numba's optimiser keeps 16 sums in registers on
    a good day and 24 on none. Where x is bfloat16 as well, nothing is widened at all.
    """

    @intrinsic
    def tile(typing, weights, row, x, column, y, start, stop):
        def emit(context, build, signature, args):
            w, xs, ys = (context.make_array(signature.args[i])(context, build, args[i]) for i in (0, 2, 4))
            depth, width = (cgutils.unpack_tuple(build, array.shape)[1] for array in (w, ys))

            def line(array, index, offset, stride):  # where row index + offset begins
                return build.gep(array.data, [build.mul(build.add(index, I64(offset)), stride)])

            w_rows = [line(w, args[1], r, depth) for r in range(rows)]
            next_rows = [line(w, args[1], r + rows, depth) for r in range(rows)]
            x_rows = [line(xs, args[3], c, depth) for c in range(columns)]
            pairs = x.dtype == types.uint16
            step, zero = LANES * (2 if pairs else 1), ir.Constant(_shaped(F32, LANES), [0.0] * LANES)
            sums = [[cgutils.alloca_once(build, zero.type) for _ in x_rows] for _ in w_rows]
            for cell in sum(sums, []):
                build.store(zero, cell)

            def load(base, k, dtype):
                if pairs:
                    return _emit_load(build, base, k, _BFloat(), step)
                return _emit_widen(build, _emit_load(build, base, k, _stored(dtype), step), dtype, step)

            with cgutils.for_range_slice(build, args[5], args[6], I64(step), I64) as (k, _):
                for base in next_rows:  # ask memory now for what the next tile reads
                    _emit_prefetch(build, build.gep(base, [k]))
                loaded = [load(base, k, weights.dtype) for base in w_rows]
                for c, base in enumerate(x_rows):
                    value = load(base, k, x.dtype)
                    for r, weight in enumerate(loaded):
                        build.store(_emit_fma(build, weight, value, build.load(sums[r][c])), sums[r][c])
            for c in range(columns):
                y_row = line(ys, args[3], c, width)
                for r in range(rows):
                    cell = build.gep(y_row, [build.add(args[1], I64(r))])
                    build.store(_emit_total(build, build.load(cell), build.load(sums[r][c])), cell)
            return context.get_dummy_value()

        whole = types.intp
        return types.void(weights, whole, x, whole, y, whole, whole), emit

    return tile


def _stored(dtype) -> ir.Type:
    return F32 if dtype == types.float32 else ir.IntType(16)


def _emit_load(build, base, index, scalar, lanes):
    """``lanes`` numbers from ``base[index]`` on, wherever that lies in memory."""
    place = build.bitcast(build.gep(base, [index]), _shaped(scalar, lanes).as_pointer())
    return build.load(place, align=4 if scalar == F32 else 2)


def _emit_fma(build, a, b, total):
    """total + a * b, lane by lane; two products a lane where a and b are bfloat16."""
    if isinstance(a.type.element, _BFloat):
        kind = ir.FunctionType(total.type, [total.type, a.type, b.type])
        name = "llvm.x86.avx512bf16.dpbf16ps.512"
        return build.call(cgutils.get_or_insert_function(build.module, kind, name), [total, a, b])
    return build.fadd(build.fmul(a, b, flags=("contract",)), total, flags=("contract",))


def _emit_prefetch(build, place):
    byte = ir.IntType(8).as_pointer()
    kind = ir.FunctionType(ir.VoidType(), [byte, I32, I32, I32])
    function = cgutils.get_or_insert_function(build.module, kind, "llvm.prefetch.p0")
    build.call(function, [build.bitcast(place, byte), I32(0), I32(3), I32(1)])  # read, keep near, data


def _emit_total(build, first, vector):
    kind = ir.FunctionType(F32, [F32, vector.type])
    function = cgutils.get_or_insert_function(build.module, kind, f"llvm.vector.reduce.fadd.v{LANES}f32")
    return build.call(function, [first, vector], fastmath=("reassoc",))


_one = _tile(1, 1)
_by_six, _by_three, _by_one = _tile(ROWS, COLUMNS), _tile(ROWS, COLUMNS // 2), _tile(ROWS, 1)


@njit(parallel=True, fastmath=FAST, cache=True)
def add_product(weights, x, y):
    """y += x @ weights.T, each weight read from memory once whatever the number of columns.

    Shapes: weights (N, D) as stored, x (T, D) float32, or bfloat16 like the weights, y (T, N).
    """
    total, depth = weights.shape
    columns = x.shape[0]
    whole = depth - depth % (LANES * 4 // x.itemsize)
    block = DEPTH if columns > 1 else 4 * DEPTH
    for share in prange((total + SHARE - 1) // SHARE):
        first, last = share * SHARE, min(total, share * SHARE + SHARE)
        even = first if columns == 1 else last - (last - first) % ROWS  # rows done by tiles
        for start in range(0, whole, block):
            stop = min(start + block, whole)
            c = 0
            while columns > 1 and c < columns:
                left = columns - c
                for r in range(first, even, ROWS):
                    if left >= COLUMNS:
                        _by_six(weights, r, x, c, y, start, stop)
                    elif left >= COLUMNS // 2:
                        _by_three(weights, r, x, c, y, start, stop)
                    else:
                        _by_one(weights, r, x, c, y, start, stop)
                c += COLUMNS if left >= COLUMNS else COLUMNS // 2 if left >= COLUMNS // 2 else 1
            for c in range(columns):
                for r in range(even, last):
                    _one(weights, r, x, c, y, start, stop)
        for c in range(columns):  # a width that is no multiple of a register's
            for r in range(first, last):
                for k in range(whole, depth):
                    y[c, r] += widen(weights[r, k]) * widen(x[c, k])


# ---------------------------------------------------------------- one vector at a time


@njit(fastmath=FAST, cache=True)
def rounded(x, out):
    """x in the type of ``out``. Shapes: both (T, D)."""
    for t in range(x.shape[0]):
        for d in range(x.shape[1]):
            out[t, d] = narrow(x[t, d], out[t, d])


@njit(fastmath=FAST, cache=True)
def rms_norm(x, weight, epsilon, out):
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
def gate(gates, ups):
    """gates = silu(gates) * ups, in place (SwiGLU: Shazeer, 2020). Shapes: both (T, M)."""
    for t in prange(gates.shape[0]):
        for m in range(gates.shape[1]):
            gates[t, m] = gates[t, m] / (np.float32(1) + exp(-gates[t, m])) * ups[t, m]


# ---------------------------------------------------------------- attention


@njit(fastmath=FAST)
def _rotate(heads, t, size, cosines, sines):
    """Rotary positions (Su et al., 2021): the pair (i, i + H/2) of each head turns by its angle."""
    half = size // 2
    for first in range(0, heads.shape[1], size):
        for i in range(half):
            a, b = heads[t, first + i], heads[t, first + half + i]
            heads[t, first + i] = a * cosines[t, i] - b * sines[t, i]
            heads[t, first + half + i] = b * cosines[t, i] + a * sines[t, i]


@njit(fastmath=FAST, cache=True)
def place(queries, keys, values, cosines, sines, blocks, like, layer, start):
    """Turn queries and keys to their positions and put keys and values into the cache.

    Shapes: queries (T, heads x size), keys and values (T, K x size), cosines and sines
    (T, size / 2), blocks: addresses of (L, 2, K, size x BLOCK) arrays of the type of
    ``like``. Keys lie there as (size, BLOCK), values as (BLOCK, size): in both the inner
    loop of ``attend`` then runs along memory.
    """
    size = 2 * cosines.shape[1]
    heads = keys.shape[1] // size
    for t in range(queries.shape[0]):
        _rotate(queries, t, size, cosines, sines)
        _rotate(keys, t, size, cosines, sines)
        block, slot = divmod(start + t, BLOCK)
        cache = carray(pointer(blocks[block]), (layer + 1, 2, heads, size * BLOCK), like.dtype)
        for head in range(heads):
            for d in range(size):
                cache[layer, 0, head, d * BLOCK + slot] = narrow(keys[t, head * size + d], like[0])
                cache[layer, 1, head, slot * size + d] = narrow(values[t, head * size + d], like[0])


def _outer_tile(rows: int, vectors: int):
    """A function that adds a @ b to ``rows`` rows of ``out``, ``vectors`` registers wide: b's rows lie along memory.

    Shapes: a (n, at least depth), b (depth, width), out (n, width).
    """

    @intrinsic
    def tile(typing, a, b, out, row, column):
        def emit(context, build, signature, args):
            a_, b_, out_ = (context.make_array(signature.args[i])(context, build, args[i]) for i in range(3))
            a_width, width = (cgutils.unpack_tuple(build, array.shape)[1] for array in (a_, b_))
            depth = cgutils.unpack_tuple(build, b_.shape)[0]
            a_rows = [build.gep(a_.data, [build.mul(build.add(args[3], I64(r)), a_width)]) for r in range(rows)]
            corners = [
                build.gep(out_.data, [build.add(build.mul(build.add(args[3], I64(r)), width), args[4])]) for r in range(rows)
            ]
            sums = [[cgutils.alloca_once(build, _shaped(F32, LANES)) for _ in range(vectors)] for _ in range(rows)]
            for r, corner in enumerate(corners):
                for v, cell in enumerate(sums[r]):
                    build.store(_emit_load(build, corner, I64(v * LANES), F32, LANES), cell)
            with cgutils.for_range(build, depth, intp=I64) as loop:
                b_row = build.gep(b_.data, [build.add(build.mul(loop.index, width), args[4])])
                loaded = [_emit_load(build, b_row, I64(v * LANES), F32, LANES) for v in range(vectors)]
                for r, base in enumerate(a_rows):
                    value = _emit_spread(build, build.load(build.gep(base, [loop.index])))
                    for v, vector in enumerate(loaded):
                        build.store(_emit_fma(build, value, vector, build.load(sums[r][v])), sums[r][v])
            for r, corner in enumerate(corners):
                for v, cell in enumerate(sums[r]):
                    place = build.bitcast(build.gep(corner, [I64(v * LANES)]), _shaped(F32, LANES).as_pointer())
                    build.store(build.load(cell), place, align=4)
            return context.get_dummy_value()

        return types.void(a, b, out, types.intp, types.intp), emit

    return tile


def _emit_spread(build, number):
    """A register with the same number in each lane."""
    vector = ir.Constant(_shaped(F32, LANES), ir.Undefined)
    first = build.insert_element(vector, number, I32(0))
    return build.shuffle_vector(first, vector, ir.Constant(ir.VectorType(I32, LANES), [0] * LANES))


_outer_large, _outer_row, _outer_column, _outer_small = (
    _outer_tile(rows, vectors) for vectors in (4, 1) for rows in (ROWS, 1)
)


@njit
def _add_outer(a, b, out, rows):
    """out[:rows] += a[:rows] @ b; the width of b is a multiple of LANES."""
    width = b.shape[1]
    large, even = width - width % (4 * LANES), rows - rows % ROWS
    for column in range(0, large, 4 * LANES):
        for row in range(0, even, ROWS):
            _outer_large(a, b, out, row, column)
        for row in range(even, rows):
            _outer_row(a, b, out, row, column)
    for column in range(large, width, LANES):
        for row in range(0, even, ROWS):
            _outer_column(a, b, out, row, column)
        for row in range(even, rows):
            _outer_small(a, b, out, row, column)


@njit(fastmath=FAST | {"nnan"})  # a largest number that fills vector registers cannot watch for NaN
def _largest(numbers, top):
    for i in range(BLOCK):
        top = max(top, numbers[i])
    return top


@njit(fastmath=FAST)
def _weigh(scores, low, high, top):
    """Scores become e ** (score - the largest so far), 0 outside low to high; answers that largest and their sum."""
    scores[:low], scores[high:] = UNSEEN, UNSEEN
    top, total = _largest(scores, top), np.float32(0)
    for i in range(BLOCK):
        scores[i] = exp(scores[i] - top)
        total += scores[i]
    return top, total


@njit(fastmath=FAST)
def _widen_block(cache, filled, keys, values):
    """Keys and values of one head's block, zero where no token is yet. Shapes: cache (2, size x BLOCK)."""
    size = keys.shape[0]
    for i in range(size * BLOCK):
        keys.flat[i] = widen(cache[0, i])
    for slot in range(BLOCK):
        for d in range(size):
            values[slot, d] = widen(cache[1, slot * size + d]) if slot < filled else np.float32(0)


def scratch_shape(group: int, size: int) -> tuple[int, int, int, int]:
    """What ``attend`` needs: for each thread, rows of which it makes its tables."""
    wide = -(-size // 16) * 16  # heads are laid out in whole registers
    floats = size * BLOCK + BLOCK * wide + TILE * group * (size + BLOCK + wide + 2)
    return (threads(), floats)


@njit(parallel=True, fastmath=FAST, cache=True)
def attend(queries, blocks, like, layer, start, window, scratch, out, weights):
    """Each query's mean of the values, weighted by softmax(query . key / sqrt(size)).

    The softmax is taken block by block, with the largest score so far as its reference
    (Milakov and Gimelshein, 2018), so nothing of the size of T x S is stored unless
    ``weights`` asks for it (it is empty otherwise). A query at position p sees the tokens
    p - window + 1 to p. Query head h reads key head h // group, group = heads / K.

    Shapes: queries, out (T, K, group, size); blocks as in ``place``; scratch as in
    ``scratch_shape``; weights (K, group, T, S), zeros, or empty.
    """
    tokens, kv_heads, group, size = queries.shape
    wide, wanted = (size + 15) // 16 * 16, weights.shape[3]
    scale = np.float32(1) / np.sqrt(np.float32(size))
    tiles = (tokens + TILE - 1) // TILE
    for task in prange(kv_heads * tiles):
        head, first = task // tiles, task % tiles * TILE
        last = min(first + TILE, tokens)
        rows = (last - first) * group  # the queries of this tile: token by token, its heads together
        mine = scratch[get_thread_id()]
        keys, mine = mine[: size * BLOCK].reshape(size, BLOCK), mine[size * BLOCK :]
        values, mine = mine[: BLOCK * wide].reshape(BLOCK, wide), mine[BLOCK * wide :]
        asked, mine = mine[: rows * size].reshape(rows, size), mine[rows * size :]
        scores, mine = mine[: rows * BLOCK].reshape(rows, BLOCK), mine[rows * BLOCK :]
        mixed, mine = mine[: rows * wide].reshape(rows, wide), mine[rows * wide :]
        tops, totals = mine[:rows], mine[rows : 2 * rows]
        tops[:], totals[:], values[:], mixed[:] = -np.inf, np.float32(0), np.float32(0), np.float32(0)
        for row in range(rows):
            for d in range(size):
                asked[row, d] = queries[first + row // group, head, row % group, d] * scale
        for block in range(max(0, start + first - window + 1) // BLOCK, (start + last - 1) // BLOCK + 1):
            cache = carray(pointer(blocks[block]), (layer + 1, 2, kv_heads, size * BLOCK), like.dtype)
            _widen_block(cache[layer, :, head], min(BLOCK, start + tokens - block * BLOCK), keys, values)
            scores[:] = np.float32(0)
            _add_outer(asked, keys, scores, rows)
            for row in range(rows):
                seen = start + first + row // group + 1 - block * BLOCK  # tokens of this block up to the query's
                low, high = max(0, seen - window), min(BLOCK, seen)
                if low >= high:
                    scores[row] = np.float32(0)
                    continue
                for i in range(low, min(high, low + wanted)):
                    weights[head, row % group, first + row // group, block * BLOCK + i] = scores[row, i]
                before = tops[row]
                tops[row], total = _weigh(scores[row], low, high, before)
                shrink = exp(before - tops[row])
                totals[row] = totals[row] * shrink + total
                for d in range(wide):
                    mixed[row, d] *= shrink
            _add_outer(scores, values, mixed, rows)
        for row in range(rows):
            t, g = first + row // group, row % group
            for d in range(size):
                out[t, head, g, d] = mixed[row, d] / totals[row]
            for s in range(max(0, start + t + 1 - window), min(start + t + 1, wanted)):
                weights[head, g, t, s] = exp(weights[head, g, t, s] - tops[row]) / totals[row]


# ---------------------------------------------------------------- making ready


def threads() -> int:
    """How many threads share a loop: one for each processor this process may use."""
    return numba.get_num_threads()


def prepare(dtype: np.dtype, notice: Callable[[], None] | None = None) -> None:
    """Load the kernels for weights of one type from disk, or compile them and leave them there.

    ``notice`` is called, once, as soon as it is known that they must be compiled. The types
    are spelt out because a mapped, read-only array is a type of its own to Numba.
    """
    stored, whole, real = numba.from_dtype(dtype), types.int64, types.float64
    weights, weight = types.Array(stored, 2, "C", readonly=True), types.Array(stored, 1, "C", readonly=True)
    like, blocks = stored[::1], whole[::1]
    rows, cells = types.float32[:, ::1], types.float32[:, :, :, ::1]
    signatures = {
        rms_norm: (rows, weight, real, rows),  # the quickest to compile comes first
        place: (rows, rows, rows, rows, rows, blocks, like, whole, whole),
        gate: (rows, rows),
        add_product: (weights, rows, rows),
        rounded: (rows, stored[:, ::1]),
        attend: (cells, blocks, like, whole, whole, whole, rows, cells, cells),
    }
    asked = list(signatures.items())
    if PAIRS and dtype == np.uint16:
        asked.append((add_product, (weights, stored[:, ::1], rows)))
    for kernel, signature in asked:
        kernel.compile(signature)
        if notice is not None and kernel.stats.cache_misses:
            notice()
            notice = None
