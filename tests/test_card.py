"""The card: parameters from headers and by formula agree, known models are what was published."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from test_hybrids import CASES as HYBRIDS
from test_hybrids import SMALL as HYBRID
from test_hybrids import model_of

from capot.chapters.card.result import Card, amount, amount_of, in_full
from capot.chapters.card.tensors import block_of
from capot.chapters.card.verb import (
    Source,
    base_or_instruct,
    card,
    describe,
    describe_known,
    file_bytes,
    front_matter,
)
from capot.cli import run
from capot.errors import InputError, ModelError, NotFoundError, UnsupportedError
from capot.i18n import tr
from capot.sources import machine, published_shapes
from capot.sources.checkpoint import Checkpoint
from capot.sources.machine import Ram
from capot.sources.safetensors import TensorInfo
from capot.text.tokenizer import Tokenizer
from capot.view import blocks as b

BOXED = Path(__file__).resolve().parent.parent / "src" / "capot" / "boxed"

# --- Known models --------------------------------------------------------------------------------------

# Totals as the hub counts them, or as the papers give them.
PUBLISHED = {
    "GPT-2": 124_439_808,
    "SmolLM2-135M": 134_515_008,
    "Qwen3-0.6B": 596_049_920,
    "Llama-3.2-1B": 1_235_814_400,
    "GPT-2-XL": 1_557_611_200,
    "Llama-3.2-3B": 3_212_749_824,
    "Mistral-7B": 7_241_732_096,
    "Qwen2.5-7B": 7_615_616_512,
    "Llama-3.1-8B": 8_030_261_248,
    "Qwen3-8B": 8_190_735_360,
    "Mixtral-8x7B": 46_702_792_704,
    "Llama-3-70B": 70_553_706_496,
    "GPT-3-175B": 174_604_259_328,
    "Llama-3.1-405B": 405_853_388_800,
    "DeepSeek-R1": 671_026_419_200,
}


def test_every_known_model_has_its_published_number_of_parameters() -> None:
    assert {
        model.name: sum(published_shapes.parameters(model.shape).values())
        for model in published_shapes.published_models()
    } == PUBLISHED


def test_deepseek_r1_with_its_extra_layer_and_what_a_token_goes_through() -> None:
    parameters = describe_known("DeepSeek-R1").parameters
    assert round(parameters.total / 1e9) == 671
    assert round((parameters.with_prediction or 0) / 1e9, 1) == 684.5
    assert round((parameters.active or 0) / 1e9, 1) == 37.6
    assert round((describe_known("Mixtral-8x7B").parameters.active or 0) / 1e9, 1) == 12.9


@pytest.mark.parametrize(
    ("name", "numbers"),
    [("Llama-3.2-1B", 2 * 8 * 64), ("GPT-2", 2 * 768), ("DeepSeek-R1", 576), ("Qwen3-0.6B", 2 * 8 * 128)],
)
def test_what_a_token_leaves_in_a_layer_of_the_cache(name: str, numbers: int) -> None:
    assert published_shapes.kv_values(published_shapes.find(name).shape) == numbers


def test_a_window_bounds_the_cache() -> None:
    mistral, llama = published_shapes.find("Mistral-7B").shape, published_shapes.find("Llama-3.2-1B").shape
    assert published_shapes.kv_bytes(mistral, 4096) == published_shapes.kv_bytes(mistral, 8192)
    assert published_shapes.kv_bytes(llama, 8192) == 268_435_456  # 256 MiB, the figure of the lessons


def test_a_known_model_is_found_by_any_spelling() -> None:
    assert published_shapes.find("meta-llama/llama-3.2-1b") is published_shapes.find("Llama-3.2-1B")
    with pytest.raises(NotFoundError) as caught:
        describe_known("Llama-9")
    assert caught.value.code == "unknown_shape"
    assert "DeepSeek-R1" in caught.value.message("fr")


def test_every_known_shape_says_where_it_is_published() -> None:
    assert all(
        model.source.startswith("https://") and model.kind in ("base", "instruct")
        for model in published_shapes.published_models()
    )


# --- Headers and formula agree, on every family --------------------------------------------------------

SMALL = {"vocab_size": 96, "hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4}
LLAMA = {**SMALL, "intermediate_size": 48, "num_key_value_heads": 2, "max_position_embeddings": 64}
PLAIN = {**SMALL, "intermediate_size": 48, "max_position_embeddings": 64}
FAMILIES = {
    "llama": {**LLAMA, "tie_word_embeddings": True},
    "llama-untied-biases": {**LLAMA, "tie_word_embeddings": False, "attention_bias": True, "mlp_bias": True},
    "mistral": {**LLAMA, "head_dim": 16},
    "qwen2": LLAMA,
    "qwen3": {**LLAMA, "head_dim": 16},
    "phi3": {**LLAMA, "pad_token_id": 0},
    "smollm3": {**LLAMA, "pad_token_id": 0},
    "gemma": {**LLAMA, "head_dim": 16},
    "gemma2": {**LLAMA, "head_dim": 16},
    "gemma3_text": {**LLAMA, "head_dim": 16},
    "olmo2": LLAMA,
    "mixtral": {**LLAMA, "num_local_experts": 4, "num_experts_per_tok": 2},
    "qwen3_moe": {
        **LLAMA, "head_dim": 16, "num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16,
    },
    "deepseek_v3": {
        **LLAMA, "num_key_value_heads": 4, "n_routed_experts": 4, "n_shared_experts": 1, "num_experts_per_tok": 2,
        "first_k_dense_replace": 1, "moe_intermediate_size": 16, "q_lora_rank": 12, "kv_lora_rank": 8,
        "qk_nope_head_dim": 6, "qk_rope_head_dim": 4, "v_head_dim": 10, "n_group": 1, "topk_group": 1,
    },
    "gpt2": {"vocab_size": 96, "n_embd": 32, "n_layer": 3, "n_head": 4, "n_positions": 64},
    "gpt_neox": PLAIN,
    "granite": LLAMA,
    "olmo": LLAMA,
    "olmo3": LLAMA,
    "olmoe": {**LLAMA, "num_experts": 4, "num_experts_per_tok": 2},
    "qwen2_moe": {
        **LLAMA, "num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16, "mlp_only_layers": [1],
        "shared_expert_intermediate_size": 24,
    },
    "qwen3_moe-steps": {
        **LLAMA, "head_dim": 16, "num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16,
        "decoder_sparse_step": 2,
    },
    "cohere": {**LLAMA, "pad_token_id": 0},
    "cohere-norms": {**LLAMA, "pad_token_id": 0, "use_qk_norm": True, "attention_bias": True},
    "cohere2": {**LLAMA, "pad_token_id": 0},
    "starcoder2": LLAMA,
    "starcoder2-plain": {**LLAMA, "use_bias": False},
    "nemotron": {**LLAMA, "mlp_bias": True},
    "stablelm": {**LLAMA, "use_qkv_bias": True},
    "stablelm-parallel": {**LLAMA, "use_parallel_residual": True, "qk_layernorm": True},
    "gpt_bigcode": {"vocab_size": 96, "n_embd": 32, "n_layer": 3, "n_head": 4, "n_positions": 64},
    "gpt_bigcode-heads": {
        "vocab_size": 96, "n_embd": 32, "n_layer": 3, "n_head": 4, "n_positions": 64, "multi_query": False,
    },
    "gptj": {"vocab_size": 96, "n_embd": 32, "n_layer": 3, "n_head": 4, "n_positions": 64, "rotary_dim": 4},
    "codegen": {"vocab_size": 96, "n_embd": 32, "n_layer": 3, "n_head": 4, "n_positions": 64, "rotary_dim": 4},
    "mpt": {"vocab_size": 96, "d_model": 32, "n_layers": 3, "n_heads": 4, "max_seq_len": 64},
    "bloom": {"vocab_size": 96, "hidden_size": 32, "n_layer": 3, "n_head": 4},
    "falcon": SMALL,
    "falcon-new": {**SMALL, "new_decoder_architecture": True, "num_kv_heads": 2},
    "falcon-one-norm": {
        **SMALL, "new_decoder_architecture": True, "num_kv_heads": 2, "num_ln_in_parallel_attn": 1,
    },
    "falcon-alibi": {**SMALL, "alibi": True, "multi_query": False, "parallel_attn": False, "bias": True},
    "opt": {**SMALL, "ffn_dim": 48, "max_position_embeddings": 64, "word_embed_proj_dim": 32, "pad_token_id": 1},
    "phi": PLAIN,
}  # fmt: skip


@pytest.fixture(scope="module")
def transformers():
    pytest.importorskip("torch")
    return pytest.importorskip("transformers")


def saved(transformers, folder: Path, name: str) -> Path:
    config = transformers.AutoConfig.for_model(name.partition("-")[0], **FAMILIES[name])
    transformers.AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    return folder


@pytest.mark.parametrize("name", FAMILIES)
def test_headers_and_formula_agree(transformers, tmp_path: Path, name: str) -> None:
    folder = saved(transformers, tmp_path, name)
    raw = json.loads((folder / "config.json").read_text())
    checkpoint = Checkpoint.open(folder)
    measured = card(Source("m", raw, tensors=checkpoint.tensors)).parameters
    computed = card(Source("m", raw)).parameters
    assert (measured.source, computed.source) == ("weights", "config")
    assert {row.block: row.parameters for row in measured.by_block} == {
        row.block: row.parameters for row in computed.by_block
    }
    assert measured.active == computed.active
    model = transformers.AutoModelForCausalLM.from_pretrained(folder)
    corrections = sum(size.numel() for name, size in model.named_buffers() if name.endswith("correction_bias"))
    assert measured.total == corrections + sum(parameter.numel() for parameter in model.parameters())


BIG = {  # totals that are published, with the shapes they belong to
    559_214_592: {"model_type": "bloom", "hidden_size": 1024, "n_layer": 24, "n_head": 16, "vocab_size": 250880},
    6_050_882_784: {"model_type": "gptj", "n_embd": 4096, "n_layer": 28, "n_head": 16, "vocab_size": 50400},
    1_644_515_328: {
        "model_type": "stablelm", "hidden_size": 2048, "intermediate_size": 5632, "num_hidden_layers": 24,
        "num_attention_heads": 32, "vocab_size": 100352, "use_qkv_bias": True,
    },
    6_919_161_856: {
        "model_type": "olmoe", "hidden_size": 2048, "intermediate_size": 1024, "num_hidden_layers": 16,
        "num_attention_heads": 16, "vocab_size": 50304, "num_experts": 64, "num_experts_per_tok": 8,
    },
    30_532_122_624: {
        "model_type": "qwen3_moe", "hidden_size": 2048, "moe_intermediate_size": 768, "num_hidden_layers": 48,
        "num_attention_heads": 32, "num_key_value_heads": 4, "head_dim": 128, "vocab_size": 151936,
        "num_experts": 128, "num_experts_per_tok": 8,
    },
}  # fmt: skip


@pytest.mark.parametrize("total", BIG)
def test_totals_are_those_that_are_published(total: int) -> None:
    assert card(Source("m", BIG[total])).parameters.total == total


def test_every_family_is_tried() -> None:
    tried = {name.partition("-")[0] for name in FAMILIES} | {name for name, _ in HYBRIDS}
    assert set(published_shapes.FAMILIES) - tried <= {"gemma3"}  # gemma3 is gemma3_text beside a model that sees


def test_a_family_without_weights_or_formula_is_refused_by_name() -> None:
    raw = {**LLAMA, "model_type": "novel", "architectures": ["NovelForCausalLM"]}
    with pytest.raises(UnsupportedError) as caught:
        card(Source("novel", raw))
    assert caught.value.code == "shape_unknown" and "novel" in caught.value.message("fr")


def test_a_family_without_a_formula_is_counted_from_its_weights(transformers, tmp_path: Path) -> None:
    folder = saved(transformers, tmp_path, "llama")
    raw = {**json.loads((folder / "config.json").read_text()), "model_type": "novel"}
    answer = card(Source("novel", raw, tensors=Checkpoint.open(folder).tensors))
    assert answer.parameters.total > 0
    assert answer.structure == describe(opened(folder)).structure  # from the names, as by the formula
    assert answer.to_text("fr")


def test_a_damaged_shape_is_refused() -> None:
    with pytest.raises(ModelError) as caught:
        card(Source("x", {**LLAMA, "model_type": "llama", "hidden_size": -1}))
    assert caught.value.code == "config_field"


MIXED = {**LLAMA, "model_type": "mixtral", "num_local_experts": 4, "num_experts_per_tok": 2}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"num_hidden_layers": 10**9}, "config_layers"),
        ({"num_nextn_predict_layers": "x"}, "config_field"),
        ({"kv_lora_rank": math.inf}, "config_field"),
        ({"kv_lora_rank": 8, "v_head_dim": [4]}, "config_field"),
        ({"num_local_experts": True}, "config_field"),
        ({"num_experts_per_tok": None}, "config_field"),
        ({"moe_intermediate_size": -8}, "config_field"),
        ({"rope_theta": "x"}, "config_field"),
        ({"rope_theta": 10**400}, "config_field"),
        ({"torch_dtype": ["a"], "architectures": 3, "auto_map": "x", "quantization_config": 3}, None),
    ],
)
def test_a_shape_of_any_kind_is_read_or_refused_in_words(changes: dict, expected: str | None) -> None:
    if expected is None:
        assert card(Source("x", MIXED | changes)).parameters.total > 0
        return
    with pytest.raises(ModelError) as caught:
        card(Source("x", MIXED | changes))
    assert caught.value.code == expected and caught.value.message("fr") != caught.value.message("en")


@pytest.mark.parametrize(
    ("name", "block"),
    [
        ("model.embed_tokens.weight", "embeddings"),
        ("lm_head.weight", "head"),
        ("model.norm.weight", "norms"),
        ("model.layers.0.self_attn.q_norm.weight", "norms"),
        ("model.layers.3.post_attention_layernorm.weight", "norms"),
        ("model.layers.3.mlp.experts.7.up_proj.weight", "mlp"),
        ("model.layers.3.block_sparse_moe.gate.weight", "mlp"),
        ("transformer.wpe.weight", "embeddings"),
        ("transformer.h.0.attn.c_attn.bias", "attention"),
        ("transformer.h.0.mlp.c_fc.weight", "mlp"),
        ("gpt_neox.layers.1.attention.dense.bias", "attention"),
        ("gpt_neox.layers.1.mlp.dense_4h_to_h.bias", "mlp"),
        ("embed_out.weight", "head"),
        ("something.else", "other"),
    ],
)
def test_the_block_of_a_tensor_is_in_its_name(name: str, block: str) -> None:
    assert block_of(name) == block


# --- A model's folder ----------------------------------------------------------------------------------


@pytest.fixture
def folder(transformers, tmp_path: Path) -> Path:
    return saved(transformers, tmp_path / "my-model", "llama")


def opened(folder: Path, tokenizer: Tokenizer | None = None) -> SimpleNamespace:
    checkpoint = Checkpoint.open(folder)
    tokenizer = tokenizer or Tokenizer.bytes()
    facts = {"name": checkpoint.name, "engine_name": "native", "obstacle": None, "loaded": None}
    facts["decode_plan"] = lambda *, dtype, weights_bytes: None
    return SimpleNamespace(**facts, checkpoint=checkpoint, tokenizer=tokenizer)


@pytest.mark.parametrize("lang", ["en", "fr"])
@pytest.mark.parametrize("obstacle", ["family", "device", "extra", "untried", "version"])
def test_what_the_engine_lacks_is_said_without_a_command(folder: Path, obstacle: str, lang: str) -> None:
    """A card is read in the lab and in Python too: the error that opening raises has the line to paste."""
    model = opened(folder)
    model.obstacle = obstacle
    said = " ".join(describe(model).to_text(lang).split())
    assert " ".join(tr(f"card.engine.{obstacle}", lang, engine="native").split()) in said
    assert not re.search(r"\bpip |--[a-z]", said)


def test_json_has_the_fields_of_the_contract(folder: Path) -> None:
    answer = json.loads(describe(opened(folder)).to_json())
    wanted = {
        "name", "architecture", "parameters", "file_bytes", "vocabulary_size", "context_length", "layers", "width",
        "heads", "kv_heads", "kind",
    }  # fmt: skip
    assert wanted <= set(answer)
    assert set(answer["file_bytes"]) == {"float32", "bfloat16", "int8", "int4"}
    total = answer["parameters"]["total"]
    assert total == sum(row["parameters"] for row in answer["parameters"]["by_block"])
    assert [row["block"] for row in answer["parameters"]["by_block"]] == list(published_shapes.BLOCKS)
    assert answer["file_bytes"] == {"float32": 4 * total, "bfloat16": 2 * total, "int8": total, "int4": total // 2}
    assert answer["memory"]["weights_bytes"] == 4 * total and answer["dtype"] == "float32"
    assert answer["vocabulary_tokens"] == Tokenizer.bytes().vocabulary_size
    assert answer["vocabulary_base"] == 256
    assert sum(part["parameters"] for part in answer["structure"]) == total
    assert [part["part"] for part in answer["structure"]] == ["embeddings", *["layer"] * 3, "norms", "head"]


def test_a_family_without_a_formula_is_drawn_from_its_tensors_names() -> None:
    raw = {"model_type": "rwkv7", "architectures": ["RWKV7ForCausalLM"], "vocab_size": 10, "hidden_size": 4}
    raw |= {"num_hidden_layers": 2, "intermediate_size": 8, "tie_word_embeddings": True}
    sizes = {"backbone.embeddings.weight": (10, 4), "backbone.norm_f.weight": (4,)}
    for place in range(2):
        sizes |= {f"backbone.layers.{place}.{name}": shape for name, shape in MIXER.items()}
    tensors = {
        name: TensorInfo(name, "F32", shape, Path("f"), 0, 4 * math.prod(shape)) for name, shape in sizes.items()
    }
    found = card(Source("m", raw, tensors=tensors))
    assert [part.part for part in found.structure] == ["embeddings", "layer", "layer", "norms", "head"]
    assert sum(part.parameters for part in found.structure) == found.parameters.total == 40 + 4 + 2 * 68
    assert found.structure[1].norms == 4 and found.structure[1].parameters == 68
    assert (found.heads, found.kv_heads, found.head_dim, found.mlp_width) == (0, 0, 0, 0)  # a state space has none
    for lang, words in (("en", "a state of a fixed size"), ("fr", "un état de taille")):
        text = " ".join(found.to_text(lang).split())
        assert words in text and " 0 B" not in text and " 0 o " not in text


MIXER = {"mixer.in_proj.weight": (8, 4), "mixer.out_proj.weight": (4, 8), "norm.weight": (4,)}


def test_a_folder_without_weights_has_a_card_and_a_damaged_one_has_not(folder: Path) -> None:
    whole = describe(opened(folder)).parameters
    weights = folder / "model.safetensors"
    kept = weights.read_bytes()
    weights.unlink()
    assert describe(opened(folder)).parameters.total == whole.total
    weights.write_bytes(kept[:200])
    with pytest.raises(ModelError):
        describe(opened(folder))


def test_a_shard_that_is_missing_is_not_taken_for_a_model_without_weights(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    index = {"weight_map": {"model.norm.weight": "model-00001-of-00001.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(NotFoundError) as caught:
        describe(opened(folder))
    assert caught.value.code == "shard_missing"


def test_a_card_needs_no_tokenizer(folder: Path) -> None:
    class Without:
        name, engine_name, obstacle, loaded, checkpoint = "m", "native", None, None, Checkpoint.open(folder)

        def decode_plan(self, *, dtype: str | None, weights_bytes: int) -> None:
            return None

        @property
        def tokenizer(self) -> Tokenizer:
            return Tokenizer.from_file(folder)

    answer = describe(Without())
    assert answer.vocabulary_tokens is None and "96 tokens" in answer.to_text("en")


def test_a_second_copy_of_a_tied_table_and_constants_are_not_counted(folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    tensors = load_file(folder / "model.safetensors")
    before = describe(opened(folder)).parameters.total
    tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"].clone()
    tensors["model.layers.0.self_attn.rotary_emb.inv_freq"] = tensors["model.norm.weight"].clone()
    tensors["model.layers.3.mlp.up_proj.weight"] = tensors["model.norm.weight"].clone()  # beyond the last layer
    save_file(tensors, folder / "model.safetensors")
    assert describe(opened(folder)).parameters.total == before


def test_packed_weights_are_counted_from_the_configuration() -> None:
    raw = {**LLAMA, "model_type": "llama", "quantization_config": {"bits": 4}}
    tensors = {"model.layers.0.mlp.up_proj.qweight": SimpleNamespace(count=3, shape=(3,), dtype="I32", nbytes=12)}
    assert card(Source("q", raw, tensors=tensors)).parameters.source == "config"  # type: ignore[arg-type]


def test_the_licence_comes_from_the_readme_else_the_configuration(folder: Path) -> None:
    assert describe(opened(folder)).licence is None
    (folder / "config.json").write_text(
        json.dumps({**json.loads((folder / "config.json").read_text()), "license": "apache-2.0"})
    )
    assert describe(opened(folder)).licence == "apache-2.0"
    (folder / "README.md").write_text("---\nlicense: other\nlicense_name: our-own\n---\n# M\n")
    assert describe(opened(folder)).licence == "our-own"
    assert front_matter("# no front matter") == {}


@pytest.mark.parametrize(
    ("name", "template", "ends", "readme", "expected"),
    [
        ("Qwen2.5-7B-Instruct", None, (), "", ("instruct", "name")),
        ("gemma-2b-it", None, (), "", ("instruct", "name")),
        ("Llama-2-7b-chat-hf", None, (), "", ("instruct", "name")),
        ("gemma-3-1b-pt", "{{ x }}<end>", ("<end>",), "", ("base", "name")),
        ("my-model", "{{ x }}<|im_end|>", ("<|im_end|>",), "", ("instruct", "template")),
        ("my-model", "{{ x + eos_token }}", ("</s>",), "", ("instruct", "template")),
        ("Qwen2.5-7B", "{{ x }}<|im_end|>", ("<|endoftext|>",), "", ("base", "unused_template")),
        ("my-model", None, (), "---\ntags:\n- conversational\n---\n", ("instruct", "tags")),
        ("digital-twin-item", None, (), "", ("base", "no_template")),
    ],
)
def test_base_or_instruct_and_why(name: str, template: str | None, ends: tuple, readme: str, expected: tuple) -> None:
    source = Source(name, LLAMA, chat_template=template, ends=ends)
    assert base_or_instruct(source, front_matter(readme)) == expected


# --- Does it fit here ----------------------------------------------------------------------------------


def on(
    monkeypatch: pytest.MonkeyPatch, total: float | None, available: float | None, name: str = "Llama-3.2-1B"
) -> Card:
    ram = Ram(*(None if size is None else int(size) for size in (total, available)))
    monkeypatch.setattr("capot.chapters.card.verb.ram", lambda: ram)
    return describe_known(name)


@pytest.mark.parametrize(
    ("total", "available", "fits"),
    [(16e9, 8e9, "yes"), (16e9, 2e9, "tight"), (2e9, 1e9, "no"), (16e9, None, "yes"), (None, None, "unknown")],
)
def test_whether_it_fits(monkeypatch: pytest.MonkeyPatch, total: float, available: float, fits: str) -> None:
    answer = on(monkeypatch, total, available)
    assert answer.memory.fits == fits
    for lang in ("en", "fr"):
        text = answer.view(lang)[4]
        assert isinstance(text, b.Text) and text.tone == ("warning" if fits in ("tight", "no") else "plain")


def test_what_opening_takes_and_how_long_a_context_there_is_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    memory = on(monkeypatch, 16e9, 3e9).memory
    assert memory.kv_bytes_per_token == 2 * 16 * 8 * 64 * 2
    assert memory.needed_bytes == memory.weights_bytes + 4096 * memory.kv_bytes_per_token
    assert memory.room_tokens == math.floor((3e9 - memory.weights_bytes) / memory.kv_bytes_per_token)
    assert on(monkeypatch, 64e9, 64e9).memory.room_tokens == 131_072
    assert on(monkeypatch, 2e9, 1e9).memory.room_tokens == 0
    assert on(monkeypatch, 2e9, 1e9).memory.fitting_precision == "int8"
    assert on(monkeypatch, 2e9, 1e9, "DeepSeek-R1").memory.fitting_precision is None


def test_this_machine_says_how_much_memory_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CAPOT_RAM", raising=False)
    ram = machine.ram()
    assert ram.total is None or ram.total > 10**8
    assert ram.available is None or ram.total is None or 0 < ram.available <= ram.total


def test_a_container_and_a_system_without_proc(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "meminfo").write_text("MemTotal: 2000 kB\nMemAvailable: 1500 kB\nHugePages_Total: 0\n")
    monkeypatch.delenv("CAPOT_RAM", raising=False)
    monkeypatch.setattr(machine, "MEMINFO", tmp_path / "meminfo")
    monkeypatch.setattr(machine, "CGROUP", tmp_path)
    monkeypatch.setattr(machine, "MEMBERSHIP", tmp_path / "nobody says")
    assert machine.ram() == Ram(2_048_000, 1_536_000)
    (tmp_path / "memory.max").write_text("1000000\n")
    (tmp_path / "memory.current").write_text("600000\n")
    (tmp_path / "memory.stat").write_text("anon 1\ninactive_file 100000\n")
    assert machine.ram() == Ram(1_000_000, 500_000)
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "meminfo").unlink()
    assert machine.ram().available is None


def test_another_machine_can_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAPOT_RAM", "2.5")
    assert machine.ram() == Ram(2_500_000_000, 2_500_000_000)
    monkeypatch.setenv("CAPOT_RAM", "much")
    with pytest.raises(InputError) as caught:
        machine.ram()
    assert caught.value.code == "not_a_number"


# --- Views ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lang", ["en", "fr"])
@pytest.mark.parametrize("name", PUBLISHED)
def test_every_known_card_can_be_read(lang: str, name: str) -> None:
    answer = describe_known(name)
    text = answer.to_text(lang)
    assert name in text and "{" not in text
    bars = next(block for block in answer.view(lang) if isinstance(block, b.Bars))
    assert bars.caption.count(". ") == 1 and bars.caption.endswith(".")
    assert sum(bar.value for bar in bars.rows) == pytest.approx(1)


def test_amounts_are_said_as_people_say_them() -> None:
    assert (amount(1_235_814_400, "en"), amount(1_235_814_400, "fr")) == ("1.24 billion", "1,24 milliard")
    assert (amount(70.56e9, "fr"), amount(124_439_808, "fr")) == ("70,6 milliards", "124,4 millions")
    assert in_full(1_235_814_400, "en") == "1,235,814,400 (1.24 billion)"
    assert in_full(236_096, "en") == "236,096", "said once where there is no shorter way"
    assert (amount_of(12, "en"), amount_of(1, "fr")) == ("12 parameters", "1 paramètre")
    assert amount_of(671e9, "fr") == "671,0 milliards de paramètres"


def test_bytes_of_odd_numbers_are_whole() -> None:
    assert file_bytes(3) == {"float32": 12, "bfloat16": 6, "int8": 3, "int4": 1}


# --- On the command line -------------------------------------------------------------------------------


def test_the_command_shows_the_boxed_model_beside_published_ones(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["card", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["name"] == "boxed" and {row["name"] for row in answer["known"]} == set(PUBLISHED)
    assert run(["card", "--lang", "fr"]) == 0
    assert "DeepSeek-R1" in capsys.readouterr().out


def test_the_command_takes_a_name_or_a_folder(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    assert run(["card", "llama-3-70b", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["layers"] == 80
    assert run(["card", str(folder), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["name"] == "my-model"
    assert run(["card", "--model", str(folder), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["known"] == []
    assert run(["card", "no-such-model", "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["ok"] is False


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("Meta-Llama-3-70B", "Llama-3-70B"),
        ("meta-llama/Meta-Llama-3-70B", "Llama-3-70B"),
        ("llama 3 70b", "Llama-3-70B"),
        ("LLAMA_3.2_1B", "Llama-3.2-1B"),
        ("gpt2", "GPT-2"),
        ("openai-community/gpt2-xl", "GPT-2-XL"),
        ("GPT3", "GPT-3-175B"),
        ("Mistral-7B-v0.1", "Mistral-7B"),
        ("Meta-Llama-3.1-405B", "Llama-3.1-405B"),
    ],
)
def test_a_published_shape_is_found_by_the_names_that_people_use(name: str, known: str) -> None:
    assert published_shapes.find(name).name == known


def test_no_two_published_shapes_go_by_one_name() -> None:
    spelled = [
        (name, known) for known in published_shapes.published_models() for name in (known.name, *known.spellings)
    ]
    assert len(spelled) > 25 and all(published_shapes.find(name) is known for name, known in spelled)


@pytest.mark.parametrize(
    ("name", "code", "near"),
    [
        ("GPT-3.5", "unpublished_shape", "GPT-3-175B"),
        ("gpt-4o-mini", "unpublished_shape", None),
        ("Llama-3.1-8B-Instruct", "unknown_shape", "Llama-3.1-8B"),
        ("Lama-3-70B", "unknown_shape", "Llama-3-70B"),
        ("qwen", "unknown_shape", None),
    ],
)
@pytest.mark.parametrize("lang", ["fr", "en"])
def test_near_names_are_proposed_and_all_are_listed(name: str, code: str, near: str | None, lang: str) -> None:
    with pytest.raises(NotFoundError) as caught:
        published_shapes.find(name)
    what, *lines = caught.value.message(lang).split("\n")
    assert caught.value.code == code and name in what and "known_models()" in lines[-1]
    assert all(known.name in lines[-1] for known in published_shapes.published_models())
    assert near is None or (len(lines) == 2 and near in lines[0])


def test_a_command_takes_the_names_that_people_use(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def told(*words: str) -> dict[str, object]:
        run([*words, "--json"])
        return json.loads(capsys.readouterr().out)

    assert told("card", "meta llama 3 70b")["name"] == "Llama-3-70B"
    assert told("memory", "--simulate", "--model", "GPT-3")["model"] == "GPT-3-175B"
    for words in (["card"], ["memory", "--simulate", "--model"]):
        assert "GPT-3-175B" in told(*words, "GPT-3.5")["error"]["message"]
        assert "Llama-3-70B" in told(*words, "Llama-3-71B")["error"]["message"]
    assert told("card", "entirely-else")["error"]["code"] == "unknown_model"
    for words, shape in (("GPT-3.5", "GPT-3-175B"), ("llama-3-70b", "Llama-3-70B"), ("gpt2 xl", "GPT-2-XL")):
        error = told("card", "--model", words)["error"]
        assert error["code"] == "unknown_model_shape" and f"capot card {shape}\n" in error["message"]
        assert told("card", shape)["name"] == shape, "what is proposed works"
    monkeypatch.chdir(tmp_path)
    (tmp_path / "gpt2").mkdir()
    (tmp_path / "gpt2" / "config.json").write_text("{}")
    assert told("card", "gpt2")["error"]["code"] != "unknown_shape", "a folder of that name is what was meant"


# --- What mixes tokens without attention


@pytest.mark.parametrize(
    ("family", "changes"), HYBRIDS, ids=[f"{name}-{place}" for place, (name, _) in enumerate(HYBRIDS)]
)
def test_blocks_of_a_file_are_those_of_the_formula_where_layers_keep_a_state(
    family: str, changes: dict[str, Any]
) -> None:
    """Files name a state as attention is (RWKV, Qwen3-Next), or attention as nothing is (RecurrentGemma)."""
    raw = HYBRID | changes | {"model_type": family}
    tensors = {
        name: TensorInfo(name, "F32", tuple(one.shape), Path("f"), 0, 4 * one.numel())
        for name, one in model_of(family, changes).named_parameters()
    }
    measured, computed = card(Source("m", raw, tensors=tensors)), card(Source("m", raw))
    assert measured.parameters.source == "weights"
    assert measured.parameters.by_block == computed.parameters.by_block
    words = measured.to_text("en")
    state = any(row.block == "other" and row.parameters for row in measured.parameters.by_block)
    assert ("mixing by a state" in words) is state


def test_what_rwkv_calls_attention_is_none() -> None:
    raw = {"model_type": "rwkv7", "architectures": ["RWKV7ForCausalLM"], "vocab_size": 10, "hidden_size": 4}
    raw |= {"num_hidden_layers": 2, "intermediate_size": 8, "tie_word_embeddings": True}
    sizes = {"model.embeddings.weight": (10, 4), "model.layers.0.attn.r_proj.weight": (4, 4)}
    sizes |= {"model.layers.1.attention.key.weight": (4, 4), "model.blocks.1.pre_ln.weight": (4,)}
    tensors = {
        name: TensorInfo(name, "F32", shape, Path("f"), 0, 4 * math.prod(shape)) for name, shape in sizes.items()
    }
    found = card(Source("m", raw, tensors=tensors))
    by_block = {row.block: row.parameters for row in found.parameters.by_block}
    assert (by_block["attention"], by_block["other"], by_block["norms"]) == (0, 32, 4)
    assert [part.attention for part in found.structure] == [0] * len(found.structure)
    assert "mélange par un état" in " ".join(found.to_text("fr").split())


@pytest.mark.parametrize(("lang", "words"), [("en", "quantised and packed"), ("fr", "quantifiés et empaquetés")])
@pytest.mark.parametrize("dtype", ["U32", "I32", "U8"])
def test_packed_numbers_are_said_to_be_packed(dtype: str, lang: str, words: str) -> None:
    raw = {**LLAMA, "model_type": "llama", "quantization": {"bits": 4}}
    tensors = {"model.layers.0.mlp.up_proj.weight": TensorInfo("w", dtype, (8, 8), Path("f"), 0, 256)}
    text = " ".join(card(Source("q", raw, tensors=tensors)).to_text(lang).split())
    assert words in text and dtype in text
    plain = {"model.layers.0.mlp.up_proj.weight": TensorInfo("w", "F16", (8, 8), Path("f"), 0, 128)}
    assert words not in " ".join(card(Source("q", raw, tensors=plain)).to_text(lang).split())
    assert words in UnsupportedError("packed_for_mlx", model="m").message(lang)
