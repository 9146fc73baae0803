"""Attention: each token's mean of what came before, and the cache it reads.

Numba writes the loops over tokens and heads; the two small products inside are tiles of
registers, like those of ``matmul``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import carray, get_num_threads, get_thread_id, prange, types  # type: ignore[attr-defined]

from capot.engines.native.numba_cache import njit
from capot.engines.native.simd import (  # fmt: skip
    F32,
    I64,
    LANES,
    ROWS,
    Array,
    Value,
    cgutils,
    dot,
    emit_broadcast,
    emit_fma,
    emit_load,
    exp,
    intrinsic,
    narrow,
    pointer,
    shaped,
    widen,
)

SIMD_HASH = "02429a5dac03"
BLOCK = 64  # tokens in a block of the cache
TILE = 16  # queries that share one widening of a block
MASKED = np.float32(-1e30)  # the score of a token that a query does not see: never the largest
ONES = np.ones(BLOCK, np.float32)


@njit()
def _rotate(heads: Array, t: int, size: int, cosines: Array, sines: Array) -> None:
    """Apply rotary positions (Su et al., 2021): the pair (i, i + H/2) of each head turns by its angle."""
    half = size // 2
    # Hugging Face's layout: the two numbers of a pair lie half a head apart, not side by side as in the paper. The
    # checkpoints' query and key matrices have their rows permuted for it.
    for first in range(0, heads.shape[1], size):
        for i in range(half):
            a = heads[t, first + i]
            b = heads[t, first + half + i]
            heads[t, first + i] = a * cosines[t, i] - b * sines[t, i]
            heads[t, first + half + i] = b * cosines[t, i] + a * sines[t, i]


@njit(cache=True)
def rotate_and_store(
    queries: Array, keys: Array, values: Array, cosines: Array, sines: Array, blocks: Array, like: Array, layer: int,
    start: int,
) -> None:  # fmt: skip
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
                # Keys are transposed as they are stored, once; a product of queries and keys would else gather numbers
                # BLOCK apart for each of the tokens that read them.
                cache[layer, 0, head, d * BLOCK + slot] = narrow(keys[t, head * size + d], like[0])
                cache[layer, 1, head, slot * size + d] = narrow(values[t, head * size + d], like[0])


def _outer_tile(rows: int, vectors: int) -> Callable[..., Any]:
    """Return a function that adds a @ b to ``rows`` rows of ``out``, ``vectors`` registers wide.

    The rows of b lie along memory.

    Shapes: a (n, at least depth), b (depth, width), out (n, width).
    """

    @intrinsic
    def tile(typing: Value, a: Value, b: Value, out: Value, row: Value, column: Value) -> Value:
        def emit(context: Value, build: Value, signature: Value, args: Value) -> Value:
            a_, b_, out_ = (context.make_array(signature.args[i])(context, build, args[i]) for i in range(3))
            a_width, width = (cgutils.unpack_tuple(build, array.shape)[1] for array in (a_, b_))
            depth = cgutils.unpack_tuple(build, b_.shape)[0]
            indices = [build.add(args[3], I64(r)) for r in range(rows)]
            a_rows = [build.gep(a_.data, [build.mul(index, a_width)]) for index in indices]
            corners = [build.gep(out_.data, [build.add(build.mul(index, width), args[4])]) for index in indices]
            # The sums begin with what ``out`` holds, so that a second call adds to the first.
            sums = [[cgutils.alloca_once(build, shaped(F32, LANES)) for _ in range(vectors)] for _ in range(rows)]
            for r, corner in enumerate(corners):
                for v, cell in enumerate(sums[r]):
                    build.store(emit_load(build, corner, I64(v * LANES), F32, LANES), cell)
            with cgutils.for_range(build, depth, intp=I64) as loop:
                b_row = build.gep(b_.data, [build.add(build.mul(loop.index, width), args[4])])
                loaded = [emit_load(build, b_row, I64(v * LANES), F32, LANES) for v in range(vectors)]
                for r, base in enumerate(a_rows):
                    value = emit_broadcast(build, build.load(build.gep(base, [loop.index])))
                    for v, vector in enumerate(loaded):
                        build.store(emit_fma(build, value, vector, build.load(sums[r][v])), sums[r][v])
            for r, corner in enumerate(corners):
                for v, cell in enumerate(sums[r]):
                    place = build.bitcast(build.gep(corner, [I64(v * LANES)]), shaped(F32, LANES).as_pointer())
                    build.store(build.load(cell), place, align=4)
            return context.get_dummy_value()

        return types.void(a, b, out, types.intp, types.intp), emit

    return tile


_outer_large, _outer_row, _outer_column, _outer_small = (
    _outer_tile(rows, vectors) for vectors in (4, 1) for rows in (ROWS, 1)
)


@njit()
def _add_outer(a: Array, b: Array, out: Array, rows: int) -> None:
    """Compute out[:rows] += a[:rows] @ b; the width of b is a multiple of LANES."""
    # Four registers wide first, as in ``matmul``; what is left of the width goes a register at a time.
    width = b.shape[1]
    large = width - width % (4 * LANES)
    even = rows - rows % ROWS
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


@njit(fastmath={"nnan", "nsz"})  # a largest number that fills vector registers cannot watch for NaN
def _largest(numbers: Array, top: np.float32) -> np.float32:
    for i in range(BLOCK):
        top = max(top, numbers[i])
    return top


# The sum of exponentials goes through ``dot`` with ones, so that its order is the one of every sum.
@njit()
def _exp_scores(scores: Array, low: int, high: int, top: np.float32) -> tuple[np.float32, np.float32]:
    """Turn scores into e ** (score - the largest so far), 0 outside low to high; return that largest and their sum."""
    scores[:low] = MASKED
    scores[high:] = MASKED
    # MASKED before the largest is looked for, 0 after the exponential: a masked score neither raises the reference nor
    # adds to the sum, and the loops over BLOCK need no bounds that would keep them out of vector registers.
    top = _largest(scores, top)
    for i in range(BLOCK):
        scores[i] = exp(scores[i] - top)
    scores[:low], scores[high:] = np.float32(0), np.float32(0)
    return top, dot(scores, ONES)


@njit()
def _widen_block(cache: Array, filled: int, keys: Array, values: Array) -> None:
    """Widen keys and values of one head's block, zero where no token is yet. Shapes: cache (2, size x BLOCK)."""
    size = keys.shape[0]
    # One widening of bfloat16 to float32 serves TILE x group rows of queries: that is why they come as a tile.
    for i in range(size * BLOCK):
        keys.flat[i] = widen(cache[0, i])
    for slot in range(BLOCK):
        for d in range(size):
            # What was never written is memory as it came, and 0 times NaN is NaN: slots without a token are made zero.
            values[slot, d] = widen(cache[1, slot * size + d]) if slot < filled else np.float32(0)


