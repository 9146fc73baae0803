"""The lab without a browser: over ASGI, and over a real socket with an engine that can be held at a step."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import httpx
from starlette.testclient import TestClient

import capot
from capot.config import Serving
from capot.engines.scheduler import Scheduler
from capot.engines.scripted import ScriptedEngine
from capot.model import Model
from capot.web import protocol
from capot.web.app import create_app
from capot.web.connections import Connections

Answer = TypeVar("Answer")
JSON = {"content-type": "application/json"}


def scripted(**options: Any) -> Model:
    """The scripted model, its engine made with ``options`` (``before_step``, ``context_length``)."""
    model = capot.open("scripted")
    model.shared.at_work = Scheduler(ScriptedEngine(**options))
    return model


@contextlib.contextmanager
def asgi(model: Model, serving: Serving | None = None, **options: Any) -> Iterator[TestClient]:
    """A client that speaks to the application itself."""
    app = create_app(model, serving, **options)
    with model, TestClient(app, base_url="http://127.0.0.1:8420", raise_server_exceptions=False) as client:
        yield client


def events_of(text: str) -> list[tuple[str, str, dict[str, Any]]]:
    """Kind, tag and body of every server-sent event of a whole response."""
    found = []
    for block in text.split("\n\n"):
        lines = [line for line in block.splitlines() if not line.startswith(":")]
        if lines:
            kind, data = lines
            told = json.loads(data.removeprefix("data: "))
            found.append((kind.removeprefix("event: "), told["tag"], told["body"]))
    return found


def part(tag: str = "a", verb: str = "generate", **arguments: Any) -> dict[str, Any]:
    return {"tag": tag, "verb": verb, "arguments": arguments}


def asked(*parts: dict[str, Any], name: str = "page-0001") -> dict[str, Any]:
    return {"name": name, "streams": list(parts)}


class Live:
    """The lab behind a real socket, in a thread of this process."""

    def __init__(
        self,
        model: Model,
        serving: Serving | None = None,
        *,
        owner_key: str | None = None,
        cookie_secret: bytes | None = None,
        connections: Connections | None = None,
    ) -> None:
        self.model, serving = model, serving or Serving()
        self.app = create_app(model, serving, owner_key=owner_key, cookie_secret=cookie_secret)
        self.connections = connections or Connections(serving)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.root = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        self.server = protocol.server(self.app, serving, connections=self.connections, lifespan="on")
        self.thread = threading.Thread(target=self.server.run, kwargs={"sockets": [self.listener]})

    def __enter__(self) -> Live:
        self.thread.start()
        until(lambda: self.server.started)
        return self

    def __exit__(self, *_: object) -> None:
        self.server.should_exit = True
        self.thread.join()
        self.listener.close()
        self.model.close()

    @property
    def load(self) -> dict[str, Any]:
        """The scheduler's own account."""
        return self.model.scheduler.status()

    def client(self, code: str | None = None) -> Visitor:
        """A visitor with a cookie jar of their own, in with a code where there is one."""
        client = httpx.Client(base_url=self.root, timeout=180, trust_env=False)
        answer = client.get("/" if code is None else f"/?code={code}")
        assert answer.status_code == (200 if code is None else 303)
        return Visitor(client)


class Visitor:
    """An ``httpx.Client`` that has begun, usable in a ``with`` all the same."""

    def __init__(self, client: httpx.Client) -> None:
        self.client = client

    def __enter__(self) -> httpx.Client:
        return self.client

    def __exit__(self, *_: object) -> None:
        self.client.close()


class Reader:
    """Reads one event stream as it comes, from a thread of its own where asked."""

    def __init__(self, client: httpx.Client, body: dict[str, Any], *, path: str = "/api/stream") -> None:
        self.client, self.path, self.body = client, path, body
        self.events: list[tuple[str, str, dict[str, Any]]] = []
        self.times: list[float] = []
        self.status = 0
        self.wrong: Exception | None = None
        self.thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        try:
            for event in self.read():
                self.events.append(event)
                self.times.append(time.perf_counter())
        except Exception as error:
            self.wrong = error

    def read(self) -> Iterator[tuple[str, str, dict[str, Any]]]:
        with self.client.stream("POST", self.path, json=self.body) as answer:
            self.status = answer.status_code
            if answer.status_code != 200:
                self.refusal = json.loads(answer.read())["error"]
                return
            held = ""
            for text in answer.iter_text():
                *whole, held = (held + text).split("\n\n")
                for block in whole:
                    yield from events_of(block)

    def start(self) -> Reader:
        self.thread.start()
        return self

    def join(self) -> Reader:
        self.thread.join(180)
        assert not self.thread.is_alive() and self.wrong is None, self.wrong
        return self

    def kinds(self) -> list[str]:
        return [kind for kind, _, _ in self.events]


class Gate:
    """Holds the engine before a step until it is let through; the first ``free`` steps pass."""

    def __init__(self, *, is_open: bool = False, free: int = 0) -> None:
        self.open, self.free = threading.Event(), free
        self.steps: list[int] = []  # how many texts each step advanced
        if is_open:
            self.open.set()

    def __call__(self, feeds: list[Any]) -> None:
        self.steps.append(len(feeds))
        if len(self.steps) > self.free:
            self.open.wait(300)


def looped(coroutine: Coroutine[Any, Any, Answer]) -> Answer:
    """What a coroutine answers, on a loop and a thread of its own: a browser's test before may have left one here."""
    with ThreadPoolExecutor(1) as apart:
        return apart.submit(asyncio.run, coroutine).result()


def until(true: Callable[[], Any], *, seconds: float = 120) -> Any:
    """Wait until something is true, and answer it."""
    limit = time.monotonic() + seconds
    while time.monotonic() < limit:
        found = true()
        if found:
            return found
        time.sleep(0.01)
    raise AssertionError("it never came true")
