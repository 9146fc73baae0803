"""Look which servers of models this machine has, at the ports where their programs listen unless told otherwise.

All ports are asked side by side, for the list of their models alone, without any key and never through a proxy. What
has not answered after ``SECONDS`` is left out.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

USUAL: dict[int, str] = {11434: "Ollama", 8000: "vLLM", 8080: "llama.cpp", 1234: "LM Studio"}
SECONDS = 0.2
_HOST = "127.0.0.1"
_LARGEST = 1_000_000  # bytes of a list of models
_MOST = 100  # models of one server
_NEEDS_KEY = (401, 403)


@dataclass(frozen=True)
class ServedModel:
    """A model as a server lists it. ``source`` is the hub's name or the folder that it was read from, where told."""

    name: str
    context_length: int | None
    source: str | None


@dataclass(frozen=True)
class FoundServer:
    """A server on this machine. ``program`` usually listens at its port: another may do so.

    ``needs_key``: it lists its models to none without a key.
    """

    address: str
    program: str
    models: tuple[ServedModel, ...]
    needs_key: bool = False


def read_models(answer: Any) -> tuple[ServedModel, ...] | None:
    """Return the models of a server's list, None where it is no such list.

    >>> read_models({"data": [{"id": "org/name", "max_model_len": 512}]})
    (ServedModel(name='org/name', context_length=512, source=None),)
    """
    entries = answer.get("data") if isinstance(answer, dict) else None
    if not isinstance(entries, list) or not all(isinstance(each, dict) for each in entries):
        return None
    return tuple(_model(each) for each in entries if isinstance(each.get("id"), str))


def _model(entry: dict[str, Any]) -> ServedModel:
    meta = entry.get("meta")  # llama.cpp's
    lengths = (entry.get("max_model_len"), meta.get("n_ctx") if isinstance(meta, dict) else None)
    context = next((each for each in lengths if _is_length(each)), None)
    source = entry.get("root")
    return ServedModel(entry["id"], context, source if isinstance(source, str) else None)


def _is_length(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


@dataclass
class _Question:
    """What one port is asked, on a thread of its own."""

    port: int
    program: str
    found: FoundServer | None = None
    connection: http.client.HTTPConnection | None = field(default=None, repr=False)

    def ask(self, seconds: float) -> None:
        self.connection = http.client.HTTPConnection(_HOST, self.port, timeout=seconds)
        with contextlib.suppress(OSError, http.client.HTTPException, ValueError, RecursionError):
            self.connection.request("GET", "/v1/models", headers={"User-Agent": "capot", "Accept": "application/json"})
            response = self.connection.getresponse()
            models = None
            if response.status == 200:
                models = read_models(json.loads(response.read(_LARGEST + 1)))
            elif response.status in _NEEDS_KEY:
                models = ()
            if models is not None:
                address = f"http://{_HOST}:{self.port}/v1"
                self.found = FoundServer(address, self.program, models[:_MOST], response.status in _NEEDS_KEY)
        self.connection.close()

    def give_up(self) -> None:
        """End what still waits or reads: its thread hears of it at once."""
        socket = None if self.connection is None else self.connection.sock
        if socket is not None:
            with contextlib.suppress(OSError):
                socket.shutdown(2)


def servers(ports: Mapping[int, str] | None = None, *, seconds: float | None = None) -> tuple[FoundServer, ...]:
    """Return the servers of models at ``ports`` of this machine, None for the usual ones, in their order.

    ``seconds`` is for all of them together, None for ``SECONDS``.

    >>> servers({})
    ()
    """
    seconds = SECONDS if seconds is None else seconds
    questions = [_Question(*each) for each in (USUAL if ports is None else ports).items()]
    threads = [threading.Thread(target=each.ask, args=[seconds], daemon=True) for each in questions]
    until = time.monotonic() + seconds
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, until - time.monotonic()))
    found = tuple(each.found for each in questions if each.found is not None)
    for question in questions:
        question.give_up()
    return found
