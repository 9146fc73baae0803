"""The verbs ``patch`` and ``steer``: a state of another text in its place, a direction added to the stream."""

from __future__ import annotations

import itertools
import json
import signal
from collections.abc import Iterator
from typing import Any

import edits_helpers as editing
import numpy as np
import pytest

import capot
from capot.chapters.network import edited, patch, patch_result
from capot.engines.edits import Edit, Entry, Place
from capot.engines.inside import Inside
from capot.engines.protocol import Capability, Feed, Want
from capot.engines.scheduler.variants import Variants
from capot.errors import CapabilityError, CapotError, InputError, InterruptedByUser
from capot.i18n import LANGUAGES
from capot.model import Model

TEXTS = {
    "en": ("The capital of France is", "The capital of Italy is"),
    "fr": ("La capitale de la France est", "La capitale de l’Italie est"),
}
PROMPT, SOURCE = TEXTS["en"]
SHORT = {"k": 3, "max_new_tokens": 0}


@pytest.fixture(scope="module")
def boxed() -> Iterator[Model]:
    with capot.open() as model:
        yield model


@pytest.fixture(scope="module")
def grid(boxed: Model) -> Any:
    return boxed.patch(PROMPT, source=SOURCE, k=5)


def logits(model: Model, text: str, edits: tuple[Edit, ...] = ()) -> np.ndarray:
    ids = model.tokenizer.encode_prompt(text)
    return model.scheduler.call(lambda: editing.passed(model.scheduler.engine, ids, edits, want=Want()).logits)


def state(model: Model, text: str, place: Place, position: int) -> np.ndarray:
    ids = model.tokenizer.encode_prompt(text)
    return model.scheduler.call(lambda: editing.states_of(model.scheduler.engine, ids, [place]))[0][position]


def difference(found: Any, of: np.ndarray) -> float:
    return float(of[found.between[0].id]) - float(of[found.between[1].id])


# --- patch


