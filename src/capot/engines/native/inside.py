"""What a pass of the native engine tells of its inside: copies of x between its additions, and what is made of them.

The residual stream is x itself, so what attention or the MLP added is the difference that it made; what a head gave
is the output's product with this head's numbers alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np

from capot.engines.edits import Place
from capot.engines.inside import BLOCK_BYTES, Inside, InsideFound, LogitParts, mark_sums, movement, row_of
from capot.engines.native import guessing
from capot.engines.native.cache import ArrayAllocator
from capot.engines.native.edited import widened
from capot.errors import ModelError
from capot.sources.checkpoint import Checkpoint, to_float32


class Product(Protocol):
    """A matrix of the network."""

    @property
    def weight(self) -> np.ndarray: ...

    def product(self, x: np.ndarray, y: np.ndarray) -> None:
        """Compute y += x @ weight.T."""


class Layer(Protocol):
    """What is needed of a layer: the matrix that makes one vector of its heads."""

    @property
    def output(self) -> Product: ...


class Weights(Protocol):
    """What is needed of the engine."""

    @property
    def checkpoint(self) -> Checkpoint: ...

    @property
    def allocator(self) -> ArrayAllocator: ...

    @property
    def layers(self) -> Sequence[Layer]: ...

    @property
    def norm(self) -> np.ndarray: ...

    @property
    def head(self) -> Product: ...

    def head_of(self, rows: np.ndarray, logits: np.ndarray) -> np.ndarray:
        """Return the logits of rows of x: the final norm, then the head."""


class InsidePass:
    """One sequence's part of a step. ``rows`` are the rows of x that are its own, ``start`` their first position."""

    def __init__(self, engine: Weights, asked: Inside, *, rows: slice, start: int) -> None:
        self.engine = engine
        self.asked = asked
        self.start = start
        config = engine.checkpoint.config
        tokens = rows.stop - rows.start
        places = [position - start for position in asked.positions_of(start, start + tokens)]
        self._last = rows.stop - 1
        # The rows that are followed: those asked for, then the last one.
        # Copies of a few rows only: keeping every level of a long prompt would take L x T x D numbers.
        self._followed = np.array([rows.start + place for place in places] + [self._last])
        self._levels = asked.levels_of(config.layers)
        kept = (len(self._levels), len(places))
        self._stream = self._array(*kept, config.width) if asked.k else None
        self._moved = np.full((kept[0], 4, kept[1]), np.nan, np.float32) if asked.moved else None
        # Zeroed, as ``attend`` writes the visible part of each row only.
        self._weights = self._array(tokens, start + tokens, zeroed=True) if asked.head is not None else None
        self._reads_of: list[np.ndarray] = []  # the reader's row, by layer
        self._marks = np.zeros((config.layers, config.heads, len(asked.marks))) if asked.marks else None
        self._added: list[np.ndarray] = []  # to the last row, in turn by attention and MLP, after its embedding
        self._mixed: list[np.ndarray] = []  # the last row's heads, by layer
        self._before = np.empty((0, 0), np.float32)
        self._states: dict[Place, np.ndarray] = {}

    def _array(self, *shape: int, zeroed: bool = False) -> np.ndarray:
        return self.engine.allocator.array("activations", shape, zeroed=zeroed)

    # ------------------------------------------------------------ on the way

    def attended(self, level: int, x: np.ndarray, mixed: np.ndarray) -> None:
        """Note what attention added on the way to a level, and the heads that it is made of."""
        self._moves(level, x, 0)
        self._reads_heads(level, mixed)
        if self.asked.parts:
            self._mixed.append(mixed[self._last].copy())

    def left(self, level: int, x: np.ndarray) -> None:
        """Note what leaves a layer, the MLP's part having been added; level 0 is what enters the first."""
        if level:
            self._moves(level, x, 2)
        else:
            self._before = x[self._followed]
            if self.asked.parts:
                self._added.append(self._before[-1])
        if self._stream is not None and level in self._levels:
            self._stream[self._levels.index(level)] = self._before[:-1]
        self._reads(Place("residual", level), self._before)

    def _reads(self, place: Place, rows: np.ndarray) -> None:
        """Take a state that was asked for. Shapes: rows (P + 1, N), the last one's beside those asked for."""
        if place in self.asked.states:
            self._states[place] = rows[:-1].copy()

    def _reads_heads(self, level: int, mixed: np.ndarray) -> None:
        for place in self.asked.states:
            if place.part == "head" and place.head is not None and place.layer == level:
                size = self.engine.checkpoint.config.head_dim
                numbers = slice((place.head - 1) * size, place.head * size)
                self._reads(place, widened(mixed[self._followed, numbers]))

    def _moves(self, level: int, x: np.ndarray, kind: int) -> None:
        after = x[self._followed]
        if self.asked.parts or self.asked.states or (self._moved is not None and level in self._levels):
            # The block's contribution is the difference that it made to the stream: it is what the next layer reads,
            # rounding of the addition included.
            added = after - self._before
            self._reads(Place("mlp" if kind else "attention", level), added)
            if self._moved is not None and level in self._levels:
                at = self._moved[self._levels.index(level)]
                at[kind], at[kind + 1] = movement(self._before[:-1], added[:-1])
            if self.asked.parts:
                self._added.append(added[-1])
        self._before = after

    # ------------------------------------------------------------ attention

    def spans(self, layer: int, tokens: int) -> Iterator[tuple[slice, np.ndarray | None]]:
        """Yield the queries that attend together, and where their weights go where somebody wants them.

        Shapes: weights (K, H / K, queries, S), never more than a block of bytes.
        """
        config = self.engine.checkpoint.config
        head = self.asked.head
        other = head is None or head[0] != layer + 1
        if self._marks is None and self.asked.reader is None and other:
            yield slice(0, tokens), None
            return
        seen = self.start + tokens
        # A few queries at a time, so that H x T x S weights never exist at once.
        most = max(1, BLOCK_BYTES // (4 * config.heads * seen))
        for first in range(0, tokens, most):
            span = slice(first, min(first + most, tokens))
            group = config.heads // config.kv_heads
            yield span, self._array(config.kv_heads, group, span.stop - first, seen, zeroed=True)

    def weighed(self, layer: int, span: slice, weights: np.ndarray) -> None:
        """Take what is wanted of the weights of some queries. Shapes: weights (K, H / K, queries, S)."""
        by_head = weights.reshape(-1, *weights.shape[2:])
        if self._marks is not None:
            self._marks[layer] += mark_sums(by_head, self.start + span.start, self.asked.marks)
        row = row_of(self.asked.reader, by_head, self.start + span.start)
        if row is not None:
            self._reads_of.append(row)
        if self._weights is not None and self.asked.head is not None and self.asked.head[0] == layer + 1:
            self._weights[span, : by_head.shape[2]] = by_head[self.asked.head[1] - 1]

    # ------------------------------------------------------------ the end

    def found(self, last: np.ndarray) -> InsideFound:
        """Return all of it. Shapes: last (D,), what leaves the last layer at the last position."""
        ids, probabilities = (None, None) if self._stream is None else self._guesses(self._stream)
        return InsideFound(
            ids=ids,
            probabilities=probabilities,
            moved=self._moved,
            weights=self._weights,
            reads=np.array(self._reads_of) if self._reads_of else None,
            marks=self._marks,
            parts=self._parts(last) if self.asked.parts else None,
            states=tuple(self._states[place] for place in self.asked.states),
        )

    def _guesses(self, stream: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Shapes: stream (E, P, D), answers (E, P, k)."""
        vocabulary = self.engine.checkpoint.config.vocabulary_size
        width = stream.shape[-1]
        rows = stream.reshape(-1, width)
        k = min(self.asked.k, vocabulary)
        ids = np.zeros((len(rows), k), np.int32)
        shares = np.zeros((len(rows), k), np.float32)
        most = max(1, min(len(rows), BLOCK_BYTES // (4 * vocabulary)))
        logits = self.engine.allocator.array("logits", (most, vocabulary))
        scratch = self._array(most, guessing.SPAN)
        for first in range(0, len(rows), most):
            span = slice(first, min(first + most, len(rows)))
            block = self.engine.head_of(rows[span], logits[: span.stop - first])
            guessing.guess(block, ids[span], shares[span], scratch)
        # A damaged file or an edit may make NaN, which has no rank: better no guesses than wrong ones.
        if not np.isfinite(shares).all():
            raise ModelError("not_finite")
        shape = (*stream.shape[:2], k)
        return ids.reshape(shape), shares.reshape(shape)

    def _parts(self, last: np.ndarray) -> LogitParts:
        """Return every addition's share of one logit. The final norm is the scale that it is for ``last``."""
        engine = self.engine
        config = self.engine.checkpoint.config
        logits = engine.head_of(last[None], engine.allocator.array("logits", (1, config.vocabulary_size)))[0]
        target = int(logits.argmax()) if self.asked.target is None else self.asked.target
        # The final norm is not linear: its scale is frozen at what it is for the whole sum, as in direct logit
        # attribution (Elhage et al., 2021, A Mathematical Framework for Transformer Circuits).
        scale = 1 / np.sqrt(np.mean(last.astype(np.float64) ** 2) + config.norm_eps)
        reads = scale * to_float64(engine.norm) * to_float64(engine.head.weight[target])
        heads = [self._by_head(layer, mixed) for layer, mixed in zip(engine.layers, self._mixed, strict=True)]
        by_head = np.array([each @ reads for each in heads])
        return LogitParts.read(logits, target, added=self._added, reads=reads, heads=by_head)

    def _by_head(self, layer: Layer, mixed: np.ndarray) -> np.ndarray:
        """Return what each head alone adds to the last row. Shapes: mixed (H S,), answer (H, D)."""
        heads = self.engine.checkpoint.config.heads
        # One row per head, the other heads' numbers zero: one product gives each head's own addition.
        apart = np.zeros((heads, len(mixed)), mixed.dtype)
        for head, numbers in enumerate(np.split(np.arange(len(mixed)), heads)):
            apart[head, numbers] = mixed[numbers]
        added = np.zeros((heads, self.engine.checkpoint.config.width), np.float32)
        layer.output.product(apart, added)
        return added


def to_float64(stored: np.ndarray) -> np.ndarray:
    """Return a row of weights in float64."""
    kinds = {"float32": "F32", "uint16": "BF16", "int16": "F16"}
    raw = stored.view(np.float16) if stored.dtype == np.int16 else stored
    return np.asarray(to_float32(raw, kinds[stored.dtype.name]), np.float64)
