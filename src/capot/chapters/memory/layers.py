"""What the layers of transformers hold while they compute, family by family, in our engine's caches.

Found by counting every tensor of transformers 5.23 and 5.24 as it comes and goes: what is alive depends on
how a family's code is written, down to names that keep a tensor which nobody needs any more. So a
family that was not counted has no formula of its own: it gets a Llama's, and the answer says so.

D is the width, F the MLP's, Q the numbers of one token's queries, T the chunk, S the tokens seen.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version

from capot.chapters.memory.shape import MemoryShape
from capot.engines.protocol import MAX_CHUNK
from capot.sources.machine import parse_version

ALL = 10**6  # layers


@dataclass(frozen=True)
class Moment:
    """What is alive at one moment of a layer, beside the mask and what positions are rotated by.

    Units, for each token of the chunk: vectors of D numbers (``width``), of Q (``queries``), of all that is kept of a
    token (``kept``), of F (``inner``; ``branch``: as many as the activation of an MLP without a gate needs), of F and
    of D for each expert that it goes to (``experts``, ``routed``), of what is rotated of queries and key (``rotated``).
    For each token seen: vectors of Q (``repeated``: keys or values, once for each query head) and of half of what is
    kept (``copied``; ``grown``: before the chunk alone, a buffer that is copied into a larger one). For each token of
    the chunk and each that it sees: numbers (``masks``), and numbers for each head (``scores``). ``table``: with a copy
    of the sines of all positions and, for each token, of where its own are. ``before``: how many layers' caches have
    no room for the chunk yet, or ``ALL``. ``half``: where numbers have 16 bits alone; what is then computed in 32
    counts twice.
    """

    width: float = 0
    queries: float = 0
    kept: float = 0
    inner: float = 0
    branch: bool = False
    experts: float = 0
    routed: float = 0
    rotated: float = 0
    repeated: float = 0
    copied: float = 0
    grown: float = 0
    masks: float = 0
    scores: float = 0
    table: bool = False
    before: int = 0
    half: bool = False


@dataclass(frozen=True)
class LayerMoments:
    """A family's layer: the moments that may be its fullest.

    ``mask``: "past" where there is one of bits if something lies behind, "bits" where it always is made, "numbers"
    where it is one of numbers, "" where the moments count it. ``rotary``: the share of a head's numbers that is
    rotated, and ``activation``, where config.json does not say. ``unused_masks``: of bits, made each time.
    ``whole_cache``: keys and values are kept for each query head. ``scaled_logits``: the head's are multiplied.
    ``tables``: how many cosines and sines there are for a position (half of one where the two numbers that turn
    together share them), ``wide_turns``: whether they have 32 bits;
    ``alibi``: a number of 32 bits for each head and position there is, in their stead.
    """

    moments: tuple[Moment, ...]
    mask: str = "past"
    rotary: float = 1.0
    activation: str = ""
    unused_masks: int = 0
    whole_cache: bool = False
    scaled_logits: bool = False
    tables: float = 1
    wide_turns: bool = False
    alibi: bool = False


# Each list below was counted, tensor by tensor, with ``tests/memory_helpers.py``; a test holds the families to it.
# Of a Llama: when queries, and keys, are rotated; when a buffer of the cache grows; when attention has its keys and
# values repeated for each query head, and its mask as numbers. D: what entered the model, the residual, its norm.
_ATTENTION = (
    Moment(width=3, queries=4, kept=1, before=1),
    Moment(width=3, queries=2, kept=2.5, before=1),
    Moment(width=3, queries=1, kept=1, grown=1),
    Moment(width=3, queries=2, repeated=2, masks=1),
)
_GATED = Moment(width=4, inner=3)  # what entered the model and the layer, the residual, its norm; gate, up, product
_JOINT_GATE = replace(_GATED, inner=4)  # gate and up in one
_BRANCH = Moment(width=4, branch=True)
_LLAMA = LayerMoments((_GATED, *_ATTENTION))
# Where RoPE makes float32 of them: the queries, the keys.
_WIDE = (
    Moment(width=3, queries=7, kept=1, before=1, half=True),
    Moment(width=3, queries=3, kept=4, before=1, half=True),
)
_COHERE = LayerMoments(  # the queries and keys as well, before they are rotated
    (
        *_LLAMA.moments,
        *(replace(moment, queries=moment.queries + 2, kept=moment.kept + 1) for moment in _WIDE),
    ),
    scaled_logits=True,
)
_OLMO2 = LayerMoments(  # the norm comes after
    (
        Moment(width=3, inner=3),
        Moment(width=6),
        Moment(width=9, half=True),
        *(replace(moment, width=2) for moment in (*_ATTENTION, *_WIDE)),
    ),
    wide_turns=True,
)
# Vectors and products of all experts that a token goes to; then their answers, in the order of the tokens again.
_ROUTED = (Moment(width=4, routed=1, experts=4), Moment(width=4, routed=4))
_MOE = LayerMoments((*_ROUTED, *_ATTENTION))


def _classic(*, mlp: int, attention: int) -> tuple[Moment, ...]:
    """Return the moments of a layer of GPT-2's time, D numbers of queries, of keys and of values.

    The first is the activation of an MLP of one branch. In the second attention's answer is projected, or a buffer of
    the cache grows. In the third attention has its mask as numbers.
    """
    return (
        Moment(width=mlp, branch=True),
        Moment(width=attention + 1, grown=1),
        Moment(width=attention, masks=1),
    )


LAYERS: dict[str, LayerMoments] = {
    **dict.fromkeys(("llama", "mistral", "smollm3", "qwen2", "qwen3", "gemma"), _LLAMA),
    **dict.fromkeys(("gemma3", "gemma3_text"), replace(_LLAMA, tables=2)),  # for layers with a window, for the others
    "olmo": LayerMoments((*_LLAMA.moments, *_WIDE), wide_turns=True),
    "granite": replace(_LLAMA, scaled_logits=True),
    "phi3": LayerMoments(  # queries, keys and values in one
        (
            _JOINT_GATE,
            Moment(width=3, queries=4, kept=1),
            Moment(width=3, queries=2, kept=1.5, grown=1),
            Moment(width=3, queries=3, kept=1, repeated=2, masks=1),
        )
    ),
    "glm": LayerMoments((_JOINT_GATE, *_ATTENTION), rotary=0.5),
    "glm4": LayerMoments((_JOINT_GATE, *_ATTENTION), rotary=0.5),
    "olmo2": _OLMO2,
    "olmo3": replace(_OLMO2, tables=2),
    "cohere": _COHERE,
    "cohere2": _COHERE,
    "starcoder2": LayerMoments((_BRANCH, *_ATTENTION)),
    "nemotron": LayerMoments((_BRANCH, *_ATTENTION), rotary=0.5, activation="relu2"),
    "mixtral": replace(_MOE, moments=(*_MOE.moments, Moment(width=4, routed=6, half=True))),  # weighed in 32 bits
    "qwen3_moe": _MOE,
    "olmoe": _MOE,
    "qwen2_moe": LayerMoments(  # the answer of the expert that all tokens go to
        (*(replace(moment, width=5) for moment in _ROUTED), *_ATTENTION), unused_masks=1
    ),
    "gemma2": LayerMoments(  # eager attention, its scores kept until the layer's end
        (
            replace(_GATED, scores=1),
            *_ATTENTION[:3],
            Moment(width=3, queries=1, repeated=2, scores=2),
            Moment(width=3, queries=1, repeated=2, scores=5, half=True),
        ),
        mask="numbers",
        scaled_logits=True,
    ),
    "gpt2": LayerMoments(
        _classic(mlp=6, attention=8), rotary=0, activation="gelu_new"
    ),  # vectors of tokens, of positions
    "opt": LayerMoments(_classic(mlp=4, attention=6), rotary=0),
    "gpt_neox": LayerMoments(_classic(mlp=4, attention=8), rotary=0.25),
    "phi": LayerMoments(_classic(mlp=4, attention=8), rotary=0.5, activation="gelu_new"),
    "gpt_bigcode": LayerMoments(
        (
            Moment(width=6, branch=True),
            Moment(width=4, queries=3, kept=1),
            Moment(width=4, queries=1, kept=1, grown=1),
            Moment(width=4, queries=2, kept=1, repeated=2, masks=1),
        ),
        rotary=0,
    ),
    "bloom": LayerMoments(  # scores of the layer before are kept
        (
            Moment(width=4, inner=5, scores=2),
            Moment(width=5, queries=2, kept=1, scores=4),
            Moment(width=3, queries=1, kept=1, scores=7, half=True),
        ),
        mask="numbers",
        rotary=0,
    ),
    "mpt": LayerMoments(
        (
            Moment(width=4, branch=True, scores=2),
            Moment(width=3, queries=3, kept=1, scores=3),
            Moment(width=3, queries=1, kept=1, scores=6, half=True),
        ),
        mask="bits",
        rotary=0,
        alibi=True,
    ),
    "falcon": LayerMoments(  # one key for all queries, which PyTorch has no fused attention for
        (
            _BRANCH,
            Moment(width=3, queries=3, kept=1, scores=2, masks=1),
            Moment(width=3, queries=6, kept=1, copied=4, scores=4, masks=1, half=True),
        ),
        mask="bits",
    ),
    "falcon new": LayerMoments(
        (
            Moment(width=5, branch=True),
            Moment(width=4, queries=3, kept=1, masks=1),
        ),
        mask="bits",
        whole_cache=True,
    ),
    "falcon alibi": LayerMoments(
        (
            Moment(width=6, branch=True, scores=1),
            Moment(width=3, queries=3, kept=1, scores=1),
            Moment(width=1, masks=1.25, scores=1, before=ALL),  # the mask that all layers add is made
            Moment(width=1, masks=1.5, scores=1, before=ALL, half=True),
        ),
        mask="",
    ),
    "stablelm": LayerMoments(
        (
            Moment(width=6, inner=3),
            Moment(width=3, queries=2, kept=1.5, rotated=1),
            Moment(width=3, queries=2, kept=1, rotated=1, grown=1),
            Moment(width=3, queries=4, kept=0.5, rotated=1),
            Moment(width=3, queries=3, kept=0.5, rotated=1, repeated=2, masks=1),
        ),
        rotary=0.25,
    ),
    "gptj": LayerMoments(
        (
            Moment(width=4, branch=True, scores=2),
            Moment(width=3, queries=2, kept=0.5, rotated=1, scores=3, table=True),
            Moment(width=3, queries=4, kept=0.5, rotated=1, copied=2, scores=5, table=True, half=True),
        ),
        mask="numbers",
        activation="gelu_new",
    ),
}
LAYERS["codegen"] = replace(  # queries, keys and values in one, then apart by head
    LAYERS["gptj"],
    moments=(
        LAYERS["gptj"].moments[0],
        Moment(width=3, queries=3, kept=1.5, rotated=1, scores=3),
        Moment(width=3, queries=4, kept=1.5, rotated=2, copied=2, scores=5, half=True),
    ),
)
# Families whose code transformers 5.24 wrote anew, on the attention that the others have.
_IN_PART = LAYERS["stablelm"].moments[1:]  # of a head, a part is rotated
_JOINT = tuple(replace(moment, queries=moment.queries + 1, kept=moment.kept + 1) for moment in _IN_PART)
_GPTJ = LayerMoments((Moment(width=4, branch=True), *_IN_PART), activation="gelu_new", tables=0.5)
SINCE_5_24 = {
    "gptj": _GPTJ,
    "codegen": LayerMoments(  # RoPE makes float32, of which the queries' copy in 16 bits is made first
        (
            _GPTJ.moments[0],
            *_JOINT,
            *(replace(moment, rotated=2, half=True) for moment in _JOINT),
            Moment(width=3, queries=5, kept=3, rotated=2, before=1, half=True),
        ),
        activation="gelu_new",
        tables=0.5,
        wide_turns=True,
    ),
}
LAYERS["stablelm parallel"] = replace(LAYERS["stablelm"], moments=(_GATED, *LAYERS["stablelm"].moments[1:]))

# Vectors of F numbers in an MLP of one branch: what enters the activation, its answer, and where it is
# not one operation but a formula in Python, parts of it.
WRITTEN_OUT = {"gelu_new": 4, "gelu_fast": 5, "quick_gelu": 3, "relu2": 3}


def layer_of(shape: MemoryShape) -> LayerMoments:
    """Return the family's own layer, as the installed transformers writes it, or a Llama's."""
    # Without transformers installed the formulas of the older code stand: nobody can measure against them here.
    with contextlib.suppress(PackageNotFoundError):
        if shape.layout in SINCE_5_24 and parse_version(version("transformers")) >= (5, 24):
            return SINCE_5_24[shape.layout]
    return LAYERS.get(shape.layout, _LLAMA)


def cache_width(shape: MemoryShape) -> int:
    """Return the numbers that one layer's cache really keeps for a token."""
    return 2 * shape.query_width if layer_of(shape).whole_cache else shape.cache_width


