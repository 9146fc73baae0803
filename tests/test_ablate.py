"""The verb ``ablate``: ``before`` is what ``next`` answers, ``after`` the answer without the parts that were named."""

from __future__ import annotations

import json
from collections.abc import Iterator

import edits_helpers as editing
import numpy as np
import pytest

import capot
from capot.chapters.network import edited
from capot.engines.edits import Edit, Place
from capot.engines.protocol import Want
from capot.errors import CapabilityError, CapotError
from capot.i18n import LANGUAGES, points
from capot.model import Model
from capot.text import sampling
from capot.view.blocks import Table

PROMPTS = {"en": "The capital of France is", "fr": "La capitale de la France est"}
PROMPT = PROMPTS["en"]


@pytest.fixture(scope="module")
def boxed() -> Iterator[Model]:
    with capot.open() as model:
        yield model


def alone(model: Model, edits: tuple[Edit, ...], ids: list[int] | None = None) -> np.ndarray:
    """The logits of an edited text, from the engine itself. Shapes: (V,)."""
    ids = ids or model.tokenizer.encode_prompt(PROMPT)
    return model.scheduler.call(lambda: editing.passed(model.scheduler.engine, ids, edits, want=Want()).logits)


@pytest.fixture(scope="module")
def matters(boxed: Model) -> dict[str, list[str]]:
    """Heads of the model at hand without which the answer is another, in each language."""
    return {lang: editing.heads_that_matter(boxed, prompt) for lang, prompt in PROMPTS.items()}


@pytest.mark.parametrize("lang", LANGUAGES)
def test_heads_that_matter_are_off_and_the_answer_changes(
    boxed: Model, matters: dict[str, list[str]], lang: str
) -> None:
    found, answer = boxed.ablate(PROMPTS[lang], heads=matters[lang]), boxed.next(PROMPTS[lang])
    first = answer.candidates[0].text
    assert found.before.candidates == answer.candidates
    assert found.after.candidates[0].text != first and found.changed > 0.1
    assert found.before.text.startswith(first) and not found.after.text.startswith(first)
    words = found.to_text(lang)
    assert all(name in words for name in matters[lang]) and first.strip() in words and "{" not in words
    parts = [part for part in boxed.network(PROMPTS[lang]).contributions if part.head is not None]
    idle = [f"{part.layer}.{part.head}" for part in sorted(parts, key=lambda part: abs(part.logit))[:6]]
    others = [boxed.ablate(PROMPTS[lang], heads=[name], max_new_tokens=0) for name in idle]
    assert any(other.after.candidates[0].text == first and other.changed < found.changed / 2 for other in others)


def test_what_is_off_is_what_was_named(boxed: Model) -> None:
    found = boxed.ablate(PROMPT, heads=["2.3"], mlps=[4, 4], layers=[3], k=3, max_new_tokens=0)
    assert [(part.part, part.layer, part.head) for part in found.off] == [
        ("head", 2, 3),
        ("mlp", 4, None),
        ("attention", 3, None),
        ("mlp", 3, None),
    ]
    places = [Place("head", 2, 3), Place("mlp", 4), Place("attention", 3), Place("mlp", 3)]
    logits = alone(boxed, tuple(Edit(place) for place in places))
    assert [each.logit for each in found.after.candidates] == sorted(logits.tolist(), reverse=True)[:3]
    assert found.after.text == found.before.text == ""


def test_the_mean_is_over_the_text(boxed: Model) -> None:
    ids = boxed.tokenizer.encode_prompt(PROMPT)
    places = [Place("head", 4, 2), Place("mlp", 2)]
    states = boxed.scheduler.call(lambda: editing.states_of(boxed.scheduler.engine, ids, places))
    logits = alone(boxed, tuple(Edit(place, state.mean(0)) for place, state in zip(places, states, strict=True)))
    found = boxed.ablate(PROMPT, heads=["4.2"], mlps=[2], by="mean", k=1)
    assert found.after.candidates[0].logit == pytest.approx(float(logits.max()), abs=1e-4)
    assert found.after.candidates != boxed.ablate(PROMPT, heads=["4.2"], mlps=[2], k=1).after.candidates


