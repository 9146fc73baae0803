"""What every answer can do: be JSON, be text, be a page, show itself in a notebook."""

from __future__ import annotations

import dataclasses
import functools
import json
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from capot import i18n
from capot.errors import Local, told
from capot.view.blocks import Block

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


@dataclasses.dataclass(frozen=True)
class Result:
    """Base of the answers. A chapter's answer adds its fields and its ``view``."""

    def view(self, lang: str | None = None) -> list[Block]:
        """The answer as wordless blocks, its words in ``lang``."""
        raise TypeError(f"{type(self).__name__} has no view")

    def figures(self) -> dict[str, Any]:
        """What the end of a stream repeats before the whole answer, for who does not read it; nothing by itself."""
        return {}

    @property
    def ending(self) -> str:
        """``complete``, or why there is no more of it."""
        return "complete"

    def to_dict(self) -> dict[str, Any]:
        """The bare result of ``--json``: plain host values, no NaN, no infinity."""
        return {name: plain(value) for name, value in shown_fields(self).items()}

    def to_json(self, *, indent: int | None = None) -> str:
        return json.dumps(self.to_dict(), ensure_ascii=False, allow_nan=False, indent=indent)

    def to_text(self, lang: str | None = None, *, width: int = 80, color: bool = False) -> str:
        """The answer for a terminal of ``width`` columns."""
        from capot.view.text import to_text

        with i18n.speaking(lang) as chosen:
            return to_text(self.view(chosen), width=width, color=color)

    def to_html(self, lang: str | None = None) -> str:
        """The answer as one page that opens with no server."""
        from capot.view.html import to_html

        with i18n.speaking(lang) as chosen:
            return to_html(self.view(chosen), lang=chosen)

    def _repr_html_(self) -> str:
        from capot.view.html import to_fragment

        with i18n.speaking(None) as chosen:
            return to_fragment(self.view(chosen), lang=chosen)

    def __str__(self) -> str:
        return self.to_text()


def shown_fields(result: Result) -> dict[str, Any]:
    """The fields of an answer that JSON holds, as they are."""
    return {f.name: getattr(result, f.name) for f in dataclasses.fields(result) if f.metadata.get("json", True)}


Record = TypeVar("Record", bound="DataclassInstance")


def public(record: Record) -> Record:
    """A record as anybody may read it: where it names a path of this machine, a name stands instead."""
    changed = {}
    for field in dataclasses.fields(record):
        value = getattr(record, field.name)
        inner = dataclasses.is_dataclass(value) and not isinstance(value, type)
        shown = public(value) if inner else told(value) if isinstance(value, Local) else value
        if shown is not value:
            changed[field.name] = shown
    return dataclasses.replace(record, **changed) if changed else record


_ATOMS = frozenset((str, int, bool, type(None)))


@functools.cache
def _names(kind: type) -> tuple[str, ...] | None:
    """The fields of a kind of record, None for anything else."""
    return tuple(field.name for field in dataclasses.fields(kind)) if dataclasses.is_dataclass(kind) else None


def plain(value: Any) -> Any:
    """``value`` as JSON can hold it: records become tables, NaN and infinity null."""
    kind: type = type(value)
    if kind in _ATOMS:  # most of what there is, so first
        return value
    if kind is float:
        return value if math.isfinite(value) else None
    if kind is tuple or kind is list:
        return [plain(item) for item in value]
    if isinstance(value, Result):
        return value.to_dict()
    if (names := _names(kind)) is not None:
        return {name: plain(getattr(value, name)) for name in names}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if hasattr(value, "tolist"):  # a NumPy scalar or array, without importing NumPy here
        return plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
