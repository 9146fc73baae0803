"""A prompt's cost, measured: the engine counts its bytes, the system counts the process's.

The passes go to the engine directly, chunk by chunk on the engine thread, instead of
through the queue: the queue refuses texts longer than the model was trained on, and
here such lengths are wanted, because a position is only a number.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from capot.chapters.memory import process
from capot.chapters.memory.rows import Parts
from capot.engines import protocol
from capot.engines.protocol import LAST, MAX_CHUNK, NOTHING, Capability, Engine, Feed, Want, require
from capot.engines.scheduler import ENGINE_LOCK, SchedulerLike
from capot.errors import ContextError

QUICK = 0.5  # seconds spent on one length; below, a pass is repeated and the median kept
REPEATS = 5
NOTHING_HELD = Parts(0, 0, 0)


@dataclass(frozen=True)
class Measured:
    """One length, measured. ``parts`` None where the engine does not count its bytes."""

    parts: Parts | None
    process_bytes: int | None
    resident_bytes: int | None
    seconds: float
    next_token_s: float | None


@dataclass
class PassMeter:
    """The watch over one pass. ``kept`` are the logits that a pass in mode "all" holds on to.

    Some engines count an array until nobody holds it, others until they hand it over: what is
    kept and ``uncounted`` is added. Activations are counted in full, as buffers outlive a pass.
    """

    engine: Engine
    counts: bool
    base: Parts = NOTHING_HELD
    highest: Parts = NOTHING_HELD
    uncounted: int = 0
    kept: list[np.ndarray] = field(default_factory=list)

    def start(self) -> None:
        if self.counts:
            self.base = _parts(self.engine.allocations(reset_peak=True).current)

    def step_begins(self) -> None:
        if self.counts:
            current = _parts(self.engine.allocations(reset_peak=True).current)
            held = sum(array.nbytes for array in self.kept)
            # Chunks of logits that we keep still count as the engine's where it counts arrays as long as anybody holds
            # them; where it does not, they are added.
            self.uncounted = max(0, held - (current.logits - self.base.logits))

    def step_ended(self, logits: np.ndarray | None) -> None:
        """Note the engine's peak less what others hold in it, then keep this chunk's logits."""
        if self.counts:
            peak = _parts(self.engine.allocations().peak)
            kv_cache = peak.kv_cache - self.base.kv_cache
            now = Parts(kv_cache, peak.activations, peak.logits - self.base.logits + self.uncounted)
            self.highest = max(self.highest, now, key=lambda parts: parts.total)
        if logits is not None and logits.ndim == 2:
            self.kept.append(logits)


def _parts(found: Mapping[str, int]) -> Parts:
    return Parts(found.get("kv_cache", 0), found.get("activations", 0), found.get("logits", 0))


def check(engine: Engine, mode: str) -> None:
    """Refuse before anything is computed what this engine cannot give.

    Raises: CapabilityError ``capability`` where nothing says what a pass holds, or no logits of all positions.
    """
    needed = Want("all").capabilities if mode == "all" else Capability(0)
    if engine.info.device != "cpu" or process.sizes() is None:
        needed |= Capability.ALLOCATIONS
    require(engine, needed)


def warm_up(scheduler: SchedulerLike) -> None:
    """Run a first pass that nobody counts: code is compiled, files are mapped, buffers are made."""
    _once(scheduler, MAX_CHUNK, mode="last")


def measure(scheduler: SchedulerLike, tokens: int, *, mode: str) -> Measured:
    """Measure one prompt of ``tokens`` tokens; its caches are given back at the end.

    Raises: KeyboardInterrupt after Ctrl-C; ResourceError and MemoryError where there is too little memory.
    """
    seconds = []
    found = None
    # A short pass is repeated: one page fault or one other program would be a third of its time.
    while found is None or (sum(seconds) < QUICK and len(seconds) < REPEATS):
        found = _once(scheduler, tokens, mode=mode)
        seconds.append(found.seconds)
    return Measured(
        found.parts, found.process_bytes, found.resident_bytes, statistics.median(seconds), found.next_token_s
    )


def _once(scheduler: SchedulerLike, tokens: int, *, mode: str) -> Measured:
    engine = scheduler.engine
    meter = PassMeter(engine, counts=Capability.ALLOCATIONS in engine.capabilities)
    # The system's peak is reset before the pass, so that opening the model is not in it.
    watched = process.reset_peak() if engine.info.device == "cpu" else False
    before = process.sizes() if watched else None
    sequence = scheduler.call(engine.open_sequence)
    try:
        scheduler.call(meter.start)
        seconds = sum(_steps(scheduler, sequence, tokens=tokens, mode=mode, meter=meter))
        after = process.sizes() if before else None
        meter.kept.clear()
        next_token = _one_more(scheduler, sequence)
    finally:
        scheduler.call(sequence.close)
    return Measured(
        parts=meter.highest if meter.counts else None,
        process_bytes=max(0, after.peak_anonymous - before.anonymous) if before and after else None,
        resident_bytes=after.peak if after else None,
        seconds=seconds,
        next_token_s=next_token,
    )


def _steps(
    scheduler: SchedulerLike, sequence: protocol.Sequence, *, tokens: int, mode: str, meter: PassMeter
) -> Iterator[float]:
    """Yield the seconds of each chunk; between two chunks others may compute and Ctrl-C is heard."""
    vocabulary = scheduler.engine.info.vocabulary_size
    for start in range(0, tokens, MAX_CHUNK):
        stop = min(start + MAX_CHUNK, tokens)
        want = LAST if stop == tokens else NOTHING
        want = Want("all") if mode == "all" else want
        feed = Feed(sequence, prompt(start, stop, vocabulary), want)
        yield scheduler.call(partial(_step, scheduler.engine, feed, meter))


def _step(engine: Engine, feed: Feed, meter: PassMeter) -> float:
    """Run one step on the engine thread, watched and timed."""
    # The scheduler's own lock: nothing else computes while this is timed.
    with ENGINE_LOCK:
        meter.step_begins()
        began = time.perf_counter()
        output = engine.step([feed])[0]
        seconds = time.perf_counter() - began
        meter.step_ended(output.logits if output is not None else None)
    return seconds


def _one_more(scheduler: SchedulerLike, sequence: protocol.Sequence) -> float | None:
    """Return the time of one token more, all those before it being in the cache: the median of a few.

    None where the model has no position for one more.
    """
    meter = PassMeter(scheduler.engine, counts=False)
    start = len(sequence.ids)
    vocabulary = scheduler.engine.info.vocabulary_size
    feeds = [Feed(sequence, prompt(start + index, start + index + 1, vocabulary)) for index in range(REPEATS)]
    try:
        times = [scheduler.call(partial(_step, scheduler.engine, feed, meter)) for feed in feeds]
    except ContextError:
        return None
    return statistics.median(times)


def prompt(start: int, stop: int, vocabulary: int) -> list[int]:
    """Return ids for the positions from ``start`` to ``stop``: any will do, spread over the vocabulary.

    >>> prompt(0, 3, 100)
    [11, 30, 49]
    """
    # A prime stride that is larger than most vocabularies' factors: neighbours differ, and few ids repeat.
    return [(position * 7919 + 11) % vocabulary for position in range(start, stop)]
