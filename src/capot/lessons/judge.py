"""A prediction, and what a learner read, held against the learner's own run, which the page sends along."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from capot.errors import InputError
from capot.i18n import number
from capot.lessons.nodes import Node, to_nodes
from capot.lessons.play import Played, with_evidence
from capot.lessons.questions import NUMBER, Question
from capot.view.visible import visible

TOKEN_CHARS = 200  # of a token that is bet on
EVIDENCE = "evidence"  # where a request holds the answers of a learner's own runs


@dataclass(frozen=True)
class Judgement:
    """What a page is told once a prediction is sealed. None where nothing was predicted, or nothing read yet.

    ``unread``: what was typed is no number, where the run says one.
    """

    came_true: bool | None
    right: str
    points: list[float]
    expected: bool
    seen: bool | None
    unread: bool
    hints: list[list[Node]]
    answer: list[Node]


def judged(
    question: Question, evidence: Sequence[Any], predicted: Any, *, typed: str | None, folder: Path, lang: str
) -> Judgement:
    """Return whether a prediction came true and whether ``typed`` is what the run says, with hints and the answer.

    Raises: InputError ``lesson_evidence``, ``lesson_path``, ``prediction_form``.
    """
    # The runs come from the browser, which may be of an older course: nothing is read before they are as many.
    if len(evidence) != len(question.calls):
        raise InputError("lesson_evidence", count=len(evidence), wanted=len(question.calls))
    check_prediction(question, predicted)
    try:
        played = with_evidence(question, evidence[0] if len(evidence) == 1 else list(evidence) or None)
        seen, unread = _seen(played, typed, lang)
        return Judgement(
            # Words are judged by nobody: a learner compares them with the answer.
            came_true=None if question.kind == "words" else played.agrees(predicted),
            right=_right(played, lang),
            points=list(played.right[1]) if question.kind == "curve" else [],
            expected=played.surprises,
            seen=seen,
            unread=unread,
            hints=[to_nodes(hint, folder=folder) for hint in played.hints(lang)],
            answer=to_nodes(played.answer(lang), folder=folder),
        )
    except (OverflowError, ValueError, TypeError):  # numbers that no run gives
        raise InputError("lesson_path", path=EVIDENCE, step=EVIDENCE) from None


def _seen(played: Played, typed: str | None, lang: str) -> tuple[bool | None, bool]:
    """Return whether ``typed`` is what the run says, and whether it cannot be read.

    That is told beside the field: hints and answer do not wait for it.
    """
    if played.question.seen is None or not typed or not typed.strip():
        return None, False
    try:
        return played.saw(typed, lang), False
    except InputError as refused:
        if refused.code != "not_a_number":
            raise
        return None, True


def check_prediction(question: Question, predicted: Any) -> None:
    """Refuse what cannot be a prediction of this kind. Raises: InputError ``prediction_form``."""
    # JSON has true and NaN, too: neither is a number that anybody predicts.
    real = isinstance(predicted, int | float) and not isinstance(predicted, bool) and math.isfinite(predicted)
    drawn = isinstance(predicted, list) and all(type(each) in (int, float) for each in predicted)
    good = {
        "choice": real and predicted in range(1, len(question.choices) + 1),
        "number": real and abs(predicted) <= NUMBER,
        "token": isinstance(predicted, str) and 0 < len(predicted) <= TOKEN_CHARS,
        "curve": drawn and len(predicted) == len(question.points),
        "words": predicted is None or isinstance(predicted, str),
    }
    if not good[question.kind]:
        raise InputError("prediction_form", kind=question.kind)


def _right(played: Played, lang: str) -> str:
    """Return what would have been right, as a page shows it; nothing for a curve, which it draws."""
    question = played.question
    if question.kind == "choice":
        return str(question.choices[played.right - 1])
    if question.kind == "number":
        value = _rounded(played.right)
        unit = question.reading.unit_of(value, lang) if question.reading else ""
        return f"{number(value, lang)} {unit}".strip()
    return visible(played.right.strip()) if question.kind == "token" else ""


def _rounded(value: float) -> float:
    """Return a number with four digits that count."""
    # More digits would be of this one run, where the question is about a size.
    return value if value == 0 or float(value).is_integer() else float(f"{value:.4g}")
