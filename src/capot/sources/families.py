"""How the families of models differ from Llama, as far as it changes the count of parameters."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from capot.sources.fields import Raw, read_count


@dataclass(frozen=True)
class Family:
    """The differences of a family from Llama: biases, norms, learned positions."""

    gated: bool = True  # three matrices in the MLP instead of two
    qkv_bias: bool = False
    out_bias: bool = False
    mlp_bias: bool = False
    head_bias: bool = False
    norm_values: int = 1  # a scale; 2: a scale and a shift
    layer_norms: int = 2
    qk_norm: str = ""  # "head": one norm shared by the heads; "width": one for all of them
    positions: int | None = None  # learnt positions beyond the context; None: none are learnt
    embedding_norms: int = 0  # between the table and the first layer


_CLASSIC = Family(gated=False, qkv_bias=True, out_bias=True, mlp_bias=True, norm_values=2)
_GPTJ = Family(gated=False, mlp_bias=True, head_bias=True, layer_norms=1, norm_values=2)
FAMILIES = {
    "llama": Family(), "mistral": Family(), "mixtral": Family(), "phi3": Family(), "smollm3": Family(),
    "granite": Family(), "deepseek_v3": Family(), "gemma": Family(), "gemma2": Family(layer_norms=4),
    "gemma3": Family(layer_norms=4, qk_norm="head"), "gemma3_text": Family(layer_norms=4, qk_norm="head"),
    "qwen2": Family(qkv_bias=True), "qwen2_moe": Family(qkv_bias=True),
    "qwen3": Family(qk_norm="head"), "qwen3_moe": Family(qk_norm="head"),
    "olmo": Family(norm_values=0), "olmo2": Family(qk_norm="width"), "olmo3": Family(qk_norm="width"),
    "olmoe": Family(qk_norm="width"), "cohere": Family(layer_norms=1), "cohere2": Family(layer_norms=1),
    "stablelm": Family(norm_values=2), "nemotron": Family(gated=False, norm_values=2),
    "gpt2": replace(_CLASSIC, positions=0), "gpt_bigcode": replace(_CLASSIC, positions=0),
    "opt": replace(_CLASSIC, positions=2), "gpt_neox": _CLASSIC, "starcoder2": _CLASSIC,
    "bloom": replace(_CLASSIC, embedding_norms=1), "falcon": Family(gated=False, norm_values=2),
    "phi": replace(_CLASSIC, layer_norms=1, head_bias=True),
    "rwkv": Family(norm_values=2, embedding_norms=1), "gptj": _GPTJ, "codegen": _GPTJ, "mpt": Family(gated=False),
}  # fmt: skip


# What a field of config.json says of a family's biases; those that only some families heed, with them.
_BIASES = {
    "attention_bias": (("qkv_bias", "out_bias"), None),
    "qkv_bias": (("qkv_bias",), {"qwen2_moe"}),
    "use_qkv_bias": (("qkv_bias",), {"stablelm"}),
    "use_bias": (("qkv_bias", "out_bias", "mlp_bias"), {"starcoder2"}),
    "bias": (("qkv_bias", "out_bias", "mlp_bias"), {"falcon"}),
    "mlp_bias": (("mlp_bias",), {"llama", "granite", "nemotron"}),
}


def with_overrides(family: Family, raw: Raw) -> Family:
    """Return the family with what config.json says otherwise."""
    name = raw.get("model_type")
    changes: dict[str, Any] = {}
    for field_, (fields, heeding) in _BIASES.items():
        if isinstance(raw.get(field_), bool) and (heeding is None or name in heeding):
            changes |= dict.fromkeys(fields, raw[field_])
    if raw.get("use_qk_norm") or raw.get("qk_layernorm"):  # Cohere's word, and StableLM's
        changes["qk_norm"] = "width"
    if name == "stablelm" and raw.get("use_parallel_residual"):
        changes["layer_norms"] = 1
    if name == "falcon":
        changes["layer_norms"] = _falcon_norms(raw)
    return replace(family, **changes)


def _falcon_norms(raw: Raw) -> int:
    """Return one where attention and MLP read the same vector.

    The second generation has as many as config.json says.
    """
    if raw.get("new_decoder_architecture"):
        return read_count(raw, "num_ln_in_parallel_attn", default=2)
    return 1 if raw.get("parallel_attn", True) else 2
