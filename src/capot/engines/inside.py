"""What a pass can tell of the network's inside, and in which arrays.

The residual stream of a position begins as its embedding, and each layer adds to it twice: what attention
brings from other positions, then what the MLP makes of it. Level 0 is what enters the first layer, level l what
leaves layer l. Nothing asked for here changes a bit of what the pass computes.

    guesses   the final norm and the head applied to a level: nostalgebraist 2020, "interpreting GPT: the logit lens"
    parts     what each addition to the last position's stream gave to one logit, the final norm's scale being
              held at what it is: Elhage et al. 2021, "A Mathematical Framework for Transformer Circuits"
    marks     how much of its attention a head gives to a token so far back, or to the first one
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from capot.engines.edits import Place

BLOCK_BYTES = 24_000_000  # of logits, or of attention weights twice, that are held at once
ROWS = 4  # rows of the head that one step computes for each token that a plain one would read


@dataclass(frozen=True)
class Mark:
    """A token looked at: ``back`` tokens before the query's, or the text's first where it is None.

    ``since`` is the first position whose query counts.
    """

    back: int | None
    since: int = 0


@dataclass(frozen=True)
class Inside:
    """What is asked of the inside. Layers are counted from 1, heads too, positions from 0.

    ``k``: guesses at each of ``levels`` and ``positions``, all of them where None. ``moved``: how far attention and
    MLP moved the stream there. ``head``: the layer and head whose attention weights are wanted. ``reader``: the
    position whose weights are wanted in every head. ``marks``: what is measured of every head. ``parts``: what gave
    the last position's logit of ``target``, the most probable token where it is None. ``states``: what is at these
    places, at each of ``positions``.
    """

    k: int = 0
    levels: tuple[int, ...] | None = None
    positions: tuple[int, ...] | None = None
    moved: bool = False
    head: tuple[int, int] | None = None
    reader: int | None = None
    marks: tuple[Mark, ...] = ()
    parts: bool = False
    target: int | None = None
    states: tuple[Place, ...] = ()

    @property
    def weighs(self) -> bool:
        """Return whether attention weights are looked at."""
        return self.head is not None or self.reader is not None or bool(self.marks)

    def levels_of(self, layers: int) -> tuple[int, ...]:
        return tuple(range(layers + 1)) if self.levels is None else self.levels

    def positions_of(self, start: int, stop: int) -> list[int]:
        """Return the positions asked for among the tokens from ``start`` to ``stop``."""
        asked = range(start, stop) if self.positions is None else self.positions
        return [position for position in asked if start <= position < stop]

    def tokens(self, size: int, *, layers: int) -> int:
        """Return how many tokens of a text one step reads where it would read ``size``: the head is most of the work.

        >>> Inside(k=5).tokens(256, layers=16), Inside(parts=True).tokens(256, layers=16)
        (60, 256)
        """
        # Each level of each token costs a row through the head, V x D products, as much as several layers in small
        # models.
        return min(size, max(1, ROWS * size // max(1, len(self.levels_of(layers))))) if self.k else size

    def before_last(self) -> Inside:
        """Return what is asked of a chunk that others follow."""
        # The parts are those of the last position alone.
        return dataclasses.replace(self, parts=False)

    def floats(self, tokens: int, *, layers: int, heads: int, width: int) -> int:
        """Return the numbers that a text of so many tokens may come to hold, beside a step's blocks."""
        places = len(self.levels_of(layers)) * (tokens if self.positions is None else len(self.positions))
        # Of the levels only a block goes through the head at a time: ROWS for each of the tokens of a chunk.
        rows = min(places, ROWS * 256) * width
        weights = tokens * tokens if self.head is not None else 0
        weights += layers * heads * tokens if self.reader is not None else 0
        parts = layers * (width + heads * width) if self.parts else 0
        states = len(self.states) * width * (tokens if self.positions is None else len(self.positions))
        return places * (2 * self.k + 4) + rows + weights + parts + states + layers * heads * (len(self.marks) + 1)


@dataclass(frozen=True)
class LogitParts:
    """What added up to one logit; ``heads`` is None where a family's attention is not a sum of its heads.

    What is missing from the logit comes from biases, rounding, and a cap on logits.
    Shapes: ``attention``, ``mlp`` (L,), ``heads`` (L, H).
    """

    target: int
    logit: float
    embedding: float
    attention: np.ndarray
    mlp: np.ndarray
    heads: np.ndarray | None

    @classmethod
    def read(
        cls,
        logits: np.ndarray,
        target: int,
        *,
        added: Sequence[np.ndarray],
        reads: np.ndarray,
        heads: np.ndarray | None,
    ) -> LogitParts:
        """Read the parts of one logit from what was added to the last position.

        Shapes: logits (V,); ``added`` (D,) each, the embedding, then attention and MLP in turn; ``reads`` (D,), what
        the final norm and the head make of a vector for this logit; ``heads`` (L, H).
        """
        # ``reads`` is linear once the norm's scale is fixed, so the dot products of the parts add up to that of their
        # sum.
        embedding, *others = (float(part @ reads) for part in added)
        return cls(
            target=target,
            logit=float(logits[target]),
            embedding=embedding,
            attention=np.array(others[::2]),
            mlp=np.array(others[1::2]),
            heads=heads,
        )


