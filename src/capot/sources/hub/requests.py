"""Send requests to the hub, retry when the network fails, and translate the hub's errors."""

from __future__ import annotations

import http.client
import json
import socket
import time
from collections.abc import Mapping
from typing import Any
from urllib.error import URLError

from capot.errors import NetworkError
from capot.sources.files import parse_int
from capot.sources.hub import settings
from capot.sources.hub.connection import BROKEN, Response, send
from capot.sources.hub.refusals import Subject, response_error, retry_after, unreachable_error

LONGEST = 30.0  # seconds one waits for a hub that says how long
_LARGEST = 64_000_000  # bytes of an answer in JSON
PASSING = (408, 429, 500, 502, 503, 504)  # refusals that may be over in a moment


def request(url: str, subject: Subject, *, headers: Mapping[str, str] | None = None, method: str = "GET") -> Response:
    """Return an answer of the hub, which the caller closes.

    Raises: NetworkError ``hub_offline``, ``hub_unreachable``, ``hub_certificate``, ``hub_proxy``,
    ``hub_broken``, ``hub_failing``; BusyError ``hub_rate_limited``; AccessError and NotFoundError
    as ``refusals`` has them.
    """
    check_online(subject.name)
    token = settings.token()
    # None stands for the last attempt, after which there is no pause.
    for pause in (*settings.retry_delays(), None):
        try:
            answer = send(url, token=token, headers=headers, method=method)
        except BROKEN as error:
            if pause is None or is_permanent(error):
                raise unreachable_error(error, url) from None
        else:
            if answer.status < 300:
                return answer
            answer.close()
            wait = retry_after(answer)
            # A hub that asks for an hour of patience is refused at once, in words that say so.
            if pause is None or answer.status not in PASSING or (wait or 0) > LONGEST:
                raise response_error(answer, subject, token=token)
            pause = pause if wait is None else wait
        time.sleep(pause)
    raise AssertionError("the last attempt answers or raises")


def is_permanent(error: Exception) -> bool:
    """Return whether a retry is useless: no network, a refused connection, a wrong certificate."""
    reason = error.reason if isinstance(error, URLError) else error
    if "Tunnel connection failed" in str(reason):
        return True
    return isinstance(reason, socket.gaierror | ConnectionRefusedError | ValueError)  # a certificate is a ValueError


def read_all(answer: Response, most: int) -> bytes:
    """Return an answer's whole body. Raises: http.client.IncompleteRead if it was cut short."""
    raw = answer.read(most)
    missing = getattr(answer.stream, "length", None)
    if missing:
        raise http.client.IncompleteRead(raw, missing)
    return raw


def check_online(name: str) -> None:
    """Raises: NetworkError ``hub_offline``, ``hub_offline_search`` where the surroundings forbid the network."""
    if settings.is_offline():
        raise NetworkError("hub_offline", name=name) if name else NetworkError("hub_offline_search")


def get_json(url: str, subject: Subject) -> Any:
    """Return an answer's JSON.

    Raises: as ``request``; NetworkError ``hub_not_a_hub`` where it is something else, the page of
    a hotel's network for instance.
    """
    with request(url, subject, headers={"Accept": "application/json"}) as answer:
        try:
            raw = read_all(answer, _LARGEST)
        except BROKEN as error:
            raise unreachable_error(error, url) from None
    try:
        return json.loads(raw, parse_int=parse_int)
    except (ValueError, RecursionError):
        raise NetworkError("hub_not_a_hub", host=settings.endpoint()) from None
