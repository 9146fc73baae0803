"""Share one model among a class: know who is there, what each holds, and when to free their caches."""

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
from capot.web.quota import Quota
from capot.web.request_scope import MemoryAccount, RequestScope, scoped_model
from capot.web.serial_executor import MEASUREMENTS
from capot.web.template_workers import RequestRenderer, TemplateWorkers
from capot.web.tokenizer_workers import RequestEncoder, TokenizerWorkers

RECONNECT_S = 15.0  # after a connection was cut, its learner may come back for as long before their caches go
MAX_CALLS = 64  # one-shot answers under way in the whole server, a thread each
MAX_LEARNER_CALLS = 3  # one-shot answers of one learner under way; streams need no thread
MAX_WAITING_CALLS = 30  # and so many more may wait for these


class FairSemaphore:
    """A semaphore that serves in order of arrival and tells everybody their place."""

    def __init__(self, at_once: int) -> None:
        self._limiter = anyio.CapacityLimiter(at_once)
        self.waiting: list[Any] = []

    @contextlib.asynccontextmanager
    async def acquired(self, key: Any) -> AsyncIterator[None]:
        """Hold one unit on behalf of ``key`` inside the block."""
        try:
            self._limiter.acquire_on_behalf_of_nowait(key)
        except anyio.WouldBlock:
            self.waiting.append(key)
            try:
                await self._limiter.acquire_on_behalf_of(key)
            finally:
                self.waiting.remove(key)
        try:
            yield
        finally:
            self._limiter.release_on_behalf_of(key)

    def position(self, key: Any) -> int:
        """Return the place in the queue, or 0 if ``key`` does not wait here."""
        return self.waiting.index(key) + 1 if key in self.waiting else 0


class Learner:
    """What the lab knows of one visitor."""

    def __init__(self, name: str, serving: Serving, now: float, *, address: str = "") -> None:
        self.name = name
        self.seen_at = now
        self.address = "" if is_owner(name) else address  # whoever sits at the machine may be anyone on it
        self.disconnected_at: float | None = None  # when a connection of theirs was cut, if they have not come back
        self.account = MemoryAccount(None if is_owner(name) else serving.max_cache_bytes)
        self.semaphore = FairSemaphore(MAX_LEARNER_CALLS)
        self.python_lock = threading.Lock()  # where Python works for them, on one thing at a time
        self.calls: dict[str, Any] = {}  # one-shot answers under way, by the names that their page gave them
        self.active_requests = 0  # answers and streams

    @contextlib.contextmanager
    def named_call(self, name: str | None, call: Any) -> Iterator[None]:
        """Know an answer by the name that its page gave it, if any, until it is taken."""
        if name:
            self.calls[name[:64]] = call
        try:
            yield
        finally:
            if name and self.calls.get(name[:64]) is call:
                del self.calls[name[:64]]

    @contextlib.contextmanager
    def busy(self) -> Iterator[None]:
        """Mark the learner as busy inside the block, so that they are not forgotten."""
        self.active_requests += 1
        try:
            yield
        finally:
            self.active_requests -= 1


