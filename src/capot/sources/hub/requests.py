"""Questions to the hub: asked again where the network stumbles, refused in words where the hub does."""

from __future__ import annotations

import http.client
import json
import socket
import time
from collections.abc import Mapping
from typing import Any
from urllib.error import URLError

from capot.errors import NetworkError
from capot.sources.files import whole_number
from capot.sources.hub import settings
from capot.sources.hub.connection import BROKEN, Response, send
from capot.sources.hub.refusals import Subject, refused, unreachable, wait_asked

LONGEST = 30.0  # seconds one waits for a hub that says how long
_LARGEST = 64_000_000  # bytes of an answer in JSON
PASSING = (408, 429, 500, 502, 503, 504)  # refusals that may be over in a moment


def ask(url: str, subject: Subject, *, headers: Mapping[str, str] | None = None, method: str = "GET") -> Response:
    """An answer of the hub's, to be closed.

    Raises: NetworkError ``hub_offline``, ``hub_unreachable``, ``hub_certificate``, ``hub_proxy``,
    ``hub_broken``, ``hub_failing``; BusyError ``hub_rate_limited``; AccessError and NotFoundError
    as ``refusals`` has them.
    """
    refuse_offline(subject.name)
    token = settings.token()
    for pause in (*settings.pauses(), None):
        try:
            answer = send(url, token=token, headers=headers, method=method)
        except BROKEN as error:
            if pause is None or final(error):
                raise unreachable(error, url) from None
        else:
            if answer.status < 300:
                return answer
            answer.close()
            wait = wait_asked(answer)
            if pause is None or answer.status not in PASSING or (wait or 0) > LONGEST:
                raise refused(answer, subject, token=token)
            pause = pause if wait is None else wait
        time.sleep(pause)
    raise AssertionError("the last attempt answers or raises")


def final(error: Exception) -> bool:
    """Whether asking again would change nothing: no network, a closed door, a wrong certificate."""
    reason = error.reason if isinstance(error, URLError) else error
    if "Tunnel connection failed" in str(reason):
        return True
    return isinstance(reason, socket.gaierror | ConnectionRefusedError | ValueError)  # a certificate is a ValueError


def whole(answer: Response, most: int) -> bytes:
    """All of an answer's body. Raises: http.client.IncompleteRead where it was cut short."""
    raw = answer.read(most)
    missing = getattr(answer.stream, "length", None)
    if missing:
        raise http.client.IncompleteRead(raw, missing)
    return raw


def refuse_offline(name: str) -> None:
    """Raises: NetworkError ``hub_offline``, ``hub_offline_search`` where the surroundings forbid the network."""
    if settings.offline():
        raise NetworkError("hub_offline", name=name) if name else NetworkError("hub_offline_search")


def ask_json(url: str, subject: Subject) -> Any:
    """An answer in JSON.

    Raises: as ``ask``; NetworkError ``hub_not_a_hub`` where it is something else, the page of
    a hotel's network for instance.
    """
    with ask(url, subject, headers={"Accept": "application/json"}) as answer:
        try:
            raw = whole(answer, _LARGEST)
        except BROKEN as error:
            raise unreachable(error, url) from None
    try:
        return json.loads(raw, parse_int=whole_number)
    except (ValueError, RecursionError):
        raise NetworkError("hub_not_a_hub", host=settings.endpoint()) from None
