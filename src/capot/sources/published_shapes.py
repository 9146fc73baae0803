"""Count parameters by formula, and list the shapes of well-known models.

A causal language model is a table of vectors (one per token), L equal layers of
attention and MLP, and a head. With D the width, H query heads and K key/value heads
of d numbers each, F the width of the MLP and V the vocabulary, a Llama layer has

    attention   D·H·d (queries) + 2·D·K·d (keys, values) + H·d·D (output)
    MLP         3·D·F (gate, up, down)         GPT-2's: 2·D·F and biases
    norms       2·D

and V·D numbers before and after the layers, once only where the two are tied.

Source: Vaswani et al. 2017, arXiv:1706.03762, section 3; the families' own reports.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from capot.errors import NotFoundError, UnsupportedError, shorten
from capot.i18n import Reason
from capot.sources import hybrids, shape_names
from capot.sources.configuration import Config
from capot.sources.families import FAMILIES, Family, with_overrides
from capot.sources.fields import Raw, read_count, read_int, read_list, text_config
from capot.sources.hybrids import Hybrid, hybrid

BLOCKS = ("embeddings", "attention", "mlp", "norms", "head")
EXPERTS = ("num_local_experts", "num_experts", "n_routed_experts")  # as families spell how many a layer has


@dataclass(frozen=True)
class Experts:
    """A mixture: of ``count`` MLPs of ``width``, a token goes through ``active`` and the shared ones.

    Source: Shazeer et al. 2017, arXiv:1701.06538; shared ones: Dai et al. 2024, arXiv:2401.06066.
    """

    count: int
    active: int
    width: int
    shared: int = 0
    shared_width: int = 0  # of a shared one that has a width, and a gate, of its own
    dense: frozenset[int] = frozenset()  # the layers with one ordinary MLP
    router_bias: bool = False


@dataclass(frozen=True)
class LatentAttention:
    """Multi-head latent attention: keys and values are had back from ``kv_rank`` numbers.

    Source: DeepSeek-V2, arXiv:2405.04434, section 2.1.
    """

    q_rank: int  # 0: queries come straight from the width
    kv_rank: int
    plain_dim: int
    rotary_dim: int
    value_dim: int


@dataclass(frozen=True)
class Shape:
    """A configuration together with what its family adds to it."""

    config: Config
    family: Family | None  # None: the parameters cannot be counted from the configuration
    experts: Experts | None = None
    latent: LatentAttention | None = None
    hybrid: Hybrid | None = None  # whose layers are counted each by itself
    prediction_layers: int = 0  # extra layers that guess further tokens (DeepSeek-V3, section 2.2)


def shape(raw: Raw, *, tied: bool | None = None) -> Shape:
    """Read a config.json, in either spelling; ``tied`` where the weights say otherwise of the head.

    Raises: ModelError as ``Config.from_dict``.
    """
    raw = text_config(raw)
    config = Config.from_dict(raw)
    config = config if tied is None else replace(config, tied=tied)
    family = FAMILIES.get(config.model_type)
    family = None if family is None else with_overrides(family, raw)
    if (mixed := hybrid(raw, config)) is not None:
        return Shape(config, family or Family(), _hybrid_experts(mixed, config.layers), _latent_attention(raw), mixed)
    more = read_count(raw, "num_nextn_predict_layers")
    return Shape(config, family, _experts(raw, config), _latent_attention(raw), prediction_layers=more)


def _hybrid_experts(mixed: Hybrid, layers: int) -> Experts | None:
    """Return the experts of a hybrid, as a card shows them."""
    found = mixed.experts
    if found is None or not mixed.sparse:
        return None
    shared = found.shared // (found.matrices * found.width)
    dense = frozenset(range(layers)) - mixed.sparse
    return Experts(found.count, min(found.active, found.count), found.inner, int(shared > 0), shared, dense)


def _experts(raw: Raw, config: Config) -> Experts | None:
    experts = read_count(raw, *EXPERTS)
    if not experts or config.model_type not in ("mixtral", "qwen2_moe", "qwen3_moe", "olmoe", "deepseek_v3"):
        return None
    return Experts(
        count=experts,
        active=read_int(raw, "num_experts_per_tok", most=experts),
        width=read_count(raw, "moe_intermediate_size", default=config.mlp_width),
        shared=read_count(raw, "n_shared_experts", default=int(config.model_type == "qwen2_moe")),
        shared_width=read_count(raw, "shared_expert_intermediate_size"),
        dense=dense_layers(raw, config.layers),
        router_bias=config.model_type == "deepseek_v3",
    )


def dense_layers(raw: Raw, layers: int) -> frozenset[int]:
    """Return the layers of a mixture that have one ordinary MLP: the first, those listed, or all but one in so many."""
    first = read_count(raw, "first_k_dense_replace")
    every = read_count(raw, "decoder_sparse_step", default=1)
    dense = read_list(raw, "mlp_only_layers", int) or []
    return frozenset(layer for layer in range(layers) if layer < first or layer in dense or (layer + 1) % every)


def _latent_attention(raw: Raw) -> LatentAttention | None:
    if not raw.get("kv_lora_rank"):
        return None
    names = ("q_lora_rank", "kv_lora_rank", "qk_nope_head_dim", "qk_rope_head_dim", "v_head_dim")
    return LatentAttention(*(read_count(raw, name) for name in names))


def known_families() -> tuple[str, ...]:
    """Return the families whose parameters are counted from config.json alone."""
    return tuple(sorted({*FAMILIES, *hybrids.FAMILIES}))


def _family(shape: Shape) -> Family:
    """Raises: UnsupportedError ``shape_unknown`` naming the family."""
    if shape.family is None:
        family = shape.config.model_type or "?"
        raise UnsupportedError("shape_unknown", family=family, known=", ".join(known_families()))
    return shape.family


def attention_parameters(shape: Shape) -> int:
    """Return the parameters of one layer's attention, its norms of queries and keys apart."""
    config = shape.config
    family = _family(shape)
    width = config.width
    heads = config.heads
    latent = shape.latent
    if latent:
        query_dim = latent.plain_dim + latent.rotary_dim
        down, rank = (width * latent.q_rank, latent.q_rank) if latent.q_rank else (0, width)
        return (
            down + rank * heads * query_dim
            + width * (latent.kv_rank + latent.rotary_dim)
            + latent.kv_rank * heads * (latent.plain_dim + latent.value_dim)
            + heads * latent.value_dim * width
        )  # fmt: skip
    queries = heads * config.head_dim
    pairs = 2 * config.kv_heads * config.head_dim
    biases = family.qkv_bias * (queries + pairs) + family.out_bias * width
    return width * (queries + pairs) + queries * width + biases