class Learners:
    """Give each learner the same model under their own name."""

    def __init__(self, model: Model, serving: Serving, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.model = model
        self.serving = serving
        self._clock = clock
        self.by_name: OrderedDict[str, Learner] = OrderedDict()  # who was seen longest ago comes first
        self.addresses = Quota(serving.max_learners_of_address)
        self.semaphore = FairSemaphore(MAX_CALLS)
        self.threads = anyio.CapacityLimiter(math.inf)  # those above say how many there may be
        self.template_workers = TemplateWorkers()  # where everybody's templates are rendered
        self.tokenizer_workers = TokenizerWorkers()  # and texts are cut that may take any time
        self._opening = threading.Lock()
        self.opening = secrets.token_hex(4)  # names which model is at work; another one has another name

    def visit(self, name: str, address: str = "") -> Learner:
        """Return the learner of that name, known from now on if they come for the first time.

        Raises: BusyError ``too_many_learners`` if all those who could be forgotten are busy.
        """
        now = self._clock()
        learner = self.by_name.get(name)
        if learner is None:
            self._make_room(name, address)
            learner = self.by_name[name] = Learner(name, self.serving, now, address=address)
            self.addresses.add(learner.address)
        learner.seen_at = now
        learner.disconnected_at = None
        self.by_name.move_to_end(name)
        return learner

    def _make_room(self, name: str, address: str) -> None:
        """Forget the one seen longest ago if the address or the lab knows as many as it may."""
        full = None if is_owner(name) or not address else self.addresses.full(address)
        if full is not None:
            beside = [each for each in self.by_name.values() if full in (each.address, network_of(each.address))]
            # The account's bytes tell of jobs whose request has been answered: an engine still works for them.
            self._forget_one(beside, limit=self.serving.max_learners_of_address)
        while len(self.by_name) >= self.serving.max_learners:
            self._forget_one(self.by_name.values(), limit=self.serving.max_learners)

    def _forget_one(self, among: Iterable[Learner], *, limit: int) -> None:
        idle = next((each for each in among if not (each.active_requests or each.account.nbytes)), None)
        if idle is None:
            raise BusyError("too_many_learners", limit=limit)
        self._forget(idle.name)

    def disconnect(self, learner: Learner) -> None:
        """Note that a connection of the learner's ended before its work did."""
        learner.disconnected_at = self._clock()

    @contextlib.asynccontextmanager
    async def turn(self, learner: Learner, key: Any) -> AsyncIterator[None]:
        """Hold one of the learner's calls inside the block, on behalf of ``key``.

        Raises: BusyError ``too_many_requests``.
        """
        if len(learner.semaphore.waiting) >= MAX_WAITING_CALLS:
            raise BusyError("too_many_requests", limit=MAX_WAITING_CALLS)
        async with learner.semaphore.acquired(key):
            yield

    def position(self, learner: Learner | None, call: str) -> dict[str, int]:
        """Return where a named answer stands: in the queue of all, and among the learner's own."""
        waited = None if learner is None else learner.calls.get(call)
        if learner is None or waited is None:
            return {"position": 0, "turn": 0, "at_once": MAX_LEARNER_CALLS}
        # Three queues in a row, of which a call waits in one.
        position = waited.position or self.semaphore.position(waited) or MEASUREMENTS.position(waited)
        return {"position": position, "turn": learner.semaphore.position(waited), "at_once": MAX_LEARNER_CALLS}

    def model_for(self, learner: Learner) -> tuple[Model, RequestScope]:
        """Return the learner's model and its scope. The first call reads weights and vocabulary for all."""
        # Under a lock: twenty learners at once would read the weights twenty times.
        with self._opening:
            model = self.model
            model.tokenizer, model.shared.scheduler  # noqa: B018 - read now, so that nobody's copy reads them again
        renderer = RequestRenderer(self.template_workers, learner.name, max_chars=self.serving.max_prompt_chars)
        encoder = RequestEncoder(self.tokenizer_workers, learner.name)
        return scoped_model(model, learner.name, learner.account, renderer=renderer, encoder=encoder)

    def replace(self, model: Model) -> Model:
        """Put another model in the place of the present one, and return the old one."""
        with self._opening:
            before, self.model, self.opening = self.model, model, secrets.token_hex(4)
        return before

    def sweep(self, *, streaming: set[str]) -> int:
        """Free the caches of those who have left or were not seen for a while, and count these learners."""
        now = self._clock()
        away = [name for name, each in self.by_name.items() if self._has_left(each, now) and not each.active_requests]
        gone = [name for name in away if name not in streaming]
        for name in gone:
            self._forget(name)
        return len(gone)

    def _has_left(self, learner: Learner, now: float) -> bool:
        if now - learner.seen_at > self.serving.idle_s:
            return True
        # A page that is reloaded, or a network that comes back, finds its caches for a few seconds.
        grace = min(RECONNECT_S, self.serving.idle_s)
        return learner.disconnected_at is not None and now - learner.disconnected_at > grace

    def _forget(self, name: str) -> None:
        learner = self.by_name.pop(name, None)
        if learner is not None:
            self.addresses.remove(learner.address)
        scheduler = self.model.shared.at_work
        if scheduler is not None:
            scheduler.forget(name)

    def status(self) -> dict[str, Any]:
        """Return the load: learners seen lately, and the scheduler's own figures if it has started."""
        scheduler = self.model.shared.at_work
        return {"learners": len(self.by_name), "scheduler": {} if scheduler is None else scheduler.status()}
