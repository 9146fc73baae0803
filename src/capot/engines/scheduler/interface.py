"""What computes, as a chapter sees it: the scheduler itself, or one request's scope of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Protocol, TypeVar

from capot.engines.protocol import LAST, Engine, Want
from capot.engines.scheduler.job import Job, PassResult, PromptProgress, Ticket

T = TypeVar("T")


class SchedulerLike(Protocol):
    """The one thread that computes, and what may be asked of it."""

    @property
    def engine(self) -> Engine:
        """The weights at work; only that thread calls its ``step``."""

    def submit(self, job: Job) -> Ticket:
        """Queue a job."""

    def run(
        self, ids: Sequence[int], *, want: Want = LAST, owner: str = "local", progress: PromptProgress | None = None
    ) -> PassResult:
        """One pass over ``ids``, waited for. What is wanted of every position comes in one piece."""

    def call(self, function: Callable[[], T]) -> T:
        """Run ``function`` on the engine thread between two steps, and answer what it returns."""

    def holding(self, nbytes: int) -> AbstractContextManager[None]:
        """Inside the block the caller computes by ``call``, and holds ``nbytes`` that no job counts."""
