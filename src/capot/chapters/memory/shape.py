"""What the memory of a model depends on, read from its config.json alone.

Parameters and the numbers kept for each token are those of ``published_shapes``; here are added the
layers that keep less than the whole text, or nothing that grows with it.

Sources: grouped-query attention, Ainslie et al. 2023, arXiv:2305.13245; sliding window with
a rolling cache, Jiang et al. 2023, arXiv:2310.06825, section 2; multi-head latent attention,
DeepSeek-V2, arXiv:2405.04434, section 2.1.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from capot.sources import published_shapes
from capot.sources.configuration import SPELLINGS, Config
from capot.sources.families import Family
from capot.sources.fields import Raw, read_count, read_dict, read_float, read_int, read_str, text_config
from capot.sources.states import state_numbers

LAYOUTS = {  # a field of config.json that asks for other layers, and how they are called here
    "falcon": {"new_decoder_architecture": "new", "alibi": "alibi"},
    "stablelm": {"use_parallel_residual": "parallel"},
}


@dataclass(frozen=True)
class MemoryShape:
    """The numbers that decide; one entry of ``windows`` per layer that keeps keys and values.

    Units: ``cache_width`` is how many numbers one such layer keeps for one token; ``shards``
    among how many cards a tensor-parallel engine can split them (1: each card keeps them all).
    ``exact`` is False where the family is not known and is counted as a Llama.
    """

    parameters: int
    exact: bool
    vocabulary: int
    width: int
    mlp_width: int  # of all the experts that one token goes through
    routed_width: int  # of those of them that it is sent to
    routed_experts: int  # how many these are
    experts: int  # of how many
    heads: int
    query_width: int  # numbers of one token's queries, all heads
    kv_heads: int
    cache_width: int
    windows: tuple[int | None, ...]
    attention: str  # multi_head, grouped_query, multi_query, latent
    shards: int
    layers: int
    context_length: int | None
    layout: str  # the family, and which of its layers where it has several
    activation: str  # of the MLP, "" where config.json does not say
    rotary: float | None  # the share of a head's numbers that is rotated, where config.json says it
    guessed: bool = False  # which layers keep keys and values is not known: all are counted
    state_numbers: int = 0  # that a text leaves in states of a fixed size, all layers
    state_known: bool = True  # False where layers have a state whose form is not known here: it is not counted

    def cache_numbers(self, tokens: int) -> int:
        """Return the numbers in the KV cache of ``tokens`` tokens. A layer with a window forgets the rest."""
        kept = sum(tokens if window is None else min(tokens, window) for window in self.windows)
        return kept * self.cache_width


def shape_of(raw: Raw) -> MemoryShape:
    """Return the shape behind a config.json. Raises: ModelError ``config_field``.

    >>> shape_of(published_shapes.find("Mistral-7B").config).cache_numbers(100_000) == 2 * 32 * 8 * 128 * 4096
    True
    """
    raw = text_config(raw)
    found, exact = _known_shape(raw)
    config = found.config
    latent = found.latent
    state = state_numbers(raw, config)
    return MemoryShape(
        parameters=sum(published_shapes.parameters(found).values()),
        exact=exact,
        vocabulary=config.vocabulary_size,
        width=config.width,
        mlp_width=_active_mlp(found),
        routed_width=found.experts.active * found.experts.width if found.experts else 0,
        routed_experts=found.experts.active if found.experts else 0,
        experts=found.experts.count if found.experts else 0,
        heads=config.heads,
        query_width=config.heads * (latent.plain_dim + latent.rotary_dim if latent else config.head_dim),
        kv_heads=config.kv_heads,
        cache_width=published_shapes.kv_values(found),
        windows=published_shapes.caching_windows(config),
        attention="latent" if latent else _attention_kind(config),
        # A latent cache is one vector for all heads: it cannot be split among cards.
        shards=1 if latent else config.kv_heads,
        layers=config.layers,
        context_length=config.context_length,
        layout=_layout(found, raw),
        activation=read_str(raw, *SPELLINGS["hidden_act"]),
        rotary=_rotary(raw, config.head_dim),
        guessed=config.guessed,
        state_numbers=state or 0,
        state_known=state is not None,
    )


def _layout(found: published_shapes.Shape, raw: Raw) -> str:
    """Return the family, and which of its layers where it has several; "mixed" where not all of them have experts."""
    family = found.config.model_type
    # Families whose config chooses between two forms of a layer (Falcon's generations, StableLM's parallel residual).
    word = next((word for field, word in LAYOUTS.get(family, {}).items() if raw.get(field)), "")
    mixed = "mixed" if found.experts and found.experts.dense else ""
    return f"{family} {word or mixed}".strip()


def _rotary(raw: Raw, head: int) -> float | None:
    """Return the hub's older spellings, then transformers 5's; of ``head`` numbers, where a count of them is said."""
    if raw.get("rotary_dim") is not None:
        return read_int(raw, "rotary_dim", least=0, most=head) / head
    inside = read_dict(raw, "rope_scaling") or read_dict(raw, "rope_parameters")
    for said, field in ((raw, "rotary_pct"), (raw, "partial_rotary_factor"), (inside, "partial_rotary_factor")):
        if said.get(field) is not None:
            return read_float(said, field, default=1.0, most=1.0)
    return None


def _known_shape(raw: Raw) -> tuple[published_shapes.Shape, bool]:
    """Return the family's own shape; another family's is near enough to a Llama's for a first answer."""
    found = published_shapes.shape(raw)
    if found.family is not None:
        return found, True
    # A Llama's formulas for a family that is not known, marked as inexact.
    return dataclasses.replace(found, family=Family(), experts=found.experts or _experts(raw, found.config)), False


def _experts(raw: Raw, config: Config) -> published_shapes.Experts | None:
    """Return the mixture of a family that is not known, by the fields that most families use."""
    experts = read_count(raw, *published_shapes.EXPERTS)
    if experts < 2:
        return None
    return published_shapes.Experts(
        count=experts,
        active=read_int(raw, "num_experts_per_tok", "num_experts_per_token", default=1, most=experts),
        width=read_count(raw, "moe_intermediate_size", default=config.mlp_width),
        shared=read_count(raw, "n_shared_experts"),
        dense=published_shapes.dense_layers(raw, config.layers),
    )


def _attention_kind(config: Config) -> str:
    if not any(config.keeps):
        return "none"
    if config.kv_heads == config.heads:
        return "multi_head"
    return "multi_query" if config.kv_heads == 1 else "grouped_query"


def _active_mlp(found: published_shapes.Shape) -> int:
    """Return the widest MLP that one token goes through."""
    if found.experts is None:
        return found.config.mlp_width
    shared = found.experts.shared * (found.experts.shared_width or found.experts.width)
    chosen = found.experts.active * found.experts.width + shared
    # Of a mixture with dense layers the widest layer is what memory must hold.
    return max(chosen, found.config.mlp_width) if found.experts.dense else chosen
