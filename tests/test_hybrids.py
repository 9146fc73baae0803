"""Cards and memory of hybrids: parameters and cache as transformers makes them, and what is guessed is said."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from settings_fuzz import SIZES

from capot.chapters.card.verb import Source, card
from capot.chapters.memory.shape import shape_of
from capot.i18n import size, tr
from capot.sources import published_shapes

SMALL = {key: value for key, value in SIZES.items() if key != "architectures"} | {"pad_token_id": 0}
DELTA = {"linear_key_head_dim": 8, "linear_value_head_dim": 12, "linear_num_key_heads": 2, "linear_num_value_heads": 4}
ROUTED = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32}
MAMBA2 = {"mamba_n_heads": 8, "mamba_d_state": 8}
KDA = {"full_attn_layers": [4, 8], "kda_layers": [1, 2, 3, 5, 6, 7], "num_heads": 4, "head_dim": 16}
LATENT = {"kv_lora_rank": 16, "qk_nope_head_dim": 8, "qk_rope_head_dim": 4, "v_head_dim": 8}
NEMOTRON = {
    "head_dim": 16, "ssm_state_size": 8, "mamba_num_heads": 8, "mamba_head_dim": 16, "n_groups": 2,
    "n_routed_experts": 4, "moe_intermediate_size": 32, "moe_shared_expert_intermediate_size": 48,
}  # fmt: skip
ZAMBA2 = {"layers_block_type": ["mamba", "mamba", "hybrid", "mamba"] * 2, "n_mamba_heads": 8, "mamba_d_state": 8}
CASES: list[tuple[str, dict[str, Any]]] = [
    ("jamba", {"num_experts": 4, "mamba_d_state": 8, "attn_layer_period": 4, "attn_layer_offset": 2}),
    ("jamba", {"num_experts": 4, "mamba_dt_rank": 6, "mamba_conv_bias": False, "mamba_proj_bias": True}),
    ("bamba", MAMBA2 | {"attn_layer_indices": [3], "mamba_n_groups": 2}),
    ("bamba", MAMBA2 | {"mamba_proj_bias": True, "mlp_bias": True, "attention_bias": True, "attn_layer_indices": [0]}),
    ("falcon_h1", MAMBA2 | {"mamba_d_ssm": 96, "mamba_n_groups": 2}),
    ("falcon_h1", MAMBA2 | {"mamba_d_ssm": None, "mamba_rms_norm": True, "projectors_bias": True}),
    ("granitemoehybrid", MAMBA2 | {"layer_types": ["mamba", "attention"] * 4, "shared_intermediate_size": 48}),
    ("granitemoehybrid", MAMBA2 | {"layer_types": ["mamba", "attention"] * 4, "num_local_experts": 0}),
    ("nemotron_h", NEMOTRON | {"hybrid_override_pattern": "M-M*M-ME"}),
    ("nemotron_h", NEMOTRON | {"hybrid_override_pattern": "M-M*", "num_hidden_layers": 4, "use_bias": True}),
    ("qwen3_next", DELTA | ROUTED | {"head_dim": 16, "shared_expert_intermediate_size": 48, "mlp_only_layers": [1]}),
    ("qwen3_next", DELTA | ROUTED | {"head_dim": 16, "decoder_sparse_step": 2, "full_attention_interval": 2}),
    ("qwen3_5_text", DELTA | {"head_dim": 16}),
    ("lfm2", {"full_attn_idxs": [2, 5]}),
    ("lfm2", {"conv_bias": True, "block_auto_adjust_ff_dim": False, "full_attn_idxs": [0]}),
    ("lfm2_moe", ROUTED | {"layer_types": ["conv", "full_attention"] * 4}),
    ("minimax", {"num_local_experts": 4, "layer_types": ["linear_attention", "full_attention"] * 4}),
    ("kimi_linear", LATENT | {"num_local_experts": 4, "moe_intermediate_size": 32, "linear_attn_config": KDA}),
    ("recurrent_gemma", {"num_key_value_heads": 1, "lru_width": 72}),
    ("mamba", {"state_size": 8}),
    ("mamba", {"state_size": 8, "time_step_rank": 6, "use_bias": True, "use_conv_bias": False, "expand": 3}),
    ("falcon_mamba", {"state_size": 8, "conv_kernel": 3}),
    ("mamba2", {"state_size": 8, "num_heads": 8, "head_dim": 16, "n_groups": 2, "use_bias": True}),
    ("rwkv", {"attention_hidden_size": 128, "tie_word_embeddings": True}),
    ("rwkv", {"attention_hidden_size": 64, "intermediate_size": None}),
    ("xlstm", {"num_heads": 4}),
    ("xlstm", {"num_heads": 4, "use_bias": True, "qk_dim_factor": 1.0}),
    ("zamba", {"num_key_value_heads": 4, "mamba_d_state": 8}),
    ("zamba2", ZAMBA2 | {"num_key_value_heads": 4, "num_mem_blocks": 2, "adapter_rank": 8}),
    ("zamba2", ZAMBA2 | {"num_key_value_heads": 4, "use_shared_attention_adapter": True, "adapter_rank": 8}),
]  # fmt: skip


def model_of(family: str, changes: dict[str, Any]) -> Any:
    """transformers' own, without weights."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    with torch.device("meta"):
        return transformers.AutoModelForCausalLM.from_config(
            transformers.AutoConfig.for_model(family, **SMALL | changes)
        )


