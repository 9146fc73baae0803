"""A course: the lessons of a folder in the order of their numbers, and what a page is told of them.

A lesson is named by its number and a question by its place, so that both languages keep one progress.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from capot.chapters.registry import verbs
from capot.errors import InputError, NotFoundError, local_path
from capot.lessons import FOLDER, SUFFIX
from capot.lessons.calls import TEXT_CHARS, InstrumentCall
from capot.lessons.judge import TOKEN_CHARS
from capot.lessons.nodes import to_nodes
from capot.lessons.questions import NUMBER, Question
from capot.lessons.reader import Change, Figure, Lesson, Part, Prose, read_lesson


@dataclass(frozen=True)
class Course:
    """The lessons of one language. ``name`` tells this course's progress from another's in a browser."""

    name: str
    folder: Path
    lessons: tuple[Lesson, ...]

    def lesson(self, number: int) -> Lesson:
        """Return a lesson. Raises: NotFoundError ``no_such_lesson``."""
        found = next((lesson for lesson in self.lessons if lesson.number == number), None)
        if found is None:
            raise NotFoundError("no_such_lesson", number=number)
        return found

    def question(self, number: int, place: int) -> Question:
        """Return a question of a lesson by its place, from 0. Raises: NotFoundError ``no_such_lesson``."""
        questions = self.lesson(number).questions
        if not 0 <= place < len(questions):
            raise NotFoundError("no_such_lesson", number=f"{number}.{place}")
        return questions[place]

    def contents(self) -> dict[str, Any]:
        """Return what there is, for a page that lists it."""
        rows = [{**_head(lesson), "questions": len(lesson.questions)} for lesson in self.lessons]
        return {"course": self.name, "lessons": rows}

    def page(self, number: int) -> dict[str, Any]:
        """Return a lesson for a page that draws it: no answer and no hint is in it.

        Raises: NotFoundError ``no_such_lesson``.
        """
        lesson = self.lesson(number)
        return {**_head(lesson), "chapters": list(lesson.chapters), "parts": list(_parts(lesson, self.folder))}


def read_course(folder: Path | None, lang: str) -> Course:
    """Return the course of a folder, or the packaged one.

    A folder may have one of its own for each language, named ``en`` and ``fr``.

    Raises: NotFoundError ``lesson_missing``; InputError ``lesson_faulty``, ``lesson_number_twice``.
    """
    place = (folder or FOLDER) / lang
    # A folder of one language needs no folder in it.
    place = folder if folder is not None and not place.is_dir() else place
    lessons = [read_lesson(path) for path in sorted(place.glob(f"*{SUFFIX}"))]
    if not lessons:
        raise NotFoundError("lesson_missing", path=local_path(place, place.name), suffix=SUFFIX)
    # By number and not by file name: 10 comes after 9.
    lessons.sort(key=lambda lesson: lesson.number)
    for before, after in itertools.pairwise(lessons):
        if before.number == after.number:
            raise InputError("lesson_number_twice", number=before.number, first=before.name, second=after.name)
    # Progress is kept by number and place: lessons with other questions must not take it over.
    numbers = "\0".join(f"{lesson.number} {len(lesson.questions)}" for lesson in lessons)
    own = "" if folder is None else folder.resolve().name
    return Course(hashlib.sha256(f"{own}\0{numbers}".encode()).hexdigest()[:8], place, tuple(lessons))


def _head(lesson: Lesson) -> dict[str, Any]:
    return {"number": lesson.number, "title": lesson.title, "goal": lesson.goal, "minutes": lesson.minutes}


def _parts(lesson: Lesson, folder: Path) -> Iterator[dict[str, Any]]:
    place = 0
    for part in lesson.parts:
        data = _part(part, folder)
        if isinstance(part, Question):
            data["place"], place = place, place + 1
        yield data


def _part(part: Part, folder: Path) -> dict[str, Any]:
    if isinstance(part, Prose):
        return {"part": "prose", "nodes": to_nodes(part.text, folder=folder)}
    calls = [_call(call) for call in part.calls]
    if isinstance(part, Figure):
        return {"part": "figure", "calls": calls}
    if isinstance(part, Change):
        return {"part": "change", "ask": to_nodes(part.ask, folder=folder), "calls": calls, "vary": part.vary}
    return {"part": "question", "calls": calls, **_question(part, folder)}


def _call(call: InstrumentCall) -> dict[str, Any]:
    """Return a call with the chapter it belongs to, and the chapter that has a page to open it in, if any."""
    chapter, _ = verbs()[call.verb]
    # A chapter without a page is shown in the lesson and has no link to open.
    page = chapter.name if chapter.page else ""
    return {"verb": call.verb, "arguments": dict(call.given), "of": chapter.name, "chapter": page}


def _question(question: Question, folder: Path) -> dict[str, Any]:
    """Return what a learner may know of a question before the run."""
    seen = question.seen
    reading = None if seen is None else seen.reading
    most = {"token": TOKEN_CHARS, "number": NUMBER}.get(question.kind, 0)
    return {
        "kind": question.kind,
        "ask": to_nodes(question.ask, folder=folder),
        "choices": [to_nodes(choice, folder=folder) for choice in question.choices],
        "unit": "" if question.reading is None else question.reading.unit,
        "unit_one": "" if question.reading is None else question.reading.unit_one,
        "most": most,
        "least": question.bounds.least,
        "greatest": question.bounds.greatest,
        "points": list(question.points),
        "seen": None if seen is None else to_nodes(seen.ask, folder=folder),
        "seen_unit": "" if reading is None else reading.unit,
        "seen_unit_one": "" if reading is None else reading.unit_one,
        "seen_most": TEXT_CHARS,
        "tolerance": 0.0 if reading is None else reading.tolerance,
        "exact": all(call.exact for call in question.calls),
        "share": 0.0 if reading is None else reading.share,
        "why": to_nodes(question.why, folder=folder),
    }
