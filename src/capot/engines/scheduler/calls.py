"""Wait for the engine thread: for one pass, or for a function that runs on it."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar, cast

from capot.engines.edits import Edit
from capot.engines.protocol import LAST, Output, Want
from capot.engines.scheduler.ctrl_c import cancel_on_ctrl_c
from capot.engines.scheduler.job import Job, PassResult, PromptProgress, Ticket

T = TypeVar("T")


class OnePass(Job):
    """A job that ends with its first output."""

    found: PassResult | None = None

    def advance(self, output: Output, pass_: PassResult) -> None:
        self.found = pass_


def one_pass(
    submit: Callable[[Job], Ticket],
    ids: Sequence[int],
    *,
    want: Want = LAST,
    owner: str = "local",
    progress: PromptProgress | None = None,
    edits: Sequence[Edit] = (),
) -> PassResult:
    """Submit one pass over ``ids`` and wait for it; ``progress`` is called on the thread that waits.

    Raises: InterruptedByUser after Ctrl-C; what ``submit`` raises; the engine's errors.
    """
    # The engine thread only notes how far it is; a callback of a user's, which may be slow or raise, runs on the thread
    # that waits.
    reported: deque[tuple[int, int]] = deque()
    report = None if progress is None else lambda done, total: reported.append((done, total))
    job = OnePass(ids, want=want, owner=owner, progress=report, edits=edits)
    ticket = submit(job)
    with cancel_on_ctrl_c(ticket.cancel):
        over = False
        while not over:
            # Wakes up five times a second: Python handles Ctrl-C between two waits only.
            over = ticket.wait(0.2)
            _tell(reported, progress, ticket)
    if ticket.error is not None:
        raise ticket.error
    assert job.found is not None
    return job.found


def _tell(reported: deque[tuple[int, int]], progress: PromptProgress | None, ticket: Ticket) -> None:
    """Hand on what was noted; where its hearer fails, the pass is not wanted any more."""
    while reported and progress is not None:
        try:
            progress(*reported.popleft())
        except BaseException:
            ticket.cancel()
            raise


class Call(Generic[T]):
    """A function to run on the engine thread, and its answer or its error."""

    def __init__(self, function: Callable[[], T]) -> None:
        self.function = function
        self.over = threading.Event()
        self.value: T | None = None
        self.error: BaseException | None = None

    def __call__(self) -> None:
        try:
            self.value = self.function()
        # Also KeyboardInterrupt and SystemExit: they belong to whoever called, and must not end the engine thread.
        except BaseException as error:
            self.error = error
        finally:
            self.over.set()

    def answer(self) -> T:
        if self.error is not None:
            raise self.error
        return cast(T, self.value)
