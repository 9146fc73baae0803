"""A thread kept for one kind of work, and those who wait for it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Protocol, TypeVar

import anyio

from capot.engines.scheduler.fair_queue import FairQueue

Answer = TypeVar("Answer")


class Waiting(Protocol):
    """A work in a line: its owner, and who asks for its place."""

    @property
    def owner(self) -> str:
        """In whose turn it comes."""

    @property
    def who(self) -> Any:
        """What its place is asked for by."""

    def run(self) -> None:
        """Do it, on the line's thread."""


class Line:
    """One thread; each owner's works in the order in which they came, the owners in turn."""

    def __init__(self, name: str) -> None:
        self.worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)
        self._queue: FairQueue[Waiting] = FairQueue(lambda work: work.owner)
        self._lock = threading.Lock()

    def add(self, work: Waiting) -> None:
        with self._lock:
            self._queue.add(work)
        self.worker.submit(self._next)

    def _next(self) -> None:
        """What is next when the thread is free, which need not be what was added with this call."""
        with self._lock:
            work = self._queue.take()
        if work is not None:
            work.run()

    def remove(self, work: Waiting) -> bool:
        """Take it out of the line; whether it still waited there."""
        with self._lock:
            return self._queue.remove(work)

    @property
    def waiting(self) -> list[Waiting]:
        with self._lock:
            return list(self._queue)

    def place(self, who: Any) -> int:
        """0 at work, done or never here."""
        with self._lock:
            work = next((each for each in self._queue if each.who is who), None)
            return 0 if work is None else self._queue.place(work)

    async def run(self, call: Callable[[], Answer], *, owner: str, who: Any) -> Answer:
        """What ``call`` answers when its turn has come.

        Where the task is cancelled, the place is given up; what is at work already is waited for.
        """
        work = _Once(call, owner, who)
        done = asyncio.wrap_future(work.future)
        self.add(work)
        try:
            return await asyncio.shield(done)
        except asyncio.CancelledError:
            if not self.remove(work):
                with anyio.CancelScope(shield=True):
                    await asyncio.wait([done])
                    done.exception()  # known, and of no use to who has left
            raise


class _Once:
    """A call that waits in a line, and its answer."""

    def __init__(self, call: Callable[[], Any], owner: str, who: Any) -> None:
        self.call, self.owner, self.who = call, owner, who
        self.future: Future[Any] = Future()

    def run(self) -> None:
        try:
            self.future.set_result(self.call())
        except BaseException as error:
            self.future.set_exception(error)


MEASURING, OPENING = Line("capot-measure"), Line("capot-open")
