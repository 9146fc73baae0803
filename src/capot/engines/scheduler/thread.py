"""Run the engine on one thread: decode steps and prefill chunks in turn."""

from __future__ import annotations

import atexit
import contextlib
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from capot.engines import forks, openmp
from capot.engines.edits import Edit, check_edits
from capot.engines.protocol import (
    LAST,
    MAX_CHUNK,
    Capability,
    Engine,
    Feed,
    Output,
    Want,
    check_ids,
    check_prompt,
    require,
    touching,
)
from capot.engines.scheduler.admission import JobAdmission
from capot.engines.scheduler.calls import Call, one_pass
from capot.engines.scheduler.fair_queue import FairQueue
from capot.engines.scheduler.job import Job, PassResult, PromptProgress, Ticket
from capot.engines.scheduler.prefill_budget import MAX_BATCH, PrefillBudget
from capot.engines.scheduler.prefix_cache import PrefixCache
from capot.errors import BusyError, ContextError, InterruptedByUser

IDLE_S = 0.5  # without work, after which the thread lets go of its cores
CACHE_BUDGET = 2_000_000_000  # bytes of key/value caches, at work and idle together

# Parallel kernels of two models at once would share the cores badly, or abort the process.
ENGINE_LOCK = threading.Lock()
if hasattr(os, "register_at_fork"):  # whoever held it is not in the copy
    os.register_at_fork(after_in_child=ENGINE_LOCK._at_fork_reinit)  # type: ignore[attr-defined]  # typeshed leaves it out

T = TypeVar("T")


