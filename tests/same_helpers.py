"""Texts computed in pieces, in company, cropped, forked and cancelled, each against the same one token at a time."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
from collections.abc import Iterable, Iterator
from typing import Any

import native_helpers as tiny
import numba
import numpy as np
from hypothesis import strategies as st

from capot.engines.protocol import NOTHING, Engine, Feed, Output, Want

ALL, EVERY = Want(logits="all"), Want(logits="all", hidden=True, attention=True, layer_logits=True)
TEXTS = [tiny.prompt(150, seed=seed) for seed in range(3)]  # longer than the window and than two blocks of a cache
SIZES = (1, 1, 2, 3, 6, 7, 17, 64, 65, 100)  # tokens of one piece: about the widths of tiles, blocks, chunks


@dataclasses.dataclass(frozen=True)
class Piece:
    """What one text does in a pass: perhaps forget some of itself, then read on, in its own words or another's."""

    who: int
    size: int
    want: Want
    keep: float = 1.0  # the share of it that is not cropped
    words: int | None = None  # whose words follow; its own where None
    cancelled: bool = False


WANTS = st.builds(Want, st.sampled_from(["last", "all", "none"]), st.booleans(), st.booleans(), st.booleans())
PIECES = st.builds(
    Piece,
    st.integers(0, 2),
    st.sampled_from(SIZES),
    WANTS,
    st.sampled_from([1.0, 1.0, 1.0, 0.0, 0.3, 0.5, 0.99]),
    st.sampled_from([None, None, None, 0, 1, 2]),
    st.sampled_from([False, False, False, False, True]),
)
PASSES = st.tuples(st.lists(PIECES, min_size=1, max_size=3, unique_by=lambda piece: piece.who), st.integers(1, 2))
SCHEDULES = st.lists(PASSES, min_size=1, max_size=8)


@contextlib.contextmanager
def threads(count: int) -> Iterator[None]:
    """Inside the block the calling thread computes with so many, or with as many as there are."""
    before = numba.get_num_threads()
    numba.set_num_threads(min(count, numba.config.NUMBA_NUM_THREADS))
    try:
        yield
    finally:
        numba.set_num_threads(before)


class OneByOne:
    """The outputs of texts that an engine reads alone, one token at a time, and is asked nothing but logits before.

    One thread computes them: it waits for no other where the processor has much else to do.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine, self._known = engine, {}

    def logits(self, ids: list[int]) -> np.ndarray:
        """Of every position. Shapes: (T, V)."""
        if tuple(ids) not in self._known:
            sequence = self.engine.open_sequence()
            with threads(1):
                found = [self.engine.step([Feed(sequence, [token])])[0].logits for token in ids]
            self._known[tuple(ids)] = np.array(found)
            sequence.close()
        return self._known[tuple(ids)]

    def beside(self, ids: list[int], first: int) -> list[Output]:
        """All there is to ask for, of the positions from ``first`` on."""
        sequence = self.engine.open_sequence()
        with threads(1):
            for token in ids[:first]:
                self.engine.step([Feed(sequence, [token], NOTHING)])
            return [self.engine.step([Feed(sequence, [token], EVERY)])[0] for token in ids[first:]]


def hold(engine: Engine, schedule: Iterable[tuple[list[Piece], int]], *, alone: OneByOne) -> int:
    """Run a schedule and hold each output to the same text alone; how many logits were compared."""
    sequences: list[Any] = [engine.open_sequence() for _ in TEXTS]
    compared = 0
    for pieces, workers in schedule:
        feeds = [_feed(sequences[piece.who], piece) for piece in pieces]
        with threads(workers):
            outputs = engine.step(feeds)
        for piece, feed, output in zip(pieces, feeds, outputs, strict=True):
            feed.sequence.cancelled = False
            assert (output is None) == piece.cancelled
            if output is not None:
                compared += _compare(output, feed, alone)
    for sequence in sequences:
        sequence.close()
    return compared


def _feed(sequence: Any, piece: Piece) -> Feed:
    sequence.crop(int(len(sequence.ids) * piece.keep) if len(sequence.ids) < len(TEXTS[0]) else 0)
    words = TEXTS[piece.who if piece.words is None else piece.words]
    if piece.cancelled:
        sequence.cancel()
    begun = len(sequence.ids)
    return Feed(sequence, words[begun : begun + piece.size], piece.want)


def _compare(output: Output, feed: Feed, alone: OneByOne) -> int:
    ids, count = list(feed.sequence.ids), len(feed.ids)
    expected = alone.logits(ids)
    if output.logits is not None:
        same(output.logits, expected[-1] if feed.want.logits == "last" else expected[-count:])
    if not feed.want.positions and not feed.want.layer_logits:
        return 0 if output.logits is None else 1
    beside = alone.beside(ids, len(ids) - count)
    same(np.concatenate([each.logits for each in beside]), expected[-count:])
    if output.hidden is not None:
        same(output.hidden, np.concatenate([each.hidden for each in beside], axis=1))
    if output.layer_logits is not None:
        same(output.layer_logits, beside[-1].layer_logits)
    if output.attention is not None:
        for t, each in enumerate(beside):
            same(output.attention[:, :, t, : each.attention.shape[-1]], each.attention[:, :, 0])
    return count


def same(found: np.ndarray, expected: np.ndarray) -> None:
    """Every number is finite and bit for bit the same."""
    assert found.dtype == expected.dtype == np.float32 and np.isfinite(found).all()
    np.testing.assert_array_equal(found, expected)


def digest(engine: Engine) -> str:
    """Of the logits of a text, read partly at once and partly token by token."""
    sequence = engine.open_sequence()
    pieces = [TEXTS[0][:90], *([token] for token in TEXTS[0][90:])]
    found = [engine.step([Feed(sequence, piece, ALL)])[0].logits for piece in pieces]
    return hashlib.sha256(np.concatenate(found).tobytes()).hexdigest()
