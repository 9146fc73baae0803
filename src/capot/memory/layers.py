"""What the layers of transformers hold while they compute, family by family, in our engine's caches.

Found by counting every tensor of transformers 5.23 as it comes and goes: what is alive depends on
how a family's code is written, down to names that keep a tensor which nobody needs any more. So a
family that was not counted has no formula of its own: it gets a Llama's, and the answer says so.

D is the width, F the MLP's, Q the numbers of one token's queries, T the chunk, S the tokens seen.
"""

from __future__ import annotations

from dataclasses import dataclass

from capot.engine import MAX_CHUNK
from capot.memory.shape import Shape


@dataclass(frozen=True)
class Gated:
    """A Llama's layer, or one made like it: an MLP of two branches, queries apart from keys and values.

    Units: vectors for each token of the chunk, ``mlp`` of D numbers and ``inner`` of F, while the MLP computes.
    """

    mlp: int = 4  # what entered the model and the layer, the residual, its norm
    inner: int = 3  # gate, up, product
    joint: int = 0  # more vectors of Q numbers while attention computes: queries are a part of what is kept


@dataclass(frozen=True)
class Classic:
    """A layer of GPT-2's time: an MLP of one branch; D numbers of queries, of keys and of values for each token.

    Units: vectors of D numbers for each token of the chunk, while the MLP and while attention computes;
    ``rotary``: the share of a head's numbers that is rotated, where config.json does not say.
    """

    mlp: int
    attention: int
    rotary: float = 0.0
    activation: str = ""  # where config.json does not say


LAYERS: dict[str, Gated | Classic] = {
    "phi3": Gated(inner=4, joint=2),  # gate and up in one, and queries, keys and values
    "olmo2": Gated(mlp=3),  # the norm comes after
    "gpt2": Classic(mlp=6, attention=8, activation="gelu_new"),  # vectors of tokens and of positions stay
    "opt": Classic(mlp=4, attention=6),
    "gpt_neox": Classic(mlp=4, attention=8, rotary=0.25),
    "phi": Classic(mlp=4, attention=8, rotary=0.5, activation="gelu_new"),
}
COUNTED = {*LAYERS, "llama", "mistral", "smollm3", "qwen2", "qwen3", "gemma", "gemma3", "gemma3_text"}

# Vectors of F numbers in an MLP of one branch: what enters the activation, its answer, and where it is
# not one operation but a formula in Python, parts of it.
WRITTEN_OUT = {"gelu_new": 4, "gelu_fast": 5, "quick_gelu": 3, "relu2": 3}


def cache_numbers(shape: Shape, tokens: int) -> int:
    """Numbers that our buffers have room for: whole blocks, and behind a window one more chunk."""

    def room(count: int) -> int:
        return -(-count // 64) * 64

    slots = (
        room(tokens) if window is None else min(room(tokens), room(window - 1 + MAX_CHUNK)) for window in shape.windows
    )
    return sum(slots) * shape.cache_width


def activation_bytes(shape: Shape, chunk: int, seen: int, number: float) -> float:
    """Activations of the fullest moment of a layer, for the last ``chunk`` of ``seen`` tokens."""
    layer = LAYERS.get(shape.family, Gated())
    moments = _classic if isinstance(layer, Classic) else _gated
    return moments(layer, shape, (chunk, masked_keys(shape, chunk, seen), number))


def _gated(layer: Gated, shape: Shape, of: tuple[int, int, float]) -> float:
    """In the MLP; when queries are rotated; when a buffer of the cache grows; when attention has its keys
    and values repeated for each query head (a single one is only looked at in several ways), and its
    mask as numbers.
    """
    chunk, past, number = of
    mask, grouped = chunk * past, shape.kv_heads not in (1, shape.heads)
    turns = 2 * shape.query_width // shape.heads  # cosines and sines
    queries = shape.query_width
    around = 2 * shape.width + shape.cache_width + turns + layer.joint * queries
    return max(
        chunk * (layer.mlp * shape.width + turns + layer.inner * shape.mlp_width) * number + mask,
        chunk * (around + (4 - layer.joint) * queries) * number + mask,
        chunk * (around + queries) * number + mask + shape.cache_width / 2 * past * number,
        chunk * (around + 2 * queries) * number + mask * (1 + number) + 2 * queries * past * number * grouped,
    )


def _classic(layer: Classic, shape: Shape, of: tuple[int, int, float]) -> float:
    """In the activation of the MLP; when attention's answer is projected, or a buffer of the cache grows; when
    attention has its mask as numbers.
    """
    chunk, past, number = of
    mask, grown = chunk * past, shape.cache_width / 2 * max(0, past - chunk)
    share = layer.rotary if shape.rotary is None else shape.rotary
    turns = 2 * round(share * shape.query_width / shape.heads) if layer.rotary else 0
    inner = WRITTEN_OUT.get(shape.activation or layer.activation, 2) * shape.mlp_width
    return max(
        chunk * (layer.mlp * shape.width + turns + inner) * number + mask,
        chunk * ((layer.attention + 1) * shape.width + turns) * number + mask + grown * number,
        chunk * (layer.attention * shape.width + turns) * number + mask * (1 + number),
    )


def masked_keys(shape: Shape, chunk: int, seen: int) -> int:
    """Keys before which a mask is put, in the layer that looks farthest back; 0 where none is needed.

    Without a past, all that a layer without a window needs to know is that it is causal: there is no
    mask, and nothing is joined or repeated.
    """
    found = [
        seen if window is None else min(seen, window - 1 + chunk)
        for window in set(shape.windows)
        if seen > chunk or (window is not None and window < seen)
    ]
    return max(found, default=0)
