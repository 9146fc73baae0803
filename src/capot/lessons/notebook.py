"""The whole session as a Jupyter notebook on the Python API, and the answers that it makes on the model at hand."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from capot.i18n import language, tr
from capot.lessons import hf_cells
from capot.lessons.calls import InstrumentCall
from capot.lessons.course import Course, read_course
from capot.lessons.play import play
from capot.lessons.questions import Question
from capot.lessons.reader import FRAME, Change, Figure, Lesson, Prose

if TYPE_CHECKING:
    from capot.model import Model

WIDTH = 88  # of a line of code
FOLDED = {"collapsed": True, "jupyter": {"source_hidden": True}}


class CourseAnswers:
    """The answers of a course on a model: ``answers(3, 0)`` is that of the first question of lesson 3."""

    def __init__(self, model: Model, lessons: str | Path | None = None, *, lang: str | None = None) -> None:
        self._model = model
        self._lang = language(lang or model.lang)
        self._course = read_course(None if lessons is None else Path(lessons), self._lang)

    def __call__(self, number: int, place: int) -> MarkdownText:
        """Return an answer with its evidence, made now. Raises: NotFoundError ``no_such_lesson``; as the verbs."""
        played = play(self._course.question(number, place), self._model)
        right = played.question.choices[played.right - 1] if played.question.choices else ""
        hints = [f"{count}. {hint}" for count, hint in enumerate(played.hints(self._lang), 1)]
        parts = [f"**{right}**" if right else "", played.answer(self._lang), tr("paper.hints", self._lang), *hints]
        return MarkdownText("\n\n".join(part for part in parts if part))


class MarkdownText(str):
    """A text of Markdown that a notebook shows as such."""

    __slots__ = ()

    def _repr_markdown_(self) -> str:
        return str(self)

    def __repr__(self) -> str:
        return str(self)


def notebook(course: Course, lang: str, *, folder: str | None = None) -> dict[str, Any]:
    """Return a course as the JSON that Jupyter reads; ``folder`` names lessons of the owner's. Nothing is run."""
    cells = [_numbered(cell, place) for place, cell in enumerate(_cells(course, lang, folder))]
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    metadata = {"kernelspec": kernel, "language_info": {"name": "python"}}
    return {"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}


def _numbered(cell: dict[str, Any], place: int) -> dict[str, Any]:
    return {"id": f"cell-{place:03d}", **cell}


def _cells(course: Course, lang: str, folder: str | None) -> Iterator[dict[str, Any]]:
    yield _text(tr("notebook.intro", lang))
    own = "" if folder is None else f", {folder!r}"
    imports = "import capot\nfrom capot.lessons.notebook import CourseAnswers"
    yield _code(f'{imports}\n\nmodel = capot.open(lang="{lang}")\nanswers = CourseAnswers(model{own})')
    yield _code(hf_cells.setup(lang), folded=True)
    for lesson in course.lessons:
        yield from _lesson(lesson, lang)
    for lesson in course.lessons:
        if lesson.number == FRAME:
            yield from _after(lesson, lang)
    yield _code("model.close()")


def _lesson(lesson: Lesson, lang: str) -> Iterator[dict[str, Any]]:
    place = 0
    for part in lesson.parts:
        if isinstance(part, Prose):
            yield _text(part.text)
        elif isinstance(part, Figure):
            yield from _instruments(part.calls, lang)
        elif isinstance(part, Change):
            yield _text(f"**{tr('paper.change', lang)}**\n\n{part.ask}")
            yield from _instruments(part.calls, lang)
        elif lesson.number == FRAME:
            yield _text(_asked(part, lang))
        else:
            yield from _question(part, lang, lesson.number, place)
            place += 1


def _question(question: Question, lang: str, number: int, place: int) -> Iterator[dict[str, Any]]:
    """Give a question: the prediction first, then the run, what was seen and why, and the answer, folded."""
    yield _text(_asked(question, lang))
    yield from _instruments(question.calls, lang)
    assert question.seen is not None  # only the frame has none
    rows = [(tr("paper.seen", lang), question.seen.ask), (tr("paper.why", lang), question.why)]
    yield _text("\n\n".join(f"**{title}** {ask}\n\n{tr('notebook.room', lang)}" for title, ask in rows))
    yield _text(_folded(tr("paper.hints", lang), [hint for hint in question.hints if "{{" not in hint]))
    yield _code(f"answers({number}, {place})  # {tr('notebook.answer', lang)}", folded=True)


def _asked(question: Question, lang: str) -> str:
    choices = "\n".join(f"{count}. {choice}" for count, choice in enumerate(question.choices, 1))
    parts = [f"**{tr('notebook.predict', lang)}** {question.ask}", choices, tr("notebook.room", lang)]
    return "\n\n".join(part for part in parts if part)


def _after(lesson: Lesson, lang: str) -> Iterator[dict[str, Any]]:
    """Give the question of the frame once more, with its answer."""
    for place, question in enumerate(lesson.questions):
        yield _text(f"## {tr('paper.after', lang)}\n\n{question.ask}\n\n{tr('notebook.room', lang)}")
        yield _text(f"**{tr('paper.why', lang)}** {question.why}\n\n{tr('notebook.room', lang)}")
        yield _code(f"answers({lesson.number}, {place})  # {tr('notebook.answer', lang)}", folded=True)


def _instruments(calls: Sequence[InstrumentCall], lang: str) -> Iterator[dict[str, Any]]:
    for call in calls:
        yield _code(_call(call))
        if (same := hf_cells.program(call, lang)) is not None:
            yield _code(f"# transformers\n{same}", folded=True)


def _call(call: InstrumentCall) -> str:
    given = [f"{name}={value!r}" for name, value in call.given.items()]
    line = f"model.{call.verb}({', '.join(given)})"
    if len(line) <= WIDTH:
        return line
    return "\n".join([f"model.{call.verb}(", *(f"    {each}," for each in given), ")"])


def _folded(title: str, items: Sequence[str]) -> str:
    lines = "\n".join(f"{count}. {item}" for count, item in enumerate(items, 1))
    return f"<details><summary>{title}</summary>\n\n{lines}\n\n</details>"


def _text(text: str) -> dict[str, Any]:
    return {"cell_type": "markdown", "metadata": {}, "source": _lines(text.strip())}


def _code(code: str, *, folded: bool = False) -> dict[str, Any]:
    metadata = dict(FOLDED) if folded else {}
    return {
        "cell_type": "code", "execution_count": None, "metadata": metadata, "outputs": [], "source": _lines(code),
    }  # fmt: skip


def _lines(text: str) -> list[str]:
    return re.findall(r"[^\n]*\n|[^\n]+", text)
