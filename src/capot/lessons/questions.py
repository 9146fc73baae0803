"""The questions of a lesson, read from a fenced block of TOML.

choice   one of several answers; which is right is read in the run
number   a number, read in the run, with its tolerance and the bounds of what can be predicted
token    a bet on the next token
curve    points drawn by hand, beside those of the run
words    a text of one's own, which no program marks
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from capot.i18n import is_singular
from capot.lessons.calls import InstrumentCall, read_calls
from capot.lessons.fields import Fields
from capot.lessons.page import check_page
from capot.lessons.typed import UNITS
from capot.lessons.values import FORMS, PATH, slots

KINDS = ("choice", "number", "token", "curve", "words")
SHORT, LONG = 400, 4000  # characters of a question and of an answer
HINTS = 3
FACTOR = 1_000_000_000
NUMBER = 1e15  # the greatest number that is bet: beyond it a page no longer writes every digit
UNIT = 40  # characters of a unit, in the singular and in the plural
POINTS = (3, 12)  # of a curve that is drawn by hand
_ID = re.compile(r"[a-z][a-z0-9-]{0,39}")
COMMON = ("id", "kind", "ask", "run", "seen", "why", "hints", "answer", "expected")
OWN = {
    "choice": ("choices", "outcomes", "largest", "smallest", "same", "of", "below", "holds", "scale"),
    "number": ("of", "times", "unit", "tolerance", "share", "least", "greatest"),
    "token": ("of",),
    "curve": ("x", "y", "points", "within"),
    "words": (),
}


@dataclass(frozen=True)
class RunReading:
    """A number of a run: where it is read, what it is multiplied by, and how far another may be from it.

    ``share`` is a tolerance in shares of the number itself: of times, which differ from machine to machine.
    ``unit_one`` is the unit after one of them, where it is a word that agrees with its number.
    """

    of: str
    times: float = 1.0
    tolerance: float = 0.0
    share: float = 0.0
    unit: str = ""
    unit_one: str = ""

    def unit_of(self, value: float, lang: str | None) -> str:
        """Return the unit as it stands after a number in a language."""
        return self.unit_one if self.unit_one and is_singular(value, lang) else self.unit


@dataclass(frozen=True)
class Seen:
    """What a learner is to read in the run. Where ``reading`` has no number it is a text."""

    ask: str
    reading: RunReading


@dataclass(frozen=True)
class Bounds:
    """The least and the greatest number that can be predicted; None where there is no such bound."""

    least: float | None = None
    greatest: float | None = None

    def beyond(self, value: float) -> float | None:
        """Return the bound that a number is beyond, or None."""
        if self.least is not None and value < self.least:
            return self.least
        return self.greatest if self.greatest is not None and value > self.greatest else None


@dataclass(frozen=True)
class Rule:
    """Which choice is right.

    ``largest`` and ``smallest`` compare a number for each choice, multiplied by its ``scale``; ``same`` says whether
    two values are one; ``below`` is a number and the bound of each choice but the last; ``holds`` is a text, and what
    of it makes each choice right, the last being right where nothing does.
    """

    name: str
    paths: tuple[str, ...]
    below: tuple[float, ...] = ()
    holds: tuple[str, ...] = ()
    scale: tuple[float, ...] = ()


@dataclass(frozen=True)
class Question:
    """A prediction, the run that answers it, what is to be seen there, and why."""

    id: str
    kind: str
    ask: str
    line: int
    calls: tuple[InstrumentCall, ...]
    why: str
    hints: tuple[str, ...]
    answer: str
    choices: tuple[str, ...] = ()
    outcomes: tuple[str, ...] = ()
    rule: Rule | None = None
    reading: RunReading | None = None
    curve: tuple[str, str] | None = None
    points: tuple[float, ...] = ()
    within: float = 1.0
    seen: Seen | None = None
    expected: Any = None
    bounds: Bounds = Bounds()

    @property
    def sentences(self) -> tuple[str, ...]:
        """Return the sentences that are filled from the run."""
        return (*self.hints, self.answer, *self.outcomes)


def read_question(fields: Fields, folder: Path) -> Question:
    """Return a question; its faults are noted."""
    known = fields.values.get("kind")
    # An unknown kind is read as the plainest one, so that its other faults are found as well.
    kind = known if known in KINDS else "words"
    if fields.take("kind") is not None and known not in KINDS:
        fields.fault("kind", "kind_unknown", found=str(known), known=", ".join(KINDS))
    name = fields.text("id", 40)
    if name and not _ID.fullmatch(name):
        fields.fault("id", "id_form", found=name)
    own = _own(kind, fields)
    found = Question(
        name, kind, fields.text("ask", SHORT), fields.first, read_calls(fields, required=kind != "words"),
        why=fields.text("why", SHORT), hints=fields.texts("hints", most=SHORT, low=HINTS, high=HINTS),
        answer=fields.text("answer", LONG), seen=_seen(fields, required=kind != "words"),
        expected=_expected(kind, fields, own), **own,
    )  # fmt: skip
    fields.end(*COMMON, *OWN[kind])
    _check_sentences(found, fields, folder)
    return found


def _own(kind: str, fields: Fields) -> dict[str, Any]:
    """Return what only this kind of question has."""
    if kind == "choice":
        choices = fields.texts("choices", most=SHORT, low=2, high=6)
        outcomes = fields.texts("outcomes", most=LONG, low=len(choices), high=len(choices), required=False)
        return {"choices": choices, "outcomes": outcomes, "rule": _rule(fields, len(choices))}
    if kind == "number":
        reading = _reading(fields, text=False)
        return {"reading": reading, "bounds": _bounds(fields, reading.unit)}
    if kind == "token":
        return {"reading": RunReading(_path(fields, "of"))}
    if kind == "curve":
        axes = (_path(fields, "x"), _path(fields, "y"))
        return {"curve": axes, "points": _points(fields), "within": fields.number("within", 1, 100)}
    return {}


def _bounds(fields: Fields, unit: str) -> Bounds:
    least, greatest = (
        fields.number(name, -NUMBER, NUMBER) if name in fields.values else None for name in ("least", "greatest")
    )
    # A size or a time is never negative, whether or not its author thought of saying so.
    if least is None and any(unit.casefold() in UNITS[kind] for kind in ("bytes", "time")):
        least = 0
    if least is not None and greatest is not None and least >= greatest:
        fields.fault("greatest", "bounds_order", least=least, greatest=greatest)
    return Bounds(least, greatest)


def _rule(fields: Fields, count: int) -> Rule | None:
    named = [name for name in ("largest", "smallest", "same", "of") if name in fields.values]
    if len(named) != 1:
        fields.fault(named[-1] if named else "choices", "rule")
        for name in named:
            fields.take(name)
        return None
    if named[0] == "of":
        return _rule_of(fields, count)
    wanted = 2 if named[0] == "same" else count
    paths = fields.texts(named[0], most=SHORT, low=wanted, high=wanted)
    for path in paths:
        _check_path(path, fields, named[0])
    if named[0] == "same" and count != 2:
        fields.fault("choices", "same_choices")
    scale = _numbers(fields, "scale", count) if "scale" in fields.values and named[0] != "same" else ()
    return Rule(named[0], paths, scale=scale)


def _rule_of(fields: Fields, count: int) -> Rule:
    path = _path(fields, "of")
    if "holds" in fields.values:
        return Rule("holds", (path,), holds=fields.texts("holds", most=40, low=count - 1, high=count - 1))
    bounds = _numbers(fields, "below", count - 1)
    # Sorted and each once: the first bound that is not reached decides.
    if list(bounds) != sorted(set(bounds)):
        fields.fault("below", "bounds", count=count - 1)
    return Rule("below", (path,), bounds)


def _numbers(fields: Fields, name: str, count: int) -> tuple[float, ...]:
    """Return so many numbers."""
    value = fields.take(name)
    numbers = [each for each in value if type(each) in (int, float)] if isinstance(value, list) else []
    if len(numbers) != count or numbers != value:
        fields.fault(name, "bounds" if name == "below" else "numbers", count=count)
    return tuple(float(each) for each in numbers)


def _points(fields: Fields) -> tuple[float, ...]:
    """Return where a curve is drawn by hand: rising numbers, the x of the run."""
    value = fields.take("points")
    points = [float(each) for each in value if type(each) in (int, float)] if isinstance(value, list) else []
    if points != value or not POINTS[0] <= len(points) <= POINTS[1] or points != sorted(set(points)):
        fields.fault("points", "points", low=POINTS[0], high=POINTS[1])
    return tuple(points)


def _path(fields: Fields, name: str) -> str:
    path = fields.text(name, SHORT)
    if path:
        _check_path(path, fields, name)
    return path


def _check_path(path: str, fields: Fields, name: str) -> None:
    if not PATH.fullmatch(path):
        fields.fault(name, "path_form", found=path)


def _reading(fields: Fields, *, text: bool) -> RunReading:
    """Return a reading; a number without tolerance is to be typed as it is. ``text``: it may be a text."""
    tolerance, share = (fields.number(name, 0, FACTOR, default=0.0) for name in ("tolerance", "share"))
    # A number that a run measures differs from machine to machine: no tolerance is a slip.
    if not text and not tolerance and not share:
        fields.fault("tolerance", "tolerance_missing")
    one, unit = _unit(fields)
    times = fields.number("times", 0, FACTOR, default=1.0)
    return RunReading(_path(fields, "of"), times, tolerance, share, unit, unit_one=one)


def _unit(fields: Fields) -> tuple[str, str]:
    """Return a unit after one and after several: the same, but where ``token|tokens`` has both."""
    found = fields.text("unit", UNIT, required=False)
    one, *others = found.split("|")
    if len(others) > 1 or (others and not (one.strip() and others[0].strip())):
        fields.fault("unit", "unit_form", found=found)
    return (one, others[0]) if others else ("", found)


def _seen(fields: Fields, *, required: bool) -> Seen | None:
    inner = fields.inner("seen", required=required)
    if inner is None:
        return None
    found = Seen(inner.text("ask", SHORT), _reading(inner, text=True))
    inner.end("ask", "of", "times", "tolerance", "share", "unit")
    return found


def _expected(kind: str, fields: Fields, own: dict[str, Any]) -> Any:
    """Return what most people would say, where the question says that they would be surprised."""
    value = fields.take("expected", required=False)
    if value is None:
        return None
    number = isinstance(value, int | float) and not isinstance(value, bool)
    count = len(own.get("choices", ()))
    good = {
        "choice": number and value in range(1, count + 1),
        "number": number,
        "token": isinstance(value, str) and bool(value.strip()),
    }
    if not good.get(kind, False):
        fields.fault("expected", "expected", found=str(value), kind=kind)
    elif kind == "number" and own["bounds"].beyond(value) is not None:
        fields.fault("expected", "beyond", value=value, bound=own["bounds"].beyond(value))
    return value


def _check_sentences(question: Question, fields: Fields, folder: Path) -> None:
    """Note wrong placeholders, wrong Markdown, and a last hint that shows nothing of the run."""
    sentences_by_field: dict[str, tuple[str, ...]] = {
        "ask": (question.ask,),
        "why": (question.why,),
        "answer": (question.answer,),
    }
    sentences_by_field |= {"hints": question.hints, "outcomes": question.outcomes, "choices": question.choices}
    for name, sentences in sentences_by_field.items():
        for sentence in sentences:
            check_page(sentence, first=fields.line(name), folder=folder, faults=fields.faults)
            for path, form in slots(sentence):
                if not PATH.fullmatch(path):
                    fields.fault(name, "path_form", found=path)
                if form and form not in FORMS:
                    fields.fault(name, "form", found=form, known=", ".join(FORMS))
    for name in ("ask", "why", "choices"):
        if any(slots(sentence) for sentence in sentences_by_field[name]):
            fields.fault(name, "told_before")
    # The last hint shows the run, so that nobody is stuck; the answer must show it too.
    if question.calls and question.hints and not slots(question.hints[-1]):
        fields.fault("hints", "last_hint")
    if question.calls and not slots(question.answer) and not all(map(slots, question.outcomes or ("",))):
        fields.fault("answer", "no_evidence")
