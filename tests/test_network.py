"""The chapter ``network``: it tells what ``next`` answers, and heads are called what they were built to be."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import embeddings_helpers
import native_helpers
import numpy as np
import pytest

import capot
from capot.chapters.network import bounds, heads
from capot.engines.protocol import Capability
from capot.engines.scheduler import Scheduler
from capot.engines.scripted import ScriptedEngine
from capot.errors import CapabilityError, CapotError
from capot.i18n import LANGUAGES, percent
from capot.model import Model
from capot.view.blocks import Bars, Table

PROMPT = "The capital of France is"


@pytest.fixture(scope="module")
def boxed() -> Iterator[Model]:
    with capot.open() as model:
        yield model


def test_the_last_guess_is_what_next_answers(boxed: Model) -> None:
    found, answer = boxed.network(PROMPT, k=7), boxed.next(PROMPT, k=7)
    last = found.layers[-1].guesses[-1]
    assert [each.id for each in last.candidates] == [each.id for each in answer.candidates]
    probabilities = [each.probability for each in answer.candidates]
    np.testing.assert_allclose([each.probability for each in last.candidates], probabilities, rtol=1e-5)
    assert (found.target.id, found.target.logit) == (answer.candidates[0].id, answer.candidates[0].logit)
    final = boxed.lens(PROMPT).layers
    assert [layer.guesses[-1].id for layer in found.layers] == [depth.top.id for depth in final]


def test_parts_and_remainder_add_up(boxed: Model) -> None:
    for target in (None, " Paris", "id:300"):
        found = boxed.network(PROMPT, target=target)
        whole = sum(each.logit for each in found.contributions) + found.remainder
        assert whole == pytest.approx(found.target.logit, abs=1e-5) and abs(found.remainder) < 0.2
    info = boxed.scheduler.engine.info
    assert len(found.contributions) == 1 + info.layers * (info.heads + 1) and found.target.id == 300
    assert boxed.network(PROMPT, target="Paris").target.text == " Paris"


def test_json_is_as_documented(boxed: Model) -> None:
    found = json.loads(boxed.network(PROMPT, k=2, attention="4.2").to_json())
    keys = "prompt tokens layers heads target contributions remainder attention reads"
    assert list(found) == keys.split() and set(found["tokens"][0]) == {"id", "text"}
    layer = found["layers"][2]
    assert list(layer) == ["layer", "guesses", "attention_norm", "mlp_norm", "attention_cosine", "mlp_cosine"]
    assert list(layer["guesses"][0]) == ["position", "id", "text", "probability", "candidates"]
    assert len(layer["guesses"]) == len(layer["mlp_norm"]) == len(found["tokens"])
    assert found["layers"][0]["mlp_norm"] is None and list(found["heads"][0]) == ["layer", "head", "kind", "scores"]
    assert list(found["heads"][0]["scores"]) == list(heads.NAMES)
    assert list(found["contributions"][0]) == ["layer", "part", "head", "logit"]
    assert (found["attention"]["layer"], found["attention"]["head"]) == (4, 2)
    np.testing.assert_allclose(np.sum(found["attention"]["weights"], axis=1), 1, atol=1e-5)


def test_scores_are_means_of_the_weights_that_are_shown(boxed: Model) -> None:
    found = boxed.network(PROMPT, attention="3.2")
    weights = np.array(found.attention.weights)
    scores = next(each.scores for each in found.heads if (each.layer, each.head) == (3, 2))
    assert scores.itself == pytest.approx(np.diag(weights)[2:].mean(), abs=1e-6)
    assert scores.previous == pytest.approx(np.diag(weights, -1)[1:].mean(), abs=1e-6)
    assert scores.first == pytest.approx(weights[2:, 0].mean(), abs=1e-6)
    short = boxed.network("The").heads[0]
    assert short.scores.first is None and short.scores.induction is not None


def test_a_text_too_short_to_measure_has_no_names_of_measures(boxed: Model) -> None:
    """Two tokens: the one before is the first one. What is measured on other tokens is named all the same."""
    found = boxed.network("a", k=1)
    assert len(found.tokens) < 3 and {head.scores.previous for head in found.heads} == {None}
    induction = {(head.layer, head.head) for head in boxed.network(PROMPT, k=1).heads if head.kind == "induction"}
    assert {(head.layer, head.head): head.kind for head in found.heads} == {
        (head.layer, head.head): "induction" if (head.layer, head.head) in induction else None for head in found.heads
    }
    for lang, short in (("en", "this text is shorter"), ("fr", "ce texte est plus court")):
        said = " ".join(found.to_text(lang).replace("\u00a0", " ").split())
        assert short in said and {"en": "mixed", "fr": "mixte"}[lang] not in said
    assert "random tokens that are read twice" in " ".join(boxed.network(PROMPT, k=1).to_text("en").split())


def test_what_a_token_reads_is_its_row_of_each_heads_weights(boxed: Model) -> None:
    found = boxed.network(PROMPT, reader=-2, attention="3.2")
    assert found.reads.position == len(found.tokens) - 2
    rows = {(each.layer, each.head): each.weights for each in found.reads.heads}
    assert set(rows) == {(each.layer, each.head) for each in found.heads}
    np.testing.assert_allclose(rows[3, 2], found.attention.weights[-2][:-1], atol=1e-6)
    np.testing.assert_allclose([sum(row) for row in rows.values()], 1, atol=1e-5)
    told = found.view("fr")[-1]
    assert "tête par tête" in told.title and len(told.rows) <= 16


def test_some_layers_and_positions_alone(boxed: Model) -> None:
    whole = boxed.network(PROMPT, k=2)
    few = boxed.network(PROMPT, k=2, layers=[5, 0, 2], positions=[-1, 1])
    last = len(whole.tokens) - 1
    assert [layer.layer for layer in few.layers] == [0, 2, 5]
    for layer in few.layers:
        expected = whole.layers[layer.layer]
        assert tuple(layer.guesses) == (expected.guesses[1], expected.guesses[last])
        if layer.layer:
            assert layer.mlp_norm == [expected.mlp_norm[1], expected.mlp_norm[last]]


def test_no_layer_and_no_position_named_are_all_of_them(boxed: Model) -> None:
    assert boxed.network("The", layers=[], positions=[]) == boxed.network("The")


# What is refused, and when.


def watched() -> tuple[Model, list[int]]:
    """The scripted model, and how many tokens each of its steps reads."""
    fed: list[int] = []
    model = capot.open("scripted")
    engine = ScriptedEngine(before_step=lambda feeds: fed.extend(len(feed.ids) for feed in feeds))
    model.shared.at_work = Scheduler(engine)
    return model, fed


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ({"prompt": ""}, "empty_prompt"),
        ({"k": 0}, "out_of_range"),
        ({"k": 101}, "out_of_range"),
        ({"layers": [5]}, "out_of_range"),
        ({"positions": [3]}, "out_of_range"),
        ({"attention": "1"}, "not_a_head"),
        ({"attention": "1.3"}, "not_a_head"),
        ({"attention": "0.1"}, "not_a_head"),
        ({"reader": 3}, "out_of_range"),
        ({"reader": -4}, "out_of_range"),
        ({"prompt": "a" * 500, "k": 100}, "network_too_much"),
        ({"prompt": "a" * 1001, "attention": "1.1", "positions": [-1]}, "network_too_much"),
        ({"prompt": "a" * 5000}, "prompt_too_long"),
        ({"target": "id:999"}, "no_such_id"),
        ({"target": "e"}, "capability"),
    ],
)
def test_what_is_refused_is_refused_before_the_work(asked: dict[str, Any], code: str) -> None:
    model, fed = watched()
    with model, pytest.raises(CapotError) as caught:
        model.network(**{"prompt": "abc"} | asked)
    assert caught.value.code == code and fed == []
    for lang in LANGUAGES:
        assert "{" not in caught.value.message(lang)


def test_what_it_may_hold_is_counted_before_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    model, fed = watched()
    counted: list[tuple[int, int]] = []
    holding = model.scheduler.holding
    monkeypatch.setattr(model.scheduler, "holding", lambda need: counted.append((need, len(fed))) or holding(need))
    with model:
        model.network("a" * 100, k=2, attention="1.1")
        model.network("a" * 100, k=2, reader=49)
    guesses, fed_before = 2 * 5 * 100 * bounds.BYTES_OF_GUESS, counted[1][1]
    weights = [count * bounds.BYTES_OF_WEIGHT for count in (100 * 100, 4 * 2 * 50)]
    assert counted == [(guesses + weights[0], 0), (guesses + weights[1], fed_before)]


def test_heads_are_measured_once_for_a_model() -> None:
    model, fed = watched()
    with model:
        first, again = model.network("abcd"), model.network("abcd")
        assert sum(fed) == 4 + 4 + len(model.tokenizer.encode_prompt(" ")[:1]) + 2 * heads.REPEATED
    assert first.heads == again.heads


def test_what_a_build_does_not_allow_is_empty_and_said(boxed: Model) -> None:
    for lang, parts, shown in (
        ("en", "built in another way", "no attention"),
        ("fr", "construites autrement", "pas de poids"),
    ):
        with capot.open("scripted") as model:
            told = " ".join(model.network("abc").to_text(lang).split())
            assert parts in told and shown not in told
            model.shared.at_work = Scheduler(ScriptedEngine(capabilities=Capability.LOGITS | Capability.LAYER_LOGITS))
            found = model.network("abc")
            assert (found.heads, found.target, found.contributions, found.remainder) == ((), None, (), None)
            assert shown in " ".join(found.to_text(lang).split())
            with pytest.raises(CapabilityError):
                model.network("abc", attention="1.1")
        whole = " ".join(boxed.network(PROMPT).to_text(lang).split())
        assert parts not in whole and shown not in whole


def test_the_picture_has_a_row_for_each_layer_and_shades_by_probability(boxed: Model) -> None:
    found = boxed.network(PROMPT)
    picture = next(block for block in found.view("en") if isinstance(block, Table))
    count = boxed.card().layers
    assert [row[0] for row in picture.rows] == [str(layer) for layer in range(count, -1, -1)]
    guess = found.layers[-1].guesses[-1].text
    assert (
        picture.rows[0][-1] == guess.replace(" ", "·")
        and picture.heat[0][-1] == found.layers[-1].guesses[-1].probability
    )
    bars = next(block for block in found.view("fr") if isinstance(block, Bars))
    assert len(bars.rows) == 1 + 2 * count + 1 and max(bar.value for bar in bars.rows) == 1.0


def test_a_kept_page_has_all_guesses_in_one_table(boxed: Model) -> None:
    found = boxed.network(" ".join(f"word {number}" for number in range(70)), k=1)
    count, layers = len(found.tokens), len(found.layers)
    assert count > 128
    page = found.to_html("en")
    picture = page[page.index('<table class="heat grid">') :].split("</table>")[0]
    assert page.count('class="heat grid"') == 1 and picture.count('<th scope="col"') == 129
    assert picture.count('<th scope="row"') == layers and picture.count('<td class="w') == 128 * layers
    assert f"Of {count} tokens the last 128 are shown." in page
    short = boxed.network(PROMPT, attention="1.1")
    assert short.to_html("fr").count('class="heat grid"') == 2 and "sont montrés" not in short.to_text("fr")


# What heads are called, on a network built for it.

CONTENT, WIDTH, SIZE = 48, 192, 96  # numbers that stand for a token, of the model, of a head
THETA = 1e8  # so that the later half of a head's pairs hardly turns within a text


def built(folder: Path, *, previous: bool = True) -> Path:
    """Two layers of two heads. 1.1 looks one token back and writes what it finds beside each token; 2.1 looks for the
    token that has its own token written so; 2.2 looks for its own token; 1.2 looks everywhere alike.

    Without ``previous`` nothing is written, and 2.1 finds nothing.
    """
    torch = pytest.importorskip("torch", reason="the model is made by PyTorch")
    transformers = pytest.importorskip("transformers", reason="the model is made by transformers")

    config = transformers.Qwen2Config(
        vocab_size=native_helpers.VOCABULARY, hidden_size=WIDTH, intermediate_size=16, num_hidden_layers=2,
        num_attention_heads=2, num_key_value_heads=2, max_position_embeddings=1024, tie_word_embeddings=False,
        rope_parameters={"rope_type": "default", "rope_theta": THETA}, bos_token_id=1, eos_token_id=2,
    )  # fmt: skip
    model = transformers.Qwen2ForCausalLM(config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.fill_(1.0 if "norm" in name else 0.0)
        tokens = torch.randn((config.vocab_size, CONTENT), generator=torch.Generator().manual_seed(0))
        own, before = slice(0, CONTENT), slice(CONTENT, 2 * CONTENT)
        model.model.embed_tokens.weight[:, own] = tokens / tokens.norm(dim=1, keepdim=True)
        model.model.embed_tokens.weight[:, -1] = 1.0
        first, second = (layer.self_attn for layer in model.model.layers)
        # A score that is highest one token back: fast pairs, the key's turned by one position.
        fast = torch.arange(8)
        angle = THETA ** (-2 * fast / SIZE)
        first.q_proj.bias[fast] = 14.0
        first.k_proj.bias[fast], first.k_proj.bias[fast + SIZE // 2] = 14.0 * torch.cos(angle), 14.0 * torch.sin(angle)
        same = torch.eye(CONTENT)
        first.v_proj.weight[own, own] = same / (WIDTH / 2) ** 0.5  # undoes the norm
        first.o_proj.weight[before, own] = same * previous
        slow = torch.cat([torch.arange(SIZE // 4, SIZE // 2), torch.arange(3 * SIZE // 4, SIZE)])  # hardly turn
        for head, keys in ((0, before), (1, own)):
            rows = slow + head * SIZE
            second.q_proj.weight[rows, own] = 2.0 * same
            second.k_proj.weight[rows, keys] = 2.0 * same
    model.save_pretrained(folder)
    embeddings_helpers.tokenizer().save(str(folder / "tokenizer.json"))
    return folder


@pytest.mark.parametrize("engine", ["native", "hf"])
def test_a_head_built_for_induction_is_called_so_and_the_others_are_not(tmp_path: Path, engine: str) -> None:
    pytest.importorskip("accelerate")
    options = {"device": "cpu"} if engine == "hf" else {}
    with capot.open(built(tmp_path / "with"), engine=engine, **options) as model:
        found = {(each.layer, each.head): each for each in model.network("The river bank is green").heads}
    assert {place: each.kind for place, each in found.items()} == {
        (1, 1): "previous", (1, 2): "mixed", (2, 1): "induction", (2, 2): "itself",
    }  # fmt: skip
    assert found[2, 1].scores.induction > 0.8 and found[1, 1].scores.previous > 0.8
    assert max(found[place].scores.induction for place in ((1, 1), (1, 2), (2, 2))) < 0.1
    with capot.open(built(tmp_path / "without", previous=False), engine=engine, **options) as model:
        control = {(each.layer, each.head): each for each in model.network("The river bank is green").heads}
    assert control[2, 1].kind == "mixed" and control[2, 1].scores.induction < 0.1


def test_random_networks_have_no_head_of_induction(tmp_path: Path) -> None:
    for seed in range(3):
        folder = native_helpers.make(tmp_path / str(seed), "llama", seed=seed)
        embeddings_helpers.tokenizer().save(str(folder / "tokenizer.json"))
        with capot.open(folder, engine="native") as model:
            assert "induction" not in {each.kind for each in model.network("The river bank is green").heads}


def test_the_caption_says_since_which_layer_the_guess_stands(boxed: Model) -> None:
    prompt = "La capitale de la France est"
    whole = boxed.network(prompt)
    last, final = whole.layers[-1].layer, whole.layers[-1].guesses[-1]
    guess = final.text.replace(" ", "·")
    assert whole.target.text == final.text and guess
    other = max(each.layer for each in whole.layers if each.guesses[-1].id != final.id)
    for layers, words in (
        ([other, last], "; the layer shown before it guesses something else."),
        ([last], f", and so does every layer shown from {last} on."),
    ):
        found = boxed.network(prompt, layers=layers).to_text(lang="en").replace("\n", " ")
        assert f"layer {last} guesses “{guess}” ({percent(final.probability, 'en')}){words}" in found
