"""Run work that may never end in child processes, so that the lab can kill it.

A call into a C library may hold Python's global lock for as long as it lasts, and no other thread can interrupt it.
A process can be killed. The lab's own process only waits on a thread.

The pool is fair to its learners:

* A learner has one worker at most, so nobody takes all of them.
* The first to come is served first. A learner whose last task had to be stopped waits until nobody else does, and
  all of these learners share one worker.
* A worker that was killed is replaced at once, so that it starts while nobody waits for it.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from capot.errors import BusyError, CapotError, InterruptedByUser, os_reason
from capot.web.worker_process import WorkerProcess

# Two: one for the learners whose tasks had to be stopped, and always one for everybody else.
POOL_SIZE = 2
# Many times what a start takes on a busy machine: a slow start must not be taken for a broken worker.
START_TIMEOUT_S = 60.0
# Workers' time that one request may use: a conversation tokenizes and renders at every turn.
REQUEST_BUDGET_S = 30.0
MAX_REMEMBERED = 1000  # learners whose last task had to be stopped


@dataclass(frozen=True)
class PoolErrors:
    """Make the errors of one kind of work: it took too long, it broke its worker, no worker could be started."""

    timed_out: Callable[[], CapotError]
    crashed: Callable[[], CapotError]
    unavailable: Callable[[Any], CapotError]


class WorkerTask:
    """One line sent to a worker on behalf of ``owner``, and why it was ended, if it was.

    ``setup`` is a line that the worker must have received before, and whose effect it keeps.
    """

    def __init__(self, owner: str, line: bytes, *, max_bytes: int, seconds: float, setup: bytes = b"") -> None:
        self.owner = owner
        self.line = line
        self.setup = setup
        self.max_bytes = max_bytes
        self.seconds = seconds
        self.end_reason = ""  # "left", "late" or "closed"
        self.busy_s = 0.0  # how long a worker was at work on it
        self._worker: WorkerProcess | None = None
        self._lock = threading.Lock()

    def end(self, why: str) -> None:
        """End the task from any thread, and kill the worker that runs it."""
        with self._lock:
            self.end_reason = self.end_reason or why
            if self._worker is not None:
                self._worker.kill()

    @contextlib.contextmanager
    def running_on(self, worker: WorkerProcess) -> Iterator[None]:
        """Let ``end`` kill ``worker`` for as long as the block lasts."""
        with self._lock:
            self._worker = worker
            if self.end_reason:
                worker.kill()
        begin = time.monotonic()
        try:
            yield
        finally:
            self.busy_s = time.monotonic() - begin
            # Under the lock, so that a late ``end`` never kills the worker of the next task.
            with self._lock:
                self._worker = None


class WorkerSlot:
    """A place for one worker. Its methods are for the thread whose task holds the slot."""

    def __init__(self, start: Callable[[], WorkerProcess], errors: PoolErrors) -> None:
        self._start = start
        self._errors = errors
        self.worker: WorkerProcess | None = None
        self.task: WorkerTask | None = None

    def run(self, task: WorkerTask) -> bytes:
        """Return the worker's answer, or nothing if the worker ended first. Raises: ``PoolErrors.unavailable``."""
        worker = self._started()
        # A late end of an earlier task must not reach this worker, an end of this one must.
        with task.running_on(worker):
            # Only a start, or another tokenizer to load, is waited for with the long deadline.
            with contextlib.nullcontext() if worker.ready and not task.setup else self._deadline(task, START_TIMEOUT_S):
                ready = worker.wait_ready(task.setup)
            if ready:
                with self._deadline(task, task.seconds):
                    return worker.exchange(task.line, max_bytes=task.max_bytes)
        if not task.end_reason:
            raise self._errors.unavailable(f"exit {self.stop()}")
        return b""

    def _started(self) -> WorkerProcess:
        # The system may have killed an idle worker, for its memory say: that is no fault of this task's.
        if self.worker is not None and not self.worker.alive:
            self.stop()
        if self.worker is None:
            try:
                self.worker = self._start()
            except OSError as error:
                raise self._errors.unavailable(os_reason(error)) from None
        return self.worker

    @staticmethod
    @contextlib.contextmanager
    def _deadline(task: WorkerTask, seconds: float) -> Iterator[None]:
        alarm = threading.Timer(seconds, task.end, ["late"])
        alarm.daemon = True
        alarm.start()
        try:
            yield
        finally:
            alarm.cancel()

    def stop(self) -> int | None:
        """Stop the worker and return its exit code, or None if there was none."""
        worker, self.worker = self.worker, None
        return None if worker is None else worker.stop()

    def restart(self) -> None:
        """Replace the worker. If none can be started, the next task reports it."""
        self.stop()
        with contextlib.suppress(OSError):
            self.worker = self._start()


