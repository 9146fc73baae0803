"""Jobs for a server: nothing is computed here, so that none waits for another but by the bound of texts at work."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from typing import Any

from capot.config import Serving
from capot.engines.openai.engine import OpenAIEngine
from capot.engines.protocol import check_ids, check_prompt, require, touching
from capot.engines.scheduler import Job, PassResult, Scheduler, Ticket, WrittenJob
from capot.engines.scheduler.fair_queue import FairQueue
from capot.errors import BusyError, CapotError, InterruptedByUser


class ServedTicket(Ticket):
    """A job at the server, or on its way there."""

    def __init__(self, scheduler: ServedScheduler, job: Job) -> None:
        super().__init__(scheduler, job)
        self.served = scheduler
        self.task: asyncio.Task[None] | None = None

    def cancel(self) -> None:
        """End the job: its connection is closed, which frees the server's slot. Takes no lock."""
        self._cancelled = True
        self.served.drop_soon(self)


class ServedScheduler(Scheduler):
    """What a chapter asks of any scheduler, for an engine that many ask at once.

    Jobs run on the thread of the engine's client, as many as ``at_once`` together; the others wait, the owners in turn.
    """

    def __init__(self, engine: OpenAIEngine, *, at_once: int = Serving.max_served_texts) -> None:
        super().__init__(engine)
        self.served = engine
        self.at_once = at_once
        self._queue_lock = threading.Lock()
        self._waiting: FairQueue[ServedTicket] = FairQueue(_owner_of)
        self._working: set[ServedTicket] = set()
        self._written = {"steps": 0, "prompt_tokens": 0, "decoded_tokens": 0}
        self._closed = False
        self._home = os.getpid()

    def submit(self, job: Job) -> Ticket:
        """Queue a job. Raises: as ``Scheduler.submit``."""
        info = self.engine.info
        check_prompt(job.ids, context=info.context_length)
        require(self.engine, job.want.capabilities | touching(edit.place for edit in job.edits))
        check_ids(job.ids, size=info.vocabulary_size)
        ticket = ServedTicket(self, job)
        with self._queue_lock:
            if self._closed:
                raise BusyError("closed")
            self._waiting.add(ticket)
        # Begun on the client's thread; where that cannot be, nobody would ever take the ticket.
        try:
            self.served.client.run(self._admit())
        except CapotError:
            with self._queue_lock:
                self._waiting.remove(ticket)
            raise
        return ticket

    def position_of(self, ticket: Ticket) -> int:
        with self._queue_lock:
            return self._waiting.position(ticket) if isinstance(ticket, ServedTicket) else 0

    def forget(self, owner: str) -> None:
        """Do nothing: what is kept of a text is the server's."""

    def status(self) -> dict[str, Any]:
        """Return the load: as ``Scheduler.status``, without caches."""
        with self._queue_lock:
            waiting = list(self._waiting)
            working = list(self._working)
        owners = {ticket.job.owner for ticket in (*waiting, *working)}
        counts = {"at_work": len(working), "waiting": len(waiting), "owners": len(owners)}
        return super().status() | counts | self._written

    def close(self) -> None:
        """Interrupt what is under way, and close the connections. Closing twice is harmless."""
        if self._end_waiting():
            self.served.client.close()
            super().leave()  # the thread that runs what ``call`` is given, if there is one

    def leave(self) -> bool:
        """Begin to close without waiting."""
        # A thread, since closing waits for the client's own, and ``leave`` may be called by the garbage collector
        # there.
        if not self._closed:
            threading.Thread(target=self.close, name="capot-leaving", daemon=True).start()
        return True

    def _end_waiting(self) -> bool:
        """End the jobs that wait, and return whether that is to be done in this process."""
        if self._home != os.getpid():
            return False
        with self._queue_lock:
            self._closed = True
            left = list(self._waiting)
            for ticket in left:
                self._waiting.remove(ticket)
        for ticket in left:
            ticket.end(InterruptedByUser("interrupted"))
        return True

    # What runs on the client's thread.

    async def _admit(self) -> None:
        """Begin with those jobs for which there is room."""
        # As many as fit now: each job that ends admits the next.
        while True:
            with self._queue_lock:
                ticket = self._waiting.take() if len(self._working) < self.at_once else None
                if ticket is None:
                    return
                self._working.add(ticket)
            ticket.task = asyncio.create_task(self._work(ticket))

    async def _work(self, ticket: ServedTicket) -> None:
        error: Exception | None = None
        try:
            # Cancelled while it waited for its turn on the loop: no connection is opened for it.
            if ticket.cancelled:
                raise asyncio.CancelledError
            await self._done(ticket.job)
        except asyncio.CancelledError:
            error = InterruptedByUser("interrupted")
        except Exception as failed:
            error = failed
        with self._queue_lock:
            self._working.discard(ticket)
        ticket.end(error)
        await self._admit()

    async def _done(self, job: Job) -> None:
        began = time.perf_counter()
        if isinstance(job, WrittenJob):
            await self.served.write(job)
        else:
            output = await self.served.look(job.ids, job.want)
            if job.progress is not None:
                job.progress(len(job.ids), len(job.ids))
            job.advance(output, PassResult(output, 0, len(job.ids), time.perf_counter() - began))
        self._written["steps"] += 1
        self._written["prompt_tokens"] += len(job.ids)

    def drop_soon(self, ticket: ServedTicket) -> None:
        """End a job from any thread."""
        self.served.client.soon(lambda: self._drop(ticket))

    def _drop(self, ticket: ServedTicket) -> None:
        with self._queue_lock:
            waited = self._waiting.remove(ticket)
        if waited:
            ticket.end(InterruptedByUser("interrupted"))
        elif ticket.task is not None:
            ticket.task.cancel()


def _owner_of(ticket: ServedTicket) -> str:
    return ticket.job.owner
