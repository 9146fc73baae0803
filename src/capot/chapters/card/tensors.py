"""The block of each tensor: what its name says, and what the model's layers are."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from capot.sources.layer_kinds import STATE
from capot.sources.published_shapes import Shape

if TYPE_CHECKING:
    from capot.sources.safetensors import TensorInfo

# What a tensor's name says of its block, the first that matches; names of a dozen families.
_BLOCK_OF = (
    ("norms", re.compile(r"norm|(?<![a-z])ln(?![a-z])", re.I)),
    ("head", re.compile(r"^(lm_head|embed_out|output)\b")),
    ("embeddings", re.compile(r"embed|\bwte\b|\bwpe\b")),
    ("mlp", re.compile(r"mlp|feed_forward|\bffn|experts|\bmoe|_moe\b|\bfc[12]\b|dense_h_to_4h|dense_4h_to_h")),
    ("attention", re.compile(r"attn|attention")),
)
# Constants that some files carry among what was learnt.
_BUFFERS = re.compile(r"inv_freq$|masked_bias$|\bh\.\d+\.attn\.bias$|attention\.bias$|position_ids$|_scale(_inv)?$")
LAYER = re.compile(r"\.(?:layers|h|blocks|block)\.(\d+)\.")


def parameter_tensors(tensors: Mapping[str, TensorInfo], shape: Shape) -> Iterable[tuple[str, TensorInfo]]:
    """Yield the tensors that are parameters, each once: no constants, no second copy of a tied
    table, no layer beyond the model's (what predicts further tokens is counted apart)."""
    for name, info in tensors.items():
        # A dot in front, so that a name that begins with "layers." is found by the same pattern.
        layer = LAYER.search(f".{name}")
        beyond = layer is not None and int(layer[1]) >= shape.config.layers
        # Some files hold the tied table a second time, as the head: it was learnt once.
        copy = shape.config.tied and block_of(name) == "head" and len(info.shape) == 2
        if not (_BUFFERS.search(name) or beyond or copy):
            yield name, info


def block_of(name: str) -> str:
    """Return the block that a tensor belongs to, from its name.

    >>> block_of("model.layers.0.self_attn.q_proj.weight"), block_of("transformer.h.3.ln_1.bias")
    ('attention', 'norms')
    """
    return next((block for block, pattern in _BLOCK_OF if pattern.search(name)), "other")


def block_in(name: str, shape: Shape) -> str:
    """Return the block of a tensor of this model: what RWKV calls attention keeps a state, and has no attention."""
    block = block_of(name)
    layer = LAYER.search(f".{name}")
    kinds = shape.config.kinds
    state = layer is not None and int(layer[1]) < len(kinds) and kinds[int(layer[1])] == STATE
    return "other" if state and block == "attention" else block