class WorkerPool:
    """The lab's workers for one kind of work. None is started before its first task."""

    errors: PoolErrors
    process_type: type[WorkerProcess] = WorkerProcess

    def __init__(self, *, size: int = POOL_SIZE, start: Callable[[], WorkerProcess] | None = None) -> None:
        self.slots = [WorkerSlot(start or self.process_type, self.errors) for _ in range(size)]
        self.waiting: list[WorkerTask] = []
        self._stopped_owners: OrderedDict[str, None] = OrderedDict()  # whose last task had to be stopped
        self._closed = False
        self._changed = threading.Condition()

    def run(self, task: WorkerTask) -> Mapping[str, Any]:
        """Wait for a free worker and return its answer.

        Raises: one of ``errors``; InterruptedByUser if the task's learner left; BusyError ``closed``.
        """
        slot = self._acquire(task)
        failed = False
        try:
            answer = _parse_answer(slot.run(task))
            failed = answer is None or str(answer.get("code")).endswith("_too_costly")
            if (answer is None or answer.get("worn") or task.end_reason) and not self._closed:
                # A process that was killed, or says that it is worn, must not be met by the next task.
                slot.restart()
            if answer is None:
                raise self._error_of(task)
            return answer
        finally:
            self._release(slot, task, failed=failed)

    def end(self, task: WorkerTask, why: str = "left") -> None:
        """End a task, running or waiting."""
        task.end(why)
        with self._changed:
            self._changed.notify_all()

    def close(self) -> None:
        """End every task and every worker, and wait until they are gone. Closing twice is harmless."""
        with self._changed:
            self._closed = True
            tasks = [*self.waiting, *(slot.task for slot in self.slots if slot.task is not None)]
        for task in tasks:
            self.end(task, "closed")
        with self._changed:
            self._changed.wait_for(lambda: not any(slot.task for slot in self.slots))
            for slot in self.slots:
                slot.stop()

    def _acquire(self, task: WorkerTask) -> WorkerSlot:
        with self._changed:
            self.waiting.append(task)
            try:
                self._changed.wait_for(lambda: self._closed or task.end_reason or self._next_task() is task)
                if self._closed:
                    task.end("closed")
                if task.end_reason:
                    raise self._error_of(task)
                slot = next(slot for slot in self.slots if slot.task is None)
                slot.task = task
                return slot
            finally:
                self.waiting.remove(task)
                self._changed.notify_all()  # another task may be the next one now

    def _next_task(self) -> WorkerTask | None:
        """Return the task to run next, if a slot is free and somebody may have it."""
        served = {slot.task.owner for slot in self.slots if slot.task is not None}
        if len(served) == len(self.slots):
            return None
        # Learners whose tasks had to be stopped share one slot, so that they never hold up all the others.
        one_stopped = any(owner in self._stopped_owners for owner in served)
        candidates = [task for task in self.waiting if task.owner not in served]
        trusted = [task for task in candidates if task.owner not in self._stopped_owners]
        return next(iter(trusted or ([] if one_stopped else candidates)), None)

    def _release(self, slot: WorkerSlot, task: WorkerTask, *, failed: bool) -> None:
        with self._changed:
            self._stopped_owners.pop(task.owner, None)
            if failed:
                self._stopped_owners[task.owner] = None
                while len(self._stopped_owners) > MAX_REMEMBERED:
                    self._stopped_owners.popitem(last=False)
            slot.task = None
            if self._closed:
                slot.stop()
            self._changed.notify_all()

    def _error_of(self, task: WorkerTask) -> CapotError:
        if task.end_reason == "late":
            return self.errors.timed_out()
        if task.end_reason == "left":
            return InterruptedByUser("interrupted")
        return self.errors.crashed() if task.end_reason == "" else BusyError("closed")


def _parse_answer(line: bytes) -> dict[str, Any] | None:
    """Read a worker's answer. A worker that a template or a tokenizer broke may write anything: None then."""
    try:
        answer = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return answer if isinstance(answer, dict) else None


class PoolClient:
    """One request's use of a pool: a budget of time, and tasks that end when the learner leaves."""

    def __init__(self, pool: WorkerPool, owner: str) -> None:
        self._pool = pool
        self._owner = owner
        self._left = False
        self._budget_s = REQUEST_BUDGET_S
        self._tasks: set[WorkerTask] = set()

    @contextlib.contextmanager
    def task(self, line: bytes, *, max_bytes: int, seconds: float, setup: bytes = b"") -> Iterator[WorkerTask]:
        """Make a task of this request, for as long as the block lasts.

        Raises: ``PoolErrors.timed_out`` once the request has used its budget.
        """
        if self._budget_s <= 0:
            raise self._pool.errors.timed_out()
        seconds = min(seconds, self._budget_s)
        task = WorkerTask(self._owner, line, max_bytes=max_bytes, seconds=seconds, setup=setup)
        self._tasks.add(task)
        try:
            if self._left:
                task.end("left")
            yield task
        finally:
            self._tasks.discard(task)
            self._budget_s -= task.busy_s

    def cancel(self) -> None:
        """End this request's tasks from any thread: those that run, and those still to come."""
        self._left = True
        for task in list(self._tasks):
            self._pool.end(task)
