"""An answer as JSON, written piece by piece.

The library encodes a value in one go, during which no other thread of Python runs: for the 800,000 tokens of a text
that was a second. A long list is written in pieces, and its records become tables only as they are reached.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from capot.leaving import look
from capot.view.result import Result, plain, shown_fields

PIECE = 1000  # items of a list

_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode


def written(value: Any, *, small: bool = False) -> bytes:
    """A value as the bytes of its JSON, in one go where it is ``small``.

    Half a character, which has no bytes, becomes a question mark.

    >>> written({"ok": True, "result": [1, 2.5, None]})
    b'{"ok":true,"result":[1,2.5,null]}'
    """
    text = _whole(value) if small else "".join(pieces(value))
    return text.encode("utf-8", "replace")


def _whole(value: Any) -> str:
    """In one go: most small values have been made plain before, for a whole class on one thread."""
    try:
        return _encode(value)
    except (TypeError, ValueError):  # a record, an array, NaN
        return _encode(plain(value))


def pieces(value: Any) -> Iterator[str]:
    """The same as texts, one after the other. Raises: InterruptedByUser once whoever asked has left."""
    if isinstance(value, Result):
        value = value.to_dict() if type(value).to_dict is not Result.to_dict else shown_fields(value)
    if isinstance(value, Mapping):
        yield "{"
        for place, (key, each) in enumerate(value.items()):
            yield f"{',' if place else ''}{_encode(str(key))}:"
            yield from pieces(each)
        yield "}"
    elif isinstance(value, (list, tuple)) and len(value) > 1:
        step = PIECE if len(value) > PIECE or isinstance(value[0], (str, int, float)) else 1
        yield "["
        for start in range(0, len(value), step):
            look()
            yield ("," if start else "") + _encode(plain(value[start : start + step]))[1:-1]
        yield "]"
    else:
        yield _encode(plain(value))
