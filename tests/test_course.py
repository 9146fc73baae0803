"""The course, played on the model in the box in both languages: every instrument runs, every question has its answer.

Nothing here knows an answer: what is right is read in the run, and a lesson that claims a surprise must surprise.
"""

from __future__ import annotations

import dataclasses
import functools
import re
import shutil
import sys
from collections.abc import Iterator, Sequence
from html import escape, unescape
from pathlib import Path
from typing import Any

import native_helpers
import pytest
from conftest import ROOT
from course_helpers import is_told

import capot
from capot import i18n
from capot.cli import run
from capot.i18n import duration, percent, size
from capot.lessons import FOLDER, packaged
from capot.lessons.page import to_html
from capot.lessons.paper import key, worksheet
from capot.lessons.play import Played, play, play_all, seen_number
from capot.lessons.questions import Question
from capot.lessons.reader import FRAME, Change, Figure, Lesson, Prose, read_lesson
from capot.lessons.typed import typed_number
from capot.lessons.values import measure, read

sys.path.insert(0, str(ROOT / "tools"))
import typography

LANGUAGES = ("en", "fr")
NUMBERS = range(9)
EACH = [(lang, number) for lang in LANGUAGES for number in NUMBERS]
SURPRISES = 12  # of each language, at the least: cases were chosen for it


def in_short(number: int, *short: int) -> Any:
    """A lesson that `make test` holds, or one of the rest, which `make soak` holds alike."""
    return number if number in short else pytest.param(number, marks=pytest.mark.soak)


def lesson(lang: str, number: int) -> Lesson:
    (path,) = (path for path in packaged(lang) if path.name.startswith(f"{number}-"))
    return read_lesson(path)


@pytest.fixture(scope="module", params=LANGUAGES)
def model(request: pytest.FixtureRequest) -> Iterator[Any]:
    with capot.open("boxed", lang=request.param) as opened:
        yield opened


@functools.cache
def played(model: Any, number: int) -> list[Played]:
    return play_all(lesson(model.lang, number), model)


@pytest.mark.parametrize(("lang", "number"), EACH)
def test_a_lesson_is_sound_and_has_its_number(lang: str, number: int) -> None:
    found = lesson(lang, number)
    assert found.number == number and found.title and found.goal
    assert number == FRAME or 8 <= found.minutes <= 12, "about ten minutes"
    assert "{{" not in "".join(part.text for part in found.parts if isinstance(part, Prose))


def test_the_course_has_eight_lessons_and_a_frame() -> None:
    for lang in LANGUAGES:
        assert [read_lesson(path).number for path in packaged(lang)] == list(NUMBERS)
    assert len(lesson("en", FRAME).questions) == len(lesson("fr", FRAME).questions) == 1


def shape(found: Lesson) -> list[Any]:
    """What both languages have in common: the parts in their order, kinds, instruments, what is read where."""
    return [
        (
            type(part).__name__,
            None if isinstance(part, Prose) else [call.verb for call in part.calls],
            (part.kind, part.rule, part.reading and part.reading.of, part.seen and part.seen.reading.of)
            if not isinstance(part, (Prose, Figure, Change))
            else None,
        )
        for part in found.parts
    ]


@pytest.mark.parametrize("number", NUMBERS)
def test_both_languages_ask_the_same(number: int) -> None:
    english, french = lesson("en", number), lesson("fr", number)
    assert shape(english) == shape(french)
    assert (english.minutes, english.chapters) == (french.minutes, french.chapters)
    pairs = list(zip(english.questions, french.questions, strict=True))
    assert all(len(mine.choices) == len(theirs.choices) for mine, theirs in pairs)
    assert all(mine.expected == theirs.expected for mine, theirs in pairs)
    assert not {mine.ask for mine, _ in pairs} & {theirs.ask for _, theirs in pairs}, "each in its own language"


def answer(each: Played, lang: str) -> list[str]:
    return [*each.hints(lang), each.answer(lang)]


