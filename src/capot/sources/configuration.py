"""Read the shape of a language model from its config.json, in either spelling."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from capot.sources.fields import (  # fmt: skip
    LONGEST,
    Raw,
    first_set,
    read_bool,
    read_dict,
    read_float,
    read_int,
    read_model_type,
    read_positive,
    read_str,
    read_token_ids,
    text_config,
)
from capot.sources.layer_kinds import HEADLESS, layer_count, layer_kinds

# One name per idea, then how the config.json of the hub's model families spell it.
SPELLINGS = {
    "vocabulary_size": ("vocab_size",),
    "width": ("hidden_size", "n_embd", "d_model", "dim", "embedding_dim"),
    "layers": ("num_hidden_layers", "n_layer", "n_layers", "num_layers", "num_blocks"),
    "heads": ("num_attention_heads", "n_head", "n_heads"),
    "kv_heads": ("num_key_value_heads", "multi_query_group_num", "num_kv_heads", "n_head_kv"),
    # Where it is missing, heads share the width; some families (Gemma, Qwen3) write a larger one.
    "head_dim": ("head_dim", "d_kv", "attention_head_dim"),
    "mlp_width": ("block_ff_dim", "intermediate_size", "n_inner", "ffn_dim", "ffn_hidden_size"),
    "context_length": ("max_position_embeddings", "n_positions", "max_seq_len", "seq_length", "n_ctx"),
    "norm_eps": ("rms_norm_eps", "layer_norm_epsilon", "layer_norm_eps", "norm_epsilon"),
    "hidden_act": ("hidden_act", "activation_function", "hidden_activation"),
    "dtype": ("dtype", "torch_dtype"),
}
DOUBLED = ("zamba", "zamba2")  # whose attention reads two vectors of the width, end to end
QUANTIZED = ("quantization_config", "quantization")  # what says that weights are packed: the second is MLX's alone
STRETCHED = ("llama3", "yarn", "longrope")  # positions whose rule counts from those a model had before
# What rules of RoPE divide by, or take the logarithm of; and what each rule cannot do without.
SCALES = ("rope_theta", "factor", "low_freq_factor", "high_freq_factor", "attention_factor", "beta_fast", "beta_slow")
NEEDED_SCALES = {
    **dict.fromkeys(("linear", "dynamic", "yarn"), ("factor",)),
    "llama3": ("factor", "low_freq_factor", "high_freq_factor"),
}
UNTIED = {  # where config.json may leave it out
    "llama", "mistral", "mixtral", "qwen2", "qwen2_moe", "qwen3", "qwen3_moe", "phi3", "deepseek_v3", "gptj", "granite",
    "codegen", "stablelm", "olmo", "olmo2", "olmo3", "olmoe", "nemotron", "jamba", "bamba", "nemotron_h", "falcon_h1",
    "qwen3_next", "qwen3_5", "qwen3_5_text", "qwen3_5_moe", "qwen3_5_moe_text", "minimax", "kimi_linear",
    "granitemoehybrid", "mamba2", "rwkv", "rwkv5", "rwkv6", "rwkv7", "xlstm",
}  # fmt: skip


@dataclass(frozen=True)
class Config:
    """The shape of a causal language model, one spelling for all families.

    ``sliding_window`` holds, for each layer, how many tokens its attention looks back
    (itself included), or None for all; ``keeps`` whether it keeps keys and values of its own
    at all, which is ``guessed`` where the file is not understood. ``rope_scaling`` is None where the positions are
    those of the paper, else ``{"rope_type": ..., ...}`` as config.json has it.
    """

    architecture: str
    model_type: str
    vocabulary_size: int
    width: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    mlp_width: int
    context_length: int | None
    norm_eps: float
    hidden_act: str
    rope_theta: float
    rope_scaling: dict[str, Any] | None
    sliding_window: tuple[int | None, ...]
    keeps: tuple[bool, ...]
    kinds: tuple[str, ...]
    guessed: bool
    tied: bool
    dtype: str | None
    bos_id: int | None
    eos_ids: tuple[int, ...]

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> Config:
        """Read a config.json in either spelling: the hub's older one or transformers 5's.

        Raises: ModelError ``config_field`` where a size is missing or is no positive number, ``config_value``,
        ``config_list``, ``config_layers``.
        """
        raw = text_config(raw)
        model_type = read_model_type(raw)
        width = _size(raw, "width")
        heads = _size(raw, "heads", 1 if model_type in HEADLESS else None)
        layers = layer_count(raw, *SPELLINGS["layers"])
        kinds = layer_kinds(raw, layers=layers, family=model_type)
        rope = _rope(raw)
        bos, ends = read_token_ids(raw, "bos_token_id"), read_token_ids(raw, "eos_token_id")
        return cls(
            architecture=first_architecture(raw),
            model_type=model_type,
            vocabulary_size=_size(raw, "vocabulary_size"),
            width=width,
            layers=layers,
            heads=heads,
            kv_heads=_kv_heads(raw, heads),
            head_dim=_size(raw, "head_dim", max(1, width * (2 if model_type in DOUBLED else 1) // heads)),
            mlp_width=_mlp_width(raw, 4 * width),
            context_length=read_int(raw, *SPELLINGS["context_length"], default=0, most=LONGEST) or None,
            norm_eps=read_float(raw, *SPELLINGS["norm_eps"], default=1e-6),
            hidden_act=read_str(raw, *SPELLINGS["hidden_act"], default="silu"),
            rope_theta=read_positive(rope, "rope_theta", default=read_positive(raw, "rope_theta", default=10_000.0)),
            rope_scaling={key: value for key, value in rope.items() if key != "rope_theta"}
            if rope["rope_type"] != "default"
            else None,
            sliding_window=kinds.windows,
            keeps=kinds.keeps,
            kinds=kinds.kinds,
            guessed=kinds.guessed,
            tied=_tied(raw, model_type),
            dtype=dtype if isinstance(dtype := first_set(raw, *SPELLINGS["dtype"])[1], str) else None,
            bos_id=bos[0] if bos else None,
            eos_ids=ends,
        )


def _tied(raw: Raw, model_type: str) -> bool:
    usual = read_bool(raw, "tie_embedding", default=model_type not in UNTIED)
    return read_bool(raw, "tie_word_embeddings", default=usual)


def architectures(raw: Mapping[str, Any]) -> list[str]:
    """Return the classes that a config.json names; none if they are no list.

    >>> architectures({"architectures": ["LlamaForCausalLM"]}), architectures({"architectures": 3})
    (['LlamaForCausalLM'], [])
    """
    listed = raw.get("architectures")
    return [name[:80] for name in listed if isinstance(name, str)] if isinstance(listed, list) else []


def first_architecture(raw: Raw) -> str:
    """Return the class that computes the text of a model, "?" where config.json names none.

    >>> first_architecture({"architectures": ["LlamaForCausalLM"]}), first_architecture({})
    ('LlamaForCausalLM', '?')
    """
    return (architectures(text_config(raw)) or ["?"])[0]


def auto_map(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Return the classes in a model's own code, by the transformers class that each replaces."""
    mapped = raw.get("auto_map")
    return mapped if isinstance(mapped, dict) else {}