@pytest.mark.parametrize("part", ["residual", "attention", "mlp", "head"])
def test_a_cell_is_the_whole_text_read_with_that_state(boxed: Model, part: str) -> None:
    found = boxed.patch(PROMPT, source=SOURCE, part=part, **SHORT)
    chosen = found.grid[:: max(1, len(found.grid) // 7)]
    for cell in chosen:
        place = Place(part, cell.layer, cell.head)
        edit = Edit(place, state(boxed, SOURCE, place, cell.position)[None], (cell.position,))
        assert cell.difference == pytest.approx(difference(found, logits(boxed, PROMPT, (edit,))), abs=2e-2)
    edit = Edit(
        Place(part, found.layer, found.head),
        state(boxed, SOURCE, Place(part, found.layer, found.head), found.source_position)[None],
        (found.position,),
    )
    best = logits(boxed, PROMPT, (edit,))
    assert found.after.candidates[0].logit == pytest.approx(float(best.max()), abs=2e-2)


def test_the_grid_has_every_place_and_goes_from_one_answer_to_the_other(boxed: Model, grid: Any) -> None:
    info, answer, other = boxed.scheduler.engine.info, boxed.next(PROMPT), boxed.next(SOURCE)
    tokens = len(grid.tokens)
    assert [(each.layer, each.position) for each in grid.grid] == list(
        itertools.product(range(info.layers + 1), range(tokens))
    )
    assert grid.before.candidates == answer.candidates[:5]
    assert grid.between[0].id == answer.candidates[0].id
    assert grid.between[1].id == next(each.id for each in other.candidates if each.id != grid.between[0].id)
    assert grid.difference.before == pytest.approx(difference(grid, logits(boxed, PROMPT)), abs=1e-3)
    assert grid.difference.source == pytest.approx(difference(grid, logits(boxed, SOURCE)), abs=1e-3)
    cells = {(each.layer, each.position): each.difference for each in grid.grid}
    changed = next(p for p, (a, b) in enumerate(zip(grid.tokens, grid.source_tokens, strict=True)) if a != b)
    assert 0 < changed < tokens - 1
    for layer in range(info.layers + 1):
        assert cells[layer, 0] == cells[layer, changed - 1] == grid.difference.before  # alike in both texts: no bit
    # The word itself, as it enters, and what leaves the last layer: the other text's answer.
    assert cells[0, changed] == pytest.approx(grid.difference.source, abs=2e-2)
    assert cells[info.layers, tokens - 1] == pytest.approx(grid.difference.source, abs=2e-2)


@pytest.mark.parametrize("lang", LANGUAGES)
def test_the_place_that_changes_most_is_shown(boxed: Model, lang: str) -> None:
    prompt, source = TEXTS[lang]
    found = boxed.patch(prompt, source=source, k=3, max_new_tokens=3)
    assert (
        found.after.candidates[0].id != found.before.candidates[0].id
        and 0 < found.layer < boxed.scheduler.engine.info.layers
    )
    moves = {
        (each.layer, each.position): found.difference.before - each.difference
        for each in found.grid
        if 0 < each.layer < boxed.scheduler.engine.info.layers
    }
    assert moves[found.layer, found.position] == max(moves.values()) > 1
    words = found.to_text(lang)
    assert (
        source in " ".join(words.split())
        and found.between[0].label in words
        and found.between[1].label in words
        and "{" not in words
    )
    assert found.after.text != found.before.text


def test_only_what_lies_behind_a_patch_is_read_again(boxed: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = boxed.scheduler.engine
    fed: list[list[tuple[int | None, int]]] = []
    step = type(engine).step

    def counted(self: Any, feeds: list[Feed]) -> Any:
        fed.append([(None if feed.entry is None else feed.entry.level, len(feed.ids)) for feed in feeds])
        return step(self, feeds)

    monkeypatch.setattr(type(engine), "step", counted)
    found = boxed.patch(PROMPT, source=SOURCE, **SHORT)
    entered = [each for feeds in fed for each in feeds if each[0] is not None]
    tokens, layers = len(found.tokens), boxed.scheduler.engine.info.layers
    assert sorted(entered) == sorted((level, tokens - at) for level in range(layers + 1) for at in range(tokens))
    together = [feeds for feeds in fed if feeds[0][0] is not None]
    assert len(together) == layers + 1  # all positions of a layer in one pass


def test_texts_of_different_lengths_are_aligned_from_their_ends(boxed: Model) -> None:
    long = "I have heard that the capital of Italy is"
    found = boxed.patch(PROMPT, source=long, layer=2, **SHORT)
    shift = len(found.source_tokens) - len(found.tokens)
    assert shift > 0 and [each.position for each in found.grid] == list(range(len(found.tokens)))
    assert found.source_position == found.position + shift
    cell = found.grid[found.position]
    put = state(boxed, long, Place("residual", 2), found.position + shift)
    of = logits(boxed, PROMPT, (Edit(Place("residual", 2), put[None], (found.position,)),))
    assert cell.difference == pytest.approx(difference(found, of), abs=2e-2)
    assert any(
        "ends" in block.caption or "beside" in block.caption for block in found.view("en") if hasattr(block, "heat")
    )
    back = boxed.patch(long, source=PROMPT, layer=2, **SHORT)
    assert [each.position for each in back.grid] == list(range(shift, len(back.tokens)))
    with pytest.raises(CapotError) as caught:
        boxed.patch(long, source=PROMPT, layer=2, position=0)
    assert caught.value.code == "no_token_beside"


def test_what_is_named_is_all_that_is_tried(boxed: Model) -> None:
    found = boxed.patch(
        PROMPT, source=SOURCE, part="head", layer=3, head=2, position=-2, between=["Rome", "Paris"], **SHORT
    )
    assert [(each.layer, each.head, each.position) for each in found.grid] == [(3, 2, len(found.tokens) - 2)]
    assert [each.text for each in found.between] == [" Rome", " Paris"] and found.difference.before < 0
    heads = boxed.patch(PROMPT, source=SOURCE, part="head", **SHORT)
    info = boxed.scheduler.engine.info
    assert len(heads.grid) == info.layers * info.heads
    assert {each.position for each in heads.grid} == {len(heads.tokens) - 1}


def test_heads_at_every_position_where_asked(boxed: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    info = boxed.scheduler.engine.info
    found = boxed.patch(PROMPT, source=SOURCE, part="head", every_position=True, **SHORT)
    tokens = len(found.tokens)
    places = itertools.product(range(1, info.layers + 1), range(1, info.heads + 1), range(tokens))
    assert [(each.layer, each.head, each.position) for each in found.grid] == list(places)
    last = boxed.patch(PROMPT, source=SOURCE, part="head", **SHORT)
    at_last = [each.difference for each in found.grid if each.position == tokens - 1]
    assert at_last == pytest.approx([each.difference for each in last.grid], abs=2e-2)
    cell = max(found.grid[tokens - 2 :: tokens], key=lambda each: abs(each.difference - found.difference.before))
    place = Place("head", cell.layer, cell.head)
    edit = Edit(place, state(boxed, SOURCE, place, cell.position)[None], (cell.position,))
    assert cell.difference == pytest.approx(difference(found, logits(boxed, PROMPT, (edit,))), abs=2e-2)
    assert cell.difference != found.difference.before
    for lang in LANGUAGES:
        table = next(block for block in found.view(lang) if getattr(block, "grid", False))
        assert [row[0] for row in table.rows] == [
            f"{layer}.{head}" for layer in range(info.layers, 0, -1) for head in range(info.heads, 0, -1)
        ]
        assert len(table.columns) == 1 + tokens and table.heat[0][0] is None
        with monkeypatch.context() as few:
            few.setattr(patch_result, "MOST_ROWS", 3)
            shown = next(block for block in found.view(lang) if getattr(block, "grid", False))
        assert len(shown.rows) == 3 and f"{found.layer}.{found.head}" in [row[0] for row in shown.rows]
        assert shown.caption != table.caption and str(info.layers * info.heads) in shown.caption


def test_the_same_text_changes_no_bit(boxed: Model) -> None:
    for part in ("residual", "attention", "mlp", "head"):
        found = boxed.patch(PROMPT, source=PROMPT, part=part, **SHORT)
        assert {each.difference for each in found.grid} == {found.difference.before} and found.changed == 0


def test_json_is_as_documented(grid: Any) -> None:
    found = json.loads(grid.to_json())
    texts = ["prompt", "before", "after", "changed", "moved", "source", "tokens", "source_tokens"]
    places = ["part", "layer", "head", "position", "source_position", "between", "difference", "grid"]
    assert list(found) == texts + places
    assert list(found["between"][0]) == ["id", "text", "label", "before", "source", "tokens"]
    assert list(found["difference"]) == ["before", "source"]
    assert list(found["grid"][0]) == ["layer", "head", "position", "difference"]
    assert list(found["tokens"][0]) == ["id", "text"] and list(found["before"]) == ["candidates", "text", "stop_reason"]


def test_one_token_of_several_that_were_asked_for_is_said(boxed: Model) -> None:
    """A logit is one token's: of a text of several the first is meant, and nobody is left to guess it."""
    several = "Paris and Rome"
    count = len(boxed.tokenizer.encode(f" {several}", specials="allow"))
    found = boxed.patch(PROMPT, source=SOURCE, between=[several, "Rome"], part="mlp", position=-1, **SHORT)
    assert count > 1 and [each.tokens for each in found.between] == [count, 1]
    told = boxed.network(PROMPT, k=1, target=several)
    assert told.target.tokens == count and boxed.network(PROMPT, k=1, target="Paris").target.tokens == 1
    for answer in (found, told):
        for lang, said in (("en", f"the first of the {count} tokens"), ("fr", f"le premier des {count} tokens")):
            assert " ".join(answer.to_text(lang).split()).count(said) == 1
    assert "first of the" not in boxed.network(PROMPT, k=1).to_text("en")


def test_a_grid_leaves_takes_and_extends_no_cache() -> None:
    with capot.open() as model:
        model.next(PROMPT)
        before = model.scheduler.status()
        model.patch(PROMPT, source=SOURCE, **SHORT)
        after = model.scheduler.status()
        assert before["idle_caches"] == 1 and after["idle_caches"] <= 3  # this text's and the other's, as they are
        for text in (PROMPT, SOURCE):
            again = model.next(text + " a")
            np.testing.assert_allclose(again.logits, logits(model, text + " a"), rtol=0, atol=2e-2)
        engine = model.scheduler.engine
        idle = sum(sequence.nbytes for _, sequence in model.scheduler._caches.idle.values())
        assert engine.allocations().current["kv_cache"] == idle


def test_progress_tells_of_every_place(boxed: Model) -> None:
    heard: list[Any] = []
    boxed.patch(PROMPT, source=SOURCE, layer=2, progress=heard.append, **SHORT)
    assert [(each.step, each.unit, each.done, each.total) for each in heard] == [
        ("measuring", "places", done, len(heard)) for done in range(1, len(heard) + 1)
    ]


def test_ctrl_c_ends_a_grid_between_two_passes(boxed: Model) -> None:
    heard: list[Any] = []

    def hears(event: Any) -> None:
        heard.append(event)
        if len(heard) == 1:
            signal.raise_signal(signal.SIGINT)

    allocated = boxed.scheduler.engine.allocations().current["kv_cache"]
    with pytest.raises(InterruptedByUser):
        boxed.patch(PROMPT, source=SOURCE, progress=hears, **SHORT)
    assert 0 < len(heard) <= 7  # the pass that was under way
    boxed.scheduler.call(lambda: None)
    assert boxed.scheduler.engine.allocations().current[
        "kv_cache"
    ] <= allocated + 2 * boxed.scheduler.engine.cache_bytes(64)


def test_a_text_longer_than_a_step_is_branched_in_several(boxed: Model) -> None:
    text = "The river runs past the old town and the mill. " * 28 + PROMPT
    other = "The river runs past the old town and the mill. " * 28 + SOURCE
    found = boxed.patch(text, source=other, layer=3, position=4, **SHORT)
    assert len(found.tokens) > 256 + 5
    put = state_in_chunks(boxed, other, Place("residual", 3), 4)
    ids = boxed.tokenizer.encode_prompt(text)
    result = boxed.scheduler.run(ids, edits=(Edit(Place("residual", 3), put[None], (4,)),))
    assert found.grid[0].difference == pytest.approx(difference(found, result.output.logits), abs=2e-2)


def state_in_chunks(model: Model, text: str, place: Place, position: int) -> np.ndarray:
    asked = Want("none", inside=Inside(states=(place,), positions=(position,)))
    return model.scheduler.run(model.tokenizer.encode_prompt(text), want=asked).output.inside.states[0][0]


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ({"prompt": ""}, "empty_prompt"),
        ({"source": ""}, "empty_text"),
        ({"part": "query"}, "bad_choice"),
        ({"layer": 99}, "out_of_range"),
        ({"part": "mlp", "layer": 0}, "out_of_range"),
        ({"head": 1}, "head_of_no_head"),
        ({"part": "head", "head": 99}, "out_of_range"),
        ({"position": 6}, "out_of_range"),
        ({"between": ["Paris"]}, "not_two_tokens"),
        ({"between": ["Paris", "id:99999999"]}, "no_such_id"),
        ({"between": ["Paris", " Paris"]}, "one_token_twice"),
        ({"k": 0}, "out_of_range"),
        ({"prompt": "a b c " * 60, "source": "b a c " * 60}, "grid_too_large"),
        ({"prompt": "a b c " * 60, "source": "b a c " * 60, "layer": 1}, "grid_too_long"),
        ({"prompt": "a b c " * 600, "source": "b"}, "prompt_too_long"),
    ],
)
def test_what_is_refused_before_anything_is_computed(
    boxed: Model, monkeypatch: pytest.MonkeyPatch, asked: dict[str, Any], code: str
) -> None:
    monkeypatch.setattr(patch, "MOST_CELLS", 300)
    monkeypatch.setattr(patch, "MOST_READ", 3000)
    steps = boxed.scheduler.status()["steps"]
    passes: list[int] = []
    monkeypatch.setattr(Variants, "__enter__", lambda self: passes.append(1))
    with pytest.raises(CapotError) as caught:
        boxed.patch(**{"prompt": PROMPT, "source": SOURCE} | asked)
    assert caught.value.code == code and boxed.scheduler.status()["steps"] == steps and not passes
    for lang in LANGUAGES:
        assert "{" not in caught.value.message(lang)


def test_a_pass_from_a_layer_tells_of_no_other(boxed: Model) -> None:
    engine, width = boxed.scheduler.engine, boxed.scheduler.engine.info.width
    ids = boxed.tokenizer.encode_prompt(PROMPT)
    states = np.zeros((len(ids), width), np.float32)
    wrong = [
        (Entry(99, states), Want()),
        (Entry(1, states[1:]), Want()),
        (Entry(1, states), Want(hidden=True)),
        (Entry(1, states), Want(inside=Inside(k=1))),
    ]
    for entry, want in wrong:
        with pytest.raises(ValueError, match=r"entry|from a layer"):
            boxed.scheduler.call(
                lambda entry=entry, want=want: engine.step([Feed(engine.open_sequence(), ids, want, (), entry)])
            )
    two = [Feed(engine.open_sequence(), ids, Want(), (), Entry(level, states)) for level in (1, 2)]
    with pytest.raises(ValueError, match="from levels"):
        boxed.scheduler.call(lambda: engine.step(two))


# --- steer


def test_a_direction_is_added_while_a_text_is_generated(boxed: Model) -> None:
    texts = {"toward": "I love this day", "away": "I hate this horrible day"}
    tried = ((times, boxed.steer(PROMPT, **texts, layer=3, strength=times, max_new_tokens=4)) for times in (1.5, 3, 6))
    # The surer a model, the more it takes.
    strength, found = next((s, each) for s, each in tried if each.changed > 0.1 and each.before.text != each.after.text)
    place = Place("residual", 3)
    direction = strength * (state(boxed, texts["toward"], place, -1) - state(boxed, texts["away"], place, -1))
    edits = (Edit(place, direction, adds=True),)
    engine, ids, made = boxed.scheduler.engine, boxed.tokenizer.encode_prompt(PROMPT), list[int]()
    for _ in range(4):
        run = boxed.scheduler.call(lambda: editing.passed(engine, [*ids, *made], edits, want=Want()).logits)
        if not made:
            assert found.after.candidates[0].logit == pytest.approx(float(run.max()), abs=1e-3)
        made.append(int(run.argmax()))
    assert found.after.text == "".join(map(boxed.tokenizer.token_text, made)) != found.before.text
    assert found.before.candidates == boxed.next(PROMPT).candidates
    assert found.added_norm == pytest.approx(float(np.linalg.norm(direction)), rel=1e-4)
    assert found.stream_norm == pytest.approx(float(np.linalg.norm(state(boxed, PROMPT, place, -1))), rel=1e-4)
    other = boxed.steer(PROMPT, **texts, layer=2, strength=strength, max_new_tokens=0)
    assert other.after.candidates != found.after.candidates
    for lang in LANGUAGES:
        words = found.to_text(lang)
        assert texts["toward"] in " ".join(words.split()) and "{" not in words


def test_the_other_way_round_is_below_zero(boxed: Model) -> None:
    one = boxed.steer(PROMPT, toward="I love it", away="I hate it", strength=-1, **SHORT)
    other = boxed.steer(PROMPT, toward="I hate it", away="I love it", strength=1, **SHORT)
    assert one.after.candidates == other.after.candidates and one.layer == boxed.scheduler.engine.info.layers // 2
    assert boxed.steer(PROMPT, toward="I love it", away="I hate it", strength=0, **SHORT).changed == 0


def test_the_json_of_steer_is_as_documented(boxed: Model) -> None:
    found = json.loads(boxed.steer(PROMPT, toward="I love it", away="I hate it", **SHORT).to_json())
    fields = "prompt before after changed moved toward away layer strength added_norm stream_norm"
    assert list(found) == fields.split()


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ({"prompt": ""}, "empty_prompt"),
        ({"toward": ""}, "empty_text"),
        ({"away": ""}, "empty_text"),
        ({"layer": -1}, "out_of_range"),
        ({"strength": 101}, "out_of_range"),
        ({"strength": float("nan")}, "not_a_number"),
        ({"away": "I love it"}, "no_direction"),
    ],
)
def test_what_steer_refuses(boxed: Model, asked: dict[str, Any], code: str) -> None:
    with pytest.raises(CapotError) as caught:
        boxed.steer(**{"prompt": PROMPT, "toward": "I love it", "away": "I hate it"} | asked)
    assert caught.value.code == code


