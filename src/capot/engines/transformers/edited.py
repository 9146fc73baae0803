"""How a pass of a model of transformers is changed on its way: hooks that put another tensor in the place of one.

A number that has the wanted value already is handed on as it is, so that such an edit changes no bit.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from capot.engines.edits import Edit, Place
from capot.engines.inside import Inside
from capot.engines.transformers import hidden_states
from capot.engines.transformers.anatomy import Anatomy, first
from capot.engines.transformers.network import Network


@dataclass(frozen=True)
class EditedText:
    """A text of a pass: its edits, what is read of it, and the position of its first new token.

    ``span`` are its rows among those of several texts, None where it is alone: then the last ``tokens`` rows are new.
    """

    edits: Sequence[Edit]
    inside: Inside | None
    start: int
    tokens: int
    span: slice | None = None

    @property
    def places(self) -> list[Place]:
        return [edit.place for edit in self.edits] + list(self.inside.states if self.inside is not None else ())

    def rows(self, count: int) -> tuple[slice, int]:
        """Return its rows among ``count``, and the position of the first.

        A family without a cache has the whole text's.
        """
        return (slice(0, count), self.start + self.tokens - count) if self.span is None else (self.span, self.start)


class EditedPass:
    """One pass over several texts, edited and read."""

    def __init__(self, network: Network, anatomy: Anatomy, texts: Sequence[EditedText]) -> None:
        self.network = network
        self.anatomy = anatomy
        self.texts = texts
        self._read: list[dict[Place, np.ndarray]] = [{} for _ in texts]

    def states(self, place: int) -> tuple[np.ndarray, ...]:
        """Return what was read of one text, in the order that it was asked for in. Shapes: (P, N) each."""
        inside = self.texts[place].inside
        return () if inside is None else tuple(self._read[place][each] for each in inside.states)

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Change one pass inside the block."""
        # One hook for each place, however many texts and edits ask for it: hooks in a row would see one another's
        # changes.
        handles = [self._hooked(place) for place in dict.fromkeys(each for text in self.texts for each in text.places)]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _hooked(self, place: Place) -> Any:
        """Return the hook of one place: on what a module takes, or on what it gives."""
        layers = self.network.layers
        if place.part == "residual":
            if place.layer == 0:
                return layers[0].register_forward_pre_hook(self._takes(place), with_kwargs=True)
            return layers[place.layer - 1].register_forward_hook(self._gives(place))
        assert self.anatomy.blocks is not None  # declared
        block = self.anatomy.blocks[place.layer - 1]
        if place.part == "head":
            assert block.heads is not None  # declared
            return block.heads.register_forward_pre_hook(self._takes(place), with_kwargs=True)
        module = block.attention if place.part == "attention" else block.mlp
        return module.register_forward_hook(self._gives(place, by=block.by))

    def _takes(self, place: Place) -> Callable[..., Any]:
        def takes(_: Any, given: tuple[Any, ...], named: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
            if given:
                return (self._changed(place, given[0]), *given[1:]), named
            # Some families pass the stream by position, some by name.
            return given, {**named, "hidden_states": self._changed(place, named["hidden_states"])}

        return takes

    def _gives(self, place: Place, *, by: float = 1.0) -> Callable[..., Any]:
        def gives(_: Any, __: Any, given: Any) -> Any:
            changed = self._changed(place, first(given), by=by)
            return (changed, *given[1:]) if isinstance(given, tuple | list) else changed

        return gives

    def _changed(self, place: Place, given: torch.Tensor, *, by: float = 1.0) -> torch.Tensor:
        """Return what a module takes or gives, ``by`` times which is the part. Shapes: given (..., N)."""
        if any(edit.place == place for text in self.texts for edit in text.edits):
            # Also contiguous, so that the views below are views of it, and writing into them changes it.
            given = given.clone(memory_format=torch.contiguous_format)  # nobody else's tensor is written to
        x = given.reshape(-1, given.shape[-1])
        if place.head is not None:
            size = x.shape[-1] // self.anatomy.heads
            x = x[:, (place.head - 1) * size : place.head * size]
        for text, read in zip(self.texts, self._read, strict=True):
            rows, start = text.rows(len(x))
            for edit in text.edits:
                if edit.place == place:
                    put(edit, x[rows], start=start, by=by)
            if text.inside is not None and place in text.inside.states:
                asked = text.inside.positions_of(text.start, text.start + text.tokens)
                read[place] = hidden_states.to_numpy(by * x[rows].float())[[each - start for each in asked]]
        return given


def put(edit: Edit, held: torch.Tensor, *, start: int, by: float) -> None:
    """Write an edit's state into rows, ``by`` times which are the part, the first at position ``start``.

    Shapes: held (T, N).
    """
    rows, states = edit.within(start, start + len(held), width=held.shape[1])
    at = torch.from_numpy(rows).to(held.device)
    wanted = torch.from_numpy(np.array(states)).to(held.device)
    now = held[at]
    part = by * now.float()
    # Compared with the part, which is ``by`` times what the module gave: the state is told in the stream's terms.
    same = wanted == (0.0 if edit.adds else part)
    held[at] = torch.where(same, now, ((part + wanted if edit.adds else wanted) / by).to(now.dtype))