class Scheduler:
    """Own an engine and the only thread that calls it. The thread starts with the first job."""

    def __init__(
        self, engine: Engine, *, cache_budget: int = CACHE_BUDGET, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self.engine = engine
        self._process = os.getpid()
        self.reading: PromptProgress | None = None  # hears of every job's prompt, beside the job itself
        self._clock = clock
        self._caches = PrefixCache(engine, budget=cache_budget)
        self._admission = JobAdmission(engine, self._caches)
        self._calls: deque[Callable[[], None]] = deque()
        # A deque's append and popleft are atomic in CPython: calls and cancellations come from any thread, and the
        # second from a signal handler, which may take no lock.
        self.cancellations: deque[Ticket] = deque()
        # A condition and no queue: the thread sleeps on three sources of work at once, and what it reads of them is
        # consistent under one lock.
        self._wake = threading.Condition()  # its lock guards the queues and what is at work
        self._thread: threading.Thread | None = None
        self._closing = False
        self._pace = PrefillBudget()
        self._counts = {"steps": 0, "prompt_tokens": 0, "decoded_tokens": 0}

    # What any thread may call.

    def submit(self, job: Job) -> Ticket:
        """Queue a job.

        Raises: InputError ``empty_prompt``, ``no_such_id``; ContextError ``prompt_too_long``; CapabilityError
        where the engine cannot give what the job wants, ``forked`` where this process is a copy of the one in which
        it computes; BusyError ``closed``.
        """
        forks.check_process(self._process)
        # All refusals come before the queue, on the thread of whoever asked: an error on the engine thread would reach
        # them late, behind others' prompts.
        info = self.engine.info
        check_prompt(job.ids, context=info.context_length)
        require(self.engine, job.want.capabilities | touching(edit.place for edit in job.edits))
        check_edits(job.edits, layers=info.layers, heads=info.heads)
        check_ids(job.ids, size=info.vocabulary_size)
        ticket = Ticket(self, job)
        with self._wake:
            self._start()
            self._admission.prompts.add(ticket)
            self._wake.notify()
        return ticket

    def run(
        self,
        ids: Sequence[int],
        *,
        want: Want = LAST,
        owner: str = "local",
        progress: PromptProgress | None = None,
        edits: Sequence[Edit] = (),
    ) -> PassResult:
        """Run one pass over ``ids`` and wait for it. What is wanted of every position comes in one piece.

        Raises: InterruptedByUser after Ctrl-C; what ``submit`` raises; the engine's errors.
        """
        # An assertion, since it would be a programming error of ours, and no error of a user.
        assert threading.current_thread() is not self._thread  # it would wait for itself
        return one_pass(self.submit, ids, want=want, owner=owner, progress=progress, edits=edits)

    def call(self, function: Callable[[], T]) -> T:
        """Run ``function`` on the engine thread between two steps, and return its answer."""
        forks.check_process(self._process)
        # A function called from the engine thread (a job's ``advance``) would wait for itself.
        if threading.current_thread() is self._thread:
            return function()
        call = Call(function)
        with self._wake:
            self._start()
            self._calls.append(call)
            self._wake.notify()
        while not call.over.wait(0.2):  # returns often, so that Ctrl-C is heard everywhere
            pass
        return call.answer()

    @contextlib.contextmanager
    def holding(self, nbytes: int) -> Iterator[None]:
        """Let the caller compute by ``call`` inside the block, and hold ``nbytes`` that no job counts.

        Nobody counts them here; what stands in for a scheduler may, and refuse.
        """
        yield

    def forget(self, owner: str) -> None:
        """Free the caches of an owner who has left. Does nothing once closed."""
        forks.check_process(self._process)
        with self._wake, contextlib.suppress(BusyError):
            # Nothing to do where no thread has begun: without one there is no cache, and starting one to find out would
            # open OpenMP's threads.
            if self._thread is not None:
                self._start()
                self._calls.append(lambda: self._forget(owner))
                self._wake.notify()

    def _forget(self, owner: str) -> None:
        with self._wake:
            self._caches.forget(owner)

    def status(self) -> dict[str, Any]:
        """Return the load, for a status page. Units: bytes; counts since the start."""
        forks.check_process(self._process)
        with self._wake:
            return {**self._admission.status(), **self._counts, "reused_tokens": self._admission.reused_tokens}

    def close(self) -> None:
        """Interrupt what runs, end the thread, close the engine. Closing twice is harmless.

        In a copy of the process there is nothing to end.
        """
        if self._process != os.getpid():
            return
        if not self.leave():
            self.engine.close()
        elif self._thread is not None and threading.current_thread() is not self._thread:
            self._thread.join()

    def leave(self) -> bool:
        """Begin to close without waiting, and return whether there is, or was, a thread that does it."""
        if self._process != os.getpid():
            return True
        with self._wake:
            # Read before it is set: ``close`` is to know whether somebody else has begun to end the thread.
            started, self._closing = self._closing or self._thread is not None, True
            self._wake.notify_all()
        return started

    def _start(self) -> None:
        if self._closing:
            raise BusyError("closed")
        if self._thread is None:
            # A daemon: an interpreter that ends waits for no text. ``atexit`` still lets the thread end by itself
            # first, as a daemon that is stopped inside of a kernel may take the process with it.
            self._thread = threading.Thread(target=self._main, name="capot-engine", daemon=True)
            self._thread.start()
            atexit.register(self.close)

    def position_of(self, ticket: Ticket) -> int:
        with self._wake:
            return self._admission.position(ticket)

    # The engine thread.

    def _main(self) -> None:
        try:
            while self._work_to_do():
                self._turn()
        finally:
            self._abandon()

    def _work_to_do(self) -> bool:
        with self._wake:
            # Two waits: the first ends after IDLE_S so that OpenMP's threads are released once, the second has no end.
            if not self._wake.wait_for(self._something, timeout=IDLE_S):
                openmp.release_threads()  # its cores' threads would slow another model's
                self._wake.wait_for(self._something)
            return not self._closing

    def _something(self) -> bool:
        return bool(self._closing or self._admission.has_work or self._calls)

    def _turn(self) -> None:
        """Decode one token of each running text, then prefill one chunk of one prompt, or a few short prompts."""
        # Calls go before everything: they are short, and a page waits for each (a status, a cache to free).
        while self._calls:
            self._calls.popleft()()
        self._drop_cancelled()
        # Decoding first: everybody who reads a text gets a token in each turn, whatever prompts are waiting.
        with self._wake:
            batch = self._admission.decoding.take_many(MAX_BATCH)
        if batch:
            self._step(batch, size=1, prompts=False)
        self._read()

    def _read(self) -> None:
        """Prefill one chunk of the next prompt; with a short one, also some of owners with nothing running."""
        with self._wake:
            # Alone, a prompt is read in the largest chunks, which use the weights best. The small ones are for the sake
            # of others only.
            size = self._pace.chunk() if self._admission.has_contention else MAX_CHUNK
            together = Capability.BATCH in self.engine.capabilities
            tickets = self._admission.next_prompts(size, texts=self._pace.texts(together=together))
        if tickets:
            self._step(tickets, size=size, prompts=True)

    def _drop_cancelled(self) -> None:
        while self.cancellations:
            ticket = self.cancellations.popleft()
            with self._wake:
                waiting = self._admission.remove(ticket)
            if waiting:
                self._finish(ticket, InterruptedByUser("interrupted"))

    def _step(self, tickets: list[Ticket], *, size: int, prompts: bool) -> None:
        feeds = [ticket.feed(size) for ticket in tickets]
        began = self._clock()
        outputs = self._compute(feeds)
        seconds = self._clock() - began
        for ticket, feed, output in zip(tickets, feeds, outputs, strict=True):
            ticket.took(seconds)
            self._settle(ticket, feed, output)
        self._note(feeds, seconds, prompts=prompts)

    # Ids are checked one by one in ``step``, but a kernel, a device or a family's own code may fail for one of them.
    def _compute(self, feeds: list[Feed]) -> list[Output | Exception | None]:
        """Compute all feeds in one pass. If that fails, compute each alone: only the guilty job gets the error."""
        if len(feeds) > 1 and Capability.BATCH not in self.engine.capabilities:
            return [self._compute([feed])[0] for feed in feeds]
        try:
            with ENGINE_LOCK:
                return list(self.engine.step(feeds))
        except Exception as error:
            if len(feeds) == 1:
                return [error]
        return [self._compute([feed])[0] for feed in feeds]

    def _note(self, feeds: list[Feed], seconds: float, *, prompts: bool) -> None:
        tokens = sum(len(feed.ids) for feed in feeds)
        self._counts["steps"] += 1
        # A pass over prompts has more tokens than texts; a prompt whose rest is one token looks like decoding, and is.
        self._counts["prompt_tokens" if prompts and tokens > len(feeds) else "decoded_tokens"] += tokens
        if prompts and all(
            feed.want.inside is None and feed.want.logits != "all" and not feed.edits for feed in feeds
        ):  # which says nothing of a plain pass
            self._pace.note(texts=len(feeds), tokens=tokens, seconds=seconds)

    def _settle(self, ticket: Ticket, feed: Feed, output: Output | Exception | None) -> None:
        """Give a step's output to its job, and queue the ticket for what comes next."""
        if isinstance(output, Exception):
            self._finish(ticket, output, keep=False)
        elif ticket.cancelled:
            self._finish(ticket, InterruptedByUser("interrupted"))
        elif output is None:  # a late cancellation meant for the sequence's last job: step again
            feed.sequence.resume()
            self._requeue(ticket, self._admission.prompts)
        else:
            try:
                whole = ticket.absorb(feed, output)
                self._report(ticket)
                again = self._admission.prompts if whole is None else self._advance(ticket, whole)
            except Exception as error:  # the job's own
                self._finish(ticket, error)
                return
            if again is None:
                self._finish(ticket)
            else:
                self._requeue(ticket, again)

    def _requeue(self, ticket: Ticket, queue: FairQueue[Ticket]) -> None:
        with self._wake:
            # A prompt under way goes first among its owner's, so that one that has begun ends before another begins.
            queue.add(ticket, first=queue is self._admission.prompts)

    def _report(self, ticket: Ticket) -> None:
        read = ticket.read()
        if read is not None:
            for report in filter(None, (ticket.job.progress, self.reading)):
                report(*read)

    def _advance(self, ticket: Ticket, found: PassResult) -> FairQueue[Ticket] | None:
        """Ask the job what follows. Return the queue for it, or None if the job is finished."""
        # The job draws here, on the engine thread, between two steps: the logits need no copy and no queue.
        ids = ticket.job.advance(found.output, found)
        if ids is None or len(ids) == 0:
            return None
        tokens = ticket.cached + len(ids)
        context = self.engine.info.context_length
        if tokens > context:
            raise ContextError("prompt_too_long", tokens=tokens, context_length=context)
        ticket.go_on(ids)
        return self._admission.decoding if len(ids) == 1 else self._admission.prompts

    def _finish(self, ticket: Ticket, error: Exception | None = None, *, keep: bool = True) -> None:
        with self._wake:
            self._admission.dismiss(ticket, keep=keep)
        ticket.end(error)

    def _abandon(self) -> None:
        """End every ticket as the thread ends: nobody may wait for an answer that will not come."""
        with self._wake:
            self._closing = True
            # Under the lock, for ``submit`` refuses from here on; outside of it afterwards, as jobs' ``failed`` may
            # call us.
            left = self._admission.all_tickets
        for ticket in left:
            self._finish(ticket, InterruptedByUser("interrupted"))
        while self._calls:
            self._calls.popleft()()
        with self._wake:  # a status page may be counting them
            self._caches.forget()
        self.engine.close()
        atexit.unregister(self.close)