@pytest.mark.parametrize("lang", ["en", "fr"])
@pytest.mark.parametrize(
    ("verb", "asked"),
    [
        ("ablate", {"prompt": ""}),
        ("patch", {"prompt": "", "source": "a"}),
        ("patch", {"prompt": "a", "source": ""}),
        ("patch", {"prompt": "a", "source": "b", "between": ["", "b"]}),
        ("steer", {"prompt": "", "toward": "a", "away": "b"}),
        ("steer", {"prompt": "a", "toward": "", "away": "b"}),
        ("steer", {"prompt": "a", "toward": "b", "away": ""}),
    ],
)
def test_what_is_proposed_for_an_empty_text_is_answered(
    boxed: Model, verb: str, asked: dict[str, Any], lang: str
) -> None:
    with pytest.raises(InputError) as caught:
        getattr(boxed, verb)(**asked)
    line = caught.value.message(lang, face="python").splitlines()[-1].replace("\u00a0", " ").partition(": ")[2]
    assert line.startswith(f"model.{verb}(")
    assert eval(line, {"model": boxed}).after.candidates  # noqa: S307 - a line of our own words


def test_a_steered_text_leaves_no_cache() -> None:
    with capot.open() as model:
        first = model.steer(PROMPT, toward="I love it", away="I hate it", max_new_tokens=6)
        plain = model.generate(PROMPT, temperature=0, max_new_tokens=6)
        assert plain.text == first.before.text
        kept = [sequence.ids for _, sequence in model.scheduler._caches.idle.values()]
        steered = model.tokenizer.encode_prompt(PROMPT) + model.tokenizer.encode(first.after.text)
        assert kept and all(ids != steered[: len(ids)] or len(ids) <= len(first.prompt) for ids in kept)


def test_engines_that_cannot_say_so() -> None:
    with capot.open("scripted") as model:
        for ask in (
            lambda: model.patch("abc", source="axc"),
            lambda: model.steer("abc", toward="a", away="b"),
        ):
            with pytest.raises(CapabilityError) as caught:
                ask()
            assert caught.value.code == "capability"
    assert edited.MOST_STATES > 0 and Capability.BRANCHES
