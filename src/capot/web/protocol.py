"""Extend uvicorn's HTTP protocol for a lab among strangers: watch each connection, send answers in chunks.

uvicorn's own protocol closes idle connections and waits for the others without end. This one tells
:class:`Connections` what each connection waits for. It sends an answer chunk by chunk, as its reader takes it, so that
an answer ends when it is read and not when it is written.
"""

from __future__ import annotations

import contextlib
import functools
import socket
from typing import Any

import h11
import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from capot.config import Serving
from capot.web.addresses import normalize_address
from capot.web.connections import ANSWER, BODY, HEADERS, IDLE, Connections

CHUNK_BYTES = 65_536  # bytes of an answer written at once
MAX_PIPELINED = 65_536  # bytes that may come while an answer is under way; no browser sends any
# What the system keeps of an answer, as it tells of progress only when a third of that is taken.
SEND_BUFFER = 65_536
KEEPALIVE_IDLE_S, KEEPALIVE_INTERVAL_S, KEEPALIVE_PROBES = (
    30,
    10,
    3,
)  # a connection on which nothing is said is asked whether it is still there
REFUSAL = b"HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\nretry-after: 5\r\ncontent-length: 0\r\n\r\n"


class Connection(H11Protocol):
    """One connection. ``state`` says what it waits for, ``since`` when that began."""

    def __init__(self, *, connections: Connections, **options: Any) -> None:
        super().__init__(**options)
        self.lab_connections = connections
        self.lab = self.app
        # uvicorn calls ``app``: its place is taken by what watches the answer on its way.
        self.app = self._answer
        self.address, self.sent, self._delivered = "?", 0, 0
        self.enter_state(HEADERS)
        self._progress_at = self.since

    def enter_state(self, state: str) -> None:
        self.state = state
        self.since = self.lab_connections.clock()

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self.address = normalize_address(self.client[0]) if self.client else "?"
        _tune_socket(transport.get_extra_info("socket"))
        if self.lab_connections.admit(self):
            self.lab_connections.watch(self.loop)
        else:
            transport.write(REFUSAL)
            transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self.lab_connections.remove(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():  # refused, or cut
            # h11 stops reading while an answer is sent, and a FIN would then be read only at its end.
            return
        if self.state == IDLE:
            self.enter_state(HEADERS)
        super().data_received(data)
        if self.conn.their_state is not h11.SEND_BODY and self.state == ANSWER:
            self._keep_listening()

    def _keep_listening(self) -> None:
        """Read on while an answer is sent: a visitor who leaves is noticed in no other way."""
        # Whoever pipelines megabytes would have them kept in memory.
        if len(self.conn.trailing_data[0]) > MAX_PIPELINED:
            self.abort()
        else:
            self.flow.resume_reading()

    def on_response_complete(self) -> None:
        self.enter_state(IDLE)
        super().on_response_complete()

    def unsent_bytes(self) -> int:
        return self.transport.get_write_buffer_size()

    def stalled_for(self, now: float) -> float:
        waiting = self.unsent_bytes()
        # The buffer also holds the framing of the chunks, which ``sent`` leaves out: below 0 until something is read.
        delivered = self.sent - waiting
        if not waiting or delivered > self._delivered:
            self._delivered = delivered
            self._progress_at = now
        return now - self._progress_at

    def abort(self) -> None:
        self.transport.abort()

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the lab's answer, and return when its reader has taken all but what the system buffers."""
        self.enter_state(BODY if self.cycle.more_body else ANSWER)
        await self.lab(scope, self._watched_receive(receive), self._chunked_send(send))
        # Drained: the answer's resources are given back when it is read, not when it is written.
        await self.flow.drain()

    def _watched_receive(self, receive: Receive) -> Receive:
        async def watched() -> Message:
            message = await receive()
            if self.state == BODY and message["type"] == "http.request" and not message.get("more_body"):
                self.enter_state(ANSWER)
            return message

        return watched

    def _chunked_send(self, send: Send) -> Send:
        framed = False  # the answer has no length: each piece of its body is framed by itself

        async def chunked(message: Message) -> None:
            nonlocal framed
            if message["type"] == "http.response.start":
                framed = _is_framed(dict(self.scope), message)
            body = message.get("body", b"")
            # A message of many megabytes would be in the buffer at once, and progress could not be seen.
            for start in range(0, max(len(body), 1), CHUNK_BYTES):
                chunk = body[start : start + CHUNK_BYTES]
                more = start + CHUNK_BYTES < len(body) or bool(message.get("more_body"))
                if framed and more and chunk:
                    await self._write_framed(chunk)
                else:
                    await send({**message, "body": chunk, "more_body": True} if more else {**message, "body": chunk})
                self.sent += len(chunk)  # now that it waits to be taken, and not before

        return chunked

    async def _write_framed(self, chunk: bytes) -> None:
        """Write a piece of a body that is not its last, as h11 would: a text's many short events cost half as much."""
        if self.flow.write_paused:
            await self.flow.drain()
        if not self.cycle.disconnected:
            self.transport.write(b"%x\r\n%b\r\n" % (len(chunk), chunk))


def _is_framed(scope: Scope, start: Message) -> bool:
    """Return whether h11 frames the pieces of an answer: one with a body, of a length that nobody knows yet."""
    known = any(name.lower() in (b"content-length", b"transfer-encoding") for name, _ in start.get("headers", ()))
    return scope["http_version"] == "1.1" and scope["method"] != "HEAD" and start["status"] == 200 and not known


def _tune_socket(sock: Any) -> None:
    """Notice soon that a visitor is gone, buffer little of an answer that nobody reads, send the rest of it at once."""
    options = [(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1), (socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)]
    # An answer's headers and body are written apart: with Nagle's algorithm the body of a small one waits until the
    # visitor's system acknowledges the headers, 40 ms each time. asyncio turns it off only where a socket names TCP.
    options.append((socket.IPPROTO_TCP, socket.TCP_NODELAY, 1))
    names = {"TCP_KEEPIDLE": KEEPALIVE_IDLE_S, "TCP_KEEPINTVL": KEEPALIVE_INTERVAL_S, "TCP_KEEPCNT": KEEPALIVE_PROBES}
    found = [(getattr(socket, name, None), value) for name, value in names.items()]
    options += [(socket.IPPROTO_TCP, name, value) for name, value in found if name is not None]
    for level, name, value in options:
        with contextlib.suppress(OSError, AttributeError):
            sock.setsockopt(level, name, value)


def server(app: ASGIApp, serving: Serving, *, connections: Connections | None = None, **options: Any) -> uvicorn.Server:
    """Return the server that the lab runs on. ``options`` are uvicorn's."""
    connections = Connections(serving) if connections is None else connections
    config = uvicorn.Config(
        app,
        http=functools.partial(Connection, connections=connections),  # type: ignore[arg-type]
        ws="none",  # the lab has no WebSocket
        log_level="warning",
        access_log=False,  # addresses hold access codes
        proxy_headers=False,  # an address is the connection's own, whatever a header says
        timeout_graceful_shutdown=1,
        timeout_keep_alive=round(serving.idle_connection_s) + 1,  # ``Connections`` comes first
        server_header=False,
        **options,
    )
    return uvicorn.Server(config)
