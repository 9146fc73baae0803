"""Read an answer from a plain connection as it comes: an event of a text passes through few hands.

A server in a room speaks plain HTTP, and a class has 32 texts there at once. Of what one more token costs a lab, half
would be the layers of a client that knows pools, versions and encodings. Here h11 reads the head of an answer, and a
body is taken out of its frames where it arrives. Encrypted connections and proxies are httpx2's own.
"""

from __future__ import annotations

import asyncio
import re
import ssl
import weakref
from collections.abc import AsyncIterator

import h11
import httpx2

_LONGEST_HEAD = 100_000  # bytes
_AHEAD = 65_536  # bytes that may wait for their reader: what is beyond stays at the server
_EYEBALLS_S = 0.25  # before a second address of a host is tried beside the first, as RFC 8305 has it
_FRAME = re.compile(rb"([0-9A-Fa-f]{1,8})[ \t]*(?:;[^\r\n]*)?\r\n")
_LONGEST_FRAME = 1000  # bytes of the line before a piece of a body
_END_OF_HOPS = (b"connection", b"keep-alive")


class WireTransport(httpx2.AsyncBaseTransport):
    """What carries a client's requests, each on a connection of its own."""

    def __init__(self) -> None:
        self._wires: weakref.WeakSet[Wire] = weakref.WeakSet()

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Return an answer, its body unread. Raises: what httpx2 raises, ``TransportError``."""
        seconds = request.extensions.get("timeout", {})
        wire = await _connected(request.url, seconds.get("connect"))
        self._wires.add(wire)
        try:
            content = await request.aread()
            head = await wire.ask(request, content, seconds=seconds.get("read"))
        except BaseException:
            wire.close()
            raise
        # httpx2's own loops over a body cost as much as an event's JSON: a stream takes its pieces from ``wire``.
        extensions = {"wire": wire}
        return httpx2.Response(head.status_code, headers=list(head.headers), stream=_Body(wire), extensions=extensions)

    async def aclose(self) -> None:
        for wire in list(self._wires):
            wire.close()


async def _connected(url: httpx2.URL, seconds: float | None) -> Wire:
    """Return a connection. Raises: ConnectTimeout, ConnectError."""
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(seconds):
            _, wire = await loop.create_connection(
                lambda: Wire(loop), url.host, url.port or 80, happy_eyeballs_delay=_EYEBALLS_S
            )
    except TimeoutError as error:
        raise httpx2.ConnectTimeout(str(error)) from error
    except OSError as error:
        raise httpx2.ConnectError(str(error)) from error
    return wire


async def answers_tls(host: str, port: int, *, seconds: float) -> bool:
    """Return whether a server answers a TLS handshake, whatever its certificate. Nothing else is sent."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        async with asyncio.timeout(seconds):
            _, writer = await asyncio.open_connection(host, port, ssl=context)
    except (OSError, TimeoutError):
        return False
    writer.transport.abort()
    return True


