"""The web's view of ``Model``: one POST route per verb, made from the verb's own signature.

A new chapter appears here by itself: its parameters become the request's schema, its
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

from pydantic import BaseModel, ConfigDict, FailFast, Field, create_model

from capot.chapters import registry
from capot.config import Sampling
from capot.view.result import Result

# Parameters that a page may never set: they reach files, callbacks or another person's caches.
HIDDEN = {"emit", "progress", "notice", "owner", "template_path", "write_template"}
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
        for name, parameter in _parameters(self.function).items():
            if _is_sampling(parameter.annotation):
                fields = {f.name for f in dataclasses.fields(Sampling)}
                given[name] = Sampling(**{key: given.pop(key) for key in list(given) if key in fields})
        return given


@cache
def verbs() -> dict[str, Verb]:
    """Every verb of ``Model`` that answers a :class:`Result`, by name, in the order of the chapters."""
    found = {}
    for name, (chapter, verb) in registry.verbs().items():
        function = verb.load()
        answer = _hints(function).get("return")
        if isinstance(answer, type) and issubclass(answer, Result):
            logits = any(field.name == "logits" for field in dataclasses.fields(answer))
            found[name] = Verb(name, chapter.name, function, _request(name, function), schema(answer), logits)
    return found


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    """A function's annotations, resolved; Any where a name is imported for type checkers alone."""
    names = {name: Any for name in ("Opened", "Ticket", "Iterator") if name not in function.__globals__}
    return typing.get_type_hints(function, localns=names)


@cache
def _parameters(function: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """The parameters a page may set, with their annotations resolved; the model itself is left out."""
    hints = _hints(function)
    parameters = list(inspect.signature(function).parameters.values())[1:]
    shown = {p.name: p.replace(annotation=hints.get(p.name, Any)) for p in parameters if p.name not in HIDDEN}
    return {name: p for name, p in shown.items() if p.kind is not inspect.Parameter.VAR_KEYWORD and not _opaque(p)}


def _opaque(parameter: inspect.Parameter) -> bool:
    """Whether a parameter is something JSON cannot hold (a callback, a path, an opened file)."""
    text = str(parameter.annotation)
    return any(word in text for word in ("Callable", "Path", "IO[", "capot.engines.scheduler", "capot.text.templates"))


def _is_sampling(annotation: Any) -> bool:
    return annotation is Sampling or Sampling in typing.get_args(annotation)


def _request(name: str, function: Callable[..., Any]) -> type[BaseModel]:
    fields: dict[str, Any] = {}
    for parameter in _parameters(function).values():
        if _is_sampling(parameter.annotation):
            fields.update(_sampling_fields())
        else:
            required = parameter.default is inspect.Parameter.empty
            default = ... if required else parameter.default
            fields[parameter.name] = (_plain_type(parameter.annotation), Field(default))
    config = ConfigDict(extra="forbid", arbitrary_types_allowed=True)
    return create_model(f"{name.capitalize()}Request", __config__=config, **fields)


def _sampling_fields() -> dict[str, Any]:
    """The fields of ``Sampling`` with the bounds that it holds itself to."""
    hints = typing.get_type_hints(Sampling)
    fields = {}
    for field in dataclasses.fields(Sampling):
        bounds = {"ge": field.metadata["low"], "le": field.metadata["high"]} if "low" in field.metadata else {}
        fields[field.name] = (_plain_type(hints[field.name]), Field(field.default, json_schema_extra=None, **bounds))
    return fields


def _plain_type(annotation: Any) -> Any:
    """An annotation that JSON can meet: abstract sequences become tuples."""
    origin, inner = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (collections.abc.Sequence, collections.abc.Iterable, list):
        return Annotated[tuple[_plain_type(inner[0]), ...], FIRST]
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
