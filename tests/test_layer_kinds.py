"""Which layers of a model keep every token, those of a window, or nothing that grows: as transformers says."""

from __future__ import annotations

from typing import Any

import pytest
from settings_fuzz import SIZES

from capot.errors import ModelError
from capot.sources.checkpoint import Config
from capot.sources.layer_kinds import layer_kinds

S, F, L = "sliding_attention", "full_attention", "linear_attention"
WINDOWS: list[dict[str, Any]] = [
    {}, {"sliding_window": 8}, {"sliding_window": None}, {"use_sliding_window": True}, {"sliding_window_pattern": 2},
    {"sliding_window": 8, "use_sliding_window": True, "max_window_layers": 2},
    {"sliding_window": 8, "sliding_window_pattern": 3}, {"layer_types": [S, F] * 4, "sliding_window": 8},
]  # fmt: skip
WINDOWED = (
    "mistral", "mixtral", "qwen2", "qwen3", "qwen2_moe", "qwen3_moe", "gemma2", "gemma3_text", "cohere2", "gpt_oss",
    "exaone4", "olmo3", "phi3", "starcoder2", "smollm3", "ministral", "ministral3", "llama4_text", "vaultgemma",
    "qwen2_vl", "gemma4_text", "mimo_v2_flash", "phimoe",
)  # fmt: skip
HYBRIDS: list[tuple[str, dict[str, Any]]] = [
    ("qwen3_next", {}), ("qwen3_next", {"full_attention_interval": 3}), ("qwen3_next", {"layer_types": [L, F] * 4}),
    ("qwen3_5_text", {}), ("qwen3_5_text", {"full_attention_interval": 2}), ("jamba", {}),
    ("jamba", {"attn_layer_period": 3, "attn_layer_offset": 2}), ("bamba", {}),
    ("bamba", {"attn_layer_indices": [3]}),
    ("nemotron_h", {"hybrid_override_pattern": "M-M*M-ME"}),
    ("zamba", {"attn_layer_period": 3, "attn_layer_offset": 1}),
    ("nemotron_h", {"layers_block_type": ["mamba", "attention", "moe", "mlp"] * 2}), ("zamba", {}), ("falcon_h1", {}),
    ("zamba2", {"layers_block_type": ["mamba", "mamba", "hybrid", "mamba"] * 2}), ("lfm2", {}),
    ("granitemoehybrid", {"layer_types": ["mamba", "mamba", "mamba", "attention"] * 2}), ("granitemoehybrid", {}),
    ("lfm2", {"full_attn_idxs": [2, 5]}), ("lfm2", {"layer_types": ["conv", F] * 4}), ("minimax", {}),
    ("minimax", {"layer_types": [L, L, L, F] * 2}), ("kimi_linear", {}), ("recurrent_gemma", {}),
    ("kimi_linear", {"linear_attn_config": {"full_attn_layers": [4, 8], "kda_layers": [1, 2, 3, 5, 6, 7]}}),
    ("recurrent_gemma", {"block_types": ["recurrent", "attention"], "attention_window_size": 96}),
]  # fmt: skip


def library(family: str, changes: dict[str, Any]) -> list[Any]:
    """For each layer how far back transformers' cache keeps tokens: a number, ``all``, ``none``."""
    transformers = pytest.importorskip("transformers")
    from transformers.cache_utils import get_layer_types_and_kwargs

    sizes = {key: value for key, value in SIZES.items() if key != "architectures"}
    config = transformers.AutoConfig.for_model(family, **(sizes | changes)).get_text_config()
    kinds, extra = get_layer_types_and_kwargs(config)
    return [
        "none" if kind in (L, "conv", "dummy") else (more.get("sliding_window") or "all")
        for kind, more in zip(kinds, extra, strict=True)
    ]


def ours(family: str, changes: dict[str, Any]) -> list[Any]:
    config = Config.from_dict(SIZES | {"model_type": family} | changes)
    assert not config.guessed
    return [
        (window or "all") if keeps else "none"
        for window, keeps in zip(config.sliding_window, config.keeps, strict=True)
    ]


@pytest.mark.parametrize("family", WINDOWED)
def test_windows_are_those_of_transformers(family: str) -> None:
    told = 0
    for changes in WINDOWS:
        try:
            expected = library(family, changes)
        except Exception:  # a field that its classes do not take: nothing to compare with
            continue
        if family == "mistral" and "layer_types" in changes:  # its layers attend through one window, whatever is said
            expected = [changes["sliding_window"]] * 8
        assert ours(family, changes) == expected, changes
        told += 1
    assert told >= 5


@pytest.mark.parametrize(("family", "changes"), HYBRIDS)
def test_layers_with_a_state_are_those_of_transformers(family: str, changes: dict[str, Any]) -> None:
    assert ours(family, changes) == library(family, changes)


def test_patterns_that_the_hub_has_and_transformers_does_not() -> None:
    exaone = {"sliding_window": 96, "sliding_window_pattern": "LLLG"}
    assert ours("exaone4", exaone) == [96, 96, 96, "all"] * 2
    assert ours("exaone4", exaone | {"sliding_window_pattern": "LG" * 3 + "LL"})[-2:] == [
        96,
        "all",
    ]  # the last looks at all
    assert ours("minimax_text_01", {"attn_type_list": [0, 0, 0, 1] * 2}) == ["none", "none", "none", "all"] * 2
    assert ours("plamo2", {"mamba_step": 2}) == ["none", "all"] * 4
    assert ours("nemotron_h", {"hybrid_override_pattern": "M*", "num_hidden_layers": 8}) == ["none", "all"]


def test_layers_that_are_not_understood_are_guessed_to_keep_all() -> None:
    for changes in ({"mamba_n_heads": 4}, {"layer_types": ["novel"] * 8}):
        kinds = layer_kinds(changes, layers=8, family="novelty")
        assert kinds.guessed and all(kinds.keeps)
    assert not layer_kinds({}, layers=8, family="novelty").guessed


@pytest.mark.parametrize(
    ("family", "changes", "code"),
    [
        ("gemma3_text", {"sliding_window_pattern": 0}, "config_field"),
        ("gemma3_text", {"sliding_window_pattern": [1, 2]}, "config_field"),
        ("exaone4", {"sliding_window": 96, "sliding_window_pattern": "LXG"}, "config_field"),
        ("qwen2", {"use_sliding_window": True, "max_window_layers": "4"}, "config_field"),
        ("qwen2", {"use_sliding_window": "yes"}, "config_value"),
        ("mistral", {"sliding_window": [96, 96]}, "config_field"),
        ("qwen3", {"layer_types": [F]}, "config_list"),
        ("qwen3", {"layer_types": "full"}, "config_value"),
        ("smollm3", {"no_rope_layers": 3}, "config_value"),
        ("nemotron_h", {"hybrid_override_pattern": "M-X"}, "config_value"),
        ("nemotron_h", {"hybrid_override_pattern": "M" * 10_001}, "config_layers"),
        ("jamba", {"attn_layer_period": 0}, "config_field"),
        ("kimi_linear", {"linear_attn_config": [1]}, "config_value"),
        ("minimax", {"attn_type_list": [0, 1]}, "config_list"),
    ],
)
def test_other_patterns_are_refused_by_the_name_of_their_field(family: str, changes: dict[str, Any], code: str) -> None:
    with pytest.raises(ModelError) as error:
        ours(family, changes)
    assert error.value.code == code
    assert error.value.params.get("field", "layers") in (*changes, "layers")
