"""Write an answer as JSON, in chunks.

The standard library encodes a value in one call, during which no other thread of Python runs: a second for the
800,000 tokens of a text. A long list is written in chunks instead, and its records become plain tables only as they
are reached.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

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
    text = _encode_whole(value) if small else "".join(iter_json(value))
    return text.encode("utf-8", "replace")


def _encode_whole(value: Any) -> str:
    """Encode in one call. Records become tables before, as the encoder's own question for each costs more."""
    try:
        return _encode(as_tables(value))
    except (TypeError, ValueError):  # NaN, a key that is no text
        return _encode(to_jsonable(value))


def iter_json(value: Any) -> Iterator[str]:
    """Yield the JSON of a value in chunks. Raises: InterruptedByUser once whoever asked has left."""
    if isinstance(value, Result):
        # A result's own ``to_dict`` is taken where it has one: its fields are not all that it writes.
        value = value.to_dict() if type(value).to_dict is not Result.to_dict else json_fields(value)
    if isinstance(value, Mapping):
        yield "{"
        for place, (key, each) in enumerate(value.items()):
            yield f"{',' if place else ''}{_encode(str(key))}:"
            yield from iter_json(each)
        yield "}"
    elif isinstance(value, (list, tuple)) and len(value) > 1:
        # Numbers and short texts by the thousand; records one by one, as each may hold a list of its own.
        step = CHUNK_ITEMS if len(value) > CHUNK_ITEMS or isinstance(value[0], (str, int, float)) else 1
        yield "["
        for start in range(0, len(value), step):
            check_cancelled()
            yield ("," if start else "") + _encode_whole(value[start : start + step])[1:-1]
        yield "]"
    else:
        yield _encode_whole(value)
