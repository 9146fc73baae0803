"""Write an answer as JSON, in chunks.

One call of an encoder holds every other thread of Python up: a second for the 800,000 tokens of a text. A long list is
written in chunks instead. pydantic writes records as they are, in a quarter of the time that the standard library takes
with them made into tables; what it does not write as this project does is left to the standard library.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic_core import to_json

from capot.engines.cancellation import check_cancelled
from capot.view.result import Result, as_tables, json_fields, to_jsonable

CHUNK_ITEMS = 1000  # items of a list


def _plain(value: Any) -> Any:
    """Return what stands for a value that JSON does not know and that is no record: the encoder asks."""
    found = to_jsonable(value)
    if found is value:
        raise TypeError(type(value).__name__)
    return found


_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_plain).encode


def encode_json(value: Any, *, small: bool = False) -> bytes:
    """Return a value as JSON bytes, in one call if it is ``small``.

    A lone surrogate, which UTF-8 cannot hold, becomes a question mark.

    >>> encode_json({"ok": True, "result": [1, 2.5, None]})
    b'{"ok":true,"result":[1,2.5,null]}'
    """
    return _encode_whole(value) if small else b"".join(iter_json(value))


def _encode_whole(value: Any) -> bytes:
    """Encode in one call."""
    if _is_flat(value):
        with contextlib.suppress(ValueError):  # half a character, a kind that it does not know, lists too deep
            return to_json(value, inf_nan_mode="null", bytes_mode="hex")
    # Records become tables before, as the encoder's own question for each costs more.
    try:
        text = _encode(as_tables(value))
    except (TypeError, ValueError):  # NaN, a key that is no text
        text = _encode(to_jsonable(value))
    return text.encode("utf-8", "replace")


def _is_flat(value: Any) -> bool:
    """Return whether a value holds no ``Result``, whose fields are not all that it writes."""
    kind: type = type(value)
    if kind is dict:
        value = value.values()
    elif kind is not list and kind is not tuple:
        return _is_flat_kind(kind)
    kinds = set(map(type, value))
    if not all(map(_is_flat_kind, kinds - _CONTAINERS)):
        return False
    return kinds.isdisjoint(_CONTAINERS) or all(_is_flat(each) for each in value if type(each) in _CONTAINERS)


_CONTAINERS = frozenset((dict, list, tuple))


@functools.cache
def _is_flat_kind(kind: type) -> bool:
    """Return whether values of a kind hold none: plain ones, and records, which no Result is part of."""
    return kind in (str, int, float, bool, type(None)) or (
        dataclasses.is_dataclass(kind) and not issubclass(kind, Result)
    )


def iter_json(value: Any) -> Iterator[bytes]:
    """Yield the JSON of a value in chunks. Raises: InterruptedByUser once whoever asked has left."""
    if isinstance(value, Result):
        # A result's own ``to_dict`` is taken where it has one: its fields are not all that it writes.
        value = value.to_dict() if type(value).to_dict is not Result.to_dict else json_fields(value)
    if isinstance(value, Mapping):
        yield b"{"
        for place, (key, each) in enumerate(value.items()):
            yield (b"," if place else b"") + _encode_whole(str(key)) + b":"
            yield from iter_json(each)
        yield b"}"
    elif isinstance(value, (list, tuple)) and len(value) > 1:
        # Numbers and short texts by the thousand; records one by one, as each may hold a list of its own.
        step = CHUNK_ITEMS if len(value) > CHUNK_ITEMS or isinstance(value[0], (str, int, float)) else 1
        yield b"["
        for start in range(0, len(value), step):
            check_cancelled()
            yield (b"," if start else b"") + _encode_whole(value[start : start + step])[1:-1]
        yield b"]"
    else:
        yield _encode_whole(value)
