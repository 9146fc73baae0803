"""What a prompt of N tokens costs in memory, by formula, beyond the weights.

The prompt goes through the model in chunks, each leaving its keys and values in the
cache. For an engine at work the parts are those of the moment when their sum is highest,
as it counts them. Each engine computes in its own way, so each has its formulas here; a
test holds them to what the engine allocates.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from capot.chapters.memory import layers
from capot.chapters.memory.rows import Mode, Parts
from capot.chapters.memory.shape import MemoryShape
from capot.chapters.memory.sizes import PRECISIONS, precision_name
from capot.engines.protocol import MAX_CHUNK, Engine, EngineInfo
from capot.sources.machine import numba_threads

MODES: dict[Mode, Mode] = {"last": "all", "all": "last"}  # each with the other one


@dataclass(frozen=True)
class PromptPass:
    """How a prompt is computed.

    ``number`` and ``cache_number``: bytes of one activation, of one number of the KV cache.
    ``chunk``: tokens taken at once. ``mode``: whether the logits of every position are kept.
    """

    mode: Mode = "last"
    chunk: int = MAX_CHUNK
    number: float = 2.0
    cache_number: float = 2.0


def simulated(shape: MemoryShape, tokens: int, how: PromptPass) -> Parts:
    """Return the parts for ``tokens`` tokens, on an engine with a fused attention (no T x S matrix).

    The cache of all tokens, with the states of layers that keep one; what the last chunk needs
    inside a layer; and the logits kept: one row of V numbers, or one for each token. Prudent by
    at most one chunk's logits, which are made when the layers are done. Checked against
    transformers, tensor by tensor, in tests/test_memory.py.
    """
    chunk = min(tokens, how.chunk)
    rows = tokens if how.mode == "all" else 1
    return Parts(
        kv_cache=round((shape.cache_numbers(tokens) + shape.state_numbers) * how.cache_number),
        activations=round(chunk * layer_numbers(shape) * how.number),
        logits=round(rows * shape.vocabulary * how.number),
    )


def layer_numbers(shape: MemoryShape) -> int:
    """Return the numbers alive for each token of a chunk at the fullest moment of a layer.

    Attention: residual, normed vector, queries before and after their rotation, new keys
    and values, and its output. MLP: residual and norm (4 D), gate, up, product (3 F).
    """
    attention = 2 * shape.width + 3 * shape.query_width + 2 * shape.cache_width
    # The two moments at which most is alive; which of them is higher depends on the MLP's width.
    return max(attention, 4 * shape.width + 3 * shape.mlp_width)


@dataclass(frozen=True)
class MemoryFormulas:
    """The formulas of the engine at work. ``parts(tokens, mode)`` is what it will hold."""

    device: str
    cache_dtype: str
    cache_number: float
    token_bytes: int
    layers: int
    parts: Callable[[int, Mode], Parts]
    windows: bool = True  # whether a layer with a window forgets what lies behind it
    context: int | None = None  # tokens the model was trained on, where that is known
    exact: bool = True  # False where the activations are those of another family's layers


def memory_formulas(engine: Engine, shape: MemoryShape | None) -> MemoryFormulas:
    """Return the formulas for ``engine``, by its kind; an unknown kind is measured with the general ones."""
    info = engine.info
    if shape is None:
        return replace(_scripted(info), context=info.context_length)
    return replace(FORMULAS.get(info.engine, _general)(info, shape), context=shape.context_length)


def _scripted(info: EngineInfo) -> MemoryFormulas:
    """Return the formulas of the scripted engine: float32 keys and values in blocks of 64 tokens, float32 logits."""
    token = 2 * info.layers * info.kv_heads * (info.width // info.heads) * 4
    row = 4 * info.vocabulary_size

    def parts(tokens: int, mode: Mode) -> Parts:
        return Parts(-(-tokens // 64) * 64 * token, 0, tokens * row if mode == "all" else row)

    return MemoryFormulas(info.device, "float32", 4.0, token, info.layers, parts)


def _general(info: EngineInfo, shape: MemoryShape) -> MemoryFormulas:
    """Return formulas for any engine.

    Keys, values and activations have the type of the weights, attention is fused, and a row of logits has one number
    for each token of the vocabulary.
    """
    number = PRECISIONS[precision_name(info.dtype)]

    def parts(tokens: int, mode: Mode) -> Parts:
        return simulated(shape, tokens, PromptPass(mode=mode, number=number, cache_number=number))

    token = round(shape.cache_numbers(1) * number)
    return MemoryFormulas(info.device, info.dtype, number, token, len(shape.windows), parts)


def _fullest(at: Callable[[int, int, Mode], Parts]) -> Callable[[int, Mode], Parts]:
    """Return the memory of a prompt when it takes most, of what ``at`` says of each chunk's end."""

    def parts(tokens: int, mode: Mode) -> Parts:
        # The head is applied at a chunk's end: the last whole chunk has the most rows, the rest the longest cache.
        ends = {tokens, max(tokens // MAX_CHUNK, 1) * MAX_CHUNK}
        return max((at(min(end, tokens), tokens, mode) for end in ends), key=lambda found: found.total)

    return parts


def _native(info: EngineInfo, shape: MemoryShape) -> MemoryFormulas:
    """Return the formulas of the native engine.

    Its cache has the type of the weights and comes in blocks of 64 tokens, whole even where a layer has a window. The
    float32 buffers of one chunk are used again by each layer. Logits are float32.
    """
    number = PRECISIONS[precision_name(info.dtype)]
    token = shape.layers * shape.cache_width * number
    narrow = 2 if info.dtype == "bfloat16" else 4  # bytes of a number that a product takes
    scratch = native_scratch(shape)  # the same for every length, and read from the system's files

    def at(end: int, tokens: int, mode: Mode) -> Parts:
        """Return the numbers when the head is applied to the chunk that ends at ``end``: the layers' buffers stay."""
        chunk = end - (end - 1) // MAX_CHUNK * MAX_CHUNK
        rows = chunk if mode == "all" else int(end == tokens)
        floats = chunk * native_floats(shape) + scratch
        taken = chunk * max(shape.width, shape.query_width, shape.mlp_width) + rows * shape.width
        logits = 4 * shape.vocabulary * (end if mode == "all" else rows)
        return Parts(round(-(-end // 64) * 64 * token), 4 * floats + narrow * taken, logits)

    return MemoryFormulas(info.device, info.dtype, number, round(token), shape.layers, _fullest(at), windows=False)


def native_floats(shape: MemoryShape) -> int:
    """Return the numbers in the native engine's buffers, for each token of a chunk.

    The residual, queries, keys and values, gate and up. What each product takes is counted apart.
    """
    return shape.width + shape.query_width + shape.cache_width + 2 * shape.mlp_width


def native_scratch(shape: MemoryShape) -> int:
    """Return the floats that attention needs for each thread.

    They hold a block of 64 keys and values and, for each of the queries of 16 tokens, the query itself, its scores, its
    answer and two sums. Values lie in rows of whole registers.
    """
    head = shape.cache_width // (2 * shape.kv_heads)
    # Rows are padded to whole vector registers (``attention.scratch_shape``), which a test holds this to.
    wide = -(-head // 16) * 16
    queries = 16 * (shape.heads // shape.kv_heads)
    return numba_threads() * (64 * (head + wide) + queries * (head + 64 + wide + 2))


def _transformers(info: EngineInfo, shape: MemoryShape) -> MemoryFormulas:
    """Return the formulas of transformers in our engine.

    Its cache comes in blocks of 64 tokens; its heads are repeated for attention; the logits of one chunk have the type
    of the weights, and the processor copies them into float32 before they are let go.
    """
    number = PRECISIONS[precision_name(info.dtype)]
    copied = 4 if info.device == "cpu" and number < 4 else 0
    scaled = 1 + layers.layer_of(shape).scaled_logits

    def at(end: int, tokens: int, mode: Mode) -> Parts:
        chunk = end - (end - 1) // MAX_CHUNK * MAX_CHUNK
        rows = chunk if mode == "all" else int(end == tokens)
        cache = round((layers.cache_numbers(shape, end) + shape.state_numbers) * number)
        row = shape.vocabulary
        # of chunks before, of this
        kept = 4 * row * (end - chunk) * (mode == "all")
        made = round(row * rows * number)
        ids = 8 * chunk  # and as much for their positions, while there are layers to go through
        moments = [
            Parts(cache, round(layers.activation_bytes(shape, chunk, end, number)) + 2 * ids, kept),
            Parts(cache, round((chunk + rows) * shape.width * number), kept + made),
            Parts(cache, round(chunk * shape.width * number), kept + made * scaled),
            Parts(cache, ids, kept + made + copied * row * rows),
        ]
        return max(moments, key=lambda found: found.total)

    token = round(len(shape.windows) * layers.cache_width(shape) * number)
    exact = shape.layout in layers.LAYERS
    return MemoryFormulas(info.device, info.dtype, number, token, len(shape.windows), _fullest(at), exact=exact)


FORMULAS: dict[str, Callable[[EngineInfo, MemoryShape], MemoryFormulas]] = {
    "native": _native,
    "transformers": _transformers,
}
