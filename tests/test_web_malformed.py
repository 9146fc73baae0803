"""What is malformed in a request is said in the reader's language, whatever argument it is and whatever was sent."""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from capot.i18n import find
from capot.web import opening, stream_routes
from capot.web.error_handlers import validation_error
from capot.web.verbs import verbs

WRONG = [None, True, 1, 1.5, -1, float("nan"), "", "x", "9" * 5000, "x" * 100_000, [], [1], ["x"] * 10_000, {}]


def requests() -> list[type[BaseModel]]:
    """Every body that the lab reads."""
    found = [verb.request for verb in verbs().values()]
    for module in (stream_routes, opening):
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
        assert "Input should" not in validation_error(error).message(lang)
    assert len(seen) > 15 and [kind for kind in seen if not find(f"request.{kind}", lang)] == []


def test_bounds_and_choices_are_told() -> None:
    memory, generate = (verbs()[name].request for name in ("memory", "generate"))
    for lang, words in (("en", "one of 'last', 'all' was expected"), ("fr", "l’un de ces mots était attendu")):
        told = validation_error(refused(memory, {"mode": "some"})).message(lang)
        assert told.startswith("mode ") and words in told and "'last', 'all'" in told
    warm = validation_error(refused(generate, {"prompt": "a", "temperature": -1}))
    assert "at least 0 was expected" in warm.message("en") and "au moins 0 était attendu" in warm.message("fr")


def test_what_pydantic_may_say_one_day_is_told_as_it_says_it() -> None:
    error = ValidationError.from_exception_data("Other", [{"type": "url_type", "loc": ("when",), "input": 1}])
    assert "URL" in validation_error(error).message("fr")


MIXED = (True, 1.0, 1.5, "1", "0.5", "true", 7)
KINDS: dict[str, tuple[type, ...]] = {"integer": (int,), "number": (int, float), "boolean": (bool,)}


def scalars(kind: type[BaseModel]) -> Iterator[tuple[str, bool, str, set[str]]]:
    """Each argument that is a number or a truth, or a list of these: whether it is a list, and all it may be."""
    for name, field in kind.model_json_schema()["properties"].items():
        ways = [field, *field.get("anyOf", [])]
        plain = {way.get("type") for way in ways}
        for way in ways:
            items = way.get("items", {}).get("type")
            if (items or way.get("type")) in KINDS:
                yield name, items is not None, items or way["type"], plain


def test_nothing_passes_for_a_number_but_a_number() -> None:
    """``true`` was the token 1, ``1.0`` and ``"1"`` as well; and 1 was true."""
    tried = set()
    for kind in requests():
        for name, listed, wanted, ways in scalars(kind):
            for value in MIXED:
                if type(value) in KINDS[wanted] or (isinstance(value, str) and "string" in ways and not listed):
                    continue
                errors = refused(kind, {name: [value] if listed else value}).errors(include_input=False)
                assert any(error["loc"][0] == name for error in errors), (kind.__name__, name, value)
                tried.add(name)
    assert {"ids", "k", "near", "tokens", "temperature", "seed", "simulate", "known", "price_in"} <= tried


def test_numbers_are_taken_as_they_are() -> None:
    body = {"prompt": "a", "ids": [1, 2], "temperature": 0, "top_p": 0.5, "max_new_tokens": 3, "seed": 2**53}
    found = verbs()["generate"].request.model_validate(body)
    assert (found.ids, found.temperature, found.seed) == ((1, 2), 0.0, 2**53)  # type: ignore[attr-defined]
    assert verbs()["memory"].request.model_validate({"tokens": "1,64"}).tokens == "1,64"  # type: ignore[attr-defined]
