"""The filters and tests of the sandbox: Jinja's, each paying for what it reads and for what it makes."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterator, Mapping
from types import GeneratorType
from typing import Any

from jinja2.exceptions import SecurityError

from capot.text.templates.budget import (
    LISTS,
    allocate,
    charge_read,
    charge_value,
    check_format,
    check_replace,
    check_search,
    measure,
    spend,
)

FILTERS = {
    "abs", "capitalize", "count", "d", "default", "dictsort", "e", "escape", "first", "float", "format", "groupby",
    "indent", "int", "items", "join", "last", "length", "list", "lower", "map", "max", "min", "reject", "rejectattr",
    "replace", "reverse", "round", "safe", "select", "selectattr", "sort", "string", "title", "tojson", "trim",
    "unique", "upper", "wordcount",
}  # fmt: skip
COMPARING = {"dictsort", "groupby", "max", "min", "sort", "unique"}  # or hashing: they read all that is inside
NAMED = {"groupby", "rejectattr", "selectattr"}  # their first argument names an attribute
TESTS = {"==", "!=", "<", "<=", ">", ">=", "eq", "ne", "lt", "le", "gt", "ge", "in", "lower", "upper"}
TESTS |= {"equalto", "lessthan", "greaterthan"}
MAX_NAME = 300  # characters of a name of an attribute, each of its dots a step for each item
MAX_PRECISION = 300  # digits of a float


def filters(theirs: Mapping[str, Callable[..., Any]]) -> dict[str, Callable[..., Any]]:
    """Return those of Jinja's filters that chat templates use, some of them written anew."""
    # An allow-list: a filter that a later Jinja brings is not there until it has been looked at.
    kept = {name: function for name, function in theirs.items() if name in FILTERS}
    kept |= {"tojson": _tojson, "join": _join, "replace": _replace, "string": _string, "indent": _indent}
    kept |= {"format": _format, "round": _rounded(theirs["round"]), "trim": _trimmed(theirs["trim"])}
    return {name: _paid(name, function) for name, function in kept.items()}


def tests(theirs: Mapping[str, Any]) -> dict[str, Any]:
    """Return Jinja's tests; those that compare two values pay for both."""
    return {name: _weighing(function) if name in TESTS else function for name, function in theirs.items()}


def printed(value: Any) -> Any:
    """Return ``value`` about to be written as text: a list of lists of lists is measured before it is."""
    return charge_read(value)


def join(value: Any, separator: str = "", attribute: Any = None) -> str:
    parts = []
    for item in value:
        # ``str`` would call Jinja's own conversion, which no budget sees.
        if attribute is not None:
            item = item[attribute] if isinstance(item, Mapping) else ""
        parts.append(str(printed(item)))
    allocate(sum(map(len, parts)) + len(separator) * len(parts))
    return separator.join(parts)


_join = join  # its parameter names are a template's


def _replace(text: Any, old: str, new: str, count: int = -1) -> str:
    written = str(printed(text))
    check_replace(written, old, new)
    return written.replace(old, new, -1 if count is None else count)


def _string(value: Any) -> str:
    return str(printed(value))


def _indent(text: str, width: int | str = 4, first: bool = False, blank: bool = False) -> str:
    gap = width if isinstance(width, str) else " " * min(max(width, 0), 80)
    lines = text.split("\n")
    allocate(len(text) + len(gap) * len(lines))
    kept = [gap + line if (line or blank) else line for line in lines[1:]]
    return "\n".join([gap + lines[0] if first else lines[0], *kept])


def _format(pattern: str, *values: Any, **named: Any) -> str:
    check_format(str(pattern), (*values, *named.values()))
    return str(pattern) % (named or values)


def _rounded(theirs: Callable[..., Any]) -> Callable[..., Any]:
    def rounded(value: Any, precision: int = 0, method: str = "common") -> Any:
        if not -MAX_PRECISION <= precision <= MAX_PRECISION:  # Jinja raises ten to that power
            raise SecurityError("round")
        return theirs(value, precision, method)

    return rounded


def _trimmed(theirs: Callable[..., Any]) -> Callable[..., Any]:
    def trimmed(value: Any, chars: str | None = None) -> Any:
        check_search(str(printed(value)), [chars])
        return theirs(value, chars)

    return trimmed


def _tojson(
    value: Any, ensure_ascii: bool = False, indent: Any = None, separators: Any = None, sort_keys: bool = False
) -> str:
    """Write JSON as transformers does, and not as Jinja, which escapes for HTML."""
    if indent is not None and not (isinstance(indent, int) and indent <= 16):
        raise SecurityError("tojson")
    spend(measure(value))
    # The iterating encoder, as C's encodes a whole value in one call.
    encoder = json.JSONEncoder(
        ensure_ascii=ensure_ascii, indent=indent, separators=separators and tuple(separators), sort_keys=sort_keys
    )
    return "".join(_charge_each(encoder.iterencode(value)))


def _charge_each(parts: Iterator[str]) -> Iterator[str]:
    for part in parts:
        spend(len(part))
        yield part


def _paid(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a filter that pays for what it reads and for what it makes."""
    # Some filters get the environment or the context first; the value comes after it.
    place = 1 if hasattr(function, "jinja_pass_arg") else 0

    @functools.wraps(function)
    def call(*args: Any, **named: Any) -> Any:
        value = args[place] if len(args) > place else None
        spend(1 + (len(value) if isinstance(value, str | Mapping | list | tuple) else 0))
        _check_name(named.get("attribute"), args[place + 1 : place + 2] if name in NAMED else ())
        # Python's comparison of nested lists goes down in C.
        if name in COMPARING and isinstance(value, (*LISTS, Mapping)):
            charge_read(value)
        made = function(*args, **named)
        # Lazy filters (map, select) make nothing yet: each item is paid for as it is asked for.
        return _each(made) if isinstance(made, GeneratorType) else charge_value(made)

    return call


def _check_name(attribute: Any, first: tuple[Any, ...]) -> None:
    for name in (attribute, *first):
        if isinstance(name, str) and len(name) > MAX_NAME:
            raise SecurityError(name[:80])


def _each(items: Iterator[Any]) -> Iterator[Any]:
    """Yield a filter's items, each of which is paid for: one filter may stand on a thousand others."""
    for item in items:
        spend(1)
        yield item


def _weighing(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def call(*args: Any) -> Any:
        for value in args:
            charge_read(value)
        return function(*args)

    return call