@dataclass(frozen=True)
class InsideFound:
    """What was asked for; host arrays owned by the caller.

    Shapes, for E levels and P positions asked for: ``ids`` (E, P, k) int32, the highest logit first,
    ``probabilities`` (E, P, k); ``moved`` (E, 4, P), norm and cosine of attention's addition, then of the MLP's, NaN
    at level 0; ``weights`` (T, S); ``reads`` (L, H, S), None from a chunk without the reader; ``marks`` (L, H, M)
    sums over the queries that count; ``states`` (P, N) each, N the width of the place.
    """

    ids: np.ndarray | None = None
    probabilities: np.ndarray | None = None
    moved: np.ndarray | None = None
    weights: np.ndarray | None = None
    reads: np.ndarray | None = None
    marks: np.ndarray | None = None
    parts: LogitParts | None = None
    states: tuple[np.ndarray, ...] = ()


def joined(chunks: Sequence[InsideFound]) -> InsideFound:
    """Return the chunks of one text as if it had been read at once."""
    if len(chunks) == 1:
        return chunks[0]

    def along(name: str, axis: int) -> np.ndarray | None:
        found = [array for array in (getattr(chunk, name) for chunk in chunks) if array is not None]
        return np.concatenate(found, axis) if found else None

    weights = [chunk.weights for chunk in chunks if chunk.weights is not None]
    # Means are taken by whoever shows them: sums can be added over chunks, means cannot.
    marks = [chunk.marks for chunk in chunks if chunk.marks is not None]
    reads = next((chunk.reads for chunk in chunks if chunk.reads is not None), None)
    return InsideFound(
        ids=along("ids", 1),
        probabilities=along("probabilities", 1),
        moved=along("moved", 2),
        weights=_stacked(weights) if weights else None,
        reads=reads,
        marks=np.sum(marks, axis=0) if marks else None,
        parts=chunks[-1].parts,
        states=tuple(np.concatenate(each) for each in zip(*(chunk.states for chunk in chunks), strict=True)),
    )


def _stacked(weights: Sequence[np.ndarray]) -> np.ndarray:
    """Stack rows below one another; those of an early chunk see fewer tokens, and 0 of the others."""
    whole = np.zeros((sum(map(len, weights)), weights[-1].shape[1]), np.float32)
    row = 0
    for rows in weights:
        whole[row : row + len(rows), : rows.shape[1]] = rows
        row += len(rows)
    return whole


def row_of(reader: int | None, weights: np.ndarray, start: int) -> np.ndarray | None:
    """Return the reader's own row of weights, as far as it sees; None where it is no one of these queries.

    Shapes: weights (..., T, S) of the queries from position ``start`` on, answer (..., S).
    """
    if reader is None or not start <= reader < start + weights.shape[-2]:
        return None
    return weights[..., reader - start, : reader + 1].copy()


def movement(held: np.ndarray, added: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the length of what was added to each row, and its cosine with what it was added to.

    Shapes: (R, D) both.
    """
    # In float64: lengths of D squares, whose cosine is near 1 for most layers and is told to three digits.
    length, before = (np.sqrt(np.einsum("rd,rd->r", x, x, dtype=np.float64)) for x in (added, held))
    product = np.einsum("rd,rd->r", added, held, dtype=np.float64)
    # A token may have an embedding of zeros (padding rows): its cosine is 0 and no division by zero.
    return length, product / np.maximum(length * before, 1e-30)


def mark_sums(weights: np.ndarray, start: int, marks: Sequence[Mark]) -> np.ndarray:
    """Return what each head gives to each mark, summed over the queries that count.

    Shapes: weights (H, T, S) of the queries from position ``start`` on, answer (H, M).
    """
    positions = np.arange(start, start + weights.shape[1])
    sums = np.zeros((len(weights), len(marks)))
    for m, mark in enumerate(marks):
        keys = np.zeros_like(positions) if mark.back is None else positions - mark.back
        # The first token has nothing ``back`` tokens before it, and is not counted as if it gave 0.
        counted = (positions >= mark.since) & (keys >= 0)
        sums[:, m] = weights[:, np.flatnonzero(counted), keys[counted]].sum(axis=1)
    return sums
