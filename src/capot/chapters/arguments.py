"""Whether what a call is given is of the kind that was expected, and the words where it is not.

Kinds are looked at here, once for every verb; bounds, empty texts and unknown names are its chapter's affair.
"""

from __future__ import annotations

import collections.abc
import difflib
import inspect
import numbers
import operator
import os
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any

from capot.chapters.hints import hints_of
from capot.config import number
from capot.errors import ArgumentTypeError, InputError, shorten
from capot.i18n import LANGUAGES, Reason, find, language

SEVERAL = (collections.abc.Sequence, collections.abc.Iterable)
SAMPLES: dict[Any, str] = {
    str: '"Paris"', int: "1", float: "1.0", bool: "True", os.PathLike: '"boxed"',
    collections.abc.Callable: "print", collections.abc.Mapping: "talk.to_dict()",
}  # fmt: skip


class Line(Reason):
    """A line to paste, whose ``params`` are its texts by language."""

    def sentence(self, lang: str | None) -> str:
        return str(self.params[language(lang)])


class Arguments:
    """What one function takes. ``call`` is how it is written, ``example`` holds arguments that any model can answer.

    ``beside`` names, for an argument, another without which it says nothing.
    It is made at the first call, so that opening a model reads no annotation.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        *,
        call: str,
        example: Mapping[str, Any],
        beside: Mapping[str, str] = types.MappingProxyType({}),
    ) -> None:
        self.call = call
        self.beside = beside
        self.example = example
        self.kinds = hints_of(function)
        self.signature = inspect.signature(function)

    def bind(self, *args: Any, **given: Any) -> dict[str, Any]:
        """Return the arguments by name, those that can be walked through only once as tuples.

        Raises: ArgumentTypeError ``wrong_kind``, ``no_such_setting``, ``argument_missing``, ``unnamed_argument``,
        ``argument_twice``; InputError ``not_whole``.
        """
        names = [name for name in self.signature.parameters if name != "self"]
        if unknown := next((name for name in given if name not in names), None):
            near = difflib.get_close_matches(unknown, names, n=1, cutoff=0.5)
            meant = near[0] if near else names[0]
            raise ArgumentTypeError("no_such_setting", name=unknown, near=meant, line=self.line(meant))
        self._check_places(args, given)
        found = dict(self.signature.bind_partial(*args, **given).arguments)
        for name, parameter in self.signature.parameters.items():
            if parameter.default is parameter.empty and name not in found:
                raise ArgumentTypeError("argument_missing", name=name, line=self.line(name))
        return {name: value if name == "self" else self._held(name, value) for name, value in found.items()}

    def _check_places(self, args: tuple[Any, ...], given: Mapping[str, Any]) -> None:
        """Refuse what Python would refuse in its own words: a value without its name, or given twice."""
        unnamed = [one.name for one in self.signature.parameters.values() if one.kind is not one.KEYWORD_ONLY]
        if twice := next((name for name in unnamed[: len(args)] if name in given), None):
            raise ArgumentTypeError("argument_twice", name=twice, line=self.line(twice))
        if len(args) > len(unnamed):
            extra = args[len(unnamed)]
            self._check_list(unnamed[-1] if unnamed else "", args[len(unnamed) - 1 :])
            named = [name for name in self.signature.parameters if name not in (*unnamed, *given)]
            meant = next((name for name in named if fits(self.kinds[name], extra)), (named or unnamed)[0])
            raise ArgumentTypeError("unnamed_argument", value=_shown(extra), near=meant, line=self.line(meant))

    def _check_list(self, name: str, parts: tuple[Any, ...]) -> None:
        """Refuse the texts of a list given one by one, with the list to write instead."""
        listed = typing.get_origin(self.kinds.get(name)) in SEVERAL
        if listed and all(isinstance(part, str) for part in parts):
            line = f"{self.call}({_shown(list(parts))})".replace("'", '"')
            raise ArgumentTypeError("unnamed_list", name=name, value=_shown(parts[1]), line=line)

    def _held(self, name: str, value: Any) -> Any:
        kind = self.kinds[name]
        if isinstance(value, collections.abc.Iterator) and not isinstance(value, str):
            value = tuple(value)
        if not fits(kind, value):
            if set(_alternatives(kind)) <= {int, float, type(None)}:
                shown = str(shorten(value, 60)) if isinstance(value, str) else _shown(value)
                raise ArgumentTypeError("not_a_number", name=name, value=shown, line=self.line(name))
            place, wrong = _inside(kind, value)
            raise ArgumentTypeError(
                "wrong_kind", name=f"{name}{place}", expected=_expected(kind, inside=bool(place)),
                value=_shown(wrong), kind=type(wrong).__name__, line=self.line(name),
            )  # fmt: skip
        if value is not None and set(_alternatives(kind)) <= {int, type(None)}:
            return number(name, value, whole=True)
        return _whole(kind, value)

    def propose(self, error: InputError) -> None:
        """Give an error that names an argument a line to paste with a value that is taken."""
        name = str(error.params.get("name", "")).partition("[")[0]
        if name in self.signature.parameters and "line" not in error.params:
            error.params = {**error.params, "line": self.line(name)}

    def line(self, name: str) -> Line:
        """Return a line to paste, which gives ``name`` and what cannot be left out, in the reader's language."""
        return Line(self._line(name, None), **{lang: self._line(name, lang) for lang in LANGUAGES})

    def _line(self, name: str, lang: str | None) -> str:
        wanted = {name, self.beside.get(name)}
        written: list[str] = []
        for each, parameter in self.signature.parameters.items():
            if each == "self" or (each not in wanted and parameter.default is not parameter.empty):
                continue
            value = self._sample(each, name, lang)
            written.append(value if parameter.kind is not parameter.KEYWORD_ONLY and not written else f"{each}={value}")
        return f"{self.call}({', '.join(written)})"

    def _sample(self, name: str, main: str, lang: str | None) -> str:
        """Return a value of ``name`` as a program writes it, in a line that is to show ``main``."""
        default = self.signature.parameters[name].default
        for key in (f"{self.call.rpartition('.')[2]}.sample", f"python.with.{main}", "python.sample"):
            if isinstance(said := find(f"{key}.{name}", lang), str):
                return said
        if name in self.example:
            return repr(self.example[name]).replace("'", '"')
        if default not in (inspect.Parameter.empty, None, "", ()):
            return repr(default).replace("'", '"')
        return _sample(self.kinds[name])