def test_states_read_in_several_passes_are_the_same(boxed: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = {"layers": [1, 2], "heads": ["5.1"], "by": "mean", "k": 2}
    whole = boxed.ablate(PROMPT, **asked)
    monkeypatch.setattr(edited, "BYTES_OF_STATES", 1)
    assert boxed.ablate(PROMPT, **asked) == whole


def test_what_moved_is_the_difference_of_two_answers(boxed: Model) -> None:
    found = boxed.ablate(PROMPT, layers=[3], k=4)
    before = boxed.next(PROMPT, rank=[f"id:{shift.id}" for shift in found.moved])
    assert [shift.before for shift in found.moved] == [asked.probability for asked in before.asked]
    after = sampling.softmax(alone(boxed, (Edit(Place("attention", 3)), Edit(Place("mlp", 3)))))
    np.testing.assert_allclose(
        [shift.after for shift in found.moved], [after[each.id] for each in found.moved], rtol=1e-4
    )
    changes = [abs(shift.after - shift.before) for shift in found.moved]
    assert changes == sorted(changes, reverse=True)
    assert found.changed == pytest.approx(np.abs(after - sampling.softmax(before.logits)).sum() / 2, abs=1e-5)


def test_a_change_of_probability_is_in_percentage_points(boxed: Model) -> None:
    found = boxed.ablate(PROMPT, layers=[3], k=4, max_new_tokens=0)
    for lang, unit in (("en", "points"), ("fr", "points de pourcentage")):
        (table,) = [block for block in found.view(lang) if isinstance(block, Table)]
        assert unit in table.caption
        for shift, row in zip(found.moved, table.rows, strict=True):
            change = shift.after - shift.before
            assert row[-1] == points(change, lang) and "point" in row[-1] and "%" not in row[-1]
            assert row[-1][0] == ("+" if change > 0 else "\u2212")
            assert float(row[-1].split()[0].replace("\u2212", "-").replace(",", ".")) == pytest.approx(
                100 * change, rel=6e-3
            )
    # Where nothing changed no token is told to have changed most.
    alike = boxed.steer(PROMPT, toward="a", away="b", strength=0, k=3, max_new_tokens=0)
    assert alike.before == alike.after and alike.changed == 0
    for lang, said in (("en", "No token’s probability"), ("fr", "Aucun token ne change")):
        assert not [block for block in alike.view(lang) if isinstance(block, Table)] and said in alike.to_text(lang)


def test_the_text_that_follows_is_edited_too(boxed: Model, matters: dict[str, list[str]]) -> None:
    edits = tuple(Edit(Place("head", *map(int, name.split(".")))) for name in matters["en"])
    found = boxed.ablate(PROMPT, heads=matters["en"], max_new_tokens=5)
    ids = boxed.tokenizer.encode_prompt(PROMPT)
    plain = boxed.generate(PROMPT, temperature=0, max_new_tokens=5)
    assert found.before.text == plain.text
    made: list[int] = []
    for _ in range(5):
        made.append(int(alone(boxed, edits, [*ids, *made]).argmax()))
    assert found.after.text != found.before.text
    assert found.after.text == "".join(map(boxed.tokenizer.token_text, made))


def test_a_text_that_fills_the_context_says_so(boxed: Model) -> None:
    room = boxed.scheduler.engine.info.context_length
    words = 1
    while len(boxed.tokenizer.encode_prompt("the " * words)) < room - 2:
        words += 1
    long = "the " * words
    assert room - 2 <= len(boxed.tokenizer.encode_prompt(long)) < room
    found = boxed.ablate(long, layers=[1], max_new_tokens=5)
    assert {found.before.stop_reason, found.after.stop_reason} == {"context_full"}
    for lang, said in (("en", "The context is full"), ("fr", "Le contexte est plein")):
        assert said in " ".join(found.to_text(lang).replace("\u00a0", " ").split())
    short = boxed.ablate(PROMPT, layers=[1], max_new_tokens=1)
    assert short.before.stop_reason == "max_new_tokens" and "context is full" not in short.to_text("en")


def test_neither_answer_leaves_an_edited_cache(boxed: Model) -> None:
    with capot.open() as model:
        first = model.ablate(PROMPT, heads=["5.1"], mlps=[2])
        assert model.scheduler.status()["idle_caches"] == 1  # the plain text's
        assert model.next(PROMPT).candidates == first.before.candidates
        assert model.generate(PROMPT, temperature=0, max_new_tokens=12).text == first.before.text


def test_json_is_as_documented(boxed: Model) -> None:
    found = json.loads(boxed.ablate(PROMPT, heads=["5.1"], k=2).to_json())
    assert list(found) == ["prompt", "before", "after", "changed", "moved", "by", "off"]
    assert list(found["before"]) == list(found["after"]) == ["candidates", "text", "stop_reason"]
    assert list(found["moved"][0]) == ["id", "text", "label", "before", "after"]
    assert found["off"] == [{"part": "head", "layer": 5, "head": 1}] and found["by"] == "zero"


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ({"prompt": "", "layers": [1]}, "empty_prompt"),
        ({}, "nothing_to_edit"),
        ({"heads": ["99.1"]}, "not_a_head"),
        ({"heads": ["1"]}, "not_a_head"),
        ({"mlps": [0]}, "out_of_range"),
        ({"layers": [99]}, "out_of_range"),
        ({"layers": [1], "k": 0}, "out_of_range"),
        ({"layers": [1], "max_new_tokens": 201}, "out_of_range"),
        ({"layers": [1], "by": "half"}, "bad_choice"),
        ({"layers": [1, 2], "by": "mean", "prompt": "a b " * 200}, "network_too_much"),
    ],
)
def test_what_is_refused(boxed: Model, monkeypatch: pytest.MonkeyPatch, asked: dict[str, object], code: str) -> None:
    steps = boxed.scheduler.status()["steps"]
    monkeypatch.setattr(edited, "MOST_STATES", 100_000)
    with pytest.raises(CapotError) as caught:
        boxed.ablate(**{"prompt": PROMPT} | asked)
    assert caught.value.code == code and boxed.scheduler.status()["steps"] == steps
    for lang in LANGUAGES:
        assert "{" not in caught.value.message(lang)


def test_an_engine_that_cannot_says_so() -> None:
    with capot.open("scripted") as model, pytest.raises(CapabilityError) as caught:
        model.ablate("abc", layers=[1])
    assert caught.value.code == "capability"
