"""Streams: several works on one response, each event tagged with whose it is.

The engine thread calls ``emit``; the event hops to the asyncio loop and into the one
queue of its response. There is never a thread per stream. A closed tab, a stop button
and the end of the response all come to the same thing: what was asked is cancelled.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from functools import partial

import anyio.to_thread
from starlette.responses import StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from capot.config import Serving
from capot.errors import BusyError, CapotError, InputError, InterruptedByUser
from capot.leaving import wanted
from capot.view.event import StreamEvent
from capot.web.events import Failed, sse, told
from capot.web.learners import Learner, Learners
from capot.web.request_scope import RequestScope
from capot.web.stream_jobs import Emit, StreamJob, Work, start

log = logging.getLogger("capot.web")

HEARTBEAT_S = 10.0  # a comment line, so that a dead connection is noticed and a live one is not cut
MAX_TEXTS = 512  # under way in the whole server: who makes themself many learners meets this one
LARGE = ("started", "answered", "finished")  # events that hold a prompt or an answer, token by token
PIECE = 16_384  # bytes of events written in one go
LOOK_S = 0.5  # how often a waiting learner's place is looked up
AGAIN, AGAIN_S = 40, 0.025  # looks for room before a refusal, and between two: that a page was left may be heard late


@dataclass(eq=False)
class OpenStream:
    """One response under way: its queue, and each part still at work."""

    learner: Learner
    name: str
    lang: str
    loop: asyncio.AbstractEventLoop
    queue: asyncio.Queue[tuple[str, StreamEvent]] = field(default_factory=asyncio.Queue)
    parts: dict[str, StreamJob] = field(default_factory=dict)
    works: dict[str, Work] = field(default_factory=dict)
    shares: dict[str, RequestScope] = field(default_factory=dict)  # of the part that is being begun
    stopped: set[str] = field(default_factory=set)  # parts that somebody stopped, begun or not
    over: set[str] = field(default_factory=set)  # parts that have ended, read or not
    open: bool = True
    places: dict[str, int] = field(default_factory=dict)
    held: int = 0  # bytes of its learner's account
    left: bool = False  # its visitor has gone, perhaps before it began

    def emitter(self, tag: str) -> Emit:
        """A callback for the engine thread; it only hands the event over."""

        def emit(told_by_work: StreamEvent | BaseException) -> None:
            event = told(told_by_work, self.lang)
            if event.last:
                self.over.add(tag)
            if self.open:
                with contextlib.suppress(RuntimeError):  # the loop is closing: nobody is left to read
                    self.loop.call_soon_threadsafe(self.queue.put_nowait, (tag, event))

        return emit

    def stop(self, tag: str | None = None) -> bool:
        """Stop one part, or all of them; the engine drops them at its next step. Whether there was one to stop."""
        found = {name for name in self.parts if tag in (None, name)}
        self.stopped |= found
        for name, work in list(self.works.items()):  # a copy: another thread may be beginning the next part
            if name in found:
                work.cancel()
        for name, share in list(self.shares.items()):
            if name in found:
                share.end_apart()
        return bool(found)

    def given_up(self, tag: str) -> bool:
        """Whether nobody wants a part any more: it was stopped, or the visitor has left."""
        return self.left or tag in self.stopped

    def cancel(self) -> None:
        """The visitor has left: what is begun ends, and what is being begun as soon as it looks."""
        self.left = True
        self.stop()

    @property
    def at_work(self) -> int:
        """Parts that have not ended; those that only wait to be read, or whose visitor has left, are no work."""
        return 0 if self.left else len(self.parts.keys() - self.over)

    @property
    def position(self) -> int:
        """0 at work, done or not begun, else the place in the queue of what waits longest."""
        return max((work.position for work in list(self.works.values())), default=0)

    def moved(self) -> list[bytes]:
        """An event for each part whose place in the queue has changed."""
        lines = []
        for tag, work in self.works.items():
            place = work.position
            if self.places.get(tag, 0) != place:
                self.places[tag] = place
                lines.append(sse("queued", {"tag": tag, "body": {"position": place}}))
        return lines


class Streams:
    """All open streams of a server, with the bounds that one learner has."""

    def __init__(self, learners: Learners, serving: Serving) -> None:
        self.learners, self.serving = learners, serving
        self.streams: dict[tuple[str, str], OpenStream] = {}
        self.ended = Counter[str]()

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
        """Start every part of a response; ``call`` is its page's name for what is waited for until then.

        ``begun`` gets the stream at once, so that whoever leaves while it is started can cancel it.

        Raises: BusyError ``too_many_streams``, ``lab_full``; InputError for a part that makes no sense.
        """
        await self._found_room(learner, len(parts))
        if (learner.name, name) in self.streams:
            raise InputError("stream_name_taken", name=name)
        if len({part.tag for part in parts}) < len(parts):
            raise InputError("same_tag")
        stream = OpenStream(learner, name, lang, asyncio.get_running_loop())
        stream.parts = {part.tag: part for part in parts}
        stream.held = sum(part.price for part in parts)
        learner.account.hold(stream.held)
        self.streams[learner.name, name] = stream
        begun(stream)
        try:
            with learner.calling(call, stream):
                async with self.learners.turn(learner, stream):
                    await anyio.to_thread.run_sync(self._start, stream, limiter=self.learners.threads)
        except BaseException:
            self.close(stream)
            raise
        return stream

    async def _found_room(self, learner: Learner, more: int) -> None:
        """Look again for a moment where there is no room: who reloads a page asks anew, often before it is heard
        that the page before was left.

        Raises: as ``_check_room``.
        """
        for _ in range(AGAIN if more <= self.serving.max_streams else 0):
            with contextlib.suppress(BusyError):
                return self._check_room(learner, more)
            await asyncio.sleep(AGAIN_S)
        self._check_room(learner, more)

    def _check_room(self, learner: Learner, more: int) -> None:
        """Hold a learner to their own bound, and in a full lab to their share of it: who comes new finds room.

        Raises: BusyError ``too_many_streams``, ``lab_full``.
        """
        at_work = Counter[str]()
        for (who, _), stream in self.streams.items():
            at_work[who] += stream.at_work
        mine = at_work[learner.name] + more
        if mine > self.serving.max_streams:
            raise BusyError("too_many_streams", limit=self.serving.max_streams)
        people = 1 + sum(1 for who, texts in at_work.items() if texts and who != learner.name)
        if at_work.total() + more > MAX_TEXTS and mine > MAX_TEXTS // people:
            raise BusyError("lab_full", limit=MAX_TEXTS)

    def _start(self, stream: OpenStream) -> None:
        """On a thread: a vocabulary may have to be read, a long prompt to be cut."""
        for tag, part in list(stream.parts.items()):
            person, share = self.learners.opened(stream.learner)
            if not stream.open:
                return
            emit = stream.emitter(tag)
            try:
                with self._ending(stream, tag, share), wanted(partial(stream.given_up, tag)):
                    stream.works[tag] = start(part, person, share, emit=emit, lang=stream.lang)
            except InterruptedByUser as error:
                if stream.left:
                    raise
                emit(error)  # this part alone was stopped, before it could begin
                continue
            if tag in stream.stopped:  # while a model was opened, a vocabulary read or a long prompt cut
                stream.works[tag].cancel()
        if not stream.open:  # the visitor left in the meantime
            stream.stop()

    @staticmethod
    @contextlib.contextmanager
    def _ending(stream: OpenStream, tag: str, share: RequestScope) -> Iterator[None]:
        """Inside the block a stop ends what is rendered or cut for the part in another process."""
        stream.shares[tag] = share
        try:
            if tag in stream.stopped or not stream.open:
                share.end_apart()
            yield
        finally:
            del stream.shares[tag]

    def stop(self, learner: str, name: str, tag: str | None) -> bool:
        """Stop a learner's own stream; nobody can name another's."""
        stream = self.streams.get((learner, name))
        return stream is not None and stream.stop(tag)

    def close(self, stream: OpenStream) -> None:
        """End a response, whatever the reason. Closing twice is harmless."""
        if stream.open:
            stream.learner.account.release(stream.held)
        if stream.open and stream.parts:
            self.learners.cut(stream.learner)
        stream.open = False
        stream.stop()
        self.streams.pop((stream.learner.name, stream.name), None)

    @property
    def streaming(self) -> set[str]:
        """The learners who have a stream open."""
        return {who for who, _ in self.streams}

    async def events(self, stream: OpenStream) -> AsyncIterator[bytes]:
        """The response's bytes: server-sent events until every part has ended."""
        quiet = 0.0
        while stream.parts:
            lines = stream.moved()
            try:
                tag, event = await asyncio.wait_for(stream.queue.get(), LOOK_S)
            except TimeoutError:
                quiet += LOOK_S
                if quiet >= HEARTBEAT_S:
                    quiet = 0.0
                    lines.append(b": here\n\n")
            else:
                lines += await self._lines(stream, tag, event)
            if lines:
                yield b"".join(lines)

    async def _lines(self, stream: OpenStream, tag: str, event: StreamEvent) -> list[bytes]:
        """An event and what has come since, up to a piece, as nobody should wait while a long backlog is written."""
        lines, waiting = [], [(tag, event)]
        while waiting:
            tag, event = waiting.pop()
            if tag in stream.parts:
                lines.append(await self._line(stream, tag, event))
            if sum(map(len, lines)) < PIECE and not stream.queue.empty():
                waiting.append(stream.queue.get_nowait())
        await asyncio.sleep(0)  # a reader as quick as this would keep the loop for itself
        return lines

    async def _line(self, stream: OpenStream, tag: str, event: StreamEvent) -> bytes:
        """One event as it is sent; the last of a part takes the part off the list."""
        part = stream.parts[tag]
        if isinstance(event, Failed) and not isinstance(event.error, CapotError):
            log.error("%s", part.verb.name, exc_info=event.error)

        def write() -> bytes:
            with stream.learner.desk if event.outcome is not None else contextlib.nullcontext():
                return sse(event.kind, {"tag": tag, "body": part.body(event, stream.lang)})

        # A large one, which is perhaps to be drawn, is not written on the loop.
        line = await anyio.to_thread.run_sync(write) if event.kind in LARGE else write()
        if event.last:
            del stream.parts[tag]
            stream.works.pop(tag, None)
            self.ended[event.kind] += 1
        return line


class EventResponse(StreamingResponse):
    """A stream on its way out. Whatever ends the response, a closed tab included, ends the work at once."""

    def __init__(self, hub: Streams, stream: OpenStream) -> None:
        super().__init__(hub.events(stream), media_type="text/event-stream", headers={"x-accel-buffering": "no"})
        self.hub, self.stream = hub, stream

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def heard() -> Message:
            message = await receive()
            if message["type"] == "http.disconnect":  # now, and not only once a long event has been written
                self.stream.cancel()
            return message

        try:
            await super().__call__(scope, heard, send)
        finally:
            self.hub.close(self.stream)
