"""One model for a whole class: who is there, what each holds, and when their caches go back."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import anyio

from capot.config import Serving
from capot.errors import BusyError
from capot.model import Model
from capot.web.share import Account, Share, shared

MAX_LEARNERS = 1000  # remembered at once; the one seen longest ago gives its caches back
AT_ONCE = 3  # one-shot answers of one learner under way; streams need no thread
WAITING = 30  # and so many more may wait for these


class Learner:
    """What is known of one visitor."""

    def __init__(self, name: str, serving: Serving, now: float) -> None:
        self.name, self.seen = name, now
        self.account = Account(serving.max_cache_bytes)
        self.turns = anyio.CapacityLimiter(AT_ONCE)


class Learners:
    """Hands each learner the same model under their own name."""

    def __init__(self, model: Model, serving: Serving, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.model, self.serving, self._clock = model, serving, clock
        self.known: OrderedDict[str, Learner] = OrderedDict()
        self._opening = threading.Lock()

    def seen(self, name: str) -> Learner:
        """The learner, who was seen just now."""
        now = self._clock()
        learner = self.known.get(name)
        if learner is None:
            learner = self.known[name] = Learner(name, self.serving, now)
        learner.seen = now
        self.known.move_to_end(name)
        while len(self.known) > MAX_LEARNERS:
            self._forget(next(iter(self.known)))
        return learner

    def turn(self, name: str) -> anyio.CapacityLimiter:
        """What the learner's one-shot answers wait their turn for. Raises: BusyError ``too_many_requests``."""
        turns = self.seen(name).turns
        if turns.statistics().tasks_waiting >= WAITING:
            raise BusyError("too_many_requests", limit=WAITING)
        return turns

    def opened(self, learner: Learner) -> tuple[Model, Share]:
        """The model on behalf of ``learner``, its weights and its vocabulary read once for all. May take a while."""
        with self._opening:
            model = self.model
            model.tokenizer, model.scheduler  # noqa: B018 - read now, so that nobody's copy reads them again
        return shared(model, learner.name, learner.account)

    def replace(self, model: Model) -> Model:
        """Put another model in the place of the present one, and answer the one that was there."""
        with self._opening:
            before, self.model = self.model, model
        return before

    def sweep(self, *, streaming: set[str]) -> int:
        """Give back the caches of those who have not been seen for a while; how many they were."""
        limit = self._clock() - self.serving.idle_s
        gone = [name for name, each in self.known.items() if each.seen < limit and name not in streaming]
        for name in gone:
            self._forget(name)
        return len(gone)

    def _forget(self, name: str) -> None:
        self.known.pop(name, None)
        scheduler = self.model.__dict__.get("scheduler")
        if scheduler is not None:
            scheduler.forget(name)

    def status(self) -> dict[str, Any]:
        """Learners seen lately, and the scheduler's own account where it is at work."""
        scheduler = self.model.__dict__.get("scheduler")
        return {"learners": len(self.known), "scheduler": {} if scheduler is None else scheduler.status()}
