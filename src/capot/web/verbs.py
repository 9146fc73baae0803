"""The web's view of ``Model``: one POST route per verb, made from the verb's own description.

A new chapter appears here by itself: its settings (``chapters.settings``) become the request's schema, its
answer's fields the response's.
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


class _First(FailFast):
    """One complaint about a list, not one for each item; it can stand in a union, which wants a hash."""

    def __hash__(self) -> int:
        return hash(type(self))


FIRST = _First()


@dataclass(frozen=True)
class Verb:
    """One chapter's verb: its name, the function behind it, and the shapes of its two bodies."""

    name: str
    chapter: str
    function: Callable[..., Any]
    request: type[BaseModel]
    schema: dict[str, Any]
    logits: bool = False  # whether its answer holds the raw logits, which no JSON carries

    @property
    def summary(self) -> str:
        """What it does, in one sentence: the first of the method's own words."""
        words = inspect.getdoc(getattr(registry.Verbs, self.name, self.function)) or self.name
        return words.splitlines()[0]

    def arguments(self, body: BaseModel) -> dict[str, Any]:
        """The call's arguments: what the body sets, its sampling fields gathered in one ``Sampling``."""
        given = {name: getattr(body, name) for name in body.model_fields_set}
        if _sampled(self.function):
            given["sampling"] = Sampling(**{key: given.pop(key) for key in list(given) if key in SAMPLING})
        return given


@cache
def verbs() -> dict[str, Verb]:
    """Every verb of ``Model`` that answers a :class:`Result`, by name, in the order of the chapters."""
    found = {}
    for name, (chapter, verb) in registry.verbs().items():
        function = verb.load()
        answer = hints_of(function).get("return")
        if isinstance(answer, type) and issubclass(answer, Result):
            logits = any(field.name == "logits" for field in dataclasses.fields(answer))
            found[name] = Verb(
                name, chapter.name, function, _request(name, sampled=_sampled(function)), schema(answer), logits
            )
    return found


def _sampled(function: Callable[..., Any]) -> bool:
    """Whether it takes a ``Sampling``, which stands for the fields of one."""
    return "sampling" in inspect.signature(function).parameters


def _request(verb: str, *, sampled: bool) -> type[BaseModel]:
    """The body of a verb's route. What ``Sampling`` bounds is refused here, the rest in the words of its chapter."""
    fields: dict[str, Any] = {}
    for name, setting in takes(verb).items():
        held = sampled and name in SAMPLING
        low, high = (setting.low, setting.high) if held else (None, None)
        default = ... if setting.required else setting.default
        fields[name] = (_plain_type(setting.type), Field(default, ge=low, le=high, json_schema_extra=setting.bounds))
    config = ConfigDict(extra="forbid", arbitrary_types_allowed=True)
    return create_model(f"{verb.capitalize()}Request", __config__=config, **fields)


def _plain_type(annotation: Any) -> Any:
    """An annotation that JSON can meet: abstract sequences become tuples, and nothing passes for a number but one.

    ``true`` is no id, ``"1"`` no temperature, and ``1.0`` nothing that is counted.
    """
    if annotation in (int, float, bool):
        return Annotated[annotation, Strict()]
    origin, inner = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (collections.abc.Sequence, collections.abc.Iterable, list, tuple):
        items: Any = tuple.__class_getitem__((_plain_type(inner[0]), ...))
        return Annotated[items, FIRST]
    if origin in (typing.Union, types.UnionType):
        return typing.Union[tuple(_plain_type(part) for part in inner)]  # noqa: UP007 - built from a tuple
    return annotation


def schema(kind: Any) -> dict[str, Any]:
    """JSON Schema of what ``view.result.plain`` makes of a value of this type."""
    if kind in JSON_KINDS:
        return {"type": [JSON_KINDS[kind], "null"] if kind is float else JSON_KINDS[kind]}
    if kind is type(None):
        return {"type": "null"}
    if dataclasses.is_dataclass(kind):
        hints = typing.get_type_hints(kind)
        shown = [f for f in dataclasses.fields(kind) if f.metadata.get("json", True)]
        properties = {f.name: schema(hints[f.name]) for f in shown}
        return {"type": "object", "properties": properties, "required": list(properties)}
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return {"anyOf": [schema(part) for part in inner]}
    if origin is typing.Literal:
        return {"enum": list(inner)}
    if origin in (tuple, list, collections.abc.Sequence):
        return {"type": "array", "items": schema(inner[0])} if len(set(inner) - {Ellipsis}) == 1 else {"type": "array"}
    if origin in (dict, collections.abc.Mapping):
        return {"type": "object", "additionalProperties": schema(inner[1])}
    return {}
