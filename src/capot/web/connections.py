"""Every connection of the lab: what it waits for, for how long it may, and how many there may be.

The server knows how to close an idle connection, and no more: a visitor who sends half a request, or takes
no byte of an answer, would keep a connection, its descriptor and what was asked through it for ever. Here all
of them are looked over every second. One that has made no progress is cut, and whatever it had under way ends
as if its tab had been closed.

Where an address, or the lab, has as many connections as it may, a newcomer takes the place of one that is of
no use now: of the one that has waited longest for a request, else of one whose reader has stopped reading.
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

EVERY_S = 1.0  # between two looks at all connections
STUCK_S = 5.0  # without a byte taken, after which a reader's place may be given to a newcomer
IDLE, HEADERS, BODY, ANSWER = "idle", "headers", "body", "answer"


class Watched(Protocol):
    """What is looked at of a connection."""

    @property
    def address(self) -> str: ...

    @property
    def state(self) -> str:
        """One of those above: what it waits for; an answer is waited for by its reader."""

    @property
    def since(self) -> float:
        """When that began."""

    def untaken(self) -> int:
        """Bytes of answers that its reader has not taken yet."""

    def stuck(self, now: float) -> float:
        """Seconds since its reader last took a byte while there was one to take."""

    def cut(self) -> None:
        """End it at once."""


class Connections:
    """All connections of one server. ``most`` of them, ``of_address`` of one address.

    Connections from an address that is ``trusted`` are a proxy's, who speaks for many: only the whole is bounded.
    """

    def __init__(
        self,
        serving: Serving,
        *,
        most: int | None = None,
        trusted: Callable[[str], bool] = lambda address: False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.serving, self.trusted, self.clock = serving, trusted, clock
        self.most = serving.max_connections if most is None else min(most, serving.max_connections)
        # One address alone never takes the places of all the others.
        self.quota = Quota(min(serving.max_connections_of_address, max(1, self.most * 3 // 4)))
        self.open: set[Watched] = set()
        self.cuts = Counter[str]()  # why connections were ended or refused
        self._limits = {IDLE: serving.idle_connection_s, HEADERS: serving.headers_s, BODY: serving.body_s}
        self._timer: asyncio.TimerHandle | None = None

    def let_in(self, new: Watched) -> bool:
        """Whether there is room for a new connection, made where another is of no use now."""
        full = None if self.trusted(new.address) else self.quota.full(new.address)
        if full is not None:
            beside = [each for each in self.open if full in (each.address, network_of(each.address))]
            if not self._room_made(beside):
                return False
        elif len(self.open) >= self.most and not self._room_made(self.open):
            return False
        self.open.add(new)
        self.quota.add(new.address)
        return True

    def leave(self, connection: Watched) -> None:
        """Forget a connection that has ended, or was never let in."""
        if connection in self.open:
            self.open.discard(connection)
            self.quota.remove(connection.address)

    def _room_made(self, among: Iterable[Watched]) -> bool:
        """Cut the connection of least use, first of the address that has most of them; whether there was one."""
        now = self.clock()
        spare = [(self.quota.held(each.address), *self._spare(each, now), each) for each in among]
        worst = max((found for found in spare if found[1]), key=lambda found: found[:3], default=None)
        if worst is None:
            self.cuts["refused"] += 1
            return False
        self._cut(worst[3], "room")
        return True

    @staticmethod
    def _spare(each: Watched, now: float) -> tuple[int, float]:
        """How little a connection is of use, 0 where it is, and for how long it has been so."""
        if each.state != ANSWER and not each.untaken():
            return 2, now - each.since
        stuck = each.stuck(now)
        return (1, stuck) if stuck >= STUCK_S else (0, 0.0)

    def look(self) -> None:
        """Cut each connection that has made no progress for as long as it may."""
        now = self.clock()
        for each in list(self.open):
            if each.stuck(now) > self.serving.stalled_s:
                self._cut(each, "stalled")
            elif each.state in self._limits and not each.untaken() and now - each.since > self._limits[each.state]:
                self._cut(each, each.state)

    def _cut(self, each: Watched, why: str) -> None:
        self.cuts[why] += 1
        self.leave(each)
        each.cut()

    def watch(self, loop: asyncio.AbstractEventLoop) -> None:
        """Look at all of them every second, as long as there are any."""
        if self._timer is None:
            self._timer = loop.call_later(EVERY_S, self._again, loop)

    def _again(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        self.look()
        if self.open:
            self.watch(loop)
