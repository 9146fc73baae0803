"""Say what a chapter may ask of the scheduler, or of one request's scope of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Protocol, TypeVar

from capot.engines.edits import Edit
from capot.engines.protocol import LAST, Engine, Want
from capot.engines.scheduler.job import Job, PassResult, PromptProgress, Ticket

T = TypeVar("T")


class SchedulerLike(Protocol):
    """The one thread that computes, and what may be asked of it."""

    @property
    def engine(self) -> Engine:
        """Return the engine. Only the scheduler's thread calls its ``step``."""

    def submit(self, job: Job) -> Ticket:
        """Queue a job."""

    def run(
        self,
        ids: Sequence[int],
        *,
        want: Want = LAST,
        owner: str = "local",
        progress: PromptProgress | None = None,
        edits: Sequence[Edit] = (),
    ) -> PassResult:
        """Compute one pass over ``ids`` and wait for it. Outputs of every position come as one array."""

    def call(self, function: Callable[[], T]) -> T:
        """Run ``function`` on the engine thread between two steps, and return its answer."""

    def holding(self, nbytes: int) -> AbstractContextManager[None]:
        """Count ``nbytes`` that the caller of ``call`` holds inside the block, and that no job counts."""
