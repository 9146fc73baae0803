"""One model for a whole class: who is there, what each holds, and when their caches go back."""

from __future__ import annotations

import contextlib
import math
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from typing import Any

import anyio

from capot.config import Serving
from capot.errors import BusyError
from capot.model import Model
from capot.web.addresses import network_of
from capot.web.credentials import is_owner
from capot.web.cutting import Cutters, Cutting
from capot.web.line import MEASURING
from capot.web.quota import Quota
from capot.web.rendering import Helpers, Rendering
from capot.web.request_scope import Account, RequestScope, shared

MAX_LEARNERS = 1000  # remembered at once; the one seen longest ago of those with nothing under way is forgotten
LEFT_S = 15.0  # after a connection was cut, its learner may come back for as long before their caches go
ROOM = 64  # one-shot answers under way in the whole server, a thread each
AT_ONCE = 3  # one-shot answers of one learner under way; streams need no thread
WAITING = 30  # and so many more may wait for these


class Turns:
    """So many at once; the others wait in the order in which they came, and each knows its place."""

    def __init__(self, at_once: int) -> None:
        self._limiter = anyio.CapacityLimiter(at_once)
        self.waiting: list[Any] = []

    @contextlib.asynccontextmanager
    async def taken(self, who: Any) -> AsyncIterator[None]:
        """Inside the block it is the turn of ``who``."""
        try:
            self._limiter.acquire_on_behalf_of_nowait(who)
        except anyio.WouldBlock:
            self.waiting.append(who)
            try:
                await self._limiter.acquire_on_behalf_of(who)
            finally:
                self.waiting.remove(who)
        try:
            yield
        finally:
            self._limiter.release_on_behalf_of(who)

    def place(self, who: Any) -> int:
        """0 where it does not wait here."""
        return self.waiting.index(who) + 1 if who in self.waiting else 0


class Learner:
    """What is known of one visitor."""

    def __init__(self, name: str, serving: Serving, now: float, *, address: str = "") -> None:
        self.name, self.seen = name, now
        self.address = "" if is_owner(name) else address  # whoever sits at the machine may be anyone on it
        self.left: float | None = None  # when a connection of theirs was cut, if they have not come back
        self.account = Account(None if is_owner(name) else serving.max_cache_bytes)
        self.turns = Turns(AT_ONCE)
        self.desk = threading.Lock()  # where Python works for them, on one thing at a time
        self.calls: dict[str, Any] = {}  # one-shot answers under way, by the names that their page gave them
        self.under_way = 0  # answers and streams

    @contextlib.contextmanager
    def calling(self, name: str | None, call: Any) -> Iterator[None]:
        """Know a one-shot answer by its page's name for it, where it has one, as long as it is waited for."""
        if name:
            self.calls[name[:64]] = call
        try:
            yield
        finally:
            if name and self.calls.get(name[:64]) is call:
                del self.calls[name[:64]]

    @contextlib.contextmanager
    def busy(self) -> Iterator[None]:
        """Inside the block something of theirs is under way, and they are not forgotten."""
        self.under_way += 1
        try:
            yield
        finally:
            self.under_way -= 1


