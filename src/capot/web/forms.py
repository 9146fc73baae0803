"""The form of a request's body, held to before anything is made of it: depth, size, numbers, letters.

Past this every number is finite and short, and every text can be written as UTF-8.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import anyio.to_thread
from fastapi import Request, Response
from fastapi.routing import APIRoute

from capot.errors import InputError, shown

MOST_DEPTH = 16  # a conversation in a stream is seven deep
MOST_VALUES = 250_000  # the ids of the longest texts, or 10,000 turns of a conversation
MOST_KEYS = 100  # of one object; none of ours has more than a third of that
LARGEST = 10**24  # beyond any number that is of use here
LIGHT = 20_000  # bytes that are read on the spot; more of them on a thread


class Formed(APIRoute):
    """A route whose body has been held to its form. Raises: as ``read``."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def formed(request: Request) -> Response:
            raw = await request.body() if request.method == "POST" else b""
            if not raw:
                return await handle(request)
            body = read(raw) if len(raw) < LIGHT else await anyio.to_thread.run_sync(read, raw)
            return await handle(_Read(request, raw, body))

        return formed


class _Read(Request):
    """A request whose body has been read."""

    def __init__(self, request: Request, raw: bytes, found: Any) -> None:
        super().__init__(request.scope, request.receive)
        self._raw, self._found = raw, found

    async def body(self) -> bytes:
        return self._raw

    async def json(self) -> Any:
        return self._found


def read(raw: bytes) -> Any:
    """The value that ``raw`` writes as JSON.

    Raises: InputError ``bad_json``, ``too_deep``, ``too_many_values``, ``number_too_long``, ``not_a_number``,
    ``not_unicode``.

    >>> read(b'{"temperature": 0.5}')
    {'temperature': 0.5}
    """
    try:
        body = json.loads(raw)
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError):
        raise InputError("bad_json") from None
    except ValueError:  # a whole number that Python refuses to read
        raise InputError("number_too_long", name="body") from None
    _check(body)
    return body


def _check(body: Any) -> None:
    """Every value that a body holds, whatever its depth; each under the name of the argument that it belongs to."""
    count, waiting = 0, [("body", 1, body)]
    while waiting:
        name, depth, value = waiting.pop()
        if isinstance(value, str):
            _letters(name, value)
        elif isinstance(value, (int, float)):
            _number(name, value)
        elif isinstance(value, (list, dict)):
            count += len(value)
            if depth > MOST_DEPTH:
                raise InputError("too_deep", name=name, limit=MOST_DEPTH)
            if count > MOST_VALUES or (isinstance(value, dict) and len(value) > MOST_KEYS):
                raise InputError("too_many_values", name=name)
            waiting.extend((inner, depth + 1, each) for inner, each in _inside(name, depth, value))


def _inside(name: str, depth: int, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, list):
        yield from ((name, each) for each in value)
        return
    for key, each in value.items():
        _letters(name, key)
        yield (shown(key, 40) if depth == 1 else name), each


def _letters(name: str, text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        char = f"U+{ord(text[error.start]):04X}"
        raise InputError("not_unicode", name=name, place=error.start, char=char) from None


def _number(name: str, value: float) -> None:
    if isinstance(value, int) and abs(value) >= LARGEST:
        raise InputError("number_too_long", name=name)
    if isinstance(value, float) and not math.isfinite(value):
        raise InputError("not_a_number", name=name, value=value)
