"""What a pass changes of the network on its way: one description for every engine.

A place is something that a layer hands on: the residual stream as it leaves a layer (layer 0: as it enters the first),
what attention or the MLP adds to it, or one head's numbers before the output matrix mixes the heads. An edit puts a
state there, or adds one. To switch a part off is to put zeros; the mean over a text, or a state of another
text, is read in a pass of its own first (``Inside.states``), so that it is the same whatever the chunks.

An edit whose state is there already, or which adds zeros, changes no bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

Part = Literal["residual", "attention", "mlp", "head"]


@dataclass(frozen=True)
class Place:
    """Where a state is read or changed. Layers and heads are counted from 1."""

    part: Part
    layer: int
    head: int | None = None

    def exists(self, *, layers: int, heads: int) -> bool:
        """Return whether a network of so many layers and heads has it.

        >>> Place("residual", 0).exists(layers=2, heads=2), Place("head", 1, 3).exists(layers=2, heads=2)
        (True, False)
        """
        # A head's number belongs to a head, and to nothing else: a place that has both or neither is a caller's slip.
        if (self.part == "head") != (self.head is not None):
            return False
        lowest = 0 if self.part == "residual" else 1
        return lowest <= self.layer <= layers and (self.head is None or 0 < self.head <= heads)


@dataclass(frozen=True, eq=False)
class Edit:
    """A state put at a place, or added there: at every position, those that are still to come included, or at some.

    Shapes: ``state`` (N,), N the width of the place, or (P, N), one for each of P ``positions``; zeros where None.
    """

    place: Place
    state: np.ndarray | None = None
    positions: tuple[int, ...] | None = None
    adds: bool = False

    def within(self, start: int, stop: int, *, width: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the rows that it changes among the positions from ``start`` to ``stop``, and the states.

        Shapes: rows (R,), states (R, N).

        >>> rows, states = Edit(Place("mlp", 1), np.array([[1.0], [2.0]]), (3, 9)).within(8, 12, width=1)
        >>> rows.tolist(), states.tolist()
        ([1], [[2.0]])
        """
        # Without positions an edit holds for what is still to come as well, token by token as it is decoded.
        positions = range(start, stop) if self.positions is None else self.positions
        chosen = [place for place, position in enumerate(positions) if start <= position < stop]
        rows = np.array([positions[place] - start for place in chosen], np.int64)
        if self.state is None:
            return rows, np.zeros((len(rows), width), np.float32)
        state = np.asarray(self.state, np.float32)
        return rows, state[chosen] if state.ndim == 2 else np.broadcast_to(state, (len(rows), len(state)))


@dataclass(frozen=True, eq=False)
class Entry:
    """Where a pass begins instead of at its embeddings: what left layer ``level`` at each token that is fed.

    Shapes: ``states`` (T, D).
    """

    level: int
    states: np.ndarray

    def check(self, tokens: int, *, layers: int, width: int) -> None:
        """Hold it to a network and a feed. Raises: ValueError for what no caller should ask."""
        if not 0 <= self.level <= layers or self.states.shape != (tokens, width):
            raise ValueError(f"an entry at {self.level} of {self.states.shape}")


def check_edits(edits: Sequence[Edit], *, layers: int, heads: int) -> None:
    """Hold edits to a network of so many layers and heads. Raises: ValueError for what no caller should ask."""
    for edit in edits:
        if not edit.place.exists(layers=layers, heads=heads):
            raise ValueError(f"an edit of {edit.place}")
        # One state for all positions is one row; several are matched with positions one by one.
        rows = edit.state.shape[0] if edit.state is not None and edit.state.ndim == 2 else None
        if rows is not None and rows != len(edit.positions or ()):
            raise ValueError(f"an edit of {rows} states at {edit.positions}")
