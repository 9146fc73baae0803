"""Stream several verbs on one response, each event tagged with the part it belongs to.

The engine thread calls ``emit``; the event hops to the asyncio loop and into the one queue of its response. There is
never a thread for each stream. A closed tab, a stop button and the end of the response all do the same: they cancel
what was asked for.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import anyio.to_thread
from starlette.responses import StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from capot.config import Serving
from capot.engines.cancellation import cancel_when
from capot.errors import BusyError, CapotError, InputError, InterruptedByUser
from capot.view.event import StreamEvent
from capot.web.events import Failed, sse, stream_event
from capot.web.learners import Learner, Learners
from capot.web.request_scope import RequestScope
from capot.web.stream_jobs import Emit, StreamJob, Work, start

log = logging.getLogger("capot.web")

HEARTBEAT_S = 10.0  # a comment line, so that a dead connection is noticed and a live one is not cut
LARGE_EVENTS = ("started", "answered", "finished")  # events that hold a prompt or an answer, token by token
CHUNK_BYTES = 16_384  # bytes of events written in one go
FRAME_S = 0.04  # between two deliveries: a page that writes 25 times a second writes without a break
POLL_S = 0.5  # how often a waiting learner's place is looked up
ROOM_RETRIES, ROOM_RETRY_S = (
    40,
    0.025,
)  # looks for room before a refusal, and between two: that a page was left may be heard late


class Handover:
    """Hands what other threads tell to the queues of one loop, many events by one wake-up.

    What comes after a pause is handed over at once; under load, what has come in a frame is handed over together.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._come: deque[tuple[asyncio.Queue[Any], Any]] = deque()
        self._woken = False
        self._delivered = -math.inf

    def put(self, queue: asyncio.Queue[Any], told: Any) -> None:
        """Put it into the queue soon, behind what was put before. Called on any thread."""
        self._come.append((queue, told))
        # Appended first: whoever has woken the loop already is told by ``_deliver`` with the rest, as it looks last.
        if not self._woken:
            self._woken = True
            # The loop belongs to another thread: nothing of asyncio may be called from here but this.
            with contextlib.suppress(RuntimeError):  # the loop is closing: nobody is left to read
                self.loop.call_soon_threadsafe(self._wake)

    def _wake(self) -> None:
        due = self._delivered + FRAME_S
        if self.loop.time() >= due:
            self._deliver()
        else:
            self.loop.call_at(due, self._deliver)

    def _deliver(self) -> None:
        self._delivered = self.loop.time()
        self._woken = False
        while self._come:
            queue, told = self._come.popleft()
            queue.put_nowait(told)


@dataclass(eq=False)
class OpenStream:
    """One response: its queue, and each part that has not ended."""

    learner: Learner
    name: str
    lang: str
    handover: Handover
    queue: asyncio.Queue[tuple[str, StreamEvent] | None] = field(default_factory=asyncio.Queue)
    parts: dict[str, StreamJob] = field(default_factory=dict)
    running: dict[str, Work] = field(default_factory=dict)
    scopes: dict[str, RequestScope] = field(default_factory=dict)  # of the part that is being begun
    stopped: set[str] = field(default_factory=set)  # parts that somebody stopped, begun or not
    ended_parts: set[str] = field(default_factory=set)  # parts that have ended, read or not
    open: bool = True
    positions: dict[str, int] = field(default_factory=dict)
    reserved: int = 0  # bytes of its learner's account
    disconnected: bool = False  # its visitor has gone, perhaps before it began

    def emitter(self, tag: str) -> Emit:
        """Return a callback for the engine thread, which only hands the event over."""

        def emit(outcome: StreamEvent | BaseException) -> None:
            event = stream_event(outcome, self.lang)
            if event.last:
                self.ended_parts.add(tag)
            if self.open:
                self.handover.put(self.queue, (tag, event))

        return emit

    def stop(self, tag: str | None = None) -> bool:
        """Stop one part, or all of them, and return whether there was one to stop.

        The engine drops them at its next step.
        """
        found = {name for name in self.parts if tag in (None, name)}
        self.stopped |= found
        for name, work in list(self.running.items()):  # a copy: another thread may be beginning the next part
            if name in found:
                work.cancel()
        for name, scope in list(self.scopes.items()):
            if name in found:
                scope.cancel_workers()
        return bool(found)

    def is_unwanted(self, tag: str) -> bool:
        """Return whether a part was stopped, or its reader has left."""
        return self.disconnected or tag in self.stopped

    def cancel(self) -> None:
        """Stop all parts because the reader has left, those that are still being started as well."""
        self.disconnected = True
        self.stop()

    @property
    def at_work(self) -> int:
        """Count the parts that have not ended. None counts after the reader has left."""
        return 0 if self.disconnected else len(self.parts.keys() - self.ended_parts)

    @property
    def position(self) -> int:
        """Return the place of the part that waits longest, or 0 if none waits."""
        return max((work.position for work in list(self.running.values())), default=0)

    @contextlib.contextmanager
    def ticking(self, seconds: float) -> Iterator[None]:
        """Put None into the queue, inside the block, as often as that if nothing else is there."""
        loop = asyncio.get_running_loop()

        timer: asyncio.TimerHandle

        def tick() -> None:
            nonlocal timer
            if self.queue.empty():
                self.queue.put_nowait(None)
            timer = loop.call_later(seconds, tick)

        # One timer for the whole response: one for each event would cost as much as the event itself.
        timer = loop.call_later(seconds, tick)
        try:
            yield
        finally:
            timer.cancel()

    def queue_events(self) -> list[bytes]:
        """Return an event for each part whose place in the queue has changed."""
        lines = []
        for tag, work in self.running.items():
            place = work.position
            if self.positions.get(tag, 0) != place:
                self.positions[tag] = place
                lines.append(sse("queued", {"tag": tag, "body": {"position": place}}))
        return lines


