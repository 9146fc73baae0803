"""Streams: several generations on one response, each event tagged with whose it is.

The engine thread calls ``emit``; the event hops to the asyncio loop and into the one
queue of its response. There is never a thread per stream. A closed tab, a stop button
and the end of the response all come to the same thing: tickets are cancelled.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

from capot.config import Serving
from capot.errors import BusyError, CapotError, InputError, NotFoundError
from capot.model import Model
from capot.results.base import plain

HEARTBEAT_S = 10.0  # a comment line, so that a dead connection is noticed and a live one is not cut
LOOK_S = 0.5  # how often a waiting learner's place is looked up


@dataclass(frozen=True)
class Part:
    """One of the generations of a response."""

    tag: str
    verb: str
    arguments: dict[str, Any]


@dataclass
class Stream:
    """One response under way: its queue and the ticket of each part still at work."""

    learner: str
    lang: str
    loop: asyncio.AbstractEventLoop
    queue: asyncio.Queue[tuple[str, str, Any]] = field(default_factory=asyncio.Queue)
    tickets: dict[str, Any] = field(default_factory=dict)
    open: bool = True

    def emitter(self, tag: str) -> Callable[[Any], None]:
        """A callback for the engine thread; it only hands the event over."""

        def emit(event: Any) -> None:
            if self.open:
                with contextlib.suppress(RuntimeError):  # the loop is closing: nobody is left to read
                    self.loop.call_soon_threadsafe(self.queue.put_nowait, (tag, _kind(event), _body(event, self.lang)))

        return emit

    def stop(self, tag: str | None = None) -> None:
        """Stop one part, or all of them; the engine drops them at its next step."""
        for name, ticket in list(self.tickets.items()):
            if tag in (None, name):
                ticket.cancel()


def _kind(event: Any) -> str:
    return "error" if isinstance(event, BaseException) else type(event).__name__.lower()


def _body(event: Any, lang: str) -> Any:
    if isinstance(event, CapotError):
        return event.to_dict(lang)
    if isinstance(event, BaseException):
        return CapotError("internal").to_dict(lang)
    return plain(event)


class Hub:
    """All open streams of a server, with the bounds that one learner has."""

    def __init__(self, serving: Serving) -> None:
        self.serving = serving
        self.streams: dict[tuple[str, str], Stream] = {}
        self.ended = Counter[str]()

    def open(self, learner: str, name: str, *, lang: str, parts: list[Part], model: Model) -> Stream:
        """Start every part of a response.

        Raises: BusyError ``too_many_streams``; InputError for a part that makes no sense.
        """
        mine = sum(len(s.tickets) for (who, _), s in self.streams.items() if who == learner)
        if mine + len(parts) > self.serving.max_streams:
            raise BusyError("too_many_streams", limit=self.serving.max_streams)
        if (learner, name) in self.streams:
            raise InputError("stream_name_taken", name=name)
        stream = Stream(learner, lang, asyncio.get_running_loop())
        try:
            for part in parts:
                stream.tickets[part.tag] = starter(part.verb)(model, emit=stream.emitter(part.tag), **part.arguments)
        except BaseException:
            stream.stop()
            raise
        self.streams[learner, name] = stream
        return stream

    def stop(self, learner: str, name: str, tag: str | None) -> bool:
        """Stop a learner's own stream; nobody can name another's."""
        stream = self.streams.get((learner, name))
        if stream is not None:
            stream.stop(tag)
        return stream is not None

    async def events(self, learner: str, name: str) -> AsyncIterator[bytes]:
        """The response's bytes: server-sent events until every part has ended."""
        stream = self.streams[learner, name]
        places: dict[str, int] = {}
        quiet = 0.0
        try:
            while stream.tickets or not stream.queue.empty():
                try:
                    tag, kind, body = await asyncio.wait_for(stream.queue.get(), LOOK_S)
                except TimeoutError:
                    quiet += LOOK_S
                    for line in _places(stream, places):
                        yield line
                    if quiet >= HEARTBEAT_S:
                        quiet = 0.0
                        yield b": here\n\n"
                    continue
                yield sse(kind, {"tag": tag, "body": body})
                if kind in ("finished", "error"):
                    stream.tickets.pop(tag, None)
                    self.ended[kind] += 1
        finally:
            stream.open = False
            stream.stop()
            self.streams.pop((learner, name), None)


def starter(verb: str) -> Callable[..., Any]:
    """The function that starts ``verb`` as a stream: its chapter's ``start``.

    Raises: NotFoundError ``unknown_stream``.
    """
    attribute = vars(Model).get(verb)
    chapter = getattr(attribute, "chapter", None)
    start = getattr(importlib.import_module(f"capot.{chapter}"), "start", None) if chapter else None
    if start is None:
        raise NotFoundError("unknown_stream", name=verb[:40])
    return start


def _places(stream: Stream, known: dict[str, int]) -> list[bytes]:
    """An event for each part whose place in the queue has changed."""
    changed = []
    for tag, ticket in stream.tickets.items():
        place = ticket.position
        if known.get(tag, 0) != place:
            known[tag] = place
            changed.append(sse("queued", {"tag": tag, "body": {"position": place}}))
    return changed


def sse(kind: str, data: Any) -> bytes:
    """One event; JSON holds no raw line end, so one data line is enough."""
    return f"event: {kind}\ndata: {json.dumps(data, ensure_ascii=False, separators=(',', ':'))}\n\n".encode()


__all__ = ["Hub", "Part", "Stream", "sse", "starter"]