def cache_numbers(shape: MemoryShape, tokens: int) -> int:
    """Return the numbers that our buffers have room for: whole blocks, and behind a window one more chunk."""
    return sum(_slots(tokens, window) for window in shape.windows) * cache_width(shape)


def _slots(tokens: int, window: int | None) -> int:
    """Return the tokens that one layer's buffers have room for."""
    return _blocks(tokens) if window is None else min(_blocks(tokens), _blocks(window - 1 + MAX_CHUNK))


def _blocks(tokens: int) -> int:
    return -(-tokens // 64) * 64


def activation_bytes(shape: MemoryShape, chunk: int, seen: int, number: float) -> float:
    """Return the bytes of activations at the fullest moment of a layer, for the last ``chunk`` of ``seen`` tokens."""
    layer = layer_of(shape)
    last = (shape.windows or (None,))[-1]
    views = keys_seen(shape, chunk, seen, always=layer.mask != "past")
    share = layer.rotary if shape.rotary is None else shape.rotary
    turned = round(share * shape.query_width / shape.heads)
    masks = chunk * sum(views) * {"numbers": number, "": 0}.get(layer.mask, 1) + chunk * seen * layer.unused_masks
    turns = 2 * layer.tables * chunk * turned * (4 if layer.wide_turns else number) if layer.rotary else 0
    turns += 4 * shape.heads * (shape.context_length or 0) * layer.alibi
    table = turned * (4 * (shape.context_length or 0) + 8 * chunk)
    # Buffers that have no room yet for the chunk are not there while its first layers are computed.
    unwritten = cache_width(shape) * (_slots(seen, last) - _slots(seen - chunk, last)) * number
    # A weight for each expert; for those chosen their weights, twice, and their numbers in four orders and a type more.
    routing = chunk * (shape.experts * number + shape.routed_experts * (2 * number + 4 * 8 + 4))
    of = (chunk, max(views, default=0), share)
    # The fullest moment of a layer, not the sum of them: what one operation needs is gone when the next begins.
    moments = (
        _numbers(moment, shape, of) * number
        + moment.table * table
        + (moment.routed > 0) * routing
        - (moment.before if moment.before < ALL else len(shape.windows)) * unwritten
        for moment in layer.moments
        if number < 4 or not moment.half
    )
    return max(moments) + masks + turns


def _numbers(moment: Moment, shape: MemoryShape, of: tuple[int, int, float]) -> float:
    """Return the numbers alive at a moment.

    They depend on a chunk, the tokens that it sees and the share of a head that is rotated.
    """
    chunk, past, share = of
    activation = shape.activation or layer_of(shape).activation
    inner = moment.inner + moment.branch * WRITTEN_OUT.get(activation, 2)
    # With one key head, or as many as queries, attention repeats nothing.
    grouped = shape.kv_heads not in (1, shape.heads)
    each = (
        moment.width * shape.width
        + moment.queries * shape.query_width
        + moment.kept * shape.cache_width
        + moment.rotated * share * (shape.query_width + shape.cache_width / 2)
        + inner * shape.mlp_width
        + moment.experts * shape.routed_width
        + moment.routed * shape.routed_experts * shape.width
    )
    seen = moment.repeated * shape.query_width * grouped * past
    seen += moment.copied * shape.cache_width / 2 * past
    seen += moment.grown * cache_width(shape) / 2 * max(0, past - chunk)
    return chunk * each + seen + chunk * past * (moment.masks + moment.scores * shape.heads)


def keys_seen(shape: MemoryShape, chunk: int, seen: int, *, always: bool = False) -> list[int]:
    """Return the keys that the layers of each kind look at, where they need a mask for it or ``always`` make one.

    Without a past, all that a layer without a window needs to know is that it is causal: there is no
    mask, and nothing is joined or repeated.
    """
    return [
        seen if window is None else min(seen, window - 1 + chunk)
        for window in set(shape.windows)
        if always or seen > chunk or (window is not None and window < seen)
    ]
