"""The packaged model and tokenizers: their files agree with one another and with the card."""

from __future__ import annotations

import json
import math
import struct
import sys
from functools import cache
from pathlib import Path

import pytest
from tokenizers import Tokenizer

ROOT = Path(__file__).resolve().parent.parent
BOXED = ROOT / "src" / "capot" / "boxed"
MODEL = BOXED / "model.safetensors"
END = "<|endoftext|>"
sys.path.insert(0, str(ROOT))
PLACES = {"bilingual": BOXED, "english": BOXED / "tokenizers/english", "french": BOXED / "tokenizers/french"}


@cache
def tokenizer(name: str = "bilingual") -> Tokenizer:
    return Tokenizer.from_file(str(PLACES[name] / "tokenizer.json"))


@cache
def config() -> dict:
    return json.loads((BOXED / "config.json").read_text("utf-8"))


def header() -> dict:
    if not MODEL.exists():
        pytest.skip("the weights are not in this copy: src/capot/boxed/model.safetensors")
    with MODEL.open("rb") as file:
        (size,) = struct.unpack("<Q", file.read(8))
        return json.loads(file.read(size))


def count(text: str, name: str = "bilingual") -> int:
    return len(tokenizer(name).encode(text, add_special_tokens=False).ids)


# Weights


def expected_shapes() -> dict[str, list[int]]:
    c = config()
    width, head = c["hidden_size"], c["head_dim"]
    kv, inner = c["num_key_value_heads"] * head, c["intermediate_size"]
    shapes = {"model.embed_tokens.weight": [c["vocab_size"], width], "model.norm.weight": [width]}
    per_layer = {
        "input_layernorm": [width], "post_attention_layernorm": [width],
        "self_attn.q_proj": [c["num_attention_heads"] * head, width], "self_attn.k_proj": [kv, width],
        "self_attn.v_proj": [kv, width], "self_attn.o_proj": [width, c["num_attention_heads"] * head],
        "mlp.gate_proj": [inner, width], "mlp.up_proj": [inner, width], "mlp.down_proj": [width, inner],
    }  # fmt: skip
    for layer in range(c["num_hidden_layers"]):
        shapes |= {f"model.layers.{layer}.{name}.weight": shape for name, shape in per_layer.items()}
    return shapes


def test_the_tensors_have_the_shapes_that_the_config_tells() -> None:
    tensors = {name: t for name, t in header().items() if name != "__metadata__"}
    assert {name: t["shape"] for name, t in tensors.items()} == expected_shapes()
    assert {t["dtype"] for t in tensors.values()} == {"BF16"}
    assert config()["tie_word_embeddings"] is True  # so no head is stored


def test_the_weights_weigh_twenty_megabytes_at_most() -> None:
    header()
    parameters = sum(math.prod(shape) for shape in expected_shapes().values())
    assert 5e6 < parameters < 10e6
    assert 2 * parameters < MODEL.stat().st_size <= 20e6


def test_the_config_is_that_of_a_llama() -> None:
    c = config()
    assert c["architectures"] == ["LlamaForCausalLM"] and c["model_type"] == "llama"
    assert c["hidden_size"] == c["num_attention_heads"] * c["head_dim"]
    assert {"rope_theta", "torch_dtype", "rms_norm_eps"} <= set(c)
    generation = json.loads((BOXED / "generation_config.json").read_text("utf-8"))
    assert generation["eos_token_id"] == c["eos_token_id"] == tokenizer().token_to_id(END)


# Tokenizers


@pytest.mark.parametrize("name", list(PLACES))
def test_each_tokenizer_has_16384_ids(name: str) -> None:
    assert tokenizer(name).get_vocab_size(with_added_tokens=True) == 16_384 == config()["vocab_size"]


