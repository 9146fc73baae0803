"""What is malformed in a request is said in the reader's language, whatever argument it is and whatever was sent."""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from capot.i18n import find
from capot.web import live, opening
from capot.web.faults import malformed
from capot.web.verbs import verbs

WRONG = [None, True, 1, 1.5, -1, float("nan"), "", "x", "9" * 5000, "x" * 100_000, [], [1], ["x"] * 10_000, {}]


def requests() -> list[type[BaseModel]]:
    """Every body that the lab reads."""
    found = [verb.request for verb in verbs().values()]
    for module in (live, opening):
        kinds = (kind for _, kind in inspect.getmembers(module, inspect.isclass) if kind.__module__ == module.__name__)
        found += [kind for kind in kinds if issubclass(kind, BaseModel)]
    return found


def refused(kind: type[BaseModel], body: dict[str, Any]) -> ValidationError:
    with pytest.raises(ValidationError) as caught:
        kind.model_validate(body)
    return caught.value


def complaints() -> Iterator[ValidationError]:
    """Each field in turn set to what it may not be, beside an argument that there is not."""
    for kind in requests():
        for field, wrong in itertools.product(kind.model_fields, WRONG):
            yield refused(kind, {field: wrong, "no_such_argument": 1})


@pytest.mark.parametrize("lang", ["en", "fr"])
def test_every_complaint_has_words(lang: str) -> None:
    seen = set()
    for error in complaints():
        seen |= {one["type"] for one in error.errors(include_input=False)}
        assert "Input should" not in malformed(error).message(lang)
    assert len(seen) > 15 and [kind for kind in seen if not find(f"request.{kind}", lang)] == []


def test_bounds_and_choices_are_told() -> None:
    memory, generate = (verbs()[name].request for name in ("memory", "generate"))
    for lang, words in (("en", "one of 'last', 'all' was expected"), ("fr", "l’un de ces mots était attendu")):
        told = malformed(refused(memory, {"mode": "some"})).message(lang)
        assert told.startswith("mode ") and words in told and "'last', 'all'" in told
    warm = malformed(refused(generate, {"prompt": "a", "temperature": -1}))
    assert "at least 0 was expected" in warm.message("en") and "au moins 0 était attendu" in warm.message("fr")


def test_what_pydantic_may_say_one_day_is_told_as_it_says_it() -> None:
    error = ValidationError.from_exception_data("Other", [{"type": "url_type", "loc": ("when",), "input": 1}])
    assert "URL" in malformed(error).message("fr")