def mlp_parameters(shape: Shape, layer: int = 0, *, active: bool = False) -> int:
    """Return the parameters of one layer's MLP with its experts, or only of what one token goes through."""
    width = shape.config.width
    experts = shape.experts
    if experts is None or layer in experts.dense:
        return _one_mlp(shape, shape.config.mlp_width)
    routed = (experts.active if active else experts.count) * _one_mlp(shape, experts.width)
    shared = experts.shared * _one_mlp(shape, experts.shared_width or experts.width)
    router = experts.count * width + experts.router_bias * experts.count
    return routed + shared + router + (width if experts.shared_width else 0)


def _one_mlp(shape: Shape, inner: int) -> int:
    family = _family(shape)
    matrices = 3 if family.gated else 2
    biases = (matrices - 1) * inner + shape.config.width
    return matrices * shape.config.width * inner + family.mlp_bias * biases


def norm_parameters(shape: Shape) -> int:
    """Return the parameters of one layer's norms, those of queries and keys included."""
    config = shape.config
    family = _family(shape)
    size = family.layer_norms * config.width * family.norm_values
    if family.qk_norm == "head":
        size += 2 * config.head_dim
    if family.qk_norm == "width":
        size += (config.heads + config.kv_heads) * config.head_dim
    return size + (shape.latent.q_rank + shape.latent.kv_rank if shape.latent else 0)


def layer_parameters(shape: Shape, layer: int = 0) -> dict[str, int]:
    """Return one layer's parameters by block; "other" is what keeps a state."""
    if shape.hybrid is not None:
        return dict(shape.hybrid.layers[layer])
    return {
        "attention": attention_parameters(shape),
        "mlp": mlp_parameters(shape, layer),
        "norms": norm_parameters(shape),
    }


def parameters(shape: Shape) -> dict[str, int]:
    """Return the parameters by block, without the multi-token prediction layers.

    Raises: UnsupportedError ``shape_unknown`` where the family is not one of ``known_families``.

    >>> sum(parameters(find("GPT-2").shape).values())
    124439808
    """
    config = shape.config
    family = _family(shape)
    table = config.vocabulary_size * config.width
    learnt = 0 if family.positions is None else ((config.context_length or 0) + family.positions) * config.width
    layers = [layer_parameters(shape, layer) for layer in range(config.layers)]
    by_block = {name: sum(layer.get(name, 0) for layer in layers) for name in ("attention", "mlp", "norms", "other")}
    if not by_block["other"]:
        del by_block["other"]
    by_block["norms"] += (1 + family.embedding_norms) * config.width * family.norm_values
    head = (0 if config.tied else table) + family.head_bias * config.vocabulary_size
    return {"embeddings": table + learnt, **by_block, "head": head}