class Streams:
    """All open streams of a server, with the bounds that one learner has."""

    def __init__(self, learners: Learners, serving: Serving) -> None:
        self.learners = learners
        self.serving = serving
        self.streams: dict[tuple[str, str], OpenStream] = {}
        self.ended = Counter[str]()
        self._handover: Handover | None = None

    async def open(
        self,
        learner: Learner,
        name: str,
        *,
        lang: str,
        parts: list[StreamJob],
        call: str | None = None,
        begun: Callable[[OpenStream], None] = lambda _: None,
    ) -> OpenStream:
        """Start every part of a response. ``call`` is the page's name for the wait until then.

        ``begun`` gets the stream at once, so that whoever leaves while it is started can cancel it.

        Raises: BusyError ``too_many_streams``, ``lab_full``; InputError for a part that makes no sense.
        """
        await self._wait_for_room(learner, len(parts))
        if (learner.name, name) in self.streams:
            raise InputError("stream_name_taken", name=name)
        if len({part.tag for part in parts}) < len(parts):
            raise InputError("same_tag")
        stream = OpenStream(learner, name, lang, self._handed_over())
        stream.parts = {part.tag: part for part in parts}
        stream.reserved = sum(part.price for part in parts)
        learner.account.reserve(stream.reserved)
        self.streams[learner.name, name] = stream
        begun(stream)
        try:
            with learner.named_call(call, stream):
                async with self.learners.turn(learner, stream):
                    await anyio.to_thread.run_sync(self._start, stream, limiter=self.learners.threads)
        except BaseException:
            self.close(stream)
            raise
        return stream

    def _handed_over(self) -> Handover:
        """Return the way to this loop, which all streams share."""
        loop = asyncio.get_running_loop()
        if self._handover is None or self._handover.loop is not loop:
            self._handover = Handover(loop)
        return self._handover

    async def _wait_for_room(self, learner: Learner, more: int) -> None:
        """Try for a second before refusing a stream.

        Whoever reloads a page asks for new streams, often before the server hears that the old page was left.

        Raises: as ``_check_room``.
        """
        for _ in range(ROOM_RETRIES if more <= self.serving.max_streams else 0):
            with contextlib.suppress(BusyError):
                return self._check_room(learner, more)
            await asyncio.sleep(ROOM_RETRY_S)
        self._check_room(learner, more)

    def _check_room(self, learner: Learner, more: int) -> None:
        """Hold a learner to their own bound, and in a full lab to an equal share, so that newcomers find room.

        Raises: BusyError ``too_many_streams``, ``lab_full``.
        """
        at_work = Counter[str]()
        for (who, _), stream in self.streams.items():
            at_work[who] += stream.at_work
        # Only parts that compute count: one that waits to be read costs no step of the engine.
        mine = at_work[learner.name] + more
        if mine > self.serving.max_streams:
            raise BusyError("too_many_streams", limit=self.serving.max_streams)
        people = 1 + sum(1 for who, texts in at_work.items() if texts and who != learner.name)
        most = self.serving.max_texts
        if at_work.total() + more > most and mine > most // people:
            raise BusyError("lab_full", limit=most)

    def _start(self, stream: OpenStream) -> None:
        """Start the parts, on a thread: this may read a vocabulary or tokenize a long prompt."""
        for tag, part in list(stream.parts.items()):
            person, scope = self.learners.model_for(stream.learner)
            if not stream.open:
                return
            emit = stream.emitter(tag)
            try:
                with self._cancellable_start(stream, tag, scope), cancel_when(partial(stream.is_unwanted, tag)):
                    stream.running[tag] = start(part, person, scope, emit=emit, lang=stream.lang)
            except InterruptedByUser as error:
                if stream.disconnected:
                    raise
                emit(error)  # this part alone was stopped, before it could begin
                continue
            if tag in stream.stopped:  # while a model was opened, a vocabulary read or a long prompt cut
                stream.running[tag].cancel()
        if not stream.open:  # the visitor left in the meantime
            stream.stop()

    @staticmethod
    @contextlib.contextmanager
    def _cancellable_start(stream: OpenStream, tag: str, scope: RequestScope) -> Iterator[None]:
        """Let a stop end, inside the block, what worker processes do for the part."""
        stream.scopes[tag] = scope
        try:
            if tag in stream.stopped or not stream.open:
                scope.cancel_workers()
            yield
        finally:
            del stream.scopes[tag]

    def stop(self, learner: str, name: str, tag: str | None) -> bool:
        """Stop a learner's own stream; nobody can name another's."""
        stream = self.streams.get((learner, name))
        return stream is not None and stream.stop(tag)

    def close(self, stream: OpenStream) -> None:
        """End a response, whatever the reason. Closing twice is harmless."""
        if stream.open:
            stream.learner.account.release(stream.reserved)
        if stream.open and stream.parts:
            self.learners.disconnect(stream.learner)
        stream.open = False
        stream.stop()
        self.streams.pop((stream.learner.name, stream.name), None)

    def count_parts(self) -> int:
        """Count the parts of all open streams."""
        return sum(len(each.parts) for each in self.streams.values())

    @property
    def streaming(self) -> set[str]:
        """Return the learners who have a stream open."""
        return {who for who, _ in self.streams}

    async def events(self, stream: OpenStream) -> AsyncIterator[bytes]:
        """Yield the response's bytes: server-sent events until every part has ended."""
        clock = asyncio.get_running_loop().time
        looked = -math.inf
        heard = clock()
        with stream.ticking(POLL_S):
            while stream.parts:
                lines: list[bytes] = []
                if clock() - looked >= POLL_S:
                    looked = clock()
                    lines = stream.queue_events()
                told = await stream.queue.get()
                if told is not None:
                    heard = clock()
                    lines += await self._backlog_bytes(stream, *told)
                elif clock() - heard >= HEARTBEAT_S:
                    heard = clock()
                    lines.append(b": here\n\n")
                if lines:
                    yield b"".join(lines)

    async def _backlog_bytes(self, stream: OpenStream, tag: str, event: StreamEvent) -> list[bytes]:
        """Write an event and those that have come since, up to ``CHUNK_BYTES``.

        A long backlog is written in chunks, so that nobody else waits for the whole of it.
        """
        told: tuple[str, StreamEvent] | None = (tag, event)
        lines: list[bytes] = []
        size = 0
        while told is not None:
            if told[0] in stream.parts:
                lines.append(await self._event_bytes(stream, *told))
                size += len(lines[-1])
            told = stream.queue.get_nowait() if size < CHUNK_BYTES and not stream.queue.empty() else None
        # A reader as quick as this writer would never let the loop go; behind the last event, the next wait does.
        if not stream.queue.empty():
            await asyncio.sleep(0)
        return lines

    async def _event_bytes(self, stream: OpenStream, tag: str, event: StreamEvent) -> bytes:
        """Write one event, and forget its part if it is the part's last."""
        part = stream.parts[tag]
        if isinstance(event, Failed) and not isinstance(event.error, CapotError):
            log.error("%s", part.verb.name, exc_info=event.error)

        def write() -> bytes:
            with stream.learner.python_lock if event.outcome is not None else contextlib.nullcontext():
                return sse(event.kind, {"tag": tag, "body": part.body(event, stream.lang)})

        # A large one, which is perhaps to be drawn, is not written on the loop.
        line = await anyio.to_thread.run_sync(write) if event.kind in LARGE_EVENTS else write()
        if event.last:
            del stream.parts[tag]
            stream.running.pop(tag, None)
            self.ended[event.kind] += 1
        return line


class EventResponse(StreamingResponse):
    """A stream's response. Whatever ends it, a closed tab included, ends the work at once."""

    def __init__(self, streams: Streams, stream: OpenStream) -> None:
        # nginx would keep events back until its buffer is full.
        super().__init__(streams.events(stream), media_type="text/event-stream", headers={"x-accel-buffering": "no"})
        self.streams = streams
        self.stream = stream

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def watched() -> Message:
            message = await receive()
            if message["type"] == "http.disconnect":  # now, and not only once a long event has been written
                self.stream.cancel()
            return message

        try:
            await super().__call__(scope, watched, send)
        finally:
            self.streams.close(self.stream)
