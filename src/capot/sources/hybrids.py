"""Parameters of hybrids: models some of whose layers have a state of a fixed size in place of attention, or beside it.

What mixes tokens in a layer is counted in ``mixers``; here are the families, each with its MLPs and norms. A test holds
each to the classes of transformers, made without weights.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from capot.sources import mixers
from capot.sources.configuration import Config
from capot.sources.fields import Raw, read_bool, read_count, read_dict, read_float, read_int, read_list
from capot.sources.mixers import Blocks


@dataclass(frozen=True)
class MoeLayer:
    """The experts of a layer: of ``count`` of ``inner`` width a token goes to ``active``, and to what all tokens share.

    ``width`` is the model's. An expert has ``matrices``; ``shared`` counts parameters.
    """

    count: int
    active: int
    inner: int
    width: int
    shared: int = 0
    matrices: int = 3

    @property
    def size(self) -> int:
        """Return the parameters of one matrix of an expert."""
        return self.width * self.inner

    @property
    def parameters(self) -> int:
        return self.count * (self.matrices * self.size + self.width) + self.shared


@dataclass(frozen=True)
class Hybrid:
    """``layers``: parameters of each by block; ``sparse``: those that have ``experts``."""

    layers: tuple[Blocks, ...]
    experts: MoeLayer | None = None
    sparse: frozenset[int] = frozenset()

    @property
    def idle(self) -> int:
        """Return the parameters of the experts that one token is not sent to."""
        if self.experts is None:
            return 0
        return (
            len(self.sparse)
            * max(0, self.experts.count - self.experts.active)
            * self.experts.matrices
            * self.experts.size
        )


def hybrid(raw: Raw, config: Config) -> Hybrid | None:
    """Return the layers of a hybrid family; None where the family is another. Raises: ModelError as ``fields``."""
    family = FAMILIES.get(config.model_type)
    return None if family is None else family(raw, config)


def _per_layer(config: Config, make: Callable[[int], Blocks]) -> tuple[Blocks, ...]:
    return tuple(make(place) for place in range(config.layers))


def _jamba(raw: Raw, config: Config) -> Hybrid:
    width = config.width
    state = mixers.mamba(raw, config, normed=True)
    attends = mixers.attention(config)
    experts = MoeLayer(
        read_int(raw, "num_experts", default=16),
        read_int(raw, "num_experts_per_tok", default=2),
        config.mlp_width,
        width,
    )
    every = read_int(raw, "expert_layer_period", default=2)
    first = read_int(raw, "expert_layer_offset", default=1, least=0)
    sparse = frozenset(place for place in range(config.layers) if place % every == first and experts.count > 1)

    def layer(place: int) -> Blocks:
        mlp = experts.parameters if place in sparse else mixers.mlp(config, config.mlp_width)
        return mixers.layer_blocks(attends if config.keeps[place] else state, norms=2 * width, mlp=mlp)

    return Hybrid(_per_layer(config, layer), experts, sparse)


def _bamba(raw: Raw, config: Config) -> Hybrid:
    state = mixers.bamba_mixer(raw, config).blocks(config.width)
    attends = mixers.attention(config, bias=mixers.attention_biases(raw, config))
    mlp = mixers.mlp(config, config.mlp_width, bias=read_bool(raw, "mlp_bias", default=False))
    return Hybrid(_per_layer(config, lambda place: mixers.layer_blocks(
        attends if config.keeps[place] else state, norms=2 * config.width, mlp=mlp
    )))  # fmt: skip


def _falcon_h1(raw: Raw, config: Config) -> Hybrid:
    mixer = mixers.falcon_mixer(raw, config)
    state = mixer.blocks(config.width)
    # Biases are counted apart where a family writes them in a field of its own.
    state["other"] += config.width * (read_bool(raw, "projectors_bias", default=False) - mixer.bias_out)
    attends = mixers.attention(config, bias=mixers.attention_biases(raw, config))
    mlp = mixers.mlp(config, config.mlp_width, bias=read_bool(raw, "mlp_bias", default=False))
    return Hybrid(
        _per_layer(config, lambda place: mixers.layer_blocks(attends, state, norms=2 * config.width, mlp=mlp))
    )


def _granite(raw: Raw, config: Config) -> Hybrid:
    width = config.width
    state = mixers.bamba_mixer(raw, config).blocks(config.width)
    attends = mixers.attention(config, bias=mixers.attention_biases(raw, config))
    shared = mixers.mlp(config, read_int(raw, "shared_intermediate_size", default=1024))
    number = read_int(raw, "num_local_experts", default=8, least=0)
    experts = MoeLayer(
        number, read_int(raw, "num_experts_per_tok", default=2, least=0), config.mlp_width, width, shared
    )
    mlp = experts.parameters if number else shared
    layers = _per_layer(config, lambda place: mixers.layer_blocks(
        attends if config.keeps[place] else state, norms=2 * width, mlp=mlp
    ))  # fmt: skip
    return Hybrid(layers, experts, frozenset(range(config.layers))) if number else Hybrid(layers)


def _nemotron_h(raw: Raw, config: Config) -> Hybrid | None:
    if raw.get("moe_latent_size") is not None:  # its experts work in a space of their own
        return None
    width = config.width
    mixer = mixers.nemotron_mixer(raw)
    plain = 2 * width * config.mlp_width + read_bool(raw, "mlp_bias", default=False) * (config.mlp_width + width)
    shared = 2 * width * read_int(raw, "moe_shared_expert_intermediate_size", default=7688)
    experts = MoeLayer(
        read_int(raw, "n_routed_experts", default=8), read_int(raw, "num_experts_per_tok", default=2),
        read_int(raw, "moe_intermediate_size", default=7688), width, shared, matrices=2,
    )  # fmt: skip
    kinds = {
        "state": mixers.layer_blocks(mixer.blocks(width), norms=width),
        "full": mixers.layer_blocks(mixers.attention(config, bias=mixers.attention_biases(raw, config)), norms=width),
        "mlp": mixers.layer_blocks(norms=width, mlp=plain),
        "moe": mixers.layer_blocks(norms=width, mlp=experts.parameters),
    }
    if set(config.kinds) - set(kinds):  # a layer of a kind that the family has not
        return None
    sparse = frozenset(place for place, kind in enumerate(config.kinds) if kind == "moe")
    return Hybrid(tuple(dict(kinds[kind]) for kind in config.kinds), experts if sparse else None, sparse)


def _qwen3_next(raw: Raw, config: Config) -> Hybrid:
    width = config.width
    state = mixers.gated_delta_net(raw, config)
    attends = mixers.attention(config, bias=mixers.attention_biases(raw, config), gate=True, normed=True)
    mixed = config.model_type != "qwen3_5" and config.model_type != "qwen3_5_text"
    experts = _qwen_experts(raw, config) if mixed else None
    every = read_int(raw, "decoder_sparse_step", default=1)
    dense = read_list(raw, "mlp_only_layers", int) or []
    sparse = frozenset(
        place for place in range(config.layers) if experts and place not in dense and (place + 1) % every == 0
    )

    def layer(place: int) -> Blocks:
        mlp = experts.parameters if experts and place in sparse else mixers.mlp(config, config.mlp_width)
        return mixers.layer_blocks(attends if config.keeps[place] else state, norms=2 * width, mlp=mlp)

    return Hybrid(_per_layer(config, layer), experts, sparse)


def _qwen_experts(raw: Raw, config: Config) -> MoeLayer | None:
    number = read_count(raw, "num_experts", default=512)
    shared = mixers.mlp(config, read_int(raw, "shared_expert_intermediate_size", default=512)) + config.width
    width = read_int(raw, "moe_intermediate_size", default=512)
    active = read_int(raw, "num_experts_per_tok", default=10)
    return MoeLayer(number, active, width, config.width, shared) if number else None


def _lfm2(raw: Raw, config: Config) -> Hybrid:
    width = config.width
    bias = read_bool(raw, "conv_bias", default=False)
    # Three projections in one and one out, a short convolution over each channel, and biases where they are.
    state = {"other": 4 * width * width + width * read_int(raw, "conv_L_cache", default=3) + 5 * width * bias}
    attends = mixers.attention(config, normed=True)
    experts = None
    first = config.layers
    inner = config.mlp_width
    if config.model_type == "lfm2_moe":
        experts = MoeLayer(
            read_int(raw, "num_experts", default=32), read_int(raw, "num_experts_per_tok", default=4),
            read_int(raw, "moe_intermediate_size", default=1792), width,
        )  # fmt: skip
        first = read_int(raw, "num_dense_layers", default=2, least=0)
    elif read_bool(raw, "block_auto_adjust_ff_dim", default=True):
        # Two thirds of the width, times a factor, rounded up to a multiple: Llama's own rule for its MLP.
        factor = read_float(raw, "block_ffn_dim_multiplier", default=1.0, most=1e6)
        step = read_int(raw, "block_multiple_of", default=256)
        inner = -(-int(factor * int(2 * inner / 3)) // step) * step

    def layer(place: int) -> Blocks:
        mlp = experts.parameters if experts and place >= first else mixers.mlp(config, inner)
        return mixers.layer_blocks(attends if config.keeps[place] else state, norms=2 * width, mlp=mlp)

    return Hybrid(_per_layer(config, layer), experts, frozenset(range(min(first, config.layers), config.layers)))


def _minimax(raw: Raw, config: Config) -> Hybrid:
    width = config.width
    inner = config.heads * config.head_dim
    state = {"other": 5 * inner * width, "norms": inner}
    experts = MoeLayer(
        read_int(raw, "num_local_experts", default=8),
        read_int(raw, "num_experts_per_tok", default=2),
        config.mlp_width,
        width,
    )
    mlp = experts.parameters
    attends = mixers.attention(config)
    layers = _per_layer(config, lambda place: mixers.layer_blocks(
        attends if config.keeps[place] else state, norms=2 * width, mlp=mlp
    ))  # fmt: skip
    return Hybrid(layers, experts, frozenset(range(config.layers)))


def _kimi_linear(raw: Raw, config: Config) -> Hybrid:
    width = config.width
    inside = read_dict(raw, "linear_attn_config")
    heads, size = read_int(inside, "num_heads", default=32), read_int(inside, "head_dim", default=128)
    inner = heads * size
    kernel = read_int(inside, "short_conv_kernel_size", default=4)
    # Four projections, three short convolutions, decay and gate of low rank, as in Kimi Delta Attention.
    mixing = 4 * width * inner + 3 * inner * kernel + inner + heads + 2 * (width + inner) * size + heads * width
    state = {"other": mixing, "norms": size}
    rank, plain, rotary, values = (
        read_int(raw, name, default=usual)
        for name, usual in (
            ("kv_lora_rank", 512),
            ("qk_nope_head_dim", 128),
            ("qk_rope_head_dim", 64),
            ("v_head_dim", 128),
        )
    )
    # Latent attention (DeepSeek-V2): queries in full, keys and values out of ``rank`` numbers.
    latent = width * (config.heads * (plain + rotary) + rank + rotary) + config.heads * (
        rank * (plain + values) + values * width
    )
    attends = {"attention": latent, "norms": rank}
    routed = read_int(raw, "moe_intermediate_size", default=1024)
    shared = mixers.mlp(config, read_count(raw, "num_shared_experts", "n_shared_experts", default=1) * routed)
    active = read_int(raw, "num_experts_per_token", "num_experts_per_tok", default=8)
    experts = MoeLayer(read_int(raw, "num_experts", "num_local_experts", default=256), active, routed, width, shared)
    first = read_int(raw, "first_k_dense_replace", default=1, least=0)
    sparse = frozenset(range(min(first, config.layers), config.layers))

    def layer(place: int) -> Blocks:
        mlp = experts.parameters if place in sparse else mixers.mlp(config, config.mlp_width)
        return mixers.layer_blocks(attends if config.keeps[place] else state, norms=2 * width, mlp=mlp)

    return Hybrid(_per_layer(config, layer), experts, sparse)


def _recurrent_gemma(raw: Raw, config: Config) -> Hybrid:
    width = config.width
    heads = config.heads
    inner = read_int(raw, "lru_width", default=config.width)
    kernel = read_int(raw, "conv1d_width", default=4)
    # Block-diagonal gates: one matrix of (inner / heads)² for each head, twice, with their biases.
    gates = 2 * (heads * (inner // heads) ** 2 + inner)
    state = {"other": 3 * width * inner + 2 * inner + width + inner * (kernel + 1) + inner + gates}
    queries = (heads + 2 * config.kv_heads) * config.head_dim * read_bool(raw, "attention_bias", default=False)
    attends = mixers.attention(config, bias=width + queries)
    # The config gives both halves of the gated MLP together.
    mlp = mixers.mlp(config, config.mlp_width // 2, bias=True)
    return Hybrid(_per_layer(config, lambda place: mixers.layer_blocks(
        attends if config.keeps[place] else state, norms=2 * width, mlp=mlp
    )))  # fmt: skip


def _zamba(raw: Raw, config: Config) -> Hybrid | None:
    """Return one transformer for all hybrid layers (Zamba), or a few in turn with adapters (Zamba 2); each takes 2·D
    in.

    The layers that a transformer comes first in are counted with it.
    """
    width = config.width
    second = config.model_type == "zamba2"
    if second and read_bool(raw, "add_bias_linear", default=False):
        return None
    state = mixers.layer_blocks(
        mixers.zamba2_mixer(raw, config).blocks(width) if second else mixers.mamba(raw, config, normed=False),
        norms=width,
    )
    queries = config.heads * config.head_dim
    keys = config.kv_heads * config.head_dim
    transformer = mixers.layer_blocks(
        {"attention": 2 * width * (queries + 2 * keys) + queries * width},
        norms=3 * width,
        mlp=mixers.mlp(config, config.mlp_width),
    )
    adapters = _adapters(raw, config) if second else {}
    attending = [place for place in range(config.layers) if config.keeps[place]]
    # The transformer's weights are shared: they count where they are first used, and nowhere after.
    first = attending[: read_int(raw, "num_mem_blocks", default=1) if second else 1]

    def layer(place: int) -> Blocks:
        if place not in attending:
            return dict(state)
        joined = ({"attention": width * width}, adapters, transformer if place in first else {})
        return mixers.layer_blocks(state, *joined, norms=0)

    return Hybrid(_per_layer(config, layer))


def _headless(raw: Raw, config: Config) -> Hybrid:
    """Return the equal layers of a family without attention."""
    family = config.model_type
    if family == "rwkv":
        layer = mixers.rwkv(raw, config)
    elif family == "xlstm":
        layer = mixers.mlstm(raw, config).blocks(config.width)
    elif family == "mamba2":
        layer = mixers.layer_blocks(mixers.mamba2_mixer(raw, config).blocks(config.width), norms=config.width)
    else:
        layer = mixers.layer_blocks(mixers.mamba(raw, config, normed=False), norms=config.width)
    return Hybrid(_per_layer(config, lambda _: {"attention": 0, **layer}))


def _adapters(raw: Raw, config: Config) -> Blocks:
    """Return what a layer adds of its own to a transformer that it shares with others."""
    rank = read_int(raw, "adapter_rank", default=128)
    attention = 12 * rank * config.width * read_bool(raw, "use_shared_attention_adapter", default=False)
    return {"mlp": rank * (config.width + 2 * config.mlp_width), "attention": attention}


FAMILIES: dict[str, Callable[[Raw, Config], Hybrid | None]] = {
    "jamba": _jamba, "bamba": _bamba, "falcon_h1": _falcon_h1, "granitemoehybrid": _granite, "nemotron_h": _nemotron_h,
    "qwen3_next": _qwen3_next, "qwen3_5": _qwen3_next, "qwen3_5_text": _qwen3_next, "qwen3_5_moe_text": _qwen3_next,
    "lfm2": _lfm2, "lfm2_moe": _lfm2, "minimax": _minimax, "kimi_linear": _kimi_linear, "zamba": _zamba,
    "recurrent_gemma": _recurrent_gemma, "zamba2": _zamba,
    **dict.fromkeys(("mamba", "falcon_mamba", "mamba2", "rwkv", "xlstm"), _headless),
}  # fmt: skip
