"""What a caller waits for: one pass, or a function run on the engine's thread."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar, cast

from capot.engines.protocol import LAST, Output, Want
from capot.engines.scheduler.interrupts import stopping
from capot.engines.scheduler.job import Job, Pass, PromptProgress, Ticket

T = TypeVar("T")


class OnePass(Job):
    """A job that ends with its first output."""

    found: Pass | None = None

    def advance(self, output: Output, pass_: Pass) -> None:
        self.found = pass_


def one_pass(
    submit: Callable[[Job], Ticket],
    ids: Sequence[int],
    *,
    want: Want = LAST,
    owner: str = "local",
    progress: PromptProgress | None = None,
) -> Pass:
    """Submit one pass over ``ids`` and wait for it.

    Raises: InterruptedByUser after Ctrl-C; what ``submit`` raises; the engine's errors.
    """
    job = OnePass(ids, want=want, owner=owner, progress=progress)
    ticket = submit(job)
    with stopping(ticket.cancel):
        while not ticket.wait(0.2):
            pass
    if ticket.error is not None:
        raise ticket.error
    assert job.found is not None
    return job.found


class Call(Generic[T]):
    """A function, its answer or its error, and the moment it is known."""

    def __init__(self, function: Callable[[], T]) -> None:
        self.function, self.over = function, threading.Event()
        self.value: T | None = None
        self.error: BaseException | None = None

    def __call__(self) -> None:
        try:
            self.value = self.function()
        except BaseException as error:
            self.error = error
        finally:
            self.over.set()

    def answer(self) -> T:
        if self.error is not None:
            raise self.error
        return cast(T, self.value)