class Learners:
    """Hands each learner the same model under their own name."""

    def __init__(self, model: Model, serving: Serving, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.model, self.serving, self._clock = model, serving, clock
        self.known: OrderedDict[str, Learner] = OrderedDict()  # who was seen longest ago comes first
        self.addresses = Quota(serving.max_learners_of_address)
        self.room = Turns(ROOM)
        self.threads = anyio.CapacityLimiter(math.inf)  # those above say how many there may be
        self.helpers = Helpers()  # where everybody's templates are rendered
        self.cutters = Cutters()  # and texts are cut that may take any time
        self._opening = threading.Lock()
        self.opening = secrets.token_hex(4)  # names which model is at work; another one has another name

    def seen(self, name: str, address: str = "") -> Learner:
        """The learner, who was seen just now, for the first time at ``address``.

        Raises: BusyError ``too_many_learners`` where all those who could be forgotten have something under way.
        """
        now = self._clock()
        learner = self.known.get(name)
        if learner is None:
            self._make_room(name, address)
            learner = self.known[name] = Learner(name, self.serving, now, address=address)
            self.addresses.add(learner.address)
        learner.seen, learner.left = now, None
        self.known.move_to_end(name)
        return learner

    def _make_room(self, name: str, address: str) -> None:
        """Forget the one seen longest ago, where the address or the lab knows as many as it may."""
        full = None if is_owner(name) or not address else self.addresses.full(address)
        if full is not None:
            beside = [each for each in self.known.values() if full in (each.address, network_of(each.address))]
            self._forget_one(beside, limit=self.serving.max_learners_of_address)
        while len(self.known) >= MAX_LEARNERS:
            self._forget_one(self.known.values(), limit=MAX_LEARNERS)

    def _forget_one(self, among: Iterable[Learner], *, limit: int) -> None:
        idle = next((each for each in among if not (each.under_way or each.account.nbytes)), None)
        if idle is None:
            raise BusyError("too_many_learners", limit=limit)
        self._forget(idle.name)

    def cut(self, learner: Learner) -> None:
        """A connection of the learner's ended before its work did: a tab was closed, or a network fell."""
        learner.left = self._clock()

    @contextlib.asynccontextmanager
    async def turn(self, learner: Learner, who: Any) -> AsyncIterator[None]:
        """Inside the block it is the turn of ``who`` among what ``learner`` asked for.

        Raises: BusyError ``too_many_requests``.
        """
        if len(learner.turns.waiting) >= WAITING:
            raise BusyError("too_many_requests", limit=WAITING)
        async with learner.turns.taken(who):
            yield

    def place(self, learner: Learner | None, call: str) -> dict[str, int]:
        """Where an answer stands that its page has named so: in the queue of all, and among the learner's own."""
        waited = None if learner is None else learner.calls.get(call)
        if learner is None or waited is None:
            return {"position": 0, "turn": 0, "at_once": AT_ONCE}
        position = waited.position or self.room.place(waited) or MEASURING.place(waited)
        return {"position": position, "turn": learner.turns.place(waited), "at_once": AT_ONCE}

    def opened(self, learner: Learner) -> tuple[Model, RequestScope]:
        """The model on behalf of ``learner``, its weights and its vocabulary read once for all. May take a while."""
        with self._opening:
            model = self.model
            model.tokenizer, model.shared.scheduler  # noqa: B018 - read now, so that nobody's copy reads them again
        rendering = Rendering(self.helpers, learner.name, most=self.serving.max_prompt_chars)
        cutting = Cutting(self.cutters, learner.name)
        return shared(model, learner.name, learner.account, rendering=rendering, cutting=cutting)

    def replace(self, model: Model) -> Model:
        """Put another model in the place of the present one, and answer the one that was there."""
        with self._opening:
            before, self.model, self.opening = self.model, model, secrets.token_hex(4)
        return before

    def sweep(self, *, streaming: set[str]) -> int:
        """Give back the caches of those who have left, or have not been seen for a while; how many they were."""
        now = self._clock()
        away = [name for name, each in self.known.items() if self._gone(each, now) and not each.under_way]
        gone = [name for name in away if name not in streaming]
        for name in gone:
            self._forget(name)
        return len(gone)

    def _gone(self, learner: Learner, now: float) -> bool:
        left = learner.left is not None and now - learner.left > min(LEFT_S, self.serving.idle_s)
        return left or now - learner.seen > self.serving.idle_s

    def _forget(self, name: str) -> None:
        learner = self.known.pop(name, None)
        if learner is not None:
            self.addresses.remove(learner.address)
        scheduler = self.model.shared.at_work
        if scheduler is not None:
            scheduler.forget(name)

    def status(self) -> dict[str, Any]:
        """Learners seen lately, and the scheduler's own account where it is at work."""
        scheduler = self.model.shared.at_work
        return {"learners": len(self.known), "scheduler": {} if scheduler is None else scheduler.status()}
