"""Run one kind of work on a thread of its own, one call at a time, the owners in turn."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Protocol, TypeVar

import anyio

from capot.engines.scheduler.fair_queue import FairQueue

Answer = TypeVar("Answer")


class SerialTask(Protocol):
    """Work that waits for the thread."""

    @property
    def owner(self) -> str:
        """Return the owner in whose turn it runs."""

    @property
    def key(self) -> Any:
        """Return the object by which ``SerialExecutor.position`` finds it."""

    def run(self) -> None:
        """Do the work, on the executor's thread."""


class SerialExecutor:
    """One thread and its queue: each owner's tasks in order, the owners in turn."""

    def __init__(self, name: str) -> None:
        self.thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)
        self._queue: FairQueue[SerialTask] = FairQueue(lambda task: task.owner)
        self._lock = threading.Lock()

    def add(self, task: SerialTask) -> None:
        """Queue a task."""
        with self._lock:
            self._queue.add(task)
        # One call for each task, but not bound to it: whose turn it is shows when the thread is free.
        self.thread.submit(self._run_next)

    def _run_next(self) -> None:
        with self._lock:
            task = self._queue.take()
        if task is not None:
            task.run()

    def remove(self, task: SerialTask) -> bool:
        """Take a task out of the queue, and return whether it was still there."""
        with self._lock:
            return self._queue.remove(task)

    @property
    def waiting(self) -> list[SerialTask]:
        with self._lock:
            return list(self._queue)

    def position(self, key: Any) -> int:
        """Return the place in the queue, or 0 for what runs, is done or was never queued."""
        with self._lock:
            task = next((each for each in self._queue if each.key is key), None)
            return 0 if task is None else self._queue.position(task)

    async def run(self, call: Callable[[], Answer], *, owner: str, key: Any) -> Answer:
        """Run ``call`` in its turn and return its answer.

        If the task is cancelled while it waits, it leaves the queue; if it runs already, it is waited for.
        """
        task = _SerialCall(call, owner, key)
        done = asyncio.wrap_future(task.future)
        self.add(task)
        try:
            return await asyncio.shield(done)
        except asyncio.CancelledError:
            if not self.remove(task):
                # A thread cannot be interrupted: what runs is waited for, since the caller's resources belong to it
                # until then.
                with anyio.CancelScope(shield=True):
                    await asyncio.wait([done])
                    done.exception()  # read it, or asyncio warns that nobody did
            raise


class _SerialCall:
    """A function that waits for the thread, and its answer."""

    def __init__(self, call: Callable[[], Any], owner: str, key: Any) -> None:
        self.call = call
        self.owner = owner
        self.key = key
        self.future: Future[Any] = Future()

    def run(self) -> None:
        try:
            self.future.set_result(self.call())
        except BaseException as error:
            self.future.set_exception(error)


# Two measurements at once would measure each other, and two models opened at once might not fit in memory.
MEASUREMENTS = SerialExecutor("capot-measure")
OPENINGS = SerialExecutor("capot-open")
# What takes long and computes on the engine's thread: one waits for it here, so that no stream needs a thread.
WAITING = SerialExecutor("capot-wait")