def prediction_parameters(shape: Shape) -> int:
    """Return the parameters of the multi-token prediction layers (0 for most models).

    Each has a layer of its own, a joint of two vectors, three norms, and copies of the
    embeddings and of the head. Source: DeepSeek-V3, arXiv:2412.19437, section 2.2.
    """
    if not shape.prediction_layers:
        return 0
    width = shape.config.width
    table = shape.config.vocabulary_size * shape.config.width
    layer = sum(layer_parameters(shape, shape.config.layers).values())
    return shape.prediction_layers * (layer + 2 * width * width + 3 * width + 2 * table)


def active_parameters(shape: Shape) -> int:
    """Return the parameters active for one token: all but those of experts it is not routed to."""
    if shape.hybrid is not None:
        return sum(parameters(shape).values()) - shape.hybrid.idle
    idle = sum(
        mlp_parameters(shape, layer) - mlp_parameters(shape, layer, active=True) for layer in range(shape.config.layers)
    )
    return sum(parameters(shape).values()) - idle


def kv_values(shape: Shape) -> int:
    """Return how many numbers one token adds to one layer's cache: keys and values, or their latent.

    >>> kv_values(find("Llama-3.2-1B").shape), kv_values(find("DeepSeek-R1").shape)
    (1024, 576)
    """
    if shape.latent:
        return shape.latent.kv_rank + shape.latent.rotary_dim
    return 2 * shape.config.kv_heads * shape.config.head_dim


def caching_windows(config: Config) -> tuple[int | None, ...]:
    """Return the attention window of each layer that has a KV cache of its own."""
    return tuple(window for window, keeps in zip(config.sliding_window, config.keeps, strict=True) if keeps)


def kv_bytes(shape: Shape, tokens: int, *, bytes_per_value: int = 2) -> int:
    """Return the bytes of the cache after ``tokens`` tokens; a layer keeps at most its window, a state nothing."""
    kept = (tokens if window is None else min(tokens, window) for window in caching_windows(shape.config))
    return sum(kept) * kv_values(shape) * bytes_per_value


def estimated_kv_values(parameters: int) -> int:
    """Estimate how many numbers one token adds to the cache, from the count of parameters alone.

    A model of N = 12·L·D² whose width is a hundred times its layers leaves 2·L·D = 200·(N / 120,000)^⅔; grouped
    queries leave less. Source: Kaplan et al. 2020, arXiv:2001.08361, section 2.1 and figure 5.

    >>> estimated_kv_values(124_439_808), 2 * 12 * 768  # GPT-2's
    (20490, 18432)
    """
    values: float = 200 * (parameters / 120_000) ** (2 / 3)
    return round(values)


@dataclass(frozen=True)
class PublishedModel:
    """A published model: its name, where its shape is published, its config.json as far as it counts."""

    name: str
    source: str
    licence: str | None
    kind: str  # base, instruct
    config: Mapping[str, Any] = field(repr=False)
    also: Sequence[str] = ()  # what else it is called

    @property
    def spellings(self) -> tuple[str, ...]:
        """Return its other names: those people use, and the one under which its shape is published."""
        published = self.source.partition("huggingface.co/")[2].split("/")[1:2]
        return (*self.also, *published)

    @functools.cached_property
    def shape(self) -> Shape:
        return shape(self.config)


@functools.cache
def published_models() -> tuple[PublishedModel, ...]:
    """Return the shapes of ``published_shapes.json``, small to large in the order of the file."""
    listed = json.loads(Path(__file__).with_suffix(".json").read_text(encoding="utf-8"))
    return tuple(PublishedModel(**entry) for entry in listed)


@functools.cache
def spellings() -> dict[str, tuple[str, ...]]:
    """Return by its name what else each published model is called."""
    return {known.name: known.spellings for known in published_models()}


def find(name: str) -> PublishedModel:
    """Return a published model by any of its names, with or without the organisation.

    Raises: NotFoundError ``unpublished_shape``, ``unknown_shape``, with the names near it and those that are known.
    """
    found = shape_names.match(name, spellings())
    if found is not None:
        return next(known for known in published_models() if known.name == found)
    names = ", ".join(shape_names.close_matches(name, spellings()))
    near = Reason(names, key="card.near" if names else "", names=names)
    if shape_names.is_unpublished(name):
        raise NotFoundError("unpublished_shape", name=shorten(name), near=near, known=", ".join(spellings()))
    raise NotFoundError("unknown_shape", name=shorten(name), near=near, known=", ".join(spellings()))


def is_hub_name(name: str) -> bool:
    """Return whether ``org/name`` is to be looked up on the hub: it is no name of our list."""
    return "/" in name and name.rpartition("/")[2].casefold() not in {
        known.name.casefold() for known in published_models()
    }
