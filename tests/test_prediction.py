"""The chapter next: the distribution, its figures, and tokens asked for by name."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import capot
from capot.chapters.next.verb import resolve
from capot.cli import run
from capot.config import Sampling
from capot.engines.scheduler import Scheduler
from capot.engines.scripted import ScriptedEngine
from capot.errors import ContextError, InputError
from capot.i18n import percent
from capot.text import sampling
from capot.text.tokenizer import Tokenizer

PROMPT = "La capitale de l'"


@pytest.fixture
def model():
    with capot.open("scripted") as opened:
        yield opened


class Words(Tokenizer):
    """A tokenizer with words in it: bytes, then `` Paris`` 300, ``Paris`` 301, `` Pa`` 302, ``ris`` 303."""

    def __init__(self) -> None:
        self.__dict__.update(Tokenizer.bytes().__dict__)
        self.vocabulary_size = 304
        self.known = {" Paris": [300], "Paris": [301], " Parisian": [300, 105, 97, 110]}

    def encode(self, text, *, specials="text", bos=False):
        return self.known.get(text) or [*text.encode()]


def test_json_has_the_fields_that_are_promised(model) -> None:
    answer = json.loads(model.next(PROMPT, k=3, rank=["id:65"]).to_json())
    promised = {"prompt", "temperature", "vocabulary_size", "entropy_bits", "exact", "candidates", "asked"}
    assert promised <= set(answer) and "logits" not in answer
    assert len(answer["candidates"]) == 3 and answer["exact"] is True
    for each in answer["candidates"] + answer["asked"]:
        assert {"rank", "id", "text", "logit", "probability"} <= set(each)
    assert answer["vocabulary_size"] == 260 and answer["prompt_tokens"] == len(PROMPT)


def test_it_is_the_softmax_of_the_logits(model) -> None:
    for temperature in (0.5, 1.0, 3.0):
        found = model.next(PROMPT, temperature=temperature, k=260)
        logits = found.logits.astype(np.float64) / temperature
        expected = np.exp(logits - logits.max())
        expected /= expected.sum()
        order = np.argsort(-logits, kind="stable")
        assert [each.id for each in found.candidates] == order.tolist()
        np.testing.assert_allclose([each.probability for each in found.candidates], expected[order], rtol=1e-9)
        assert found.entropy_bits == pytest.approx(-(expected * np.log2(expected)).sum())
        assert [each.logit for each in found.candidates] == found.logits[order].tolist()  # raw, whatever T


def test_at_zero_the_best_takes_everything(model) -> None:
    found = model.next(PROMPT, temperature=0, k=4)
    assert [each.probability for each in found.candidates] == [1.0, 0.0, 0.0, 0.0]
    assert found.entropy_bits == 0.0
    assert [each.id for each in found.candidates] == [each.id for each in model.next(PROMPT, k=4).candidates]


def test_a_token_is_asked_for_by_number_or_by_text(model) -> None:
    found = model.next(PROMPT, k=260, rank=["id:65", "A", "'A'", "E"])
    by_id = {each.id: each for each in found.candidates}
    assert found.asked[0].id == 65
    for each in found.asked:
        assert (each.rank, each.logit) == (by_id[each.id].rank, by_id[each.id].logit)
    assert [each.asked for each in found.asked if each.tokens == 1] == ["id:65", "A", "'A'", "E"]


@pytest.mark.parametrize(
    ("asked", "prompt", "expected"),
    [
        ("Paris", "to", [(301, 1), (300, 1)]),  # both spellings, as the prompt does not say which
        ("Paris", "to ", [(301, 1)]),  # the prompt ends with the space
        (" Paris", "to", [(300, 1)]),
        ("·Paris", "to", [(300, 1)]),  # as a view shows it
        ("' Paris'", "to", [(300, 1)]),  # as Python shows it
        ("'Paris'", "to", [(301, 1)]),  # quoted: exactly that
        (" Parisian", "to", [(300, 4)]),  # several tokens: the first, and how many there are
        ("id:77", "to", [(77, 1)]),
        ("'id:77'", "to", [(105, 5)]),
        ("⏎", "to", [(10, 1)]),
        (".", "to", [(46, 1)]),
        ("'", "to", [(39, 1)]),
        ("'a", "to", [(39, 2)]),
        ("'\\", "to", [(39, 2)]),
    ],
)
def test_what_a_name_may_mean(asked, prompt, expected) -> None:
    assert [(each.id, each.tokens) for each in resolve(Words(), asked, prompt=prompt)] == expected


def test_of_two_spellings_the_likelier_comes_first(model) -> None:
    first, second = model.next("The capital of", rank="France").asked
    assert (first.tokens, second.tokens) == (6, 7)
    spaced = model.next("The capital of", rank="F").asked
    assert [each.text for each in spaced] == ["F", " "]


@pytest.mark.parametrize("plain", [200, 201])
def test_of_two_single_tokens_the_better_rank_comes_first(model, plain: int) -> None:
    model.shared.tokenizer = Words()
    model.tokenizer.known = {"Paris": [plain], " Paris": [401 - plain]}
    asked = model.next("to", rank="Paris").asked
    assert {each.id for each in asked} == {200, 201} and asked[0].rank < asked[1].rank


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"prompt": ""}, "empty_prompt"),
        ({"prompt": "a", "k": 0}, "out_of_range"),
        ({"prompt": "a", "k": "many"}, "not_a_number"),
        ({"prompt": "a", "temperature": -1}, "out_of_range"),
        ({"prompt": "a", "temperature": float("nan")}, "not_a_number"),
        ({"prompt": "a", "rank": ""}, "empty_rank"),
        ({"prompt": "a", "rank": "id:x"}, "not_an_id"),
        ({"prompt": "a", "rank": "id:260"}, "no_such_id"),
        ({"prompt": "a", "ids": [97, 260]}, "no_such_id"),
        ({"prompt": "a", "ids": [-1]}, "no_such_id"),
        ({"prompt": "a", "rank": "id:²"}, "not_an_id"),
        ({"prompt": "", "ids": []}, "empty_prompt"),
    ],
)
def test_what_makes_no_sense_is_refused(model, options, code) -> None:
    with pytest.raises(InputError) as caught:
        model.next(**options)
    assert caught.value.code == code
    assert caught.value.message("fr") != caught.value.message("en")


def test_a_prompt_longer_than_the_context_is_refused(model) -> None:
    model.shared.at_work = Scheduler(ScriptedEngine(context_length=20))
    assert model.next("x" * 20).prompt_tokens == 20
    with pytest.raises(ContextError) as caught:
        model.next("x" * 21)
    assert caught.value.params == {"tokens": 21, "context_length": 20}


def test_an_edited_prompt_computes_only_what_changed(model) -> None:
    assert model.next("The capital of France").reused_tokens == 0
    assert model.next("The capital of Japan").reused_tokens == len("The capital of ")
    assert model.next("The capital of Japan", temperature=2).reused_tokens == len("The capital of Japan") - 1


@pytest.mark.parametrize(
    ("value", "english", "french"),
    [
        (1.0, "100.0%", "100,0\u00a0%"),
        (0.0456, "4.56%", "4,56\u00a0%"),
        (0.000321, "0.0321%", "0,0321\u00a0%"),
        (0.0000321, "0.00321%", "0,00321\u00a0%"),
        (0.0999996, "10.0%", "10,0\u00a0%"),
        (1e-12, "< 0.0001%", "< 0,0001\u00a0%"),
        (0.99996, "99.996%", "99,996\u00a0%"),
        (0.0, "0.0%", "0,0\u00a0%"),
    ],
)
def test_shares_as_read(value, english, french) -> None:
    assert (percent(value, "en"), percent(value, "fr")) == (english, french)


@given(st.floats(0, 1))
def test_what_is_possible_is_not_written_as_impossible(value: float) -> None:
    """Nor what is not sure as sure: one form, wherever a probability is told."""
    written = percent(value, "en")
    told = float(written.strip("<% "))
    assert (told == 0) is (value == 0) and (told < 100 or value > 1 - 1e-6)
    assert written.startswith("<") or told == pytest.approx(100 * value, rel=0.006)


def test_the_view_says_the_numbers_of_this_run(model) -> None:
    found = model.next(PROMPT, k=4, rank=["E", "Espagne"])
    english, french = found.to_text("en"), found.to_text("fr")
    assert english.startswith("What may come next?") and french.startswith("Qu’est-ce qui peut suivre")
    best = found.candidates[0]
    assert f"“{best.label}” is the most probable: {percent(best.probability, 'en')}" in english
    assert f"{found.entropy_bits:.2f} bits" in english
    assert "7 tokens" in english and "7 tokens" in french
    for text in (english, french):
        assert all(f"{each.logit:.2f}".replace(".", "," if text is french else ".").strip("-") in text
                   for each in found.candidates)  # fmt: skip
    assert "<table" in found.to_html("fr")
    zero = model.next(PROMPT, temperature=0).to_text("en")
    assert "At temperature 0" in zero


def test_the_end_of_a_long_prompt_is_shown(model) -> None:
    text = model.next("a" * 500 + "THE END").to_text("en")
    assert "…aaa" in text and "THE END" in text and "a" * 400 not in text.replace("\n", "")


def test_the_command_prints_json_and_words(capsys) -> None:
    arguments = ["next", "The capital of Japan is", "--model", "scripted", "-k", "2", "--rank", " "]
    assert run([*arguments, "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["candidates"][0]["text"] == " " and answer["asked"][0]["rank"] == 1
    assert run([*arguments, "--lang", "fr"]) == 0
    assert "Les 2 tokens les plus probables" in capsys.readouterr().out
    assert run(["next", "", "--model", "scripted", "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "empty_prompt"


def test_filters_leave_what_generate_may_draw(model) -> None:
    settings = {"temperature": 0.8, "top_k": 5, "top_p": 0.9, "min_p": 0.02}
    found = model.next(PROMPT, k=260, **settings)
    expected = sampling.probabilities(found.logits, Sampling(**settings))
    assert found.kept == np.count_nonzero(expected) < 6
    for each in found.candidates:
        assert each.probability == expected[each.id]
    assert found.entropy_bits == sampling.entropy_bits(expected)
    assert f"{found.kept} may be drawn" in " ".join(found.to_text("en").split())
    assert model.next(PROMPT).kept == 260


def test_several_temperatures_stand_side_by_side(capsys: pytest.CaptureFixture[str]) -> None:
    model = capot.open("scripted")
    alone = [model.next("ab", k=3, temperature=each, top_k=5) for each in (0.2, 0.7, 0.0)]
    whole = model.next("ab", k=3, temperature=0.2, top_k=5, beside=(0.7, 0.0))
    assert dataclasses.replace(whole, beside=(), prefill_s=0.0, reused_tokens=0) == dataclasses.replace(
        alone[0], prefill_s=0.0, reused_tokens=0
    )
    for drawn, single in zip(whole.beside, alone[1:], strict=True):
        assert (drawn.temperature, drawn.kept) == (single.temperature, single.kept)
        assert drawn.entropy_bits == pytest.approx(single.entropy_bits)
        assert drawn.probabilities == tuple(each.probability for each in single.candidates)
    for lang, mark in (("en", "T = 0.2"), ("fr", "T = 0,2")):
        assert mark in whole.to_text(lang) and mark not in alone[0].to_text(lang)
    assert run(["next", "ab", "-k", "3", "--top-k", "5", "-t", "0.2,0.7,0", "--model", "scripted", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["beside"] == whole.to_dict()["beside"]


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("0.5", [0.5]),
        ("0,5", [0.5]),
        ("1", [1.0]),
        ("0.2,0.7,1.5", [0.2, 0.7, 1.5]),
        ("0.2,1", [0.2, 1.0]),
        ("0,1,2", [0.0, 1.0, 2.0]),
        ("0,2;0,7;1,5", [0.2, 0.7, 1.5]),
        ("0.2; 0.7", [0.2, 0.7]),
    ],
)
def test_temperatures_are_read_as_they_are_written(
    capsys: pytest.CaptureFixture[str], typed: str, meant: list[float]
) -> None:
    assert run(["next", "a", "--temperature", typed, "--model", "scripted", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert [answer["temperature"], *(each["temperature"] for each in answer["beside"])] == meant


@pytest.mark.parametrize(
    ("typed", "code", "told"),
    [
        ("0.2,warm", "not_a_number", "--temperature"),
        ("0.2,,1", "not_a_number", "--temperature"),
        ("0.2,101", "out_of_range", "temperature"),
        ("1,2,3,4,5,6,7,8,9", "too_many_temperatures", "8"),
    ],
)
def test_what_is_no_temperature_among_several_is_refused(
    capsys: pytest.CaptureFixture[str], typed: str, code: str, told: str
) -> None:
    assert run(["next", "a", "-t", typed, "--model", "scripted", "--json"]) == 2
    error = json.loads(capsys.readouterr().out)["error"]
    assert error["code"] == code and told in error["message"]
