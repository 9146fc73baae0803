"""config.json as people wrote it: every value is read in the form of its field, or refused by the field's name."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from settings_fuzz import LLAMA3, SIZES, configurations, outcomes

from capot.chapters.embeddings.table import open_table
from capot.engines import native
from capot.engines.native.rope import frequencies
from capot.errors import ModelError, UnsupportedError
from capot.sources.checkpoint import Checkpoint, Config
from capot.sources.fields import (
    read_bool,
    read_dict,
    read_float,
    read_int,
    read_list,
    read_positive,
    read_str,
    read_token_ids,
)

LLAMA = SIZES | {"model_type": "llama"}


def test_configurations_at_random_are_read_or_refused_in_words(tmp_path: Path) -> None:
    found = [answer for text in configurations(13, 500) for answer in outcomes(tmp_path, text)]
    assert 200 < found.count("read") < len(found) - 200  # many of each, or the dice are loaded
    assert len(set(found)) > 4


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        ("rope_theta", 0, "config_field"),
        ("rope_theta", -1.0, "config_field"),
        ("rope_theta", "1e6", "config_field"),
        ("rope_theta", 1e308, "config_field"),
        ("rope_scaling", "yarn", "config_value"),
        ("rope_scaling", {"type": ["yarn"]}, "config_value"),
        ("partial_rotary_factor", 1e300, "config_field"),
        ("head_dim", 10**18, "config_field"),
        ("vocab_size", 10**10, "config_field"),
        ("num_hidden_layers", 10_001, "config_layers"),
        ("tie_word_embeddings", "true", "config_value"),
        ("hidden_act", ["silu"], "config_value"),
        ("hidden_act", "x" * 1000, "config_value"),
        ("eos_token_id", "2", "config_value"),
        ("bos_token_id", [True], "config_value"),
        ("rms_norm_eps", float("inf"), "config_field"),
    ],
)
def test_a_value_of_another_form_is_refused(field: str, value: Any, code: str) -> None:
    with pytest.raises(ModelError) as error:
        Config.from_dict(LLAMA | {field: value})
    assert error.value.code == code and len(error.value.message("fr")) < 300


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        ({"n": None}, "gives n as null; a whole number from 1 to 9"),
        ({"n": True}, "gives n as true; a whole number from 1 to 9"),
        ({"n": 4.0}, "gives n as 4.0; a whole number from 1 to 9"),
        ({"n": "4"}, 'gives n as "4"; a whole number from 1 to 9'),
        ({"n": [None, False]}, "gives n as [null, false]; a whole number from 1 to 9"),
        ({}, "does not give n; a whole number from 1 to 9"),
    ],
)
def test_a_value_is_told_as_the_file_writes_it(raw: dict[str, Any], said: str) -> None:
    with pytest.raises(ModelError) as error:
        read_int(raw, "n", most=9)
    assert error.value.message("en") == f"config.json {said} was expected."
    assert not {"None", "True", "False"} & set(re.findall(r"\w+", error.value.message("fr")))


@pytest.mark.parametrize(
    "refused",
    [
        lambda raw: read_float(raw, "n", default=1.0),
        lambda raw: read_positive(raw, "n"),
        lambda raw: read_bool(raw, "n", default=True),
        lambda raw: read_str(raw, "n"),
        lambda raw: read_dict(raw, "n"),
        lambda raw: read_list(raw, "n", int),
        lambda raw: read_token_ids(raw, "n"),
    ],
)
def test_whoever_refuses_tells_the_value_as_the_file_writes_it(refused: Callable[[Any], Any]) -> None:
    with pytest.raises(ModelError) as error:
        refused({"n": [None, True]})
    assert "[null, true]" in error.value.message("en") and "[null, true]" in error.value.message("fr")


def test_null_says_nothing() -> None:
    fields = (
        "rope_theta", "rope_scaling", "head_dim", "tie_word_embeddings", "hidden_act",
        "text_config",
        "bos_token_id", "rms_norm_eps", "partial_rotary_factor", "max_window_layers", "sliding_window", "layer_types",
        "no_rope_layers", "attention_chunk_size", "num_kv_shared_layers",
    )  # fmt: skip
    assert Config.from_dict(LLAMA | dict.fromkeys(fields)) == Config.from_dict(LLAMA)
    assert Config.from_dict(LLAMA | {"eos_token_id": [2, None, 3]}).eos_ids == (2, 3)
    assert Config.from_dict(LLAMA | {"intermediate_size": [96] * 8}).mlp_width == 96  # Gemma 3n
    assert Config.from_dict(LLAMA | {"max_position_embeddings": 10**18}).context_length == 10**18


@pytest.mark.parametrize(
    "scaling",
    [
        LLAMA3,
        LLAMA3 | {"original_max_position_embeddings": 64},
        LLAMA3 | {"low_freq_factor": 4.0, "high_freq_factor": 1.0},
        LLAMA3 | {"low_freq_factor": 2.0, "high_freq_factor": 2.0},
    ],
)
def test_llama_3_positions_are_those_of_transformers(scaling: dict[str, Any]) -> None:
    transformers = pytest.importorskip("transformers")
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

    for more in ({}, {"original_max_position_embeddings": 32}):  # what is said outside goes before what is said inside
        raw = LLAMA | more | {"rope_theta": 500000.0, "rope_scaling": scaling, "max_position_embeddings": 256}
        fields = {key: value for key, value in raw.items() if key not in ("architectures", "model_type")}
        config = transformers.LlamaConfig(**json.loads(json.dumps(fields)))
        theirs, _ = ROPE_INIT_FUNCTIONS["llama3"](config, "cpu")
        np.testing.assert_allclose(frequencies(Config.from_dict(raw)), theirs.numpy(), rtol=1e-6)


@pytest.mark.parametrize("value", [0, -8.0, 1e-320, "8", None, float("inf"), 1e400, [8.0]])
@pytest.mark.parametrize("field", ["factor", "low_freq_factor", "high_freq_factor"])
def test_positions_stretched_by_no_number_are_refused(field: str, value: Any) -> None:
    with pytest.raises(ModelError) as error:
        frequencies(Config.from_dict(LLAMA | {"rope_scaling": LLAMA3 | {field: value}}))
    assert (error.value.code, error.value.params["field"]) == ("config_field", field)


@pytest.mark.parametrize("field", ["quantization", "quantization_config"])
def test_packed_weights_are_not_computed_with_here(tmp_path: Path, field: str) -> None:
    raw = LLAMA | {field: {"group_size": 64, "bits": 4}}
    with pytest.raises(UnsupportedError) as error:
        native.check(Checkpoint(tmp_path, "mine", raw))
    assert error.value.params["feature"] == field


def test_the_forms_themselves() -> None:
    assert read_int({"a": None, "b": 3}, "a", "b") == 3 and read_int({}, "a", default=7) == 7
    assert read_float({"a": 1}, "a", default=0.0) == 1.0 and read_list({"a": ["x"]}, "a", str) == ["x"]
    for value in (0, 2.5, True, "1", 10**10, [1]):
        with pytest.raises(ModelError):
            read_int({"a": value}, "a")
    for value in (float("nan"), float("-inf"), 10**400, "1", True, None, 0):
        with pytest.raises(ModelError):
            read_positive({"a": value}, "a")
    for value in (3, [1, "x"], [True], {}):
        with pytest.raises(ModelError):
            read_list({"a": value}, "a", int)


@pytest.mark.parametrize("name", ["proj.qweight", "proj.weight_packed"])
def test_a_card_of_packed_weights_counts_by_formula(tmp_path: Path, name: str) -> None:
    """Older GPTQ folders say nothing in config.json of how their weights are packed."""
    from capot.chapters.card.verb import Source, card
    from capot.sources.safetensors import TensorInfo

    plain = {"model.norm.weight": TensorInfo("model.norm.weight", "F16", (64,), tmp_path, 0, 128)}
    packed = {f"model.layers.0.self_attn.q_{name}": TensorInfo(name, "I32", (8, 64), tmp_path, 0, 2048)}
    total = card(Source("mine", LLAMA)).parameters.total
    assert card(Source("mine", LLAMA, tensors=plain | packed)).parameters.total == total
    assert card(Source("mine", LLAMA, tensors=plain)).parameters.total == 64


@pytest.mark.parametrize("how", [None, {"group_size": 64, "bits": 4}])
def test_weights_packed_for_mlx_are_refused_in_words(tmp_path: Path, how: dict[str, int] | None) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    import capot

    raw = LLAMA | {"quantization": {"group_size": 64, "bits": 4}} | ({"quantization_config": how} if how else {})
    (tmp_path / "config.json").write_text(json.dumps(raw))
    with capot.open(tmp_path) as model, pytest.raises(UnsupportedError) as error:
        _ = model.scheduler
    assert error.value.code == "packed_for_mlx"


def test_the_words_of_weights_packed_for_mlx_are_those_of_every_verb(tmp_path: Path) -> None:
    import capot

    raw = LLAMA | {"quantization": {"group_size": 64, "bits": 4}}
    name = "model.embed_tokens.weight"
    header = json.dumps({name: {"dtype": "U32", "shape": [8, 64], "data_offsets": [0, 2048]}}).encode()
    (tmp_path / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + bytes(2048))
    (tmp_path / "config.json").write_text(json.dumps(raw))
    with capot.open(tmp_path) as model, pytest.raises(UnsupportedError) as error:
        open_table(model)
    assert error.value.code == "packed_for_mlx"


@pytest.mark.parametrize("ending", ["qweight", "weight_packed"])
def test_weights_that_are_packed_without_saying_how_are_told_so(tmp_path: Path, ending: str) -> None:
    """Older GPTQ folders: the matrix is not missing, its numbers are under another name."""
    name = f"model.layers.0.self_attn.q_proj.{ending}"
    header = json.dumps({name: {"dtype": "I32", "shape": [8, 64], "data_offsets": [0, 2048]}}).encode()
    (tmp_path / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + bytes(2048))
    (tmp_path / "config.json").write_text(json.dumps(LLAMA))
    checkpoint = Checkpoint.open(tmp_path)
    with pytest.raises(UnsupportedError) as error:
        checkpoint.tensor("model.layers.0.self_attn.q_proj.weight")
    assert error.value.code == "packed_unsaid" and error.value.params["tensor"] == name
    with pytest.raises(UnsupportedError) as error:
        checkpoint.tensor(name, (64, 64))
    assert error.value.code == "packed_unsaid"
    with pytest.raises(ModelError) as missing:
        checkpoint.tensor("model.layers.0.self_attn.k_proj.weight")
    assert missing.value.code == "tensor_missing"
