"""What every answer can do: be JSON, be text, be a page, show itself in a notebook."""

from __future__ import annotations

import dataclasses
import functools
import json
import math
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self, TypeVar

from capot import i18n
from capot.errors import InputError, LocalPath, MissingExtraError, redact, spoken, use_language
from capot.view.blocks import Block, Heading
from capot.view.visible import truncate, visible

if TYPE_CHECKING:
    import pandas
    from _typeshed import DataclassInstance

BRIEF = 200  # cells of what a console shows of an answer


class DisplayOptions:
    """What an answer has beside its fields: these are none, so that JSON and comparisons leave them out.

    ``lang`` is the language of the model that gave it, in which it shows itself; None is the one in use. ``table`` is
    the field whose records are its rows.
    """

    lang: str | None = None
    table: str | None = None


def _in_spoken(show: Callable[..., Any]) -> Callable[..., Any]:
    """Return a method that raises InputError ``unknown_language`` where its ``lang`` is no text."""

    @functools.wraps(show)
    def checked(self: Result, lang: str | None = None) -> Any:
        return show(self, spoken(lang))

    return checked


@dataclasses.dataclass(frozen=True)
class Result(DisplayOptions):
    """Base of the answers. A chapter's answer adds its fields and its ``view``."""

    def __init_subclass__(cls, **given: Any) -> None:
        """Give each result this class's ``__repr__``, and hold the ``lang`` of its views to a text.

        A dataclass without a ``__repr__`` in its own body would write every field.
        """
        super().__init_subclass__(**given)
        if "__repr__" not in vars(cls):
            setattr(cls, "__repr__", Result.__repr__)  # noqa: B010 - a type checker takes no assignment to a method
        for name in {"view", "brief"} & vars(cls).keys():
            setattr(cls, name, _in_spoken(vars(cls)[name]))

    def in_language(self, lang: str | None) -> Self:
        """Return the same answer, which shows itself and its parts in ``lang``."""
        if lang is not None:
            # Frozen for everybody else: the language is no part of an answer, and is set before anyone has it.
            object.__setattr__(self, "lang", lang)
            for part in _nested_results(self):
                part.in_language(lang)
        return self

    def brief(self, lang: str | None = None) -> str:
        """Return what a console shows of the answer: its chapter's sentence, else what its view begins with."""
        blocks = [block for block in self.view(lang) if not isinstance(block, Heading)]
        # The first words of the first block that has some.
        texts = (getattr(block, name, "") for block in blocks for name in ("text", "title", "caption"))
        return next(filter(None, texts), "")

    def __repr__(self) -> str:
        with i18n.use_language(self.lang) as chosen:
            return f"<{type(self).__name__}: {truncate(visible(self.brief(chosen)), BRIEF)}>"

    def view(self, lang: str | None = None) -> list[Block]:
        """Return the answer as wordless blocks, its words in ``lang``."""
        raise TypeError(f"{type(self).__name__} has no view")

    def figures(self) -> dict[str, Any]:
        """Return what the end of a stream repeats before the whole answer, for readers who skip the rest.

        Nothing by itself.
        """
        return {}

    @property
    def ending(self) -> str:
        """Return ``complete``, or why there is no more of it."""
        return "complete"

    def to_dict(self) -> dict[str, Any]:
        """Return the bare result of ``--json``: plain host values, no NaN, no infinity."""
        return {name: to_jsonable(value) for name, value in json_fields(self).items()}

    def to_json(self, *, indent: int | None = None) -> str:
        return json.dumps(self.to_dict(), ensure_ascii=False, allow_nan=False, indent=indent)

    def to_text(self, lang: str | None = None, *, width: int = 80, color: bool = False) -> str:
        """Return the answer for a terminal of ``width`` columns."""
        from capot.view.text import to_text

        with i18n.use_language(spoken(lang) or self.lang) as chosen:
            return to_text(self.view(chosen), width=width, color=color)

    def to_html(self, lang: str | None = None) -> str:
        """Return the answer as one page that opens with no server."""
        from capot.view.html import to_html

        with i18n.use_language(spoken(lang) or self.lang) as chosen:
            return to_html(self.view(chosen), lang=chosen)

    def _repr_html_(self) -> str:
        from capot.view.html import to_fragment

        with i18n.use_language(self.lang) as chosen:
            return to_fragment(self.view(chosen), lang=chosen)

    def __str__(self) -> str:
        return self.to_text()

    def to_rows(self) -> list[dict[str, Any]]:
        """Return the answer as a table, a dictionary a row: what ``to_pandas`` is made of.

        Raises: InputError ``no_rows`` where an answer is no table.
        """
        if self.table is None:
            with use_language(self.lang):
                raise InputError("no_rows", kind=type(self).__name__)
        return [flatten(row) for row in getattr(self, self.table)]

    def to_pandas(self) -> pandas.DataFrame:
        """Return the rows as a table of pandas, which is no dependency of capot.

        Raises: MissingExtraError ``no_pandas`` where it is not installed; InputError ``no_rows``.
        """
        rows = self.to_rows()
        try:
            import pandas
        except ImportError:
            with use_language(self.lang):
                raise MissingExtraError("no_pandas") from None
        return pandas.DataFrame(rows)


