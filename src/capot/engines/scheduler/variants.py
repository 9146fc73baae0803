"""Compute one text, then much of it again in many variants, several in a pass.

A variant differs from the text by edits, from a position and a layer on. Where the engine allows it (BRANCHES) nothing
else is computed again: a branch takes the keys and values of the tokens before, and what left the layers below is
given. Elsewhere a variant is the whole text with its edits.

The caches are the caller's own: nothing here is taken from those that wait for a prompt, and nothing is left there.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import cast

import numpy as np

from capot.engines import protocol
from capot.engines.cancellation import check_cancelled
from capot.engines.edits import Edit, Entry
from capot.engines.protocol import MAX_CHUNK, BranchingEngine, Capability, Feed, Output, Want, require, touching
from capot.engines.scheduler.ctrl_c import cancel_on_ctrl_c
from capot.engines.scheduler.interface import SchedulerLike
from capot.engines.scheduler.prefill_budget import MAX_BATCH
from capot.engines.scheduler.thread import ENGINE_LOCK
from capot.errors import InterruptedByUser


@dataclass(frozen=True)
class Variant:
    """A text as another one is until ``position``, and above it as far as what leaves ``level``."""

    edits: tuple[Edit, ...]
    level: int
    position: int


class Variants:
    """One text and its variants, inside a ``with`` block. ``logits`` are the text's own. Shapes: (V,)."""

    def __init__(self, scheduler: SchedulerLike, ids: Sequence[int]) -> None:
        self._scheduler = scheduler
        self._engine = scheduler.engine
        self._ids = list(ids)
        # Where the engine branches, a variant costs the tokens from its edit on and the layers above it; elsewhere all.
        self.branches = Capability.BRANCHES in self._engine.capabilities
        self.passes = 0  # over the weights
        self.logits = np.empty(0, np.float32)
        self._levels = np.empty((0, 0, 0), np.float32)  # what leaves each layer, where branches begin there
        self._sequence: protocol.Sequence | None = None
        self._stopped = threading.Event()

    def rows(self, variant: Variant) -> int:
        """Return how many tokens are computed for a variant."""
        return len(self._ids) - variant.position if self.branches else len(self._ids)

    def nbytes(self) -> int:
        """Return what is held at most."""
        info = self._engine.info
        tokens = len(self._ids)
        levels = (info.layers + 1) * tokens * info.width if self.branches else 0
        logits = MAX_BATCH * info.vocabulary_size
        return (1 + self._most()) * self._engine.cache_bytes(tokens) + 4 * (levels + logits)

    def _most(self) -> int:
        """Return how many variants share a pass at most: no more tokens together than one step takes."""
        return min(MAX_BATCH, MAX_CHUNK if self.branches else max(1, MAX_CHUNK // len(self._ids)))

    def __enter__(self) -> Variants:
        # What leaves each layer is kept once, of the text itself: every branch begins with some of it.
        want = Want(hidden=True) if self.branches else Want()
        self._sequence = self._scheduler.call(self._engine.open_sequence)
        try:
            outputs = [self._chunk(start, want) for start in range(0, len(self._ids), MAX_CHUNK)]
        except BaseException:
            self._close([self._sequence])
            raise
        assert outputs[-1].logits is not None  # it was asked for
        self.logits = outputs[-1].logits
        if self.branches:
            self._levels = np.concatenate([output.hidden for output in outputs if output.hidden is not None], axis=1)
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        assert self._sequence is not None  # the block was entered
        self._close([self._sequence])

    def _close(self, sequences: Sequence[protocol.Sequence]) -> None:
        """Give caches back, whether the answer is still wanted or not."""

        def close() -> None:
            for sequence in sequences:
                sequence.close()

        try:
            self._scheduler.call(close)
        except InterruptedByUser:  # the first call after a cancellation is refused, those that clean up are not
            self._scheduler.call(close)

    def _chunk(self, start: int, want: Want) -> Output:
        assert self._sequence is not None  # inside the block
        feed = Feed(self._sequence, self._ids[start : start + MAX_CHUNK], want)
        return self._pass([feed])[0]

    def _pass(self, feeds: list[Feed]) -> list[Output]:
        """Run one pass, unless the answer is not wanted any more; others' work goes on between two."""
        check_cancelled()
        if self._stopped.is_set():
            raise InterruptedByUser("interrupted")
        return self._scheduler.call(lambda: self._step(feeds))

    def _step(self, feeds: list[Feed]) -> list[Output]:
        """Run one pass, on the engine's thread."""
        self.passes += 1
        with ENGINE_LOCK:
            outputs = self._engine.step(feeds)
        return [output for output in outputs if output is not None]

    # ------------------------------------------------------------ variants

    def read(self, variants: Sequence[Variant]) -> Iterator[np.ndarray]:
        """Yield the logits of each variant's last token, in their order. Shapes: (V,) each.

        Raises: CapabilityError ``capability``; InterruptedByUser after Ctrl-C.
        """
        require(self._engine, touching(edit.place for variant in variants for edit in variant.edits))
        with cancel_on_ctrl_c(self._stopped.set):
            for batch in self._batches(variants):
                yield from self._together(batch)

    def _batches(self, variants: Sequence[Variant]) -> Iterator[list[Variant]]:
        """Yield neighbours that begin at the same layer, as many as one step takes."""
        batch: list[Variant] = []
        rows = 0
        for variant in variants:
            more = self.rows(variant)
            # Neighbours only, in the order they came: the answers are yielded in that order, one batch at a time.
            alike = not self.branches or not batch or batch[0].level == variant.level
            if batch and (not alike or rows + more > MAX_CHUNK or len(batch) == MAX_BATCH):
                yield batch
                batch = []
                rows = 0
            batch.append(variant)
            rows += more
        if batch:
            yield batch

    def _together(self, batch: list[Variant]) -> list[np.ndarray]:
        """Return the logits of a batch; what it leaves is closed, whatever happens. Shapes: (V,) each."""
        sequences = self._scheduler.call(lambda: [self._sequence_of(variant) for variant in batch])
        try:
            size = min(MAX_CHUNK, max(map(self.rows, batch)))
            found = list[Output]()
            for start in range(0, max(map(self.rows, batch)), size):  # several steps for one long text alone
                pairs = zip(batch, sequences, strict=True)
                found = self._pass([self._feed(variant, each, start=start, size=size) for variant, each in pairs])
            return [output.logits for output in found if output.logits is not None]
        finally:
            self._close(sequences)

    def _sequence_of(self, variant: Variant) -> protocol.Sequence:
        if not self.branches:
            return self._engine.open_sequence()
        assert self._sequence is not None  # inside the block
        return cast(BranchingEngine, self._engine).branch(self._sequence, variant.position, level=variant.level)

    def _feed(self, variant: Variant, sequence: protocol.Sequence, *, start: int, size: int) -> Feed:
        first = start + (variant.position if self.branches else 0)
        ids = self._ids[first : first + size]
        entry = Entry(variant.level, self._levels[variant.level, first : first + size]) if self.branches else None
        return Feed(sequence, ids, Want(), variant.edits, entry)