def fits(kind: Any, value: Any) -> bool:
    """Return whether a value is of the kind that an annotation names.

    >>> fits(str, b"x"), fits(float, 1), fits(int, True), fits(str | None, None)
    (False, True, False, True)
    """
    origin = typing.get_origin(kind)
    inner = typing.get_args(kind)
    if kind in (object, Any):
        return True
    if kind in (None, type(None)):
        return value is None
    if kind in (int, float):  # whether it is a whole one is told apart, in words of its own
        return _number(value)
    if origin is typing.Literal:
        return isinstance(value, str)
    if origin in (typing.Union, types.UnionType):
        return any(fits(part, value) for part in inner)
    if origin in SEVERAL:
        return _several(inner[0], value)
    found: bool = callable(value) if origin is collections.abc.Callable else isinstance(value, origin or kind)
    return found


def _shown(value: Any) -> str:
    """Return a value as a program writes it, on one line."""
    try:
        written = repr(value)
    except Exception:  # a class whose own repr fails
        written = object.__repr__(value)
    return str(shorten(" ".join(written.split()), 60))


def _number(value: Any) -> bool:
    if isinstance(value, (str, bytes)) or value is None or type(value).__name__ in ("bool", "bool_"):  # NumPy's too
        return False
    if getattr(value, "ndim", 0) or getattr(getattr(value, "dtype", None), "kind", "f") not in "iuf":
        return False  # NumPy's arrays of several, and its texts, have a __float__ that fails
    return isinstance(value, numbers.Real) or hasattr(type(value), "__float__") or hasattr(type(value), "__index__")


def _several(kind: Any, value: Any) -> bool:
    """Return whether a value is a list of ``kind``.

    One text alone stands for a list of one, as everywhere in capot; bytes are no list of ids.
    """
    if isinstance(value, (str, bytes, bytearray)):
        return kind is str and isinstance(value, str)
    if isinstance(value, range):
        return kind is int
    return isinstance(value, collections.abc.Iterable) and not isinstance(value, Mapping) and _all(kind, value)


def _all(kind: Any, value: Any) -> bool:
    if getattr(value, "ndim", 1) != 1:  # a table is no list of ids
        return False
    return all(_index(each) if kind is int else fits(kind, each) for each in value)


def _index(value: Any) -> bool:
    """Return whether a value counts something: an id, a length. NumPy's and PyTorch's whole numbers do."""
    return _number(value) and not isinstance(value, float) and hasattr(type(value), "__index__")


def _whole(kind: Any, value: Any) -> Any:
    """Return ids as Python's own whole numbers, from whatever array they came."""
    several = any(typing.get_origin(part) in SEVERAL and int in typing.get_args(part) for part in _alternatives(kind))
    return value if not several or value is None or isinstance(value, str) else tuple(map(operator.index, value))


def _alternatives(kind: Any) -> tuple[Any, ...]:
    return typing.get_args(kind) if typing.get_origin(kind) in (typing.Union, types.UnionType) else (kind,)


def _inside(kind: Any, value: Any) -> tuple[str, Any]:
    """Return where in a list the first wrong one stands, and what it is; the value itself where it is no list."""
    lists = [part for part in (kind, *typing.get_args(kind)) if typing.get_origin(part) in SEVERAL]
    if lists and isinstance(value, (list, tuple)):
        inner = typing.get_args(lists[0])[0]
        for place, each in enumerate(value):
            if not (_index(each) if inner is int else fits(inner, each)):
                return f"[{place}]", each
    return "", value


def _expected(kind: Any, *, inside: bool) -> Reason:
    """Return the kinds that an annotation names, in words."""
    origin = typing.get_origin(kind)
    inner = typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        if inside:
            return next(_expected(part, inside=True) for part in inner if typing.get_origin(part) in SEVERAL)
        first, *others = (_expected(part, inside=False) for part in inner)
        for other in others:
            first = _said("either", one=first, other=other)
        return first
    if origin in SEVERAL:
        return (
            _expected(inner[0], inside=False)
            if inside
            else _said({str: "texts", float: "numbers"}.get(inner[0], "ids"))
        )
    names = {str: "text", int: "whole", float: "number", bool: "flag", type(None): "none", os.PathLike: "path"}
    if origin in (collections.abc.Callable, collections.abc.Mapping):
        return _said("function" if origin is collections.abc.Callable else "mapping")
    return _said("text" if origin is typing.Literal else names.get(origin or kind, "record"), name=_name(kind))


def _name(kind: Any) -> str:
    return str(getattr(kind, "__name__", kind))


def _said(key: str, **params: Any) -> Reason:
    return Reason(key, key=f"python.kind.{key}", **params)


def _sample(kind: Any) -> str:
    origin = typing.get_origin(kind)
    inner = typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return _sample(inner[0])
    if origin in SEVERAL:
        return f"[{SAMPLES[inner[0]]}]"
    if origin is typing.Literal:
        return f'"{inner[0]}"'
    return SAMPLES.get(origin or kind) or f"capot.{_name(kind)}()"
