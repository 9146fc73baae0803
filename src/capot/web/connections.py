"""Close the connections that make no progress, and make room for new ones.

The server closes idle connections, and nothing more: a visitor who sends half a request, or reads no byte of an
answer, would keep a connection, its descriptor and the work behind it for ever. Here all of them are checked every
second. One that has made no progress is aborted, and its work ends as if its tab had been closed.

If an address, or the lab, has as many connections as it may, a new one takes the place of the least useful: the one
that has waited longest for a request, or else one whose reader has stopped reading.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Protocol

from capot.config import Serving
from capot.web.addresses import network_of
from capot.web.quota import Quota

CHECK_S = 1.0  # between two looks at all connections
STALLED_S = 5.0  # without a byte taken, after which a reader's place may be given to a newcomer
IDLE, HEADERS, BODY, ANSWER = "idle", "headers", "body", "answer"


class WatchedConnection(Protocol):
    """What ``Connections`` needs to know of one connection."""

    @property
    def address(self) -> str: ...

    @property
    def state(self) -> str:
        """Return what it waits for: one of the four states above."""

    @property
    def since(self) -> float:
        """Return when that state began."""

    def unsent_bytes(self) -> int:
        """Return the bytes of answers that the reader has not taken yet."""

    def stalled_for(self, now: float) -> float:
        """Return the seconds since the reader last took a byte while there was one to take."""

    def abort(self) -> None:
        """End the connection at once."""


class Connections:
    """All connections of one server, with a limit in all and one for each address.

    Connections from a ``trusted`` address are a proxy's, which speaks for many: only the limit in all applies.
    """

    def __init__(
        self,
        serving: Serving,
        *,
        most: int | None = None,
        trusted: Callable[[str], bool] = lambda address: False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.serving = serving
        self.trusted = trusted
        self.clock = clock
        self.most = serving.max_connections if most is None else min(most, serving.max_connections)
        # One address alone never takes the places of all the others.
        # Three quarters: a proxy that nobody has named looks like one address, and must still serve a class.
        self.quota = Quota(min(serving.max_connections_of_address, max(1, self.most * 3 // 4)))
        self.open: set[WatchedConnection] = set()
        self.end_reasons = Counter[str]()  # why connections were ended or refused
        self._limits = {IDLE: serving.idle_connection_s, HEADERS: serving.headers_s, BODY: serving.body_s}
        self._timer: asyncio.TimerHandle | None = None

    def admit(self, new: WatchedConnection) -> bool:
        """Return whether a new connection may stay, perhaps in the place of a useless one."""
        full = None if self.trusted(new.address) else self.quota.full(new.address)
        if full is not None:
            beside = [each for each in self.open if full in (each.address, network_of(each.address))]
            if not self._make_room(beside):
                return False
        elif len(self.open) >= self.most and not self._make_room(self.open):
            return False
        self.open.add(new)
        self.quota.add(new.address)
        return True

    def remove(self, connection: WatchedConnection) -> None:
        """Forget a connection that has ended, or was never admitted."""
        if connection in self.open:
            self.open.discard(connection)
            self.quota.remove(connection.address)

    def _make_room(self, among: Iterable[WatchedConnection]) -> bool:
        """Close the least useful connection, at the busiest address first. Return whether there was one."""
        now = self.clock()
        # First the address with the most connections, then the most useless of its own.
        spare = [(self.quota.count(each.address), *self._idleness(each, now), each) for each in among]
        worst = max((found for found in spare if found[1]), key=lambda found: found[:3], default=None)
        if worst is None:
            self.end_reasons["refused"] += 1
            return False
        self._close(worst[3], "room")
        return True

    @staticmethod
    def _idleness(each: WatchedConnection, now: float) -> tuple[int, float]:
        """Return how useless a connection is, 0 if it is in use, and for how long it has been so."""
        # A connection that waits is free to be closed; one whose reader takes bytes never is.
        if each.state != ANSWER and not each.unsent_bytes():
            return 2, now - each.since
        stuck = each.stalled_for(now)
        return (1, stuck) if stuck >= STALLED_S else (0, 0.0)

    def check(self) -> None:
        """Abort each connection that has made no progress for as long as it may."""
        now = self.clock()
        for each in list(self.open):
            if each.stalled_for(now) > self.serving.stalled_s:
                self._close(each, "stalled")
            elif each.state in self._limits and not each.unsent_bytes() and now - each.since > self._limits[each.state]:
                self._close(each, each.state)

    def _close(self, each: WatchedConnection, why: str) -> None:
        self.end_reasons[why] += 1
        self.remove(each)
        each.abort()

    def watch(self, loop: asyncio.AbstractEventLoop) -> None:
        """Check all connections every second, as long as there are any."""
        if self._timer is None:
            self._timer = loop.call_later(CHECK_S, self._again, loop)

    def _again(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        self.check()
        if self.open:
            self.watch(loop)
