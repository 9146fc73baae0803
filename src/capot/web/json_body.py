"""Check the JSON of a request's body before anything is built from it: depth, size, numbers, text.

After this every number is finite and short, and every string can be encoded as UTF-8.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import anyio.to_thread
from fastapi import Request, Response
from fastapi.routing import APIRoute

from capot.errors import InputError, check_unicode, shorten

MAX_DEPTH = 16  # a conversation in a stream is seven deep
MAX_VALUES = 250_000  # the ids of the longest texts, or 10,000 turns of a conversation
MAX_KEYS = 100  # of one object; none of ours has more than a third of that
MAX_DIGITS = 24  # of a whole number: more than any that is of use here
INLINE_BYTES = 20_000  # bytes that are read on the spot; more of them on a thread


class CheckedBodyRoute(APIRoute):
    """A route whose body has been checked. Raises: as ``parse_body``."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def formed(request: Request) -> Response:
            raw = await request.body() if request.method == "POST" else b""
            if not raw:
                return await handle(request)
            body = parse_body(raw) if len(raw) < INLINE_BYTES else await anyio.to_thread.run_sync(parse_body, raw)
            return await handle(_ParsedRequest(request, raw, body))

        return formed


class _ParsedRequest(Request):
    """A request whose body is parsed already."""

    def __init__(self, request: Request, raw: bytes, found: Any) -> None:
        super().__init__(request.scope, request.receive)
        self._raw = raw
        self._found = found

    async def body(self) -> bytes:
        return self._raw

    async def json(self) -> Any:
        return self._found


def parse_body(raw: bytes) -> Any:
    """Parse a JSON body and check it.

    Raises: InputError ``bad_json``, ``too_deep``, ``too_many_values``, ``number_too_long``, ``not_a_number``,
    ``not_unicode``.

    >>> parse_body(b'{"temperature": 0.5}')
    {'temperature': 0.5}
    """
    try:
        # One call in C, whose time is bounded by MAX_BODY; what it makes is checked afterwards.
        body = json.loads(raw)
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError):
        raise InputError("bad_json") from None
    except ValueError:  # a whole number that Python refuses to read
        raise InputError("number_too_long", name="body", limit=MAX_DIGITS) from None
    _check(body)
    return body


def _check(body: Any) -> None:
    """Check every value of a body, however deep, and report it under the name of its argument."""
    # By a list, as in ``bounds``: Python's stack is not the visitor's to fill.
    count = 0
    waiting = [("body", 1, body)]
    while waiting:
        name, depth, value = waiting.pop()
        if isinstance(value, str):
            check_unicode(value, name=name)
        elif isinstance(value, (int, float)):
            _check_number(name, value)
        elif isinstance(value, (list, dict)):
            count += len(value)
            if depth > MAX_DEPTH:
                raise InputError("too_deep", name=name, limit=MAX_DEPTH)
            if isinstance(value, dict) and len(value) > MAX_KEYS:
                raise InputError("too_many_values", name=name, limit=MAX_KEYS)
            if count > MAX_VALUES:
                raise InputError("too_many_values", name=name, limit=MAX_VALUES)
            waiting.extend((inner, depth + 1, each) for inner, each in _children(name, depth, value))


def _children(name: str, depth: int, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, list):
        yield from ((name, each) for each in value)
        return
    for key, each in value.items():
        check_unicode(key, name=name)
        yield (shorten(key, 40) if depth == 1 else name), each


def _check_number(name: str, value: float) -> None:
    if isinstance(value, int) and abs(value) >= 10**MAX_DIGITS:
        raise InputError("number_too_long", name=name, limit=MAX_DIGITS)
    if isinstance(value, float) and not math.isfinite(value):
        raise InputError("not_a_number", name=name, value=value)