def flatten(record: DataclassInstance, prefix: str = "") -> dict[str, Any]:
    """Return a record as a row: a record in it as columns of its own, lists of records left out.

    >>> from capot.view.blocks import Heading
    >>> flatten(Heading("Why?"), "of_")
    {'of_text': 'Why?', 'of_level': 1}
    """
    row: dict[str, Any] = {}
    for field in dataclasses.fields(record):
        value = getattr(record, field.name)
        name = prefix + field.name
        if not field.metadata.get("json", True):
            continue
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            row |= flatten(value, f"{name}_")
        elif isinstance(value, (str, bytes)) or not isinstance(value, Sequence):
            row[name] = value
        elif not any(map(dataclasses.is_dataclass, value[:1])):
            row[name] = list(value)
    return row


def text_tail(text: str, most: int = 40) -> str:
    """Return the end of a text, which is what the next token follows, on one line.

    >>> text_tail("a" * 50, 3), text_tail("a\\nb", 3)
    ('…aaa', 'a⏎b')
    """
    return visible(text if len(text) <= most else "…" + text[-most:])


def _nested_results(result: Result) -> list[Result]:
    """Return the answers that an answer holds: turns, ways, comparisons."""
    values = [getattr(result, field.name) for field in dataclasses.fields(result)]
    lists = [value for value in values if isinstance(value, (list, tuple)) and value and isinstance(value[0], Result)]
    return [part for parts in lists for part in parts]


def json_fields(result: Result) -> dict[str, Any]:
    """Return the fields of an answer that JSON holds, as they are."""
    return {f.name: getattr(result, f.name) for f in dataclasses.fields(result) if f.metadata.get("json", True)}


Record = TypeVar("Record", bound="DataclassInstance")


def redact_paths(record: Record) -> Record:
    """Return a record as anybody may read it: where it names a path of this machine, a name stands instead."""
    changed = {}
    for field in dataclasses.fields(record):
        value = getattr(record, field.name)
        shown: Any = value
        if isinstance(value, LocalPath):
            shown = redact(value)
        elif dataclasses.is_dataclass(value) and not isinstance(value, type):
            shown = redact_paths(value)
        if shown is not value:
            # Rebuilt only where something changed, so that most answers are handed on as they are.
            changed[field.name] = shown
    return dataclasses.replace(record, **changed) if changed else record


_ATOMS = frozenset((str, int, bool, type(None)))


@functools.cache
def _field_names(kind: type) -> tuple[str, ...] | None:
    """Return the fields of a kind of record, None for anything else."""
    return tuple(field.name for field in dataclasses.fields(kind)) if dataclasses.is_dataclass(kind) else None


@functools.cache
def _all_fields(kind: type) -> Callable[[Any], Sequence[Any]] | None:
    """Return what reads all fields of a kind of record in one call, None for anything else."""
    names = _field_names(kind)
    if names is None or len(names) < 2:  # of a single field, ``attrgetter`` returns the value alone
        return None if names is None else lambda record: [getattr(record, name) for name in names]
    return operator.attrgetter(*names)


def record_fields(record: Any) -> dict[str, Any] | None:
    """Return the fields of a record by name, as they are; None for what is no record."""
    kind: type = type(record)
    read = _all_fields(kind)
    return None if read is None else dict(zip(_field_names(kind) or (), read(record), strict=True))


_PLAIN = _ATOMS | {float}


def as_tables(value: Any) -> Any:
    """Return ``value`` with its records as tables; numbers stay as they are, NaN too."""
    kind: type = type(value)
    if kind in _PLAIN:
        return value
    # Plain values are passed over here: a call for each would cost more than all the rest.
    if kind is tuple or kind is list:
        return [item if type(item) in _PLAIN else as_tables(item) for item in value]
    if kind is dict:
        return {key: item if type(item) in _PLAIN else as_tables(item) for key, item in value.items()}
    if isinstance(value, Result):
        return value.to_dict()
    read = _all_fields(kind)
    if read is None:
        return value
    fields = [item if type(item) in _PLAIN else as_tables(item) for item in read(value)]
    return dict(zip(_field_names(kind) or (), fields, strict=True))


def to_jsonable(value: Any) -> Any:
    """Return ``value`` as JSON can hold it: records become tables, NaN and infinity null."""
    # Exact types first, by a set: an answer may have a hundred thousand values, and ``isinstance`` of an abstract class
    # (Mapping) is slow.
    kind: type = type(value)
    if kind in _ATOMS:  # most of what there is, so first
        return value
    if kind is float:
        return value if math.isfinite(value) else None
    if kind is tuple or kind is list:
        return [to_jsonable(item) for item in value]
    if isinstance(value, Result):
        return value.to_dict()
    if (fields := record_fields(value)) is not None:
        return {name: to_jsonable(each) for name, each in fields.items()}
    if isinstance(value, Mapping):
        return {str(key): to_jsonable(item) for key, item in value.items()}
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, (list, tuple)):
        return [to_jsonable(item) for item in value]
    if hasattr(value, "tolist"):  # a NumPy scalar or array, without importing NumPy here
        return to_jsonable(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