def scratch_shape(group: int, size: int) -> tuple[int, int]:
    """Return what ``attend`` needs: for each thread, rows of which it makes its tables."""
    wide = -(-size // 16) * 16  # heads are laid out in whole registers
    floats = size * BLOCK + BLOCK * wide + TILE * group * (size + BLOCK + wide + 2)
    return (get_num_threads(), floats)


@njit()
def _mix_block(
    asked: Array, keys: Array, values: Array, seen_by_first: int, group: int, window: int, scores: Array, mixed: Array,
    tops: Array, totals: Array, logits: Array,
) -> None:  # fmt: skip
    """Add one block to the running softmax of each row: ``tops``, ``totals`` and ``mixed`` are what is known so far.

    The first row's query sees the first ``seen_by_first`` tokens of the block, each next token's one more.

    Shapes: asked (rows, size), keys (size, BLOCK), values (BLOCK, wide), scores (rows, BLOCK), mixed (rows, wide),
    tops, totals (rows), logits (group, T, S) from this tile and block on, S = 0 where nobody asks for weights.
    """
    rows = asked.shape[0]
    scores[:] = np.float32(0)
    _add_outer(asked, keys, scores, rows)
    for row in range(rows):
        seen = seen_by_first + row // group
        seen = seen_by_first + row // group
        # -inf would make the first e ** (before - now) of a row NaN; such a row has nothing to shrink, and 0 comes out
        # of ``exp``, which ends at -87.
        low = max(0, seen - window)
        high = min(BLOCK, seen)
        if low >= high:
            scores[row] = np.float32(0)
            continue
        for i in range(low, min(high, low + logits.shape[2])):
            logits[row % group, row // group, i] = scores[row, i]
        before = tops[row]
        tops[row], total = _exp_scores(scores[row], low, high, before)
        # What was summed before was relative to a smaller largest score: e ** (before - now) brings it to the new one.
        # A row's first reference is -inf; ``exp`` ends at -87, so its first factor is tiny and finite, and shrinks sums
        # that are still zero.
        shrink = exp(before - tops[row])
        totals[row] = totals[row] * shrink + total
        for d in range(mixed.shape[1]):
            mixed[row, d] *= shrink
    _add_outer(scores, values, mixed, rows)


@njit()
def _write_means(
    mixed: Array, tops: Array, totals: Array, start: int, first: int, head: int, window: int, out: Array, weights: Array
) -> None:  # fmt: skip
    """Take the softmax's last step for a tile of one key head: divide what was mixed by the sum of its weights."""
    group = out.shape[2]
    for row in range(len(tops)):
        t = first + row // group
        g = row % group
        for d in range(out.shape[3]):
            out[t, head, g, d] = narrow(mixed[row, d] / totals[row], out[t, head, g, d])
        for s in range(max(0, start + t + 1 - window), min(start + t + 1, weights.shape[3])):
            weights[head, g, t, s] = exp(weights[head, g, t, s] - tops[row]) / totals[row]


@njit()
def _attend_tile(
    queries: Array, blocks: Array, like: Array, layer: int, start: int, window: int, head: int, first: int, mine: Array,
    out: Array, weights: Array,
) -> None:  # fmt: skip
    """Compute attention of up to TILE tokens, from the chunk's ``first`` on, over one key head's cache.

    ``mine`` is scratch.
    """
    tokens, kv_heads, group, size = queries.shape
    last = min(first + TILE, tokens)
    wide = (size + 15) // 16 * 16
    rows = (last - first) * group  # token by token, the heads of one together
    keys, mine = mine[: size * BLOCK].reshape(size, BLOCK), mine[size * BLOCK :]
    values, mine = mine[: BLOCK * wide].reshape(BLOCK, wide), mine[BLOCK * wide :]
    asked, mine = mine[: rows * size].reshape(rows, size), mine[rows * size :]
    scores, mine = mine[: rows * BLOCK].reshape(rows, BLOCK), mine[rows * BLOCK :]
    mixed, mine = mine[: rows * wide].reshape(rows, wide), mine[rows * wide :]
    tops = mine[:rows]
    totals = mine[rows : 2 * rows]
    tops[:] = -np.inf
    totals[:] = np.float32(0)
    values[:] = np.float32(0)  # also what lies between a head's width and whole registers, which no block fills
    mixed[:] = np.float32(0)
    scale = np.float32(1) / np.sqrt(np.float32(size))
    for row in range(rows):
        for d in range(size):
            asked[row, d] = queries[first + row // group, head, row % group, d] * scale
    # A window leaves blocks out at the front; what comes after the last query of this tile is left out at the back.
    for block in range(max(0, start + first - window + 1) // BLOCK, (start + last - 1) // BLOCK + 1):
        begin = block * BLOCK
        cache = carray(pointer(blocks[block]), (layer + 1, 2, kv_heads, size * BLOCK), like.dtype)
        _widen_block(cache[layer, :, head], min(BLOCK, start + tokens - begin), keys, values)
        logits = weights[head, :, first:, begin:]
        _mix_block(asked, keys, values, start + first + 1 - begin, group, window, scores, mixed, tops, totals, logits)
    _write_means(mixed, tops, totals, start, first, head, window, out, weights)


@njit(parallel=True, cache=True)
def attend(
    queries: Array, blocks: Array, like: Array, layer: int, start: int, window: int, scratch: Array, out: Array,
    weights: Array,
) -> None:  # fmt: skip
    """Compute each query's mean of the values, weighted by softmax(query . key / sqrt(size)).

    The softmax is taken block by block, with the largest score so far as its reference
    (Milakov and Gimelshein, 2018), so nothing of the size of T x S is stored unless
    ``weights`` asks for it (it is empty otherwise). Blocks begin at multiples of BLOCK,
    whatever the chunk, so each query meets the same ones in the same order. A query at
    position p sees the tokens p - window + 1 to p. Query head h reads key head h // group,
    group = heads / K.

    Shapes: queries, out (T, K, group, size), out as the next product takes it; blocks as in
    ``rotate_and_store``; scratch as in ``scratch_shape``; weights (K, group, T, S), zeros, or empty.
    """
    tokens = queries.shape[0]
    tiles = (tokens + TILE - 1) // TILE
    for task in prange(queries.shape[1] * tiles):  # one key head and up to TILE tokens each
        head = task // tiles
        first = task % tiles * TILE
        mine = scratch[get_thread_id()]
        _attend_tile(queries, blocks, like, layer, start, window, head, first, mine, out, weights)
