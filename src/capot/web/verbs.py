"""Describe the verbs of ``Model`` to the web: one POST route each, made from the verb's own description.

A new chapter appears here by itself: its settings (``chapters.settings``) become the request's schema, its answer's
fields the response's.
"""

from __future__ import annotations

import collections.abc
import dataclasses
import inspect
import types
import typing
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, FailFast, Field, Strict, create_model

from capot.chapters import registry
from capot.chapters.hints import hints_of
from capot.chapters.settings import SAMPLING, takes
from capot.config import Sampling
from capot.view.result import Result

JSON_KINDS = {str: "string", int: "integer", float: "number", bool: "boolean", bytes: "string"}


class _HashableFailFast(FailFast):
    """Report one error of a list, not one for each item. Hashable, since it may stand in a union."""

    def __hash__(self) -> int:
        return hash(type(self))


FAIL_FAST = _HashableFailFast()


@dataclass(frozen=True)
class Verb:
    """One chapter's verb: its name, its function, and the schemas of request and answer."""

    name: str
    chapter: str
    function: Callable[..., Any]
    request: type[BaseModel]
    schema: dict[str, Any]
    logits: bool = False  # whether its answer holds the raw logits, which no JSON carries

    @property
    def summary(self) -> str:
        """Return what it does, in one sentence: the first of the method's docstring."""
        words = inspect.getdoc(getattr(registry.Verbs, self.name, self.function)) or self.name
        return words.splitlines()[0]

    def arguments(self, body: BaseModel) -> dict[str, Any]:
        """Return the call's arguments: what the body sets, its sampling fields gathered in one ``Sampling``."""
        given = {name: getattr(body, name) for name in body.model_fields_set}
        if _takes_sampling(self.function):
            given["sampling"] = Sampling(**{key: given.pop(key) for key in list(given) if key in SAMPLING})
        return given


@cache
def verbs() -> dict[str, Verb]:
    """Return every verb of ``Model`` that answers a :class:`Result`, by name, in the order of the chapters."""
    found = {}
    for name, (chapter, verb) in registry.verbs().items():
        function = verb.load()
        answer = hints_of(function).get("return")
        if isinstance(answer, type) and issubclass(answer, Result):
            logits = any(field.name == "logits" for field in dataclasses.fields(answer))
            found[name] = Verb(
                name,
                chapter.name,
                function,
                _request_model(name, sampled=_takes_sampling(function)),
                json_schema(answer),
                logits,
            )
    return found


def _takes_sampling(function: Callable[..., Any]) -> bool:
    """Return whether a function takes a ``Sampling``, which stands for several fields of a request."""
    return "sampling" in inspect.signature(function).parameters


def _request_model(verb: str, *, sampled: bool) -> type[BaseModel]:
    """Return the model of a verb's request.

    Pydantic refuses what ``Sampling`` bounds. All else is refused by the chapter, in its own words.
    """
    fields: dict[str, Any] = {}
    for name, setting in takes(verb).items():
        # The bounds of a setting are checked by the chapter, whose error says what is near; Pydantic's would be second
        # best.
        held = sampled and name in SAMPLING
        low, high = (setting.low, setting.high) if held else (None, None)
        default = ... if setting.required else setting.default
        fields[name] = (_json_type(setting.type), Field(default, ge=low, le=high, json_schema_extra=setting.bounds))
    config = ConfigDict(extra="forbid", arbitrary_types_allowed=True)
    return create_model(f"{verb.capitalize()}Request", __config__=config, **fields)


def _json_type(annotation: Any) -> Any:
    """Return an annotation that JSON can meet: sequences become tuples, and numbers are strict.

    ``true`` is no id, ``"1"`` no temperature, and ``1.0`` no count.
    """
    if annotation in (int, float, bool):
        return Annotated[annotation, Strict()]
    origin = typing.get_origin(annotation)
    inner = typing.get_args(annotation)
    if origin in (collections.abc.Sequence, collections.abc.Iterable, list, tuple):
        items: Any = tuple.__class_getitem__((_json_type(inner[0]), ...))
        return Annotated[items, FAIL_FAST]
    if origin in (typing.Union, types.UnionType):
        return typing.Union[tuple(_json_type(part) for part in inner)]  # noqa: UP007 - built from a tuple
    return annotation


def json_schema(kind: Any) -> dict[str, Any]:
    """Return the JSON Schema of what ``view.result.to_jsonable`` makes of a value of this type."""
    if kind in JSON_KINDS:
        return {"type": [JSON_KINDS[kind], "null"] if kind is float else JSON_KINDS[kind]}
    if kind is type(None):
        return {"type": "null"}
    if dataclasses.is_dataclass(kind):
        hints = typing.get_type_hints(kind)
        shown = [f for f in dataclasses.fields(kind) if f.metadata.get("json", True)]
        properties = {f.name: json_schema(hints[f.name]) for f in shown}
        return {"type": "object", "properties": properties, "required": list(properties)}
    origin = typing.get_origin(kind)
    inner = typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return {"anyOf": [json_schema(part) for part in inner]}
    if origin is typing.Literal:
        return {"enum": list(inner)}
    if origin in (tuple, list, collections.abc.Sequence):
        return (
            {"type": "array", "items": json_schema(inner[0])}
            if len(set(inner) - {Ellipsis}) == 1
            else {"type": "array"}
        )
    if origin in (dict, collections.abc.Mapping):
        return {"type": "object", "additionalProperties": json_schema(inner[1])}
    return {}
