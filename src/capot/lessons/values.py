"""What is read in the answer of an instrument, by a path, and sentences filled with it.

A path is names and places parted by dots; ``-1`` is the last entry of a list, ``*`` every one. Nothing in it is
computed.

>>> answer = {"rows": [{"tokens": 1}, {"tokens": 2}]}
>>> read(answer, "rows.0.tokens"), read(answer, "rows.-1.tokens"), read(answer, "rows.*.tokens")
(1, 2, [1, 2])
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from capot.errors import InputError
from capot.i18n import bits, duration, number, percent, size
from capot.view.visible import visible

LAST = "-1"
PATH = re.compile(r"(?:[a-z_]\w*|\d{1,6}|-1|\*)(?:\.(?:[a-z_]\w*|\d{1,6}|-1|\*)){0,9}")
SLOT = re.compile(r"\{\{\s*([^{}:\s]*)\s*(?::\s*(\w+)\s*)?\}\}")
SHOWN = 4000  # characters of one text of a run in a sentence: more than a lesson's instruments write
_MARKS = re.compile(r"[!-/:-@\[-`{-~]")  # what CommonMark lets a backslash make text of
FORMS: dict[str, Callable[[float, str | None], str]] = {
    "percent": percent,
    "number": number,
    "plain": lambda value, lang: str(int(value)),
    "whole": lambda value, lang: number(value, lang, 0),
    "tenths": lambda value, lang: number(value, lang, 1),
    "hundredths": lambda value, lang: number(value, lang, 2),
    "size": size,
    "bits": bits,
    "duration": duration,
}


def read(answer: Any, path: str) -> Any:
    """Return what stands at a path. Raises: InputError ``lesson_path`` where nothing does."""
    return _read(answer, path.split("."), path)


def _read(value: Any, steps: Sequence[str], path: str) -> Any:
    if not steps:
        return value
    step, *rest = steps
    if isinstance(value, list | tuple):
        if step == "*":
            return [_read(each, rest, path) for each in value]
        if step == LAST and value:
            return _read(value[-1], rest, path)
        if step.isdigit() and int(step) < len(value):
            return _read(value[int(step)], rest, path)
    elif isinstance(value, dict) and step in value:
        return _read(value[step], rest, path)
    raise InputError("lesson_path", path=path, step=step)


def measure(answer: Any, path: str) -> float:
    """Return the number at a path; a text or a list counts as its length. Raises: InputError ``lesson_path``."""
    value = read(answer, path)
    # Before numbers: True is an int to Python.
    if isinstance(value, bool):
        return float(value)
    if isinstance(value, str | list | tuple):
        return float(len(value))
    if not isinstance(value, int | float):
        raise InputError("lesson_path", path=path, step=path.rpartition(".")[2])
    return float(value)


def filled(sentence: str, answer: Any, *, lang: str | None = None) -> str:
    """Return a sentence of Markdown with what ``{{path}}`` and ``{{path:form}}`` stand for, written in the language.

    A text of the run stays text, whatever it holds: a model may write what Markdown would take for a link.

    >>> filled("{{share:percent}} of {{name}}", {"share": 0.5, "name": "x"}, lang="en")
    '50.0% of x'
    """

    def filled_in(slot: re.Match[str]) -> str:
        value = read(answer, slot[1])
        if form := slot[2]:
            return FORMS[form](measure(answer, slot[1]), lang)
        # True is an int to Python, and no number to a reader.
        plain = isinstance(value, int | float) and not isinstance(value, bool)
        return number(value, lang) if plain else as_text(str(value)[:SHOWN])

    return SLOT.sub(filled_in, sentence)


def as_text(value: str) -> str:
    """Return a text as Markdown that shows it and nothing else, on one line.

    >>> as_text(" *a*\\n[b](c) ")
    '\\\\*a\\\\* ⏎ \\\\[b\\\\]\\\\(c\\\\)'
    """
    lines = [" ".join(line.split()) for line in visible(value.strip(), lines=True).split("\n")]
    return _MARKS.sub(r"\\\g<0>", " ⏎ ".join(line for line in lines if line))


def slots(sentence: str) -> list[tuple[str, str]]:
    """Return the paths of a sentence with their forms, "" where it names none."""
    return [(slot[1], slot[2] or "") for slot in SLOT.finditer(sentence)]
