"""What a question of the course must not find told before it is sealed: what its run says, as text or as a number."""

from __future__ import annotations

import re
from typing import Any

from capot.errors import InputError
from capot.lessons.play import Played
from capot.lessons.typed import typed_number
from capot.lessons.values import read

# a number with the word or the unit that follows it
NUMBER = re.compile(r"(?<![\w.,])\u2212?\d[\d.,\u202f]*(?<![.,])(?:[\u00a0 ]?(?:%|[^\W\d_]+))?")
DIGITS = 3
SHORT = 4  # letters of a text that could stand anywhere


def is_told(each: Played, text: str, lang: str) -> bool:
    """Whether a page with this text tells what decides the question: all of it, as one value may be its premise."""
    question = each.question
    if question.kind == "number":
        return has_number(text, each.right, question.reading.unit if question.reading else "", lang)
    if question.kind == "token":
        # A token may be a comma: what tells it is its text, gone on with. The question itself names that text once.
        prompts = {
            str(call.given["prompt"]).replace("'", "\u2019") for call in question.calls if "prompt" in call.given
        }
        return any(text.replace("'", "\u2019").count(prompt) > 1 for prompt in prompts)
    if question.kind == "curve":
        return all(has_number(text, value, "", lang) for value in each.right[1])
    paths = question.rule.paths if question.rule else ()
    told = [has_value(text, read(each.evidence, path), lang) for path in paths]
    return bool(told) and all(told)


def has_value(text: str, value: Any, lang: str) -> bool:
    if isinstance(value, str):
        flat = " ".join(value.split())
        return len(flat) >= SHORT and flat in " ".join(text.split())
    if isinstance(value, list) or value in (0, 1):  # a yes or a no; ids, which are told by the cut
        return False
    number = float(value)
    return has_number(text, number, "", lang) or (0 < number < 1 and has_number(text, 100 * number, "%", lang))


def has_number(text: str, value: float, unit: str, lang: str) -> bool:
    """Whether a number stands in a text as pages write it; one of few digits could be anything, but for its unit."""
    for found in NUMBER.findall(text):
        try:
            typed = typed_number(found, lang)
        except InputError:  # a date, a version
            continue
        if not unit and typed.unit == "%":  # a share is no count
            continue
        sure = typed.digits >= DIGITS or (typed.digits > 1 and unit not in ("", "%") and typed.unit == unit.casefold())
        if sure and any(abs(one - value) <= slack + 1e-9 for one, slack in typed.within(unit)):
            return True
    return False
