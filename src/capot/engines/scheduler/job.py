"""Define a job, the ticket that its owner holds, and the collection of a long prompt's outputs."""

from __future__ import annotations

import dataclasses
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np

from capot.engines import protocol
from capot.engines.edits import Edit
from capot.engines.inside import InsideFound, joined
from capot.engines.protocol import LAST, NOTHING, Feed, Output, Want

if TYPE_CHECKING:
    from capot.engines.seen import Bill, ChosenToken

_log = logging.getLogger("capot.engines.scheduler")
PromptProgress = Callable[[int, int], None]  # tokens read, tokens to read; called on the engine thread


@dataclass(frozen=True)
class PassResult:
    """What one advance computed, and at what cost. Units: ``seconds`` of engine time, waits left out."""

    output: Output
    reused_tokens: int  # found in a cache instead of computed
    computed_tokens: int  # computed since the last advance
    seconds: float


class Job:
    """A text to compute. ``ids`` must all be in the cache before the first ``advance``.

    ``room`` is how many tokens may follow (memory is set aside for them); ``progress``
    hears about each chunk of the prompt. ``edits`` are made in every pass; a job that has some begins with an empty
    cache and leaves none.
    """

    def __init__(
        self,
        ids: Sequence[int],
        *,
        want: Want = LAST,
        owner: str = "local",
        room: int = 0,
        progress: PromptProgress | None = None,
        edits: Sequence[Edit] = (),
    ) -> None:
        self.ids = list(ids)
        self.want = want
        self.owner = owner
        self.room = room
        self.progress = progress
        self.edits = tuple(edits)

    def advance(self, output: Output, pass_: PassResult) -> Sequence[int] | None:
        """Return the ids to append, or None to finish. Runs on the engine thread: be brief."""
        return None

    def failed(self, error: Exception) -> None:
        """Take the engine's error, or InterruptedByUser after a cancellation. Runs on the engine thread."""


@dataclass(frozen=True)
class Drawing:
    """How an engine that WRITES by itself draws tokens. ``top``: how many it tells at each step, if it can."""

    temperature: float
    top_k: int
    top_p: float
    min_p: float
    seed: int
    tokens: int
    stop: tuple[str, ...]
    top: int


class WrittenJob(Job):
    """A text whose tokens the engine draws. What it is told runs on a thread of the engine: be brief."""

    @property
    def drawing(self) -> Drawing:
        """Return how the engine is to draw."""
        raise NotImplementedError

    def begun(self, seconds: float) -> None:
        """Hear that the prompt has been read. Units: ``seconds`` since the request."""

    def took(self, text: str, tokens: Sequence[ChosenToken], *, seconds: float, last: bool) -> bool:
        """Take what is new, ``last`` where the engine goes no further; return whether the text is to go on.

        Once it is not, nothing more is told. A server may hold back the text of a token: ``text`` and ``tokens`` need
        not spell each other.
        """
        return True

    def ended(self, finish: str, *, stop: str | None, bill: Bill | None) -> None:
        """Hear why the engine ended the text: ``stop``, where it says so at which of the stop texts, or ``length``."""


class TicketQueue(Protocol):
    """What a ticket asks of its scheduler."""

    @property
    def engine(self) -> protocol.Engine:
        """Return the weights at work."""

    @property
    def cancellations(self) -> deque[Ticket]:
        """Return where a ticket puts itself that is to end."""

    def position_of(self, ticket: Ticket) -> int:
        """Return 0 when at work or done, else the place in the queue."""


