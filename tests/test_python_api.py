"""Python as a face: its language, its words for what is wrong, what a console shows, tables, what loading took."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import pickle
import sys
import threading
import typing
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import capot
from capot.chapters.arguments import fits
from capot.chapters.hints import hints_of
from capot.chapters.registry import verbs
from capot.errors import ArgumentTypeError, BusyError, CapotError, InputError, MissingExtraError, NotFoundError
from capot.model import Model
from capot.view.result import Result

PROMPT = "The capital of Australia is"
CALLS: dict[str, dict[str, Any]] = {
    "tokens": {"text": "Bonjour", "compare": ["english"]},
    "embed": {"words": ["cat", "dog"]},
    "context": {"word": "bank", "sentences": ["A river bank.", "My bank."]},
    "lens": {"prompt": PROMPT},
    "next": {"prompt": PROMPT},
    "generate": {"prompt": PROMPT, "seed": 1, "max_new_tokens": 60},
    "memory": {"tokens": [1, 64]},
    "assistant": {"question": "What is a token?", "temperature": 0, "max_new_tokens": 8},
    "chat": {"messages": ["Hello!"], "temperature": 0, "max_new_tokens": 4},
}

EDITING = ("ablate", "patch", "steer")  # the scripted engine has no stream that could be changed
# One needs files, others give no answer that shows itself.
APART = ("card", "stream", "vectors", "hidden", *EDITING)
CALLS |= {
    "network": {"prompt": PROMPT},
    "ablate": {"prompt": PROMPT, "layers": [1], "max_new_tokens": 2},
    "patch": {"prompt": PROMPT, "source": "The capital of Italy is", "layer": 1, "max_new_tokens": 2},
    "steer": {"prompt": PROMPT, "toward": "I love it", "away": "I hate it", "max_new_tokens": 2},
    "score": {"text": PROMPT},
    "card": {},
    "stream": {"prompt": PROMPT},
    "vectors": {"tokens": "abc"},
    "hidden": {"prompt": PROMPT},
}


@pytest.fixture(scope="module")
def french() -> Iterator[Model]:
    with capot.open("scripted", lang="fr") as model:
        yield model


@pytest.fixture(scope="module")
def answers(french: Model) -> dict[str, Result]:
    """An answer of every kind that Python can be given, those that are parts of others included."""
    found: dict[str, Any] = {name: getattr(french, name)(**given) for name, given in CALLS.items() if name not in APART}
    with capot.open("boxed", lang="fr") as boxed:
        found |= {name: getattr(boxed, name)(**CALLS[name]) for name in EDITING}
    found |= {"way": found["assistant"].answers[2], "turn": found["chat"].turns[0]}
    found |= {"cut": found["tokens"].comparisons[1], "simulated": french.memory(simulate=True, known="Llama-3.2-1B")}
    found |= {"card": capot.card.describe_known("Llama-3.2-1B").in_language("fr")}
    return found | {"models": capot.models.cached().in_language("fr")}


# Its language.


def test_a_model_answers_in_its_own_language(answers: dict[str, Result], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CAPOT_LANG")
    monkeypatch.setenv("LC_ALL", "C")
    for name, answer in answers.items():
        assert 'lang="fr"' in answer.to_html() and str(answer) == answer.to_text("fr"), name
        assert name == "cut" or answer.to_text("fr") != answer.to_text("en"), name  # nothing but tokens
        assert pickle.loads(pickle.dumps(answer)).lang == "fr"  # noqa: S301 - our own bytes
    shown = {name: answer._repr_html_() for name, answer in answers.items()}
    told = {name: repr(answer) for name, answer in answers.items()}
    assert "suivre" in shown["next"] and "mémoire" in shown["memory"]
    for name, answer in answers.items():
        assert answer.in_language("en")._repr_html_() != shown[name] and (repr(answer) != told[name]), name
        answer.in_language("fr")
    with capot.open("scripted") as model:  # none of its own: the one in use
        assert 'lang="en"' in model.next(PROMPT).to_html()


@pytest.mark.parametrize("lang", ["en", "fr"])
def test_errors_speak_the_models_language(lang: str, tmp_path: Path) -> None:
    model = capot.open("scripted", lang=lang)
    raised: list[CapotError] = []

    def heard(call: Any) -> None:
        with pytest.raises(CapotError) as caught:
            call()
        raised.append(caught.value)

    heard(lambda: model.next(""))
    heard(lambda: model.next(3))
    heard(lambda: model.checkpoint)
    heard(lambda: model.stream("a", ids=[10**6]))
    heard(lambda: capot.open(str(tmp_path / "none"), lang=lang))
    heard(lambda: copy.copy(model))
    model.close()
    heard(lambda: model.scheduler)
    heard(model.load)
    heard(model.__enter__)
    other = {"en": "fr", "fr": "en"}[lang]
    for error in raised:
        assert error.lang == lang and str(error) == error.message(lang) != error.message(other), error.code
        assert str(pickle.loads(pickle.dumps(error))) == str(error)  # noqa: S301 - our own bytes


def test_an_error_in_the_middle_of_a_stream_speaks_it_too(french: Model) -> None:
    stream = french.stream(PROMPT, seed=1, max_new_tokens=3)
    stream.inbox.events.put(BusyError("closed"))
    with pytest.raises(BusyError, match="ce modèle a été fermé"):
        list(stream)
    stream.close()
    whole = french.stream(PROMPT, seed=1, max_new_tokens=3)
    list(whole)
    assert whole.result is not None and repr(whole.result).endswith("comme demandé>")


def test_a_language_that_is_none_is_refused() -> None:
    with pytest.raises(InputError) as caught:
        capot.open("scripted", lang="de")
    assert caught.value.code == "unknown_language"


@pytest.mark.parametrize("lang", [3, b"fr", ["fr"]])
def test_whatever_shows_an_answer_refuses_a_language_that_is_no_text(answers: dict[str, Result], lang: Any) -> None:
    for answer in answers.values():
        for show in (answer.view, answer.brief, answer.to_text, answer.to_html):
            with pytest.raises(InputError) as caught:
                show(lang)
            assert caught.value.code == "unknown_language"
            assert show("fr") == show(lang="fr") and show(None)


def test_no_name_opens_what_the_environment_names(monkeypatch: pytest.MonkeyPatch) -> None:
    assert capot.open().name == "boxed"
    monkeypatch.setenv("CAPOT_MODEL", "scripted")
    assert capot.open().name == "scripted" and capot.open("boxed").name == "boxed"
    monkeypatch.setenv("CAPOT_MODEL", "")
    assert capot.open().name == "boxed"
    monkeypatch.setenv("CAPOT_MODEL", "no-such-model-here")
    with pytest.raises(NotFoundError, match="no-such-model-here"):
        capot.open()


# What a console shows.


def test_a_console_shows_a_summary_of_every_answer(answers: dict[str, Result]) -> None:
    kinds = {type(answer).__name__ for answer in answers.values()}
    for name, answer in answers.items():
        told = repr(answer)
        assert told.startswith(f"<{type(answer).__name__}: ") and told.endswith(">") and "\n" not in told, name
        assert len(f"<{type(answer).__name__}: >") + 8 < len(told) < 260, (name, told)
    assert PROMPT in repr(answers["next"]) and "Canberra" in repr(answers["generate"])
    assert len(kinds) == 19
    long = dataclasses.replace(answers["next"], prompt="x\n\x1b[2J" * 5000)
    assert len(repr(long)) < 260 and "\x1b" not in repr(long)


def test_no_kind_of_answer_writes_all_its_fields() -> None:
    """Dataclasses make a ``__repr__`` of every field wherever they find none."""

    def kinds(base: type) -> Iterator[type]:
        for kind in base.__subclasses__():
            yield from (kind, *kinds(kind))

    @dataclasses.dataclass(frozen=True)
    class Anything(Result):
        numbers: tuple[int, ...] = tuple(range(10_000))

        def view(self, lang: str | None = None) -> list[Any]:
            from capot.view.blocks import Heading, Text

            return [Heading("Why?"), Text("Because.")]

    assert repr(Anything()) == "<Anything: Because.>"
    ours = [kind for kind in kinds(Result) if kind.__module__.startswith("capot.")]
    assert len(ours) > 15 and all(kind.__repr__ is Result.__repr__ for kind in ours)


# Dictionaries and tables.


def test_every_answer_is_a_dictionary_and_most_are_tables(answers: dict[str, Result]) -> None:
    none = set()
    for name, answer in answers.items():
        assert isinstance(answer.to_dict(), dict) and len(answer.to_dict()) > 2
        try:
            rows = answer.to_rows()
        except InputError as error:
            assert error.code == "no_rows" and "to_dict" in str(error)
            none.add(name)
            continue
        assert name == "models" or (rows and len({tuple(row) for row in rows}) == 1), name
        assert not [value for row in rows for value in row.values() if dataclasses.is_dataclass(value)], name
    assert none == {"way", "turn"}
    first = answers["next"].to_rows()[0]
    assert first["rank"] == 1 and first["probability"] == answers["next"].candidates[0].probability
    assert [row["tokens"] for row in answers["memory"].to_rows()] == [1, 64]
    assert answers["memory"].to_rows()[0]["computed_total"] == answers["memory"].rows[0].computed.total
    assert [row["word"] for row in answers["embed"].to_rows()] == ["cat", "dog"]
    assert answers["embed"].to_rows()[0]["cosine dog"] == answers["embed"].cosine[0][1]
    assert [row["id"] for row in answers["generate"].to_rows()] == [each.id for each in answers["generate"].tokens]


def test_a_table_of_pandas_has_the_same_rows(answers: dict[str, Result]) -> None:
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    for name, answer in answers.items():
        if name in ("way", "turn"):
            with pytest.raises(InputError):
                answer.to_pandas()
            continue
        table = answer.to_pandas()
        assert isinstance(table, pandas.DataFrame) and len(table) == len(answer.to_rows())
        assert list(table.columns) == list(dict.fromkeys(key for row in answer.to_rows() for key in row))
    assert answers["next"].to_pandas()["probability"].sum() == pytest.approx(1.0)


def test_without_pandas_an_answer_says_what_to_do(answers: dict[str, Result], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)  # an import of it fails
    with pytest.raises(MissingExtraError) as caught:
        answers["next"].to_pandas()
    assert "pip install pandas" in str(caught.value) and "to_rows()" in str(caught.value)
    assert caught.value.lang == "fr"


# Wrong kinds.

WRONG = (
    3,
    2.5,
    None,
    True,
    b"x",
    "text",
    object(),
    ["text", b"x"],
    [1, "x"],
    {"a": 1},
    np.zeros((2, 2)),
    {1, object()},
)


def arguments() -> list[Any]:
    """Every argument of every verb."""
    found = []
    for name in verbs():
        kinds = {each: kind for each, kind in hints_of(getattr(Model, name)).items() if each not in ("self", "return")}
        found += [pytest.param(name, each, kind, id=f"{name}-{each}") for each, kind in kinds.items()]
    return found


def names_of(kind: Any) -> tuple[Any, ...]:
    return (kind, *typing.get_args(kind))


@pytest.mark.parametrize(("verb", "name", "kind"), arguments())
def test_a_value_of_a_wrong_kind_is_told_in_words(french: Model, verb: str, name: str, kind: Any) -> None:
    wrong = [value for value in WRONG if not fits(kind, value)]
    assert len(wrong) >= 5 and any(value is not None for value in wrong)
    for value in wrong:
        with pytest.raises(ArgumentTypeError) as caught:
            getattr(french, verb)(**{**CALLS[verb], name: value})
        error = caught.value
        assert isinstance(error, TypeError) and error.params["name"].startswith(name)
        assert error.code == "wrong_kind" or (error.code == "not_a_number" and {int, float} & set(names_of(kind)))
        for lang in ("en", "fr"):
            what, hint = error.message(lang).splitlines()
            assert what.startswith(name) and (
                error.code != "wrong_kind" or error.params["expected"].sentence(lang) in what
            )
            line = hint.partition("model.")[2]
            assert line.startswith(f"{verb}(")  # that it gives ``name`` is held to below


@pytest.mark.parametrize(("verb", "name", "kind"), arguments())
def test_the_line_that_is_proposed_is_sound(french: Model, verb: str, name: str, kind: Any) -> None:
    """It is held to the very check that proposed it: of the right kinds, with all that cannot be left out."""
    with pytest.raises(ArgumentTypeError) as caught:
        getattr(french, verb)(**{**CALLS[verb], name: object()})
    line = caught.value.params["line"]
    given: dict[str, Any] = {}

    class Caught:
        def __getattr__(self, _: str) -> Any:
            signature = inspect.signature(getattr(Model, verb))
            return lambda *args, **told: given.update(signature.bind(None, *args, **told).arguments) or talk

    talk = french.chat([])  # of which a conversation is taken
    eval(line, {"model": Caught(), "capot": capot})  # noqa: S307 - our own line
    kinds = hints_of(getattr(Model, verb))
    assert name in given and all(fits(kinds[each], value) for each, value in given.items() if each != "self")


def test_what_is_of_the_right_kind_is_let_through(french: Model) -> None:
    one = french.next(PROMPT, k=np.int64(2), temperature=np.float32(1), ids=np.array([72, 105]))
    assert len(one.candidates) == 2 and one.prompt_tokens == 2
    assert french.next(PROMPT, ids=range(65, 70)).prompt_tokens == 5
    assert french.tokens("a", compare=(name for name in ["english"])).comparisons[1].tokenizer == "english"
    assert [word.word for word in french.embed(word for word in ("cat", "dog")).words] == ["cat", "dog"]
    assert french.generate(PROMPT, stop=iter(["."]), seed=1, max_new_tokens=2).sampling["stop"] == (".",)
    assert french.embed("cat").words[0].word == "cat"  # one text stands for a list of one


def test_names_of_arguments_are_told(french: Model) -> None:
    for call, code, meant in (
        (lambda: french.next(PROMPT, temprature=1), "no_such_setting", "temperature"),  # codespell:ignore
        (french.next, "argument_missing", "prompt"),
        (lambda: french.context("a"), "argument_missing", "sentences"),
        (lambda: french.card(all=True), "no_such_setting", "known"),
    ):
        with pytest.raises(TypeError) as caught:
            call()
        assert caught.value.code == code and meant in str(caught.value)


@pytest.mark.parametrize("name", list(inspect.signature(capot.open).parameters))
def test_opening_is_told_the_kinds_of_its_own_arguments(name: str) -> None:
    with pytest.raises(ArgumentTypeError) as caught:
        capot.open(**{"model": "scripted", name: object()})
    given = "" if name == "model" else f"{name}="
    assert caught.value.params["name"] == name and f"capot.open({given}" in str(caught.value)
    with pytest.raises(ArgumentTypeError, match=r"capot\.open\("):
        capot.open(b"boxed")


@pytest.mark.parametrize(
    ("kind", "value", "found"),
    [
        (str, np.str_("a"), True),
        (int, np.int8(1), True),
        (int, np.bool_(True), False),
        (float, 1, True),
        (typing.Sequence[int], [True], False),
        (typing.Sequence[int], np.zeros((2, 2), int), False),
        (typing.Sequence[int], "12", False),
        (typing.Sequence[str], b"ab", False),
        (typing.Sequence[str], {"a": 1}, False),
        (typing.Iterable[str], {"a"}, True),
        (typing.Literal["a", "b"], "c", True),  # which ones there are is its chapter's affair
        (bool, 1, False),
    ],
)
def test_kinds(kind: Any, value: Any, found: bool) -> None:
    assert fits(kind, value) is found


# What opening took; closing; copies.


def test_loading_is_a_step_that_can_be_seen() -> None:
    model = capot.open("scripted")
    assert model.loaded is None and repr(model) == "Model(model='scripted')"
    loaded = model.load()
    assert loaded is model.loaded is model.load()
    assert (loaded.engine, loaded.device, loaded.dtype) == ("scripted", "cpu", "float32") and loaded.seconds > 0
    assert repr(model) == f"Model(model='scripted') # {loaded.words()}" and "opened in" in repr(model)
    assert model.on_behalf_of("ada").loaded is loaded
    model.close()
    assert model.loaded is None and repr(model) == "Model(model='scripted') # closed"


def test_a_card_says_what_loading_took(native: Model) -> None:
    assert native.load().weights_bytes == native.card().loaded.weights_bytes > 10_000_000
    assert native.card().loaded == native.loaded and native.loaded.words("fr") in " ".join(
        native.card().to_text("fr", width=200).split("\n")
    )
    assert native.card().to_dict()["loaded"]["engine"] == "native"
    with capot.open("boxed") as unopened:
        assert unopened.card().loaded is None and unopened.loaded is None  # a card opens no engine


@pytest.fixture(scope="module")
def native() -> Iterator[Model]:
    from capot.model import BOXED

    if not (BOXED / "model.safetensors").is_file():
        pytest.skip("the boxed model's weights are not here")
    with capot.open("boxed", engine="native") as model:
        yield model


@pytest.mark.parametrize("verb", verbs())
def test_a_closed_model_says_so(verb: str) -> None:
    model = capot.open("scripted")
    model.load()
    model.close()
    with pytest.raises(BusyError) as caught:
        getattr(model, verb)(**CALLS.get(verb, verbs()[verb][1].example))
    assert caught.value.code == "closed" and "capot.open(model.loading.model)" in str(caught.value)


def test_what_a_closed_model_is_called_and_made_of_is_told_and_nothing_else() -> None:
    model = capot.open("scripted")
    model.close()  # never loaded: closed all the same
    assert model.closed and model.name == model.engine_name == "scripted" and model.tokenizer.encode("a")
    for call in (lambda: model.scheduler, model.load, lambda: model.on_behalf_of("ada"), model.__enter__):
        with pytest.raises(BusyError):
            call()


@pytest.mark.parametrize("how", [copy.copy, copy.deepcopy, pickle.dumps, lambda one: pickle.dumps([one], 2)])
def test_a_model_says_why_it_is_not_copied(french: Model, how: Any) -> None:
    for one in (french, french.shared, french.on_behalf_of("ada")):
        with pytest.raises(ArgumentTypeError) as caught:
            how(one)
        assert caught.value.code == "not_copied" and "capot.open('scripted')" in str(caught.value)
    with french.stream(PROMPT, seed=1) as stream, pytest.raises(ArgumentTypeError, match=r"stream\.result"):
        how(stream)


def test_answers_are_copied_and_pickled(answers: dict[str, Result]) -> None:
    for name, answer in answers.items():
        for other in (copy.deepcopy(answer), pickle.loads(pickle.dumps(answer))):  # noqa: S301 - our own bytes
            assert other.to_dict() == answer.to_dict() and repr(other) == repr(answer), name


# Numbers as arrays.


def test_rows_of_the_table_are_arrays(native: Model) -> None:
    ids = native.tokenizer.encode("The capital")
    found = native.vectors("The capital")
    assert found.dtype == np.float32 and found.shape == (len(ids), native.checkpoint.config.width)
    assert np.array_equal(found, native.vectors(ids)) and np.array_equal(found[-1:], native.vectors(np.array(ids[-1:])))
    assert np.array_equal(native.vectors("The capital")[0], native.hidden("", ids=ids, layer=0, position=0))
    assert native.vectors("").shape == native.vectors([]).shape == (0, found.shape[1])
    found[:] = 0  # the caller's own: nobody else's are changed
    assert native.vectors("The capital").any()
    with pytest.raises(InputError) as caught:
        native.vectors([native.tokenizer.vocabulary_size + 10**6])
    assert caught.value.code == "no_such_id"


@pytest.mark.parametrize("which", ["native", "french"])
def test_hidden_states_are_arrays_of_the_shapes_that_are_told(which: str, request: pytest.FixtureRequest) -> None:
    model = request.getfixturevalue(which)
    info, tokens = model.load() and model.scheduler.engine.info, len(model.tokenizer.encode_prompt(PROMPT))
    whole = model.hidden(PROMPT)
    assert whole.shape == (info.layers + 1, tokens, info.width) and whole.dtype == np.float32
    assert np.array_equal(model.hidden(PROMPT, layer=2), whole[2])
    assert np.array_equal(model.hidden(PROMPT, layer=-1, position=-1), whole[-1, -1])
    assert np.array_equal(model.hidden(PROMPT, position=1), whole[:, 1])
    assert np.array_equal(model.hidden("", ids=model.tokenizer.encode_prompt(PROMPT)), whole)


def test_hidden_states_are_those_of_the_chapter(native: Model) -> None:
    """The cosine that ``context`` tells of two occurrences is the one of their vectors."""
    sentences = ["The bank.", "My bank."]
    told = native.context("bank", sentences=sentences)
    place = dict(zip(sentences, (o.positions[0] for o in told.occurrences), strict=True))
    lead = len(native.tokenizer.encode_prompt("a")) - len(native.tokenizer.encode("a"))
    first, second = (native.hidden(text, layer=-1, position=lead + place[text]) for text in sentences)
    cosine = first @ second / np.linalg.norm(first) / np.linalg.norm(second)
    assert told.layers[-1].cosine[0][1] == pytest.approx(float(cosine), abs=1e-4)


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"layer": 5}, "out_of_range"), ({"layer": -6}, "out_of_range"), ({"position": 99}, "out_of_range"),
        ({"layer": 1.5}, "not_whole"), ({"prompt": ""}, "empty_prompt"), ({"ids": [10**6]}, "no_such_id"),
    ],
)  # fmt: skip
def test_hidden_states_that_are_not_there(french: Model, given: dict[str, Any], code: str) -> None:
    given = {"prompt": "abc", **({"position": 0} if "prompt" in given else {}), **given}
    with pytest.raises(InputError) as caught:
        french.hidden(**given)
    assert caught.value.code == code and caught.value.lang == "fr"


@pytest.mark.parametrize("call", ["hidden", "generate", "assistant", "chat"])
def test_half_a_character_is_refused_though_nothing_reads_it(native: Model, call: str) -> None:
    """A template's end marker that no answer holds, a stop string that never comes."""
    marker = '[roles]\nuser = "U:"\nassistant = "A:"\n'
    given: dict[str, dict[str, Any]] = {
        "hidden": {"prompt": "a\ud800"}, "generate": {"prompt": "a", "stop": ["\ud800"]},
        "assistant": {"question": "a", "template": f'end = "\ud800"\n{marker}'},
        "chat": {"messages": ["a"], "chat_template": "{% if false %}\ud800{% endif %}", "kind": "raw"},
    }  # fmt: skip
    with pytest.raises(InputError) as caught:
        getattr(native, call)(**given[call])
    assert caught.value.code == "not_unicode" and "U+D800" in str(caught.value)


