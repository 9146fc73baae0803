"""The TOML of a lesson: values by name and kind, each fault with the line of its key."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from capot.errors import shorten
from capot.i18n import tr

_KEY = re.compile(r"\s*([\w-]+)\s*=")
_AT = re.compile(r"\(at line (\d+), column \d+\)|\(at end of document\)")


@dataclass(frozen=True)
class Fault:
    """What is wrong with a lesson, and in which line of its file. Lines are counted from 1."""

    line: int
    code: str
    params: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))

    def sentence(self, lang: str | None = None) -> str:
        """Return the fault as a sentence."""
        return tr(f"lesson.fault.{self.code}", lang, **self.params)


class Faults(list[Fault]):
    """The faults of one file."""

    def add(self, line: int, code: str, **params: Any) -> None:
        """Note a fault; what it quotes is cut to a readable length."""
        self.append(Fault(line, code, {name: shorten(value) for name, value in params.items()}))


class Fields:
    """A table of TOML whose values are taken by name; what nobody takes is a fault.

    ``first`` is the line of the file where the text begins.
    """

    def __init__(self, text: str, first: int, faults: Faults) -> None:
        self.first = first
        self.faults = faults
        self.values: dict[str, Any] = {}
        self.broken = False
        self._lines = _lines_of_keys(text)
        try:
            self.values = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            self._broken(str(error), text)
        except RecursionError:  # brackets in brackets, some hundred deep
            self._broken("[[[[", text)
        self._left = set(self.values)

    def _broken(self, message: str, text: str) -> None:
        self.broken = True
        found = _AT.search(message)
        line = text.count("\n") if found is None or found[1] is None else int(found[1]) - 1
        self.faults.add(self.first + max(0, line), "toml", detail=_AT.sub("", message).strip())

    def line(self, name: str) -> int:
        """Return the line of a key, or the table's first where it has none."""
        return self.first + self._lines.get(name, 0)

    def fault(self, name: str, code: str, **params: Any) -> None:
        """Note a fault of the key ``name``."""
        self.faults.add(self.line(name), code, **({"name": name} | params))

    def take(self, name: str, *, required: bool = True) -> Any:
        """Return a value of any kind, or None, which is a fault where it is required."""
        self._left.discard(name)
        if name not in self.values and required and not self.broken:
            self.fault(name, "key_missing")
        return self.values.get(name)

    def text(self, name: str, most: int, *, required: bool = True) -> str:
        """Return a text that is neither empty nor longer than ``most`` characters."""
        value = self.take(name, required=required)
        if value is None:
            return ""
        if not isinstance(value, str):
            self.fault(name, "key_text")
            return ""
        if not 1 <= len(value.strip()) <= most:
            self.fault(name, "key_length", count=len(value.strip()), most=most)
        return value.strip()

    def texts(self, name: str, *, most: int, low: int, high: int, required: bool = True) -> tuple[str, ...]:
        """Return from ``low`` to ``high`` texts."""
        value = self.take(name, required=required)
        if value is None:
            return ()
        if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
            self.fault(name, "key_texts")
            return ()
        if not low <= len(value) <= high:
            self.fault(name, "key_count", count=len(value), low=low, high=high)
        for each in value:
            if not 1 <= len(each.strip()) <= most:
                self.fault(name, "key_length", count=len(each.strip()), most=most)
        return tuple(each.strip() for each in value)

    def number(self, name: str, low: float, high: float, *, default: float | None = None) -> float:
        """Return a number within bounds; one is required where there is no ``default``."""
        value = self.take(name, required=default is None)
        if value is None:
            return low if default is None else default
        if isinstance(value, bool) or not isinstance(value, int | float):
            self.fault(name, "key_number")
            return low
        if not low <= value <= high:
            self.fault(name, "key_range", value=value, low=low, high=high)
        return value

    def inner(self, name: str, *, required: bool = True) -> Fields | None:
        """Return the table of a key, whose faults stand in the key's line."""
        value = self.take(name, required=required)
        if value is None:
            return None
        if not isinstance(value, dict):
            self.fault(name, "key_table")
            return None
        found = Fields("", self.line(name), self.faults)
        found.values = value
        found._left = set(value)
        return found

    def end(self, *known: str) -> None:
        """Note as faults the keys that nobody took; ``known`` are names that could have been meant."""
        for name in sorted(self._left):
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
            self.fault(name, "key_unknown_near" if near else "key_unknown", near=near[0] if near else "")


def _lines_of_keys(text: str) -> dict[str, int]:
    """Return the line of each key, counted from 0; what stands inside a text of several lines is none."""
    found: dict[str, int] = {}
    inside = False
    for number, line in enumerate(text.split("\n")):
        if not inside and (key := _KEY.match(line)):
            found.setdefault(key[1], number)
        inside ^= line.count('"""') % 2 == 1
    return found