@pytest.mark.parametrize("number", NUMBERS)
def test_every_answer_shows_its_run(model: Any, number: int) -> None:
    for each in played(model, number):
        sentences = answer(each, model.lang)
        assert not any("{{" in sentence or "None" in sentence for sentence in sentences), each.question.id
        assert sentences[2] != each.question.hints[2], "the last hint does it"
        assert all(to_html(sentence).startswith("<") for sentence in sentences)


def wrong(each: Played) -> Any:
    """A prediction that the run does not bear out."""
    if each.question.kind == "choice":
        return each.right % len(each.question.choices) + 1
    if each.question.kind == "number":
        return 2 * each.right + 1
    if each.question.kind == "token":
        return each.right + "x"
    return [value * value for value in each.right[1]]


@pytest.mark.parametrize("number", NUMBERS[1:])
def test_a_right_prediction_comes_true_and_a_wrong_one_does_not(model: Any, number: int) -> None:
    for each in played(model, number):
        right = each.right[1] if each.question.kind == "curve" else each.right
        assert each.agrees(right) and not each.agrees(wrong(each)), each.question.id


@pytest.mark.parametrize("number", NUMBERS[1:])
def test_what_a_learner_sees_is_held_against_their_own_run(model: Any, number: int) -> None:
    for each in played(model, number):
        seen = each.question.seen
        assert seen is not None
        value = read(each.evidence, seen.reading.of)
        if isinstance(value, str):
            assert value.strip() and each.saw(f" {value.strip()} ") and not each.saw(value + "x")
            assert each.saw(value.replace(" ", "·")) and each.saw(f"«\u00a0{value}\u00a0»"), "as a page draws it"
            continue
        true = seen_number(each)
        digits = 0 if float(true).is_integer() else 1 if true >= 1 else 2
        written = f"{true:.{digits}f}".replace(".", "," if model.lang == "fr" else ".")
        assert each.saw(written, model.lang), f"{each.question.id}: {written} as a page shows it"
        assert not each.saw(2 * true + 1) and not each.saw(-true - 1), each.question.id


WRITTEN = {
    "ko": size,
    "kB": size,
    "Go": size,
    "GB": size,
    "To": size,
    "TB": size,
    "%": percent,
    "ms": duration,
}  # how pages write what is asked for in such a unit


@pytest.mark.parametrize("number", NUMBERS[1:])
def test_a_figure_is_right_exactly_as_a_page_writes_it(model: Any, number: int) -> None:
    """With the rounding, the unit and the digits parted that every page of the lab has."""
    for each in played(model, number):
        reading = each.question.seen.reading
        if isinstance(read(each.evidence, reading.of), str):
            continue
        raw = measure(each.evidence, reading.of)
        form = WRITTEN.get(reading.unit)
        unit = "" if form else f"\u00a0{reading.unit or 'tokens'}"
        shown = f"{(form or written)(raw if form else raw * reading.times, model.lang)}{unit}"
        assert each.saw(shown, model.lang), f"{each.question.id}: {shown}"
        if each.question.kind == "number":
            told = each.question.reading
            form = WRITTEN.get(told.unit)
            bet = typed_number(
                (form or written)(each.right / told.times if form else each.right, model.lang), model.lang
            )
            assert any(each.agrees(value) for value, _ in bet.within(told.unit)), each.question.id
        if each.question.kind == "token":
            assert each.agrees(each.right.replace(" ", "·")) and each.agrees(f"“{each.right.strip()}”")


def written(value: float, lang: str) -> str:
    return i18n.number(value, lang) if float(value).is_integer() else i18n.number(value, lang, 2)


def test_what_is_said_to_surprise_surprises(model: Any) -> None:
    asked = [each for number in NUMBERS for each in played(model, number)]
    claimed = [each for each in asked if each.question.expected is not None]
    assert [each.question.id for each in claimed if not each.surprises] == []
    assert len(claimed) >= SURPRISES
    for number in NUMBERS[1:]:
        assert any(each.surprises for each in played(model, number)), f"lesson {number} holds no surprise"


def without_times(value: Any) -> Any:
    """The same without the seconds that each token of a list took."""
    return [{k: v for k, v in each.items() if k != "seconds"} for each in value] if isinstance(value, list) else value