def test_hidden_states_that_memory_has_no_room_for(french: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAPOT_RAM", "0.0000001")
    with pytest.raises(CapotError) as beyond:
        french.hidden("", ids=[1] * 5000)
    assert beyond.value.code == "prompt_too_long", "what is never read needs no memory"
    with pytest.raises(CapotError) as caught:
        french.hidden("abc")
    assert caught.value.code == "memory_short"


# Progress: one shape of event.


def heard(call: Any) -> tuple[Any, list[capot.ProgressEvent]]:
    """What a call answers, and what it told meanwhile; every event is of the one kind, on the caller's thread."""
    events: list[capot.ProgressEvent] = []
    threads = set()

    def hears(event: capot.ProgressEvent) -> None:
        events.append(event)
        threads.add(threading.get_ident())

    answer = call(hears)
    assert events and {type(event) for event in events} == {capot.ProgressEvent}
    assert threads == {threading.get_ident()}
    for event in events:
        assert event.total is None or 0 <= event.done <= event.total
        assert event.share is None or 0 <= event.share <= 1
    return answer, events


LONG = "word " * 150  # 750 tokens: three chunks


@pytest.mark.parametrize("verb", ["next", "lens", "hidden"])
def test_a_prompt_tells_how_far_it_was_read(french: Model, verb: str) -> None:
    prompt = f"{verb} {LONG}"
    _, events = heard(lambda hears: getattr(french, verb)(prompt, progress=hears))
    tokens = len(french.tokenizer.encode_prompt(prompt))
    assert [event.done for event in events] == [256, 512, tokens] and {event.total for event in events} == {tokens}
    assert {(event.step, event.unit) for event in events} == {("reading", "tokens")}


def test_sentences_are_told_together(french: Model) -> None:
    sentences = ["A bank.", "My bank " + "a " * 200]
    _, events = heard(lambda hears: french.context("bank", sentences=sentences, progress=hears))
    assert [event.done for event in events] == sorted({event.done for event in events})
    assert events[-1].share == 1 and events[0].what == sentences[0]


def test_a_generation_tells_its_prompt_and_its_tokens(french: Model) -> None:
    made, events = heard(lambda hears: french.generate(LONG, seed=1, max_new_tokens=6, progress=hears))
    read = [event for event in events if event.step == "reading"]
    steps = [event for event in events if event.step == "generating"]
    assert events == read + steps and read[-1].share == 1 and len(read) >= 2
    assert [event.done for event in steps] == list(range(1, len(made.tokens) + 1))
    assert [event.value.id for event in steps] == [token.id for token in made.tokens]
    assert {event.total for event in steps} == {6}


def test_measuring_asking_and_talking_tell_of_each_part(french: Model) -> None:
    found, events = heard(lambda hears: french.memory([1, 64], progress=hears))
    assert [(event.step, event.done, event.total, event.unit) for event in events] == [
        ("measuring", 1, 2, "lengths"), ("measuring", 2, 2, "lengths"),
    ]  # fmt: skip
    assert [event.value for event in events] == list(found.rows)
    answers, events = heard(
        lambda hears: french.assistant("What is a token?", seed=1, max_new_tokens=3, progress=hears)
    )
    asked = [event for event in events if event.step == "asking"]
    assert [event.what for event in asked] == [answer.kind for answer in answers.answers]
    assert [event.done for event in asked] == [0, 1, 2, 3] and events[0] == asked[0]
    assert sum(event.step == "generating" for event in events) == sum(a.generated_tokens for a in answers.answers)
    talk, events = heard(lambda hears: french.chat(["a", "b"], seed=1, max_new_tokens=3, progress=hears))
    assert sum(event.step == "generating" for event in events) == talk.generated_tokens
    assert {event.what for event in events} == {"a", "b"}


def test_opening_tells_when_it_begins_and_what_it_took() -> None:
    events: list[capot.ProgressEvent] = []
    with capot.open("scripted", progress=events.append) as model:
        assert not events  # nothing has been opened yet
        loaded = model.load()
        assert [(event.step, event.what) for event in events] == [("opening", "scripted")] * 2
        assert events[0].total is None and events[1].share == 1 and events[1].value is loaded
        model.load()
        assert len(events) == 2


def test_a_download_is_told_as_any_other_work(monkeypatch: pytest.MonkeyPatch) -> None:
    from capot.sources.hub.events import DownloadProgress
    from capot.view.event import download_progress

    events: list[capot.ProgressEvent] = []
    parts = [
        DownloadProgress("announced", "org/m", "", 0, 90, 2),
        DownloadProgress("downloading", "org/m", "a", 45, 90, 2),
    ]
    download_progress(events.append)(iter(parts))
    assert [(event.step, event.done, event.total, event.unit) for event in events] == [
        ("downloading", 0, 90, "bytes"), ("downloading", 45, 90, "bytes"),
    ]  # fmt: skip
    assert [event.what for event in events] == ["org/m", "a"] and [event.value for event in events] == parts


@pytest.mark.parametrize("verb", ["next", "generate", "chat", "assistant", "memory", "hidden"])
def test_what_a_hearer_raises_ends_the_work(verb: str) -> None:
    with capot.open("scripted") as model:

        def fails(event: capot.ProgressEvent) -> None:
            raise RuntimeError(event.step)

        given = {**CALLS.get(verb, {"prompt": PROMPT}), "progress": fails}
        with pytest.raises(RuntimeError):
            getattr(model, verb)(**given)
        assert model.next(PROMPT).candidates  # and the model goes on


class Wordless:
    def __repr__(self) -> str:
        raise ValueError("no words")


ODD = [1.5, b"x", [1], {"a": 1}, object(), Wordless(), print, np.zeros((2, 2)), np.array("x"), 1j, "a\x00b", "\ud800"]


@pytest.mark.parametrize("value", ODD, ids=lambda value: type(value).__name__)
def test_what_is_no_verb_holds_its_arguments_to_their_kinds_too(monkeypatch: pytest.MonkeyPatch, value: Any) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    answer = capot.open("scripted").next("a")
    calls: list[Callable[[], Any]] = [
        lambda: capot.models.search(value), lambda: capot.models.get(value), lambda: capot.models.remove(value),
        lambda: capot.card.describe_known(value), lambda: capot.open("scripted").chat(["a"], price_in=value),
    ]  # fmt: skip
    if not isinstance(value, str):
        calls += [lambda: answer.to_text(value), lambda: answer.to_html(value)]
    if not isinstance(value, (str, list, dict, np.ndarray)):
        calls += [lambda: capot.Sampling(stop=value)]
    for call in calls:
        try:
            call()
        except CapotError as error:
            assert error.message("en") and error.message("fr")
        else:
            assert value == 1.5  # a price
