"""The server's protocol with what a lab among strangers needs: a watch on each connection, answers in pieces.

uvicorn's own protocol closes idle connections and waits for the rest without end. This one tells
:class:`Connections` what each connection waits for, and sends an answer piece by piece, as its reader takes it,
so that an answer ends when it is taken and not when it is made.
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
from capot.web.addresses import plain
from capot.web.connections import ANSWER, BODY, HEADERS, IDLE, Connections

PIECE = 65_536  # bytes of an answer written at once
AHEAD = 65_536  # bytes that may come while an answer is under way; no browser sends any
# What the system keeps of an answer, as it tells of progress only when a third of that is taken.
KERNEL = 65_536
QUIET_S, AGAIN_S, PROBES = 30, 10, 3  # a connection on which nothing is said is asked whether it is still there
REFUSAL = b"HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\nretry-after: 5\r\ncontent-length: 0\r\n\r\n"


class Connection(H11Protocol):
    """One connection. ``state`` says what it waits for, ``since`` when that began."""

    def __init__(self, *, connections: Connections, **options: Any) -> None:
        super().__init__(**options)
        self.room, self.lab = connections, self.app
        self.app = self._answer
        self.address, self.sent, self._taken = "?", 0, 0
        self.begin(HEADERS)
        self._moved = self.since

    def begin(self, state: str) -> None:
        self.state, self.since = state, self.room.clock()

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self.address = plain(self.client[0]) if self.client else "?"
        _tune(transport.get_extra_info("socket"))
        if self.room.let_in(self):
            self.room.watch(self.loop)
        else:
            transport.write(REFUSAL)
            transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self.room.leave(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():  # refused, or cut
            return
        if self.state == IDLE:
            self.begin(HEADERS)
        super().data_received(data)
        if self.conn.their_state is not h11.SEND_BODY and self.state == ANSWER:
            self._overheard()

    def _overheard(self) -> None:
        """Go on listening while an answer is under way, since a visitor who leaves is heard in no other way."""
        if len(self.conn.trailing_data[0]) > AHEAD:
            self.cut()
        else:
            self.flow.resume_reading()

    def on_response_complete(self) -> None:
        self.begin(IDLE)
        super().on_response_complete()

    def untaken(self) -> int:
        return self.transport.get_write_buffer_size()

    def stuck(self, now: float) -> float:
        waiting = self.untaken()
        taken = self.sent - waiting  # with what frames the pieces left out: less than nothing, while nothing is taken
        if not waiting or taken > self._taken:
            self._taken, self._moved = taken, now
        return now - self._moved

    def cut(self) -> None:
        self.transport.abort()

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The lab's answer, which ends when its reader has taken it, but for what the system holds."""
        self.begin(BODY if self.cycle.more_body else ANSWER)
        await self.lab(scope, self._told(receive), self._in_pieces(send))
        await self.flow.drain()

    def _told(self, receive: Receive) -> Receive:
        async def told() -> Message:
            message = await receive()
            if self.state == BODY and message["type"] == "http.request" and not message.get("more_body"):
                self.begin(ANSWER)
            return message

        return told

    def _in_pieces(self, send: Send) -> Send:
        async def in_pieces(message: Message) -> None:
            body = message.get("body", b"")
            for start in range(0, max(len(body), 1), PIECE):
                piece, more = body[start : start + PIECE], start + PIECE < len(body)
                whole = message if len(piece) == len(body) else {**message, "body": piece}
                await send({**whole, "more_body": True} if more else whole)
                self.sent += len(piece)  # now that it waits to be taken, and not before

        return in_pieces


def _tune(sock: Any) -> None:
    """Notice soon that a visitor is gone, and hold little of an answer that nobody reads; not every system can."""
    options = [(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1), (socket.SOL_SOCKET, socket.SO_SNDBUF, KERNEL)]
    names = {"TCP_KEEPIDLE": QUIET_S, "TCP_KEEPINTVL": AGAIN_S, "TCP_KEEPCNT": PROBES}
    found = [(getattr(socket, name, None), value) for name, value in names.items()]
    options += [(socket.IPPROTO_TCP, name, value) for name, value in found if name is not None]
    for level, name, value in options:
        with contextlib.suppress(OSError, AttributeError):
            sock.setsockopt(level, name, value)


def server(app: ASGIApp, serving: Serving, *, connections: Connections | None = None, **options: Any) -> uvicorn.Server:
    """The server that the lab runs on, its connections watched; ``options`` are uvicorn's."""
    watched = Connections(serving) if connections is None else connections
    config = uvicorn.Config(
        app,
        http=functools.partial(Connection, connections=watched),  # type: ignore[arg-type]
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