class Ticket:
    """A job in the queue or running. Its holder waits for it or cancels it; the engine thread does the rest."""

    def __init__(self, scheduler: TicketQueue, job: Job) -> None:
        self.job = job
        self.error: Exception | None = None
        self._scheduler = scheduler
        self._sequence: protocol.Sequence | None = None  # None until the job is at work
        self._pending = list(job.ids)  # what must be computed before the next advance
        self._fed = 0  # how many of them are
        self._gathered: ChunkedOutput | None = None
        self._reused = 0
        self._seconds = 0.0
        self._cancelled = False
        # An event and no future: the answer is the job's, the ticket only says that it has come.
        self._over = threading.Event()

    @property
    def done(self) -> bool:
        return self._over.is_set()

    @property
    def cancelled(self) -> bool:
        """Return whether it ends at the next step, if it has not ended."""
        return self._cancelled

    @property
    def position(self) -> int:
        """Return the place in the queue, or 0 if it runs or is done."""
        return self._scheduler.position_of(self)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for the end, and return whether it came. Wakes up often, so that Ctrl-C is handled."""
        limit = None if timeout is None else time.monotonic() + timeout
        while not self._over.wait(0.2 if limit is None else max(0.0, min(0.2, limit - time.monotonic()))):
            if limit is not None and time.monotonic() >= limit:
                return self.done
        return True

    def cancel(self) -> None:
        """End the job at the next step. Takes no lock: a signal handler may call it."""
        self._cancelled = True
        sequence = self._sequence
        # Set on the sequence as well: the engine looks at it inside of a step, and a chunk of a long prompt may take
        # seconds.
        if sequence is not None and len(self._pending) > 1:  # in mid-prompt: the chunk need not end
            sequence.cancel()
        self._scheduler.cancellations.append(self)

    # What only the engine thread calls, or whoever holds the scheduler's lock.

    @property
    def begun(self) -> bool:
        """Return whether it has a sequence, as it has between its start and its end."""
        return self._sequence is not None

    @property
    def left(self) -> int:
        """Return the tokens to compute before the next advance."""
        return len(self._pending) - self._fed

    @property
    def nbytes(self) -> int:
        """Return the bytes of its cache."""
        return self._sequence.nbytes if self._sequence is not None else 0

    @property
    def cached(self) -> int:
        """Return the tokens whose keys and values are in its cache."""
        return len(self._sequence.ids) if self._sequence is not None else 0

    def begin(self, sequence: protocol.Sequence, *, shared: int) -> None:
        """Start on a sequence whose cache holds the first ``shared`` tokens already."""
        self._pending = self.job.ids[shared:]
        self._reused = shared
        self._sequence = sequence

    def feed(self, size: int) -> Feed:
        """Return the next chunk. Outputs of the last position are asked of the last chunk only."""
        want = self.job.want
        info = self._scheduler.engine.info
        # What is wanted of every position (hidden states, attention) is held until the end, so chunks are smaller.
        size = want.tokens(size, layers=info.layers, vocabulary=info.vocabulary_size)
        ids = self._pending[self._fed : self._fed + size]
        last = self._fed + len(ids) == len(self._pending)
        if not last:
            # What only the last position gives is asked once, of the last chunk: the head over a chunk of 256 would
            # cost more than its layers.
            logits: Literal["all", "none"] = "all" if want.logits == "all" else "none"
            inside = None if want.inside is None else want.inside.before_last()
            want = Want(logits, want.hidden, want.attention, inside=inside) if want.positions else NOTHING
        assert self._sequence is not None  # only a ticket at work is fed
        return Feed(self._sequence, ids, want, self.job.edits)

    def took(self, seconds: float) -> None:
        """Add a step's engine time."""
        self._seconds += seconds

    def absorb(self, feed: Feed, output: Output) -> PassResult | None:
        """Take one chunk's output, and return the whole once all chunks are in."""
        self._fed += len(feed.ids)
        complete = self._fed == len(self._pending)
        # Logits that somebody reads chunk by chunk are let go at once: T x V of them would fill memory.
        if self.job.want.on_logits is not None and output.logits is not None and output.logits.ndim == 2:
            self.job.want.on_logits(len(feed.sequence.ids) - len(feed.ids), output.logits)
            output = dataclasses.replace(output, logits=None)
        # One chunk alone is the answer as it is; several are gathered.
        if self.job.want.positions and not (complete and self._gathered is None):
            self._gathered = self._gathered or ChunkedOutput(len(self._pending), len(feed.sequence.ids) - len(feed.ids))
            self._gathered.add(output, len(feed.ids))
            output, self._gathered = self._gathered.output, None if complete else self._gathered
        return PassResult(output, self._reused, len(self._pending), self._seconds) if complete else None

    def read(self) -> tuple[int, int] | None:
        """Return the cached tokens of a prompt and all of them, or None while it decodes token by token."""
        if len(self._pending) == 1:
            return None
        return self.cached, self.cached + self.left

    def go_on(self, ids: Sequence[int]) -> None:
        """Set the ids to compute before the next advance."""
        self._pending = list(ids)
        self._fed = 0
        self._seconds = 0.0

    def release(self) -> protocol.Sequence | None:
        """Let go of its sequence, and return it."""
        sequence, self._sequence = self._sequence, None
        return sequence

    def end(self, error: Exception | None) -> None:
        """Report an error to the job, and wake up whoever waits for the end."""
        self.error = error
        if error is not None:
            try:
                self.job.failed(error)
            except Exception:
                _log.exception("failed")
        self._over.set()


class ChunkedOutput:
    """Collect the outputs of several chunks in arrays of the final size, so that nothing is held twice.

    Attention of an early chunk has fewer columns (S) than that of the last. The rest is 0.
    """

    def __init__(self, tokens: int, start: int) -> None:
        self.tokens = tokens
        self.start = start
        self.filled = 0
        self.output = Output()
        self._inside: list[InsideFound] = []

    def add(self, output: Output, count: int) -> None:
        rows = slice(self.filled, self.filled + count)
        logits = output.logits
        hidden = self.output.hidden
        attention = self.output.attention
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
        if output.inside is not None:
            self._inside.append(output.inside)
        inside = joined(self._inside) if self._inside and self.filled == self.tokens else None
        self.output = Output(logits, hidden, attention, output.layer_logits, inside)

    @staticmethod
    def _room(array: np.ndarray | None, shape: tuple[int, ...]) -> np.ndarray:
        return np.zeros(shape, np.float32) if array is None else array
