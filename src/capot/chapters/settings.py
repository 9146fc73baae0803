"""What a verb takes, read from its method; its bounds are those that ``config`` writes.

The options of a command, the request of a route and the sliders and forms of a page are made of these settings.

>>> takes("next")["k"].default, takes("next")["k"].high
(10, 1000000)
"""

from __future__ import annotations

import collections.abc
import dataclasses
import functools
import inspect
import types
import typing
from collections.abc import Mapping
from typing import Any

from capot.chapters import registry
from capot.chapters.hints import hints_of
from capot.config import Sampling, Slider
from capot.i18n import find

PLAIN = (str, int, float, bool, type(None))
LISTS = (collections.abc.Sequence, collections.abc.Iterable, list, tuple)
REQUIRED = inspect.Parameter.empty


@dataclasses.dataclass(frozen=True)
class Setting:
    """One argument of a verb that JSON can hold."""

    verb: str
    name: str
    type: Any
    default: Any = REQUIRED
    low: float | None = None
    high: float | None = None
    most: float | None = None  # for one person of a lab, where that is less than ``high``
    slide: Slider | None = None

    @property
    def required(self) -> bool:
        return self.default is REQUIRED

    @property
    def words(self) -> str:
        """Return the key of its sentence: the verb's own, else that of ``generate``, whose settings others take too."""
        own = f"{self.verb}.cli.{self.name}"
        return own if find(own, "en") or self.name not in SAMPLING else f"generate.cli.{self.name}"

    @property
    def kind(self) -> Any:
        """Return its type without None: what is written where something is given."""
        inner = [part for part in typing.get_args(self.type) if part is not type(None)]
        return inner[0] if _is_union(self.type) and len(inner) == 1 else self.type

    @property
    def bounds(self) -> dict[str, Any]:
        """Return its bounds as JSON Schema has them, those of one person of a lab."""
        if self.low is None or self.high is None:
            return {}
        return {"minimum": self.low, "maximum": self.high if self.most is None else self.most}

    @property
    def slider(self) -> dict[str, float]:
        """Return how a page moves it, and from where; nothing where it has no slider."""
        if self.slide is None:
            return {}
        low, high, step, coarse, start = dataclasses.astuple(self.slide)
        start = self.default if start is None else start
        return {"min": low, "max": high, "step": step, "coarse": coarse, "start": start}


SAMPLING = tuple(field.name for field in dataclasses.fields(Sampling))


@functools.cache
def takes(verb: str) -> Mapping[str, Setting]:
    """Return the settings of a verb of ``Model`` by name, in its order; what Python alone can give is left out."""
    method = getattr(registry.Verbs, verb)
    hints = hints_of(method)
    bounds = _bounds(registry.verbs()[verb][1].bounds)
    found = {}
    # ``self`` comes first; what no JSON holds (callbacks, arrays) is left to Python.
    for parameter in list(inspect.signature(method).parameters.values())[1:]:
        if holds_json(hints[parameter.name]):
            more = bounds.get(parameter.name, {})
            found[parameter.name] = Setting(verb, parameter.name, hints[parameter.name], parameter.default, **more)
    return types.MappingProxyType(found)


def _bounds(configs: tuple[type, ...]) -> dict[str, Mapping[str, Any]]:
    """Return what the fields of some settings say of their bounds, by name."""
    wanted = ("low", "high", "most", "slide")
    fields = [field for config in configs for field in dataclasses.fields(config)]
    return {field.name: {name: field.metadata[name] for name in wanted if name in field.metadata} for field in fields}


def _is_union(kind: Any) -> bool:
    return typing.get_origin(kind) in (typing.Union, types.UnionType)


def holds_json(kind: Any) -> bool:
    """Return whether a value of this type can be written as JSON and read back."""
    origin = typing.get_origin(kind)
    inner = typing.get_args(kind)
    if origin is typing.Literal or kind in PLAIN:
        return True
    if _is_union(kind):
        return all(map(holds_json, inner))
    return (origin in LISTS and holds_json(inner[0])) or origin is collections.abc.Mapping
