"""One request's share of the scheduler: what it asked for, what it holds, and how to take it back.

A chapter works on an opened model and never hears of the web. Here the model it gets has
this in the place of the scheduler: every job passes by, so that a closed tab or a stop
button ends whatever the request had under way, and one learner's memory is counted.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol, TypeVar

from capot.engines.protocol import LAST, Engine, Want
from capot.engines.scheduler import Job, Pass, Scheduler, Ticket
from capot.engines.scheduler.calls import one_pass
from capot.engines.scheduler.job import PromptProgress
from capot.errors import BusyError, InterruptedByUser
from capot.model import Model
from capot.web.cutting import Cutting
from capot.web.rendering import Rendering

T = TypeVar("T")


class Account:
    """The bytes that one learner's requests and their jobs hold or may come to hold, those cancelled left out.

    ``limit`` is None for the owner, whose machine it is.
    """

    def __init__(self, limit: int | None) -> None:
        self.limit = limit
        self._held: list[tuple[Ticket, int]] = []
        self._requests = 0
        self._lock = threading.Lock()

    @property
    def nbytes(self) -> int:
        self._held = [(ticket, need) for ticket, need in self._held if not (ticket.done or ticket.cancelled)]
        return self._requests + sum(need for _, need in self._held)

    def _check(self, need: int) -> None:
        held = self.nbytes
        if self.limit is not None and held + need > self.limit:
            raise BusyError("too_much_memory", needed=need, held=held, limit=self.limit)

    def submit(self, scheduler: Scheduler, job: Job) -> Ticket:
        """Queue a job where it fits. Raises: BusyError ``too_much_memory``; what ``Scheduler.submit`` raises."""
        need = bytes_of(job, scheduler.engine)
        with self._lock:
            self._check(need)
            ticket = scheduler.submit(job)
            self._held.append((ticket, need))
        return ticket

    def hold(self, need: int) -> None:
        """Count what a request may take besides its jobs, until ``release``. Raises: BusyError ``too_much_memory``."""
        with self._lock:
            self._check(need)
            self._requests += need

    def release(self, need: int) -> None:
        with self._lock:
            self._requests -= need

    @contextlib.contextmanager
    def holding(self, need: int) -> Iterator[None]:
        """Inside the block ``need`` bytes are held."""
        self.hold(need)
        try:
            yield
        finally:
            self.release(need)


def bytes_of(job: Job, engine: Engine) -> int:
    """What a job may come to hold: its cache, and what is wanted of every position of its prompt, in float32."""
    info, tokens = engine.info, min(len(job.ids), engine.info.context_length)
    floats = info.vocabulary_size if job.want.logits == "all" else 0
    floats += (info.layers + 1) * info.width if job.want.hidden else 0
    floats += info.layers * info.heads * tokens if job.want.attention else 0
    after = (info.layers + 1) * info.vocabulary_size if job.want.layer_logits else 0  # the last position's alone
    if job.want.inside is not None:
        after += job.want.inside.floats(tokens, layers=info.layers, heads=info.heads, width=info.width)
    cache = engine.cache_bytes(min(len(job.ids) + job.room, info.context_length))
    return cache + 4 * (tokens * floats + after)


class Elsewhere(Protocol):
    """Work of one request in another process."""

    def cancel(self) -> None: ...


class RequestScope:
    """One request's :class:`Computing`; ``cancel`` ends all that was asked through it, templates included."""

    def __init__(self, scheduler: Scheduler, account: Account, apart: Iterable[Elsewhere] = ()) -> None:
        self._scheduler, self._account, self._apart = scheduler, account, tuple(apart)
        self._tickets: list[Ticket] = []
        self._cancelled = self._told = False

    def submit(self, job: Job) -> Ticket:
        """Raises: InterruptedByUser once cancelled; what ``Account.submit`` raises."""
        if self._cancelled:
            raise InterruptedByUser("interrupted")
        ticket = self._account.submit(self._scheduler, job)
        self._tickets.append(ticket)
        if self._cancelled:  # in the meantime
            ticket.cancel()
        return ticket

    @property
    def engine(self) -> Engine:
        return self._scheduler.engine

    def run(
        self, ids: Sequence[int], *, want: Want = LAST, owner: str = "local", progress: PromptProgress | None = None
    ) -> Pass:
        """As ``Scheduler.run``, through this scope."""
        return one_pass(self.submit, ids, want=want, owner=owner, progress=progress)

    def call(self, function: Callable[[], T]) -> T:
        """As ``Scheduler.call``; the first one after a cancellation is refused, those that clean up are not."""
        if self._cancelled and not self._told:
            self._told = True
            raise InterruptedByUser("interrupted")
        return self._scheduler.call(function)

    def holding(self, nbytes: int) -> contextlib.AbstractContextManager[None]:
        """Inside the block the account holds ``nbytes``. Raises: BusyError ``too_much_memory``."""
        return self._account.holding(nbytes)

    def cancel(self) -> None:
        """From any thread."""
        self._cancelled = True
        self.end_apart()
        for ticket in self.tickets:
            ticket.cancel()

    def end_apart(self) -> None:
        """End what is at work for it in another process, and what would come after. From any thread."""
        for each in self._apart:
            each.cancel()

    @property
    def tickets(self) -> Iterable[Ticket]:
        return [ticket for ticket in self._tickets if not ticket.done]

    @property
    def position(self) -> int:
        """0 where all of it is at work or done, else the place in the queue of what waits longest."""
        return max((ticket.position for ticket in self.tickets), default=0)

    @property
    def cancelled(self) -> bool:
        return self._cancelled


def shared(
    model: Model, owner: str, account: Account, *, rendering: Rendering | None = None, cutting: Cutting | None = None
) -> tuple[Model, RequestScope]:
    """The model on behalf of ``owner``, and the share that it works with.

    Its templates are rendered by ``rendering``, and ``cutting`` cuts texts where their tokenizer's time is not known.
    """
    apart = [each for each in (rendering, cutting) if each is not None]
    share = RequestScope(model.shared.scheduler, account, apart)
    return model.on_behalf_of(owner, scheduler=share, renderer=rendering, cutter=cutting), share
