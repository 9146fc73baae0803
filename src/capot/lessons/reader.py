"""A lesson: front matter in TOML between two lines of ``+++``, then Markdown with fenced blocks of TOML.

    figure     an instrument that is shown
    question   a question (``capot.lessons.questions``)
    change     an instrument, and the setting of it that a learner changes

A file is read whole or refused with every fault that was found, each with its line.
"""

from __future__ import annotations

import stat
from dataclasses import dataclass
from pathlib import Path

from capot.chapters.registry import CHAPTERS
from capot.chapters.settings import takes
from capot.errors import InputError, NotFoundError, local_path, os_reason
from capot.i18n import Bytes
from capot.lessons import SUFFIX
from capot.lessons.calls import InstrumentCall, read_calls
from capot.lessons.fields import Faults, Fields
from capot.lessons.page import check_page
from capot.lessons.questions import LONG, SHORT, Question, read_question

BYTES = 100_000  # of one file: thirty times a long lesson's
FEWEST, MOST = 2, 4  # questions of a lesson
FIGURES = 8
FRAME = 0  # the number of the file whose one question stands before and after the whole
BLOCKS = ("figure", "question", "change")
_FENCE = "+++"


@dataclass(frozen=True)
class Prose:
    """Markdown between two blocks."""

    text: str
    line: int


@dataclass(frozen=True)
class Figure:
    """An instrument that is shown where it stands."""

    calls: tuple[InstrumentCall, ...]
    line: int


@dataclass(frozen=True)
class Change:
    """The last step: an instrument of which a learner changes one setting."""

    ask: str
    calls: tuple[InstrumentCall, ...]
    vary: str
    line: int


Part = Prose | Figure | Question | Change


@dataclass(frozen=True)
class Lesson:
    """One lesson. ``parts`` are in the order of the page."""

    name: str
    title: str
    number: int
    minutes: int
    goal: str
    chapters: tuple[str, ...]
    parts: tuple[Part, ...]

    @property
    def questions(self) -> tuple[Question, ...]:
        return tuple(part for part in self.parts if isinstance(part, Question))

    @property
    def figures(self) -> tuple[Figure, ...]:
        return tuple(part for part in self.parts if isinstance(part, Figure))

    @property
    def change(self) -> Change | None:
        return next((part for part in self.parts if isinstance(part, Change)), None)


def read_lesson(path: Path) -> Lesson:
    """Return the lesson of a file.

    Raises: InputError ``lesson_faulty`` with the first fault and their number; as ``read_source``.
    """
    lesson, faults = parse(read_source(path), name=path.stem, folder=path.parent)
    if faults:
        # The first in the file and not the first found: one reads a file from the top.
        first = min(faults, key=lambda fault: fault.line)
        shown = local_path(path, path.name)
        raise InputError("lesson_faulty", path=shown, at=first.line, fault=first.sentence(), count=len(faults))
    return lesson


def read_source(path: Path) -> str:
    """Return the text of a file.

    Raises: NotFoundError ``lesson_missing``; InputError ``cannot_read``, ``lesson_irregular``, ``lesson_long``,
    ``not_utf8``.
    """
    shown = local_path(path, path.name)
    try:
        # A pipe or a device in a folder of lessons would keep its reader waiting.
        if not stat.S_ISREG(path.stat().st_mode):
            raise InputError("lesson_irregular", path=shown)
        with path.open("rb") as stream:
            # One byte more than the limit says that there is more, however long the file is.
            raw = stream.read(BYTES + 1)
    except FileNotFoundError:
        raise NotFoundError("lesson_missing", path=shown, suffix=path.suffix or SUFFIX) from None
    except OSError as error:
        raise InputError("cannot_read", path=shown, reason=os_reason(error)) from None
    if len(raw) > BYTES:
        raise InputError("lesson_long", path=shown, most=Bytes(BYTES))
    try:
        # A byte order mark, which Windows' editors write, is no part of the first line.
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError("not_utf8", source=shown, offset=error.start, encoding="latin1") from None
    # Faults are told by their line, and lines are cut at one mark.
    return text.replace("\r\n", "\n")