@pytest.mark.parametrize(("family", "changes"), CASES, ids=[f"{name}-{place}" for place, (name, _) in enumerate(CASES)])
def test_parameters_and_cache_are_those_of_transformers(family: str, changes: dict[str, Any]) -> None:
    model = model_of(family, changes)
    raw = SMALL | changes | {"model_type": family}
    shape = published_shapes.shape(raw)
    sizes = {name: parameter.numel() for name, parameter in model.named_parameters()}
    assert sum(published_shapes.parameters(shape).values()) == sum(sizes.values())
    # Keys and values as wide as the matrices that make them, in the layers that have some.
    made = [name for name in sizes if re.search(r"\.(k|v)_proj\.weight$", name)]
    if family == "kimi_linear":  # kept as one vector of kv_lora_rank and a rotary key
        kept = 2 * (LATENT["kv_lora_rank"] + LATENT["qk_rope_head_dim"])
    elif family.startswith("zamba"):  # several layers share the matrices, and none shares its cache
        kept = sum(shape.config.keeps) * 2 * 2 * SMALL["hidden_size"]
    else:
        kept = sum(model.get_parameter(name).shape[0] for name in made)
    memory = shape_of(raw)
    assert memory.exact and memory.cache_numbers(1) == kept == published_shapes.kv_bytes(shape, 1, bytes_per_value=1)
    described = card(Source("mine", raw))
    layers = [part for part in described.structure if part.part == "layer"]
    assert sum(part.parameters for part in described.structure) == described.parameters.total == sum(sizes.values())
    assert len(layers) == shape.config.layers and described.parameters.active <= described.parameters.total


def _state_numbers(found: Any, name: str = "") -> int:
    """Numbers in the tensors of a cache, or of a model that keeps it itself, whose name says that they are a state."""
    if hasattr(found, "numel"):
        return int(found.numel()) * bool(re.search("state|linear_cache", name))
    if isinstance(found, (list, tuple)):
        return sum(_state_numbers(each, name) for each in found)
    inside = found if isinstance(found, dict) else getattr(found, "__dict__", {})
    return sum(_state_numbers(each, f"{name}.{key}") for key, each in inside.items())


ONE_OF_EACH = {family: changes for family, changes in CASES if family != "qwen3_5_text"}


@pytest.mark.parametrize("family", ONE_OF_EACH)
def test_a_state_is_as_large_as_transformers_makes_it(family: str) -> None:
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    from capot.engines.transformers.network import cache_argument

    changes = ONE_OF_EACH[family] | (
        {"num_experts_per_tok": 2, "num_key_value_heads": 4} if family == "kimi_linear" else {}
    )
    config = transformers.AutoConfig.for_model(family, **SMALL | changes)
    model = transformers.AutoModelForCausalLM.from_config(config).eval()
    with torch.no_grad():
        answer = model(torch.tensor([[1, 2, 3, 4, 5]]), use_cache=True)
    own = {"recurrent_gemma": model, "rwkv": {"state": answer.get("state")}}  # no cache of transformers' kind
    cache = own[family] if family in own else answer[cache_argument(type(model))]
    shape = shape_of(SMALL | changes | {"model_type": family})
    assert shape.state_known and shape.state_numbers == _state_numbers(cache) > 0


