"""A job, the ticket its owner holds, and the gathering of a long prompt's outputs."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

from capot.engines import protocol
from capot.engines.protocol import LAST, NOTHING, Feed, Output, Want

PromptProgress = Callable[[int, int], None]  # tokens read, tokens to read; called on the engine thread


@dataclass(frozen=True)
class Pass:
    """What one advance cost and found. Units: ``seconds`` of engine time, waiting left out."""

    output: Output
    reused_tokens: int  # found in a cache instead of computed
    computed_tokens: int  # computed since the last advance
    seconds: float


class Job:
    """A text to compute. ``ids`` must all be in the cache before the first ``advance``.

    ``room`` is how many tokens may follow (memory is set aside for them); ``progress``
    hears about each chunk of the prompt.
    """

    def __init__(
        self,
        ids: Sequence[int],
        *,
        want: Want = LAST,
        owner: str = "local",
        room: int = 0,
        progress: PromptProgress | None = None,
    ) -> None:
        self.ids, self.want, self.owner, self.room, self.progress = list(ids), want, owner, room, progress

    def advance(self, output: Output, pass_: Pass) -> Sequence[int] | None:
        """Answer the ids to append, None when finished. Called on the engine thread: be brief."""
        return None

    def failed(self, error: Exception) -> None:
        """The engine's error, or InterruptedByUser after a cancellation. On the engine thread."""


class Keeper(Protocol):
    """What a ticket asks of the scheduler that keeps it."""

    cancellations: deque[Ticket]

    def position_of(self, ticket: Ticket) -> int:
        """0 when at work or done, else the place in the queue."""


class Ticket:
    """A job in the queue or at work."""

    def __init__(self, scheduler: Keeper, job: Job) -> None:
        self.job = job
        self.error: Exception | None = None
        self._scheduler = scheduler
        self._sequence: protocol.Sequence | None = None  # None until the job is at work
        self._pending = list(job.ids)  # what must be computed before the next advance
        self._fed = 0  # how many of them are
        self._gathered: Gathered | None = None
        self._reused = 0
        self._seconds = 0.0
        self._cancelled = False
        self._over = threading.Event()

    @property
    def done(self) -> bool:
        return self._over.is_set()

    @property
    def cancelled(self) -> bool:
        """Whether it ends at the next step, if it has not ended."""
        return self._cancelled

    @property
    def position(self) -> int:
        """0 when at work or done, else the place in the queue."""
        return self._scheduler.position_of(self)

    @property
    def cached(self) -> int:
        """Tokens whose keys and values are in its cache; 0 while it waits, and once it has ended."""
        return len(self._sequence.ids) if self._sequence is not None else 0

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for the end; whether it came. Returns often, so that Ctrl-C is heard everywhere."""
        limit = None if timeout is None else time.monotonic() + timeout
        while not self._over.wait(0.2 if limit is None else max(0.0, min(0.2, limit - time.monotonic()))):
            if limit is not None and time.monotonic() >= limit:
                return self.done
        return True

    def cancel(self) -> None:
        """End the job at the next step. Takes no lock: a signal handler may call it."""
        self._cancelled = True
        sequence = self._sequence
        if sequence is not None and len(self._pending) > 1:  # in mid-prompt: the chunk need not end
            sequence.cancel()
        self._scheduler.cancellations.append(self)

    def _feed(self, size: int) -> Feed:
        """The next chunk; what is wanted of the last position is asked of the last chunk only."""
        ids = self._pending[self._fed : self._fed + size]
        want, last = self.job.want, self._fed + len(ids) == len(self._pending)
        if not last:
            logits: Literal["all", "none"] = "all" if want.logits == "all" else "none"
            want = Want(logits, hidden=want.hidden, attention=want.attention) if want.positions else NOTHING
        assert self._sequence is not None  # only a ticket at work is fed
        return Feed(self._sequence, ids, want)

    def _absorb(self, feed: Feed, output: Output) -> Output | None:
        """Take in one chunk's output; the whole output once all chunks are in."""
        self._fed += len(feed.ids)
        complete = self._fed == len(self._pending)
        if self.job.want.positions and not (complete and self._gathered is None):
            self._gathered = self._gathered or Gathered(len(self._pending), len(feed.sequence.ids) - len(feed.ids))
            self._gathered.add(output, len(feed.ids))
            output, self._gathered = self._gathered.output, None if complete else self._gathered
        return output if complete else None


class Gathered:
    """The outputs of several chunks in arrays of the final size, so that nothing is held twice.

    Attention of an early chunk has fewer columns (S) than that of the last: the rest is 0.
    """

    def __init__(self, tokens: int, start: int) -> None:
        self.tokens, self.start, self.filled = tokens, start, 0
        self.output = Output()

    def add(self, output: Output, count: int) -> None:
        rows = slice(self.filled, self.filled + count)
        logits, hidden, attention = output.logits, self.output.hidden, self.output.attention
        if output.logits is not None and output.logits.ndim == 2:
            logits = self._room(self.output.logits, (self.tokens, output.logits.shape[-1]))
            logits[rows] = output.logits
        if output.hidden is not None:
            layers, _, width = output.hidden.shape
            hidden = self._room(hidden, (layers, self.tokens, width))
            hidden[:, rows] = output.hidden
        if output.attention is not None:
            layers, heads, _, seen = output.attention.shape
            attention = self._room(attention, (layers, heads, self.tokens, self.start + self.tokens))
            attention[:, :, rows, :seen] = output.attention
        self.filled += count
        self.output = Output(logits, hidden, attention, output.layer_logits)

    @staticmethod
    def _room(array: np.ndarray | None, shape: tuple[int, ...]) -> np.ndarray:
        return np.zeros(shape, np.float32) if array is None else array
