"""Scope the scheduler to one request: what it submitted, what it holds, and how to cancel it.

A chapter works on an opened model and never hears of the web. The model that it gets here has a ``RequestScope`` in
the place of its scheduler. Every job passes through it, so that a closed tab or a stop button ends whatever the
request has submitted, and so that each learner's memory is counted.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol, TypeVar

from capot.engines.edits import Edit
from capot.engines.protocol import LAST, Engine, Want
from capot.engines.scheduler import Job, PassResult, Scheduler, Ticket
from capot.engines.scheduler.calls import one_pass
from capot.engines.scheduler.job import PromptProgress
from capot.errors import BusyError, InterruptedByUser
from capot.model import Model
from capot.web.template_workers import RequestRenderer
from capot.web.tokenizer_workers import RequestEncoder

T = TypeVar("T")


class MemoryAccount:
    """Count the bytes that one learner's requests and jobs hold or may come to hold.

    Cancelled jobs do not count. ``limit`` is None for the owner, whose machine it is.
    """

    def __init__(self, limit: int | None) -> None:
        self.limit = limit
        self._jobs: list[tuple[Ticket, int]] = []
        self._requests = 0
        self._lock = threading.Lock()

    @property
    def nbytes(self) -> int:
        # Cancelled jobs hold their memory for one more step: counting them would refuse the next request of a page that
        # stops and starts.
        self._jobs = [(ticket, need) for ticket, need in self._jobs if not (ticket.done or ticket.cancelled)]
        return self._requests + sum(need for _, need in self._jobs)

    def _check(self, need: int) -> None:
        held = self.nbytes
        if self.limit is not None and held + need > self.limit:
            raise BusyError("too_much_memory", needed=need, held=held, limit=self.limit)

    def submit(self, scheduler: Scheduler, job: Job) -> Ticket:
        """Queue a job if it fits. Raises: BusyError ``too_much_memory``; as ``Scheduler.submit``."""
        need = job_bytes(job, scheduler.engine)
        # Check and submit under one lock, or two requests at once would both find room.
        with self._lock:
            self._check(need)
            ticket = scheduler.submit(job)
            self._jobs.append((ticket, need))
        return ticket

    def reserve(self, need: int) -> None:
        """Count what a request may take besides its jobs, until ``release``.

        Raises: BusyError ``too_much_memory``.
        """
        with self._lock:
            self._check(need)
            self._requests += need

    def release(self, need: int) -> None:
        with self._lock:
            self._requests -= need

    @contextlib.contextmanager
    def holding(self, need: int) -> Iterator[None]:
        """Reserve ``need`` bytes inside the block."""
        self.reserve(need)
        try:
            yield
        finally:
            self.release(need)


def job_bytes(job: Job, engine: Engine) -> int:
    """Return what a job may come to hold: its cache, and the float32 outputs of every position of its prompt."""
    info = engine.info
    tokens = min(len(job.ids), info.context_length)
    each = job.want.logits == "all"
    streamed = job.want.on_logits is not None
    floats = info.vocabulary_size if each and not streamed else 0
    floats += (info.layers + 1) * info.width if job.want.hidden else 0
    # Attention of all heads and layers grows as the square of the text.
    floats += info.layers * info.heads * tokens if job.want.attention else 0
    after = (info.layers + 1) * info.vocabulary_size if job.want.layer_logits else 0  # the last position's alone
    if each and streamed:  # a chunk's
        rows = job.want.tokens(tokens, layers=info.layers, vocabulary=info.vocabulary_size)
        after += rows * info.vocabulary_size
    if job.want.inside is not None:
        after += job.want.inside.floats(tokens, layers=info.layers, heads=info.heads, width=info.width)
    cache = engine.cache_bytes(min(len(job.ids) + job.room, info.context_length))
    return cache + 4 * (tokens * floats + after)


class Cancellable(Protocol):
    """Work of one request in another process."""

    def cancel(self) -> None: ...


class RequestScope:
    """One request's :class:`SchedulerLike`. ``cancel`` ends all that went through it, in other processes too."""

    def __init__(self, scheduler: Scheduler, account: MemoryAccount, workers: Iterable[Cancellable] = ()) -> None:
        self._scheduler = scheduler
        self._account = account
        self._workers = tuple(workers)
        self._tickets: list[Ticket] = []
        self._cancelled = self._refused_once = False

    def submit(self, job: Job) -> Ticket:
        """Queue a job. Raises: InterruptedByUser once cancelled; as ``MemoryAccount.submit``."""
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
        self,
        ids: Sequence[int],
        *,
        want: Want = LAST,
        owner: str = "local",
        progress: PromptProgress | None = None,
        edits: Sequence[Edit] = (),
    ) -> PassResult:
        """Compute one pass: as ``Scheduler.run``, through this scope."""
        return one_pass(self.submit, ids, want=want, owner=owner, progress=progress, edits=edits)

    def call(self, function: Callable[[], T]) -> T:
        """Run a function on the engine thread: as ``Scheduler.call``.

        After a cancellation the first call is refused. Those that follow are allowed, since they clean up.
        """
        if self._cancelled and not self._refused_once:
            self._refused_once = True
            raise InterruptedByUser("interrupted")
        return self._scheduler.call(function)

    def holding(self, nbytes: int) -> contextlib.AbstractContextManager[None]:
        """Reserve ``nbytes`` in the account inside the block. Raises: BusyError ``too_much_memory``."""
        return self._account.holding(nbytes)

    def cancel(self) -> None:
        """End everything, from any thread."""
        self._cancelled = True
        self.cancel_workers()
        for ticket in self.tickets:
            ticket.cancel()

    def cancel_workers(self) -> None:
        """End what worker processes do for it, now and later. Any thread may call it."""
        for each in self._workers:
            each.cancel()

    @property
    def tickets(self) -> Iterable[Ticket]:
        return [ticket for ticket in self._tickets if not ticket.done]

    @property
    def position(self) -> int:
        """Return the place of the ticket that waits longest, or 0 if none waits."""
        return max((ticket.position for ticket in self.tickets), default=0)

    @property
    def cancelled(self) -> bool:
        return self._cancelled


def scoped_model(
    model: Model,
    owner: str,
    account: MemoryAccount,
    *,
    renderer: RequestRenderer | None = None,
    encoder: RequestEncoder | None = None,
) -> tuple[Model, RequestScope]:
    """Return the model on behalf of ``owner``, and the scope that it computes in.

    ``renderer`` renders its chat templates; ``encoder`` encodes texts whose tokenizer may not be linear.
    """
    workers = [each for each in (renderer, encoder) if each is not None]
    scope = RequestScope(model.shared.scheduler, account, workers)
    return model.on_behalf_of(owner, scheduler=scope, renderer=renderer, remote_encoder=encoder), scope