class Wire(asyncio.Protocol):
    """One request and its answer. A body is read by the pieces that have come."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=_LONGEST_HEAD)
        self._head: h11.Response | None = None
        self._frames: Frames | None = None  # how the body is framed; None where it ends with the connection
        self._pieces: list[bytes] = []
        self._size = 0
        self._error: Exception | None = None
        self._ended = self._paused = False
        self._waiting: asyncio.Future[None] | None = None
        self._alarm: asyncio.TimerHandle | None = None
        self._quiet_since = 0.0

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        try:
            self._keep(data if self._head is not None else self._read_head(data))
        except (h11.RemoteProtocolError, ValueError) as error:
            self._end(httpx2.RemoteProtocolError(str(error)))
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        if exc is not None:
            self._end(httpx2.ReadError(str(exc)), cause=exc)
        elif self._head is None or self._frames is not None:
            self._end(httpx2.RemoteProtocolError("EOF"))
        else:
            self._end(None)

    def _read_head(self, data: bytes) -> bytes:
        """Read the head of an answer, and return what has come of its body."""
        self._http.receive_data(data)
        event = self._http.next_event()
        while isinstance(event, h11.InformationalResponse):
            event = self._http.next_event()
        if not isinstance(event, h11.Response):  # more of it is to come
            return b""
        self._head = event
        self._frames = _frames_of(event)
        return self._http.trailing_data[0]

    def _keep(self, data: bytes) -> None:
        if not self._ended and self._frames is not None:
            data = self._frames.take(data)
        if data and not self._ended:
            self._pieces.append(data)
            self._size += len(data)
        if self._size > _AHEAD and not self._paused:
            self._paused = True
            self._transport.pause_reading()
        if self._frames is not None and self._frames.ended:
            self._end(None)

    def _end(self, error: Exception | None, *, cause: Exception | None = None) -> None:
        """Take no more: the answer is whole, or failed. Only the first end counts."""
        if not self._ended:
            self._ended = True
            self._error = error
            if error is not None:
                error.__cause__ = cause
        self._wake()

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    # What the client's tasks call.

    async def ask(self, request: httpx2.Request, content: bytes, *, seconds: float | None) -> h11.Response:
        """Send a request, and return the head of its answer. ``seconds`` is the longest silence, until the end."""
        headers = [pair for pair in request.headers.raw if pair[0].lower() not in _END_OF_HOPS]
        sent = h11.Request(
            method=request.method, target=request.url.raw_path, headers=[*headers, (b"connection", b"close")]
        )
        parts = [self._http.send(event) or b"" for event in (sent, h11.Data(content), h11.EndOfMessage())]
        self._transport.write(b"".join(parts))
        if seconds is not None:
            self._alarm = self._loop.call_later(seconds, self._listen, seconds)
        while self._head is None:
            if self._error is not None:
                raise self._error
            await self._more()
        return self._head

    def __aiter__(self) -> Wire:
        return self

    async def __anext__(self) -> bytes:
        """Return what has come of the body. Raises: ReadTimeout, ReadError, RemoteProtocolError."""
        while not self._pieces:
            if self._error is not None:
                raise self._error
            if self._ended:
                raise StopAsyncIteration
            await self._more()
        found = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
        self._pieces.clear()
        self._size = 0
        if self._paused and not self._ended:
            self._paused = False
            self._transport.resume_reading()
        return found

    async def _more(self) -> None:
        """Wait until something has come."""
        self._quiet_since = self._loop.time()
        self._waiting = self._loop.create_future()
        await self._waiting

    def _listen(self, seconds: float) -> None:
        """End what has been silent for too long. One timer for an answer, as one for each piece would cost more."""
        waits = self._waiting is not None and not self._waiting.done()
        left = self._quiet_since + seconds - self._loop.time() if waits else seconds
        if left <= 0:
            self._end(httpx2.ReadTimeout(""))
        else:
            self._alarm = self._loop.call_later(left, self._listen, seconds)

    def close(self) -> None:
        """Close the connection, which frees the server's slot. Closing twice is harmless."""
        self._ended = True
        if self._alarm is not None:
            self._alarm.cancel()
        self._transport.close()


class _Body(httpx2.AsyncByteStream):
    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._wire

    async def aclose(self) -> None:
        self._wire.close()


def _frames_of(head: h11.Response) -> Frames | None:
    """Return how a body is framed (RFC 9112, 6.3), None where it ends with its connection."""
    headers = dict(head.headers)
    if b"transfer-encoding" in headers:  # h11 lets ``chunked`` through alone
        return ChunkedFrames()
    length = 0 if head.status_code in (204, 304) else headers.get(b"content-length")
    return None if length is None else OneFrame(int(length))


class Frames:
    """What takes a body out of its frames; ``ended`` once all of it has come."""

    ended = False

    def take(self, data: bytes) -> bytes:
        """Return what of the body is in ``data``, which goes on from before. Raises: ValueError."""
        raise NotImplementedError


class OneFrame(Frames):
    """A body of a length that was told before."""

    def __init__(self, length: int) -> None:
        self._left = length
        self.ended = length == 0

    def take(self, data: bytes) -> bytes:
        found = data[: self._left]
        self._left -= len(found)
        self.ended = self._left == 0
        return found


class ChunkedFrames(Frames):
    """A body in pieces, each behind a line with its size (RFC 9112, 7.1). What follows the last one is let go.

    >>> frames = ChunkedFrames()
    >>> frames.take(b"3\\r\\nabc\\r\\n2;x\\r\\nd"), frames.take(b"e\\r\\n0\\r\\n\\r\\n"), frames.ended
    (b'abcd', b'e', True)
    """

    def __init__(self) -> None:
        self._left = 0  # bytes of the piece under way, with its line end
        self._line = b""  # what has come of the line before the next one

    def take(self, data: bytes) -> bytes:
        found = []
        data = self._line + data
        self._line = b""
        at = 0
        while at < len(data) and not self.ended:
            if not self._left:
                line = _FRAME.match(data, at)
                if line is None:
                    self._line = _half_line(data[at:])
                    break
                size = int(line[1], 16)
                at = line.end()
                self._left = size + 2
                self.ended = size == 0
                continue
            # The line end is no part of the body.
            found.append(data[at : at + max(0, self._left - 2)])
            taken = min(self._left, len(data) - at)
            self._left, at = self._left - taken, at + taken
        return found[0] if len(found) == 1 else b"".join(found)


def _half_line(data: bytes) -> bytes:
    """Return the beginning of a frame's line. Raises: ValueError for what is none."""
    if b"\n" in data or len(data) > _LONGEST_FRAME:
        raise ValueError("malformed frame")
    return data