@pytest.mark.parametrize("number", [in_short(number, 5) for number in NUMBERS[1:]])
def test_the_same_run_says_the_same(model: Any, number: int) -> None:
    """Greedy texts and figures are the same every time, so no key is written down; times alone may differ."""
    for each in played(model, number):
        again = play(each.question, model)
        seen = each.question.seen
        timed = seen is not None and seen.reading.share > 0  # which of two times is longer differs under load
        assert timed or again.right == each.right, each.question.id
        if seen is not None and not timed:
            found, before = (without_times(read(one.evidence, seen.reading.of)) for one in (again, each))
            assert found == before, each.question.id


@pytest.mark.parametrize("number", NUMBERS)
def test_a_lesson_fits_the_box(model: Any, number: int) -> None:
    """No text that is read or written goes beyond the context of the smallest model."""
    found = lesson(model.lang, number)
    for call in (call for part in found.parts if not isinstance(part, Prose) for call in part.calls):
        if call.verb in ("generate", "assistant", "chat"):
            assert call.given["max_new_tokens"] <= 60
        if call.verb == "memory" and not call.given.get("simulate"):
            assert max(map(int, call.given["tokens"].split(","))) <= model.card().context_length


SUBJECTS = ("text", "prompt", "question", "words", "sentences", "tokens")  # what an instrument is asked about


@pytest.mark.parametrize(("lang", "number"), EACH)
def test_no_picture_shows_what_is_asked_after_it(lang: str, number: int) -> None:
    shown: set[tuple[str, str]] = set()
    for part in lesson(lang, number).parts:
        calls = () if isinstance(part, Prose) else part.calls
        subjects = {(call.verb, str(call.given[name])) for call in calls for name in SUBJECTS if name in call.given}
        if isinstance(part, Figure):
            shown |= subjects
        elif not isinstance(part, Change):
            assert not shown & subjects, "a prediction is made before the picture shows"


def test_the_french_cells_of_the_tour_are_set_as_french() -> None:
    text = (typography.ROOT / "tools/notebooks.toml").read_text(encoding="utf-8")
    assert typography.notebook_cells(text) == text, "python tools/typography.py"


def texts(block: Any) -> Iterator[str]:
    """Every text of a block, whatever its picture makes of it."""
    if isinstance(block, str):
        yield block
    elif dataclasses.is_dataclass(block):
        for each in dataclasses.fields(block):
            yield from texts(getattr(block, each.name))
    elif isinstance(block, (list, tuple)):
        for each in block:
            yield from texts(each)


def pages(found: Lesson, model: Any) -> Iterator[tuple[Question, str]]:
    """Each question with all that a page, or a sheet of paper, has told before it is sealed."""
    told: list[str] = []
    asked = {each.question.id: each for each in played(model, found.number)}
    for part in found.parts:
        if isinstance(part, Prose):
            told.append(part.text)
            continue
        if isinstance(part, Question):
            told += [part.ask, *part.choices]
            yield part, "\n".join(told)
            told += [part.why, part.seen.ask if part.seen else "", *answer(asked[part.id], model.lang)]
        told += [text for call in part.calls for block in call.answer(model).view(model.lang) for text in texts(block)]


@pytest.mark.parametrize("number", [in_short(number, 2, 4, 5, 8) for number in NUMBERS[1:]])
def test_nothing_tells_an_answer_before_its_prediction_is_sealed(model: Any, number: int) -> None:
    asked = {each.question.id: each for each in played(model, number)}
    for question, before in pages(lesson(model.lang, number), model):
        each = asked[question.id]
        assert not is_told(each, before, model.lang), question.id
        if question.kind == "number":  # what is looked for is found where it is told
            assert is_told(each, unescape(to_html(each.answer(model.lang))), model.lang), question.id