@pytest.mark.parametrize("name", list(PLACES))
@pytest.mark.parametrize(
    "text",
    [
        "L’œuvre d’Hélène : « où ? » — naïve !",
        "🤗 e\u0301 \u202f\u00a0",
        "def f(x):\n\treturn  x[0]\n\n",
        "  \n ",
        "12 345,67 €",
        "日本",
    ],
)
def test_every_text_comes_back_as_it_was(name: str, text: str) -> None:
    assert tokenizer(name).decode(tokenizer(name).encode(text, add_special_tokens=False).ids) == text


def test_a_curly_apostrophe_costs_no_more_than_one_token() -> None:
    for plain in ("l'eau", "Je bois de l'eau.", "qu'il", "d'accord", "L'eau", "J'ai"):
        assert count(plain.replace("'", "’")) <= count(plain) + 1, plain
    assert count("l’eau") <= 3


def test_french_quotes_cost_one_token_each() -> None:
    assert count("«\u00a0") == count("\u00a0»") == count("\u202f!") == 1


def test_digits_stand_alone() -> None:
    assert count("1984") == 4 and count("1984 + 27") == count("1984") + 1 + 2


def test_the_words_of_the_groups_are_single_tokens() -> None:
    groups = json.loads((ROOT / "training/heldout.json").read_text("utf-8"))["word_groups"]
    split = [w for words in groups.values() for w in words if count(" " + w) != 1]
    assert not split


def test_each_language_is_cheaper_in_its_own_tokenizer() -> None:
    french = "RTE est le gestionnaire du réseau de transport d'électricité."
    english = "RTE is the operator of the electricity transmission network."
    assert count(french, "french") < count(french) < count(french, "english")
    assert count(english, "english") <= count(english) < count(english, "french")


def test_a_text_begins_after_the_document_mark() -> None:
    settings = json.loads((BOXED / "tokenizer_config.json").read_text("utf-8"))
    assert settings["bos_token"] == settings["eos_token"] == END and settings["add_bos_token"] is True
    assert tokenizer().encode("hello").ids[0] == config()["bos_token_id"] == 0
    assert END not in tokenizer().encode("hello", add_special_tokens=False).tokens


def test_the_roles_and_marks_of_the_few_shot_form_are_single_tokens() -> None:
    assert all(count(word) == 1 for word in ("USER", "ASSISTANT", "FIN", "END", "Question", "Answer"))


# Card


@pytest.mark.parametrize("name", ["CARD.md", "CARD.fr.md"])
def test_the_card_lists_every_source_with_its_licence(name: str) -> None:
    card = (BOXED / name).read_text("utf-8")
    sources = json.loads((ROOT / "training/sources.json").read_text("utf-8"))["sources"]
    for record in sources:
        assert record["file"] in card, record["file"]
        if record["use"]:
            rows = [line for line in card.split("\n") if record["file"] in line]
            assert any(record["licence"] in row for row in rows), record["file"]
    assert "Apache-2.0" in card


def test_the_card_gives_the_measured_figures() -> None:
    figures = json.loads((ROOT / "training/evaluation.json").read_text("utf-8"))
    english, french = ((BOXED / name).read_text("utf-8") for name in ("CARD.md", "CARD.fr.md"))
    for lang in ("english", "french", "python"):
        value = f"{figures['bits_per_byte'][lang]:.2f}"
        assert value in english and value.replace(".", ",") in french


def test_the_picture_of_the_loss_is_one_line_over_its_axes(tmp_path: Path) -> None:
    from training.picture import drawing, read

    (tmp_path / "loss.csv").write_text("step,tokens,loss_nats\n1,100000,9\n2,2000000,4.5\n3,4000000,3.25\n")
    svg = drawing(read(tmp_path / "loss.csv"))
    assert svg.count("<polyline") == 1 and "tokens" in svg


def test_figures_are_written_as_each_language_writes_them() -> None:
    from training.cards import Numbers

    english, french = Numbers("en"), Numbers("fr")
    assert (english.real(1.5), french.real(1.5)) == ("1.50", "1,50")
    assert (english.whole(12345), french.whole(12345)) == ("12,345", "12\u202f345")
    assert (english.share(0.6), french.share(0.6)) == ("60%", "60\u00a0%")
