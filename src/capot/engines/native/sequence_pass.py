"""One sequence's part of a step of the native engine: its rows of x, and what is changed and kept on the way."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import numpy as np

from capot.engines.native import inside, rope
from capot.engines.native.cache import NativeSequence
from capot.engines.native.edited import EditedRows
from capot.engines.native.inside import InsidePass
from capot.engines.protocol import Feed, Output

EMPTY = np.empty((1, 1, 1, 0), np.float32)  # where attention weights go that nobody asked for


class RotaryWeights(inside.Weights, Protocol):
    """What is needed of the engine."""

    @property
    def rope_frequencies(self) -> np.ndarray: ...


class SequencePass:
    """One sequence's part of a step: its rows of x, its positions, and what is kept for its caller."""

    def __init__(self, engine: RotaryWeights, feed: Feed, first: int) -> None:
        c = engine.checkpoint.config
        tokens = len(feed.ids)
        assert isinstance(feed.sequence, NativeSequence)  # an engine is given its own sequences
        self.feed = feed
        self.want = feed.want
        self.sequence = feed.sequence
        self.rows = slice(first, first + tokens)
        self.start = len(feed.sequence.ids)
        # Before anything is computed: where memory is short, the step ends with every cache as it was.
        self.sequence.reserve(tokens)
        self.cosines, self.sines = rope.cos_sin(engine.rope_frequencies, self.start, tokens)

        def kept(wanted: bool, *shape: int) -> np.ndarray | None:
            return engine.allocator.array("activations", shape, zeroed=True) if wanted else None

        self.hidden = kept(feed.want.hidden, c.layers + 1, tokens, c.width)
        self.lasts = kept(feed.want.layer_logits, c.layers + 1, c.width)
        group = c.heads // c.kv_heads
        seen = self.start + tokens
        self.attention = kept(feed.want.attention, c.layers, c.kv_heads, group, tokens, seen)
        self.edited = EditedRows(feed.edits, rows=self.rows, start=self.start, head_dim=c.head_dim)
        asked = feed.want.inside
        self.inside = None if asked is None else InsidePass(engine, asked, rows=self.rows, start=self.start)

    def keep(self, level: int, x: np.ndarray) -> None:
        """Change what leaves a layer, where it is to be changed, and take a copy, where it was asked for."""
        self.edited.residual(level, x)
        if self.hidden is not None:
            self.hidden[level] = x[self.rows]
        if self.lasts is not None:
            self.lasts[level] = x[self.rows.stop - 1]
        if self.inside is not None:
            self.inside.left(level, x)

    def attended(self, index: int, x: np.ndarray, mixed: np.ndarray) -> None:
        """Note what attention added in a layer, where the inside was asked for."""
        if self.inside is not None:
            self.inside.attended(index + 1, x, mixed)

    def spans(self, layer: int) -> Iterator[tuple[slice, np.ndarray]]:
        """Yield the queries that attend together, and where they leave their weights.

        Shapes: (K, H / K, T, S), or empty.
        """
        tokens = len(self.feed.ids)
        if self.attention is not None:
            yield slice(0, tokens), self.attention[layer]
        elif self.inside is not None:
            yield from ((span, EMPTY if kept is None else kept) for span, kept in self.inside.spans(layer, tokens))
        else:
            yield slice(0, tokens), EMPTY

    def weighed(self, layer: int, span: slice, weights: np.ndarray) -> None:
        """Note weights that some queries left."""
        if self.inside is not None and weights.size:
            self.inside.weighed(layer, span, weights)

    def for_head(self, x: np.ndarray) -> np.ndarray:
        """Return the rows whose logits are asked for: positions first, then one for each level."""
        # Only these rows reach the final norm and the head.
        first = {"last": self.rows.stop - 1, "all": self.rows.start, "none": self.rows.stop}[self.want.logits]
        positions = x[first : self.rows.stop]
        return positions if self.lasts is None else np.concatenate((positions, self.lasts))

    def output(self, logits: np.ndarray, x: np.ndarray) -> Output:
        positions = {"last": 1, "all": len(self.feed.ids), "none": 0}[self.want.logits]
        attention = self.attention
        if attention is not None:
            attention = attention.reshape(len(attention), -1, *attention.shape[3:])  # (L, H, T, S)
        asked = logits[0] if self.want.logits == "last" else logits[:positions]
        return Output(
            logits=asked if positions else None,
            hidden=self.hidden,
            attention=attention,
            layer_logits=None if self.lasts is None else logits[positions:],
            inside=None if self.inside is None else self.inside.found(x[self.rows.stop - 1]),
        )