def _kv_heads(raw: Raw, heads: int) -> int:
    """Return one where queries share it; Falcon's second generation says so too, and has as many as it says besides."""
    shared = raw.get("multi_query") and not raw.get("new_decoder_architecture")
    return 1 if shared else _size(raw, "kv_heads", heads)


def _size(raw: Raw, name: str, default: int | None = None) -> int:
    return read_int(raw, *SPELLINGS[name], default=default)


def _mlp_width(raw: Raw, usual: int) -> int:
    """Return the MLP's width; Gemma 3n writes it once for each layer, the same each time."""
    name, value = first_set(raw, *SPELLINGS["mlp_width"])
    if isinstance(value, list) and value and value.count(value[0]) == len(value):
        return read_int({name: value[0]}, name)
    return _size(raw, "mlp_width", usual)


def _rope(raw: Raw) -> dict[str, Any]:
    """Return the RoPE parameters of either spelling as one dictionary with a ``rope_type``.

    Raises: ModelError ``config_field``, ``config_value``.
    """
    rope = read_dict(raw, "rope_scaling") or read_dict(raw, "rope_parameters")
    older = read_str(rope, "type") or None  # the oldest spelling
    kind = read_str(rope, "rope_type") or older
    for spelling in ("rope_type", "type"):
        rope.pop(spelling, None)
    for part in (rope, *(part for part in rope.values() if isinstance(part, dict))):
        _check_scales(part)
    if kind is None:  # one table for each kind of layer
        kind = "by_layer_type" if any(isinstance(part, dict) for part in rope.values()) else "default"
    outside = read_float(raw, "partial_rotary_factor", default=1.0, most=1.0)
    partial = read_float(rope, "partial_rotary_factor", default=outside, most=1.0)
    if partial != 1.0:
        rope["partial_rotary_factor"] = partial
        kind = "partial" if kind == "default" else kind
    if kind in STRETCHED and (original := _original_length(raw, rope)):
        rope["original_max_position_embeddings"] = original
    return {"rope_type": kind, **rope}


def _check_scales(rope: Raw) -> None:
    """Raises: ModelError ``config_field`` for a number of a RoPE rule that nothing can be divided by."""
    for name in SCALES:
        if rope.get(name) is not None:
            read_positive(rope, name)


def check_scaling(config: Config) -> None:
    """Refuse RoPE scaling of a kind that is known, where it lacks a number of its rule.

    Raises: ModelError ``config_field``.
    """
    rope = config.rope_scaling or {}
    for name in NEEDED_SCALES.get(rope.get("rope_type", ""), ()):
        read_positive(rope, name)


def _original_length(raw: Raw, rope: Raw) -> int:
    """Return the context length before RoPE scaling: beside the RoPE parameters, in them, or as it is now."""
    outside = read_int(raw, "original_max_position_embeddings", default=0, most=LONGEST)
    inside = read_int(rope, "original_max_position_embeddings", default=0, most=LONGEST)
    return outside or inside or read_int(raw, *SPELLINGS["context_length"], default=0, most=LONGEST)


def packed_for_mlx(raw: Raw) -> bool:
    """Return whether weights are packed as MLX does, which alone reads them.

    >>> packed_for_mlx({"quantization": {"bits": 4}}), packed_for_mlx({"quantization_config": {"quant_method": "gptq"}})
    (True, False)
    """
    method = raw.get("quantization_config")
    return bool(raw.get("quantization")) and not (isinstance(method, dict) and method.get("quant_method"))