def parse(text: str, *, name: str, folder: Path) -> tuple[Lesson, Faults]:
    """Return a lesson and its faults; ``folder`` is where its images are. A lesson with faults is not to be used."""
    faults = Faults()
    lines = text.split("\n")
    end = next((place for place, line in enumerate(lines[1:], 1) if line.rstrip() == _FENCE), None)
    if lines[0].rstrip() != _FENCE or end is None:
        faults.add(1, "front_matter")
        return Lesson(name, "", FRAME, 0, "", (), ()), faults
    front = Fields("\n".join(lines[1:end]), 2, faults)
    parts = _parts("\n".join(lines[end + 1 :]), end + 2, folder, faults)
    number = int(front.number("number", FRAME, 99))
    title = front.text("title", 100)
    goal = front.text("goal", SHORT)
    found = Lesson(name, title, number, int(front.number("minutes", 1, 60)), goal, _chapters(front), parts)
    front.end("number", "title", "goal", "minutes", "chapters")
    # Without a number or a title every check of the whole would complain of the same fault again.
    if not front.broken:
        _check_whole(found, faults)
    return found, faults


def _chapters(front: Fields) -> tuple[str, ...]:
    known = [chapter.name for chapter in CHAPTERS]
    found = front.texts("chapters", most=40, low=1, high=len(known))
    for name in found:
        if name not in known:
            front.fault("chapters", "chapter_unknown", found=name, known=", ".join(known))
    return found


def _parts(text: str, first: int, folder: Path, faults: Faults) -> tuple[Part, ...]:
    """Return the parts of a body, whose first line is ``first`` in the file."""
    lines = text.split("\n")
    found: list[Part] = []
    begun = 0
    for token in check_page(text, first=first, folder=folder, faults=faults):
        word = token.info.strip()
        # Only fences that name a block of ours are taken out; other code is shown as it is.
        if token.type != "fence" or token.map is None or not word:
            continue
        if word not in BLOCKS or token.level:  # inside a list or a quotation it would be lost
            faults.add(first + token.map[0], "block_unknown", found=word, known=", ".join(BLOCKS))
            continue
        _add_prose(lines[begun : token.map[0]], first + begun, found)
        found.append(_block(word, Fields(token.content, first + token.map[0] + 1, faults), folder))
        begun = token.map[1]
    _add_prose(lines[begun:], first + begun, found)
    return tuple(found)


def _add_prose(lines: list[str], line: int, found: list[Part]) -> None:
    if prose := "\n".join(lines).strip():
        found.append(Prose(prose, line + next(place for place, each in enumerate(lines) if each.strip())))


def _block(word: str, fields: Fields, folder: Path) -> Part:
    if word == "question":
        return read_question(fields, folder)
    calls = read_calls(fields)
    if word == "figure":
        fields.end("run")
        return Figure(calls, fields.first)
    found = Change(fields.text("ask", LONG), calls, fields.text("vary", 40), fields.first)
    check_page(found.ask, first=fields.line("ask"), folder=folder, faults=fields.faults)
    fields.end("ask", "run", "vary")
    if calls and found.vary and any(found.vary not in takes(call.verb) for call in calls):
        known = ", ".join(takes(calls[0].verb))
        fields.fault("vary", "vary", found=found.vary, known=known)
    return found


def _check_whole(lesson: Lesson, faults: Faults) -> None:
    """Note what is missing or too much in the whole, and ids that stand twice."""
    seen: set[str] = set()
    for question in lesson.questions:
        if question.id in seen:
            faults.add(question.line, "id_twice", found=question.id)
        if (question.kind == "words") != (lesson.number == FRAME):
            faults.add(question.line, "words_only", number=FRAME)
        seen.add(question.id)
    low, high = (1, 1) if lesson.number == FRAME else (FEWEST, MOST)
    if not low <= len(lesson.questions) <= high:
        faults.add(1, "questions", count=len(lesson.questions), low=low, high=high)
    if len(lesson.figures) > FIGURES:
        faults.add(lesson.figures[FIGURES].line, "figures", most=FIGURES)
    changes = [part for part in lesson.parts if isinstance(part, Change)]
    # Without the one change at its end, a lesson would end in an answer instead of an experiment.
    if lesson.number != FRAME and (len(changes) != 1 or lesson.parts[-1] is not changes[0]):
        faults.add(changes[-1].line if changes else 1, "change")


__all__ = ["Change", "Figure", "Lesson", "Prose", "parse", "read_lesson", "read_source"]