@pytest.mark.parametrize("lang", ["en", "fr"])
def test_a_state_is_said_at_the_figure_known_or_not(lang: str, tmp_path: Path) -> None:
    from memory_helpers import write_model

    import capot
    from capot.i18n import size, tr

    mamba = {"model_type": "jamba", "attn_layer_period": 8, "num_experts": 1}
    novel = {"model_type": "novelty", "layer_types": ["mamba", "full_attention"] * 4}
    for place, (changes, known) in enumerate(((mamba, True), (novel, False), ({"model_type": "llama"}, None))):
        write_model(folder := tmp_path / str(place), **SMALL | changes)
        with capot.open(folder) as model:
            memory = model.memory([1, 64], simulate=True)
        said = " ".join(memory.to_text(lang, width=400).split())
        numbers = shape_of(SMALL | changes).state_numbers
        assert memory.kv_cache.state_bytes == {True: 2 * numbers, False: None, None: 0}[known]
        told = {name: tr(f"memory.state.{name}", lang, size=size(2 * numbers, lang)) for name in ("known", "unknown")}
        assert [" ".join(each.split()) in said for each in told.values()] == [known is True, known is False]
        first, last = (row.computed.kv_cache for row in memory.rows)
        token = shape_of(SMALL | changes).cache_numbers(1) * 2
        assert (first, last) == (2 * numbers + token, 2 * numbers + 64 * token)


JAMBA = {
    "model_type": "jamba", "vocab_size": 65536, "hidden_size": 4096, "intermediate_size": 14336,
    "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 8, "num_experts": 16,
    "num_experts_per_tok": 2,
    "expert_layer_period": 2, "expert_layer_offset": 1, "attn_layer_period": 8, "attn_layer_offset": 4,
    "mamba_d_state": 16, "mamba_d_conv": 4, "mamba_expand": 2, "mamba_dt_rank": 256, "tie_word_embeddings": False,
    "max_position_embeddings": 262144,
}  # fmt: skip


def test_jamba_has_the_parameters_that_its_authors_say() -> None:
    """52 billion, 12 of them at work, and 4 GB of cache for 256,000 tokens: arXiv:2403.19887, sections 2 and 3.1."""
    shape = published_shapes.shape(JAMBA)
    total = sum(published_shapes.parameters(shape).values())
    assert 51e9 < total < 52.5e9 and 103e9 < 2 * total < 105e9
    assert 11.5e9 < published_shapes.active_parameters(shape) < 12.5e9
    assert published_shapes.kv_bytes(shape, 262_144) == 4 * 2**30
    described = card(Source("Jamba", JAMBA))
    assert (described.experts, described.active_experts) == (16, 2)


@pytest.mark.parametrize("lang", ["en", "fr"])
def test_a_card_counts_the_states_as_memory_does(lang: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAPOT_RAM", "1000")
    kept = 28 * 8192 * (16 + 4)  # 28 of 32 layers are Mamba's: its states and its convolution's window, 8,192 wide
    memory = card(Source("Jamba", JAMBA)).memory
    assert memory.state_bytes == 2 * kept
    assert memory.needed_bytes == memory.weights_bytes + memory.state_bytes + 4096 * memory.kv_bytes_per_token
    told = tr("card.fit.state_known", lang, state=size(2 * kept, lang))
    assert told in card(Source("Jamba", JAMBA)).fit_sentence(memory, lang)
    plain = card(Source("x", SMALL | {"model_type": "llama"}))
    assert plain.memory.state_bytes == 0
    strange = card(Source("x", SMALL | {"model_type": "llama", "layer_types": ["mamba", "full_attention"] * 4}))
    assert strange.memory.state_bytes is None
    unknown = tr("card.fit.state_unknown", lang)
    assert unknown in strange.fit_sentence(strange.memory, lang)
    assert unknown not in plain.fit_sentence(plain.memory, lang)


@pytest.mark.parametrize("lang", ["en", "fr"])
def test_what_is_guessed_is_said_at_the_figure(lang: str, tmp_path: Path) -> None:
    from memory_helpers import write_model

    import capot

    for more, guessed in (({}, False), ({"ssm_state_size": 8}, True), ({"layer_types": ["novel"] * 8}, True)):
        folder = tmp_path / str(len(more)) / "".join(more)
        folder.mkdir(parents=True)
        write_model(folder, **SMALL | {"model_type": "novelty"} | more)
        with capot.open(folder) as model:
            described, memory = model.card(), model.memory(simulate=True)
        assert described.memory.layers_guessed is memory.layers_guessed is guessed
        assert (tr("card.fit.layers_guessed", lang) in described.to_text(lang).replace("\n", " ")) == guessed
        assert (tr("memory.note.layers_guessed", lang)[:30] in memory.to_text(lang)) == guessed


@pytest.mark.parametrize("kind", ["novel", "sliding_attention", "chunked_attention"])
def test_a_layer_that_its_family_has_not_is_guessed(kind: str) -> None:
    raw = SMALL | NEMOTRON | {"model_type": "nemotron_h", "layers_block_type": [kind] * 8}
    assert published_shapes.shape(raw).family is None and not shape_of(raw).exact