@pytest.mark.parametrize("path", typography.lessons(), ids=lambda path: path.name)
def test_french_lessons_are_set_as_french(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert typography.lesson(text) == text, "python tools/typography.py"
    for line in text.split("\n"):
        if not typography.MACHINE.match(line) and "`" not in line:
            assert not re.search(r"\w [;!?»]|« |\w'\w|\d \d{3}\b", line), line


def test_lessons_are_packaged() -> None:
    """The wheel has what the folder has: the pattern of package data matches every file of it."""
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    patterns = project["tool"]["setuptools"]["package-data"]["capot"]
    matched = {path for pattern in patterns for path in FOLDER.parent.glob(pattern)}
    files = {
        path for path in FOLDER.rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc", ".nbi", ".nbc")
    }
    assert len(files) == 20 and files <= matched


@pytest.mark.parametrize("numbers", [(FRAME, 4, 5), pytest.param(NUMBERS, marks=pytest.mark.soak)])
def test_the_worksheet_asks_and_the_key_answers(model: Any, numbers: Sequence[int]) -> None:
    lessons = [lesson(model.lang, number) for number in numbers]
    asked, solved = worksheet(lessons, model, model.lang), key(lessons, model, model.lang)
    for page in (asked, solved):
        assert page.startswith("<!doctype html>") and "<script" not in page and "{{" not in page
        assert f'<html lang="{model.lang}">' in page and not re.search(r'(?:src|href)="(?!#)', page)
    for each in (each for number in numbers for each in played(model, number)):
        told = to_html(each.question.ask)
        assert told in asked and told in solved
        if each.question.kind == "choice":
            right = escape(each.question.choices[each.right - 1])
            assert f'<li class="right">{right}</li>' in solved
    assert 'class="right"' not in asked and asked.count('<div class="line">') > 10 * len(lessons)
    curves = [each for one in lessons for each in one.questions if each.points]
    assert asked.count('<div class="board">') == len(curves), "a curve is drawn on paper too"
    assert "body.paper > main > section ~ section" in asked, "a lesson begins a page; a picture in one does not"
    shown = sum(len(part.calls) for one in lessons for part in one.figures)
    assert asked.count("<figure>") >= shown >= len(lessons) - 1
    twice = to_html(lessons[FRAME].questions[0].ask)
    assert asked.count(twice) == 2 and solved.count(twice) == 1, "one question before and after the whole"


@pytest.mark.parametrize("name", ["worksheet", "key"])
def test_the_commands_write_a_page(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (own := tmp_path / "own").mkdir()  # of a lesson: the whole course is held above
    shutil.copy(packaged("fr")[FRAME], own)
    assert run([name]) == 2 and "--output" in capsys.readouterr().err
    assert run([name, "--help"]) == 0
    path = tmp_path / "page.html"
    assert run([name, "-o", str(path), "--lang", "fr", "--lessons", str(own)]) == 0
    text = path.read_text(encoding="utf-8")
    assert '<html lang="fr">' in text and to_html(lesson("fr", FRAME).questions[0].ask) in text
    (own / "2.md").write_text("no lesson", encoding="utf-8")
    assert run([name, "-o", str(path), "--lessons", str(own)]) == 2 and "2.md" in capsys.readouterr().err


@pytest.mark.parametrize("numbers", [(5,), pytest.param(NUMBERS, marks=pytest.mark.soak)])
def test_the_course_is_played_on_a_model_of_another_family(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, numbers: Sequence[int]
) -> None:
    """No answer depends on the box: a model of random weights has a key of its own."""
    sizes = {"vocab_size": 16384, "max_position_embeddings": 1024, "bos_token_id": 0, "eos_token_id": 0}
    monkeypatch.setattr(native_helpers, "SHAPE", native_helpers.SHAPE | sizes)
    folder = native_helpers.make(tmp_path / "random", "qwen3")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(FOLDER.parent / "boxed" / name, folder / name)
    with capot.open(folder, lang="en") as other, capot.open("boxed", lang="en") as box:
        lessons = [lesson("en", number) for number in numbers]
        solved = key(lessons, other, "en")
        choices = [each for one in lessons for each in one.questions if each.kind == "choice"]
        assert "{{" not in solved and solved.count('class="right"') == len(choices) >= len(numbers)
        (capital,) = (each for each in lesson("en", 5).questions if each.id == "capital")
        assert play(capital, other).right != play(capital, box).right
