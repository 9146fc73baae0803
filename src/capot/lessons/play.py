"""A lesson's questions played on a model: which prediction is right, and whether what a learner saw is in the run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from capot.errors import InputError
from capot.lessons.calls import InstrumentCall
from capot.lessons.questions import Question, Rule, RunReading
from capot.lessons.reader import Lesson
from capot.lessons.typed import same_text, typed_number
from capot.lessons.values import filled, measure, read

if TYPE_CHECKING:
    from capot.model import Model


@dataclass(frozen=True)
class Played:
    """A question with its run.

    ``right`` is the number of the right choice from 1, a number in the question's unit, the text of a token, the points
    of a curve, or None for words. ``evidence`` is the run's answer, a list of them where there are several calls.
    """

    question: Question
    evidence: Any
    right: Any

    @property
    def surprises(self) -> bool:
        """Return whether the run says something else than the question says that most people expect."""
        return self.question.expected is not None and not self.agrees(self.question.expected)

    def agrees(self, predicted: Any) -> bool:
        """Return whether a prediction came true."""
        question = self.question
        if question.kind == "number":
            assert question.reading is not None
            return _near(predicted, self.right, question.reading)
        if question.kind == "token":
            return same_text(str(predicted), self.right, cased=True)
        if question.kind == "curve":
            return _alike(predicted, self.right[1], within=question.within)
        return bool(predicted == self.right)

    def saw(self, typed: str | float, lang: str | None = None) -> bool:
        """Return whether what a learner read is what the run says, in the form in which a page shows it.

        A number may have its unit, another unit of the same kind, and any rounding of two digits or more.
        Raises: InputError ``not_a_number``.
        """
        seen = self.question.seen
        assert seen is not None
        value = read(self.evidence, seen.reading.of)
        if isinstance(value, str):
            return same_text(str(typed), value)
        truth = seen_number(self)
        meant = typed_number(typed, lang).within(seen.reading.unit)
        return any(_near(number, truth, seen.reading, slack=slack) for number, slack in meant)

    def answer(self, lang: str | None = None) -> str:
        """Return the answer with its evidence: what holds for every run, then what holds for this one."""
        sentences = [self.question.answer]
        if self.question.outcomes:
            sentences.append(self.question.outcomes[self.right - 1])
        return "\n\n".join(filled(sentence, self.evidence, lang=lang) for sentence in sentences)

    def hints(self, lang: str | None = None) -> list[str]:
        """Return the hints, the last of which shows the run."""
        return [filled(hint, self.evidence, lang=lang) for hint in self.question.hints]


def play(question: Question, model: Model) -> Played:
    """Return a question with the run of ``model``. Raises: as the verbs; InputError ``lesson_path``."""
    return with_evidence(question, run(question.calls, model))


def with_evidence(question: Question, evidence: Any) -> Played:
    """Return a question with a run that was made before. Raises: InputError ``lesson_path``."""
    return Played(question, evidence, _right(question, evidence))


def play_all(lesson: Lesson, model: Model) -> list[Played]:
    """Return every question of a lesson with its run; figures and the change are run too. Raises: as ``play``."""
    # A figure has no answer, and yet its call must be one that this model can do.
    for figure in lesson.figures:
        run(figure.calls, model)
    if lesson.change is not None:
        run(lesson.change.calls, model)
    return [play(question, model) for question in lesson.questions]


def run(calls: Sequence[InstrumentCall], model: Model) -> Any:
    """Return the answer of a call, a list of answers where there are several, None where there is none."""
    answers = [call.on(model) for call in calls]
    if len(answers) > 1:
        return answers
    return answers[0] if answers else None


def _right(question: Question, evidence: Any) -> Any:
    if question.rule is not None:
        return _choice(question.rule, evidence)
    if question.curve is not None:
        return tuple(_points(evidence, path) for path in question.curve)
    if question.reading is None:
        return None
    if question.kind == "token":
        return str(read(evidence, question.reading.of))
    return measure(evidence, question.reading.of) * question.reading.times


def _choice(rule: Rule, evidence: Any) -> int:
    """Return the number of the right choice; of equal ones the first."""
    if rule.name == "same":
        first, second = (read(evidence, path) for path in rule.paths)
        return 1 if first == second else 2
    if rule.name == "holds":
        text = str(read(evidence, rule.paths[0])).casefold()
        found = (place for place, part in enumerate(rule.holds, 1) if part.casefold() in text)
        return next(found, len(rule.holds) + 1)
    values = [measure(evidence, path) for path in rule.paths]
    values = [value * scale for value, scale in zip(values, rule.scale or [1.0] * len(values), strict=True)]
    if rule.name == "below":
        return 1 + sum(values[0] >= bound for bound in rule.below)
    return 1 + values.index(max(values) if rule.name == "largest" else min(values))


def _points(evidence: Any, path: str) -> list[float]:
    """Return the numbers of an axis, three at least. Raises: InputError ``lesson_path``."""
    values = read(evidence, path)
    numbers = [value for value in values if isinstance(value, int | float)] if isinstance(values, list) else []
    if len(numbers) < 3 or len(numbers) != len(values):
        raise InputError("lesson_path", path=path, step=path.rpartition(".")[2])
    return numbers


def seen_number(played: Played) -> float:
    """Return the number that a learner is to have seen, in the unit in which it is asked for."""
    assert played.question.seen is not None
    reading = played.question.seen.reading
    return measure(played.evidence, reading.of) * reading.times


def _near(value: float, truth: float, reading: RunReading, *, slack: float = 0.0) -> bool:
    """Return whether a number is within the tolerance or ``slack``, with room for a decimal fraction's last bit."""
    most = max(reading.tolerance, reading.share * abs(truth), slack)
    # 0.1 + 0.2 is not 0.3: a tolerance of 0.1 must hold what is 0.1 away.
    return abs(value - truth) <= most + 1e-9 * max(1.0, abs(truth))


def _alike(drawn: Sequence[float], truth: Sequence[float], *, within: float) -> bool:
    """Return whether every point drawn is within a factor of its own, once the two curves begin alike.

    What a curve claims is its shape: both are divided by their first point.
    """
    if len(drawn) != len(truth) or not drawn[0] or not truth[0]:
        return False
    # By ratios: a curve from 1 to 100 is wrong by a factor, never by a difference.
    pairs = [(mine / drawn[0], theirs / truth[0]) for mine, theirs in zip(drawn, truth, strict=True)]
    return all(mine > 0 and theirs > 0 and 1 / within <= mine / theirs <= within for mine, theirs in pairs)
