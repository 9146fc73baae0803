"""How the native engine changes a pass on its way: rows of x, or of the heads, written anew.

The residual stream is x itself, so what attention or the MLP adds is the difference that it makes to x. A number
that has the wanted value already is left as it is, so that such an edit changes no bit.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from capot.engines.edits import Edit, Part


class EditedRows:
    """One sequence's edits of a step. ``rows`` are the rows of x that are its own, ``start`` their first position."""

    def __init__(self, edits: Sequence[Edit], *, rows: slice, start: int, head_dim: int) -> None:
        self.edits = edits
        self.rows = rows
        self.start = start
        self.head_dim = head_dim
        self._before = np.empty((0, 0), np.float32)

    def _of(self, part: Part, level: int) -> list[Edit]:
        return [edit for edit in self.edits if edit.place.part == part and edit.place.layer == level]

    def _put(self, edit: Edit, held: np.ndarray, *, base: np.ndarray | None = None) -> None:
        """Write the state into ``held``, which is ``base`` and what is changed. Shapes: both (T, N)."""
        rows, states = edit.within(self.start, self.start + len(held), width=held.shape[1])
        now = held[rows]
        if edit.adds:
            # Adding 0.0 would turn -0.0 into 0.0: an edit that does nothing is to change no bit.
            held[rows] = np.where(states == 0, now, now + states)
        elif base is None:
            held[rows] = np.where(states == now, now, states)
        else:
            held[rows] = np.where(states == now - base[rows], now, base[rows] + states)

    def residual(self, level: int, x: np.ndarray) -> None:
        """Change what leaves a layer; level 0 is what enters the first."""
        for edit in self._of("residual", level):
            self._put(edit, x[self.rows])

    def before(self, part: Part, level: int, *, x: np.ndarray) -> None:
        """Remember x before something is added to it that an edit changes."""
        if self._of(part, level):
            # x only, of this sequence: other sequences' rows go through the same arrays.
            self._before = x[self.rows].copy()

    def added(self, part: Part, level: int, *, x: np.ndarray) -> None:
        """Change what was added to x since."""
        for edit in self._of(part, level):
            self._put(edit, x[self.rows], base=self._before)

    def heads(self, level: int, mixed: np.ndarray) -> None:
        """Change the numbers of heads, in the type that the output matrix takes. Shapes: mixed (T, H S)."""
        for edit in self._of("head", level):
            assert edit.place.head is not None  # of a head
            numbers = slice((edit.place.head - 1) * self.head_dim, edit.place.head * self.head_dim)
            held = widened(mixed[self.rows, numbers])
            self._put(edit, held)
            # The type of the buffer is the one the product takes; rounding here is what an unedited head goes through
            # as well.
            mixed[self.rows, numbers] = narrowed(held, mixed.dtype)


def widened(numbers: np.ndarray) -> np.ndarray:
    """Return a copy in float32 of what a product takes, which has bfloat16 as uint16."""
    if numbers.dtype == np.uint16:
        return (numbers.astype(np.uint32) << 16).view(np.float32)
    return numbers.astype(np.float32)


def narrowed(numbers: np.ndarray, dtype: np.dtype[np.generic]) -> np.ndarray:
    """Return float32 numbers in the type that a product takes, to the nearest, ties to even.

    >>> narrowed(np.array([1.0, 1.00390625, 1.01171875], np.float32), np.dtype(np.uint16)).tolist()
    [16256, 16256, 16258]
    """
    if dtype != np.uint16:
        return numbers
    # Round to nearest, ties to even, on the bits: the same rule as ``simd.narrow``.
    bits = np.ascontiguousarray(numbers, np.float32).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)
