"""A state of one text put into another: what the model answers then, and what each place changes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from capot.chapters.network.bounds import MOST_CELLS, MOST_READ, Comparing
from capot.chapters.network.edited import BothSides, layer_within, network_of, read_texts, states
from capot.chapters.network.patch_result import Patching, PlaceChanged, TokenLogits, TwoDifferences
from capot.chapters.network.result import LayerToken
from capot.chapters.network.verb import token_named
from capot.chapters.next.verb import Named
from capot.chapters.protocols import Opened
from capot.chapters.token_texts import TokenTexts
from capot.config import within
from capot.engines.edits import Edit, Part, Place
from capot.engines.protocol import EngineInfo, require, touching
from capot.engines.scheduler.variants import Variant, Variants
from capot.errors import InputError, shorten
from capot.text import sampling
from capot.view.event import ProgressCallback, ProgressEvent

PARTS = ("residual", "attention", "mlp", "head")


@dataclass(frozen=True)
class Aligned:
    """Two texts whose last tokens stand beside each other, and so on towards their beginnings."""

    ids: list[int]
    source: list[int]

    @property
    def shift(self) -> int:
        """Return how much further a position of the source is than that of the token beside it."""
        # Aligned at their ends, since the answer follows the last token.
        return len(self.source) - len(self.ids)

    @property
    def positions(self) -> range:
        """Return the positions of the first text that have a token beside them."""
        return range(max(0, -self.shift), len(self.ids))

    def named(self, position: int | None) -> Sequence[int]:
        """Return the position that was named, all of them otherwise; a negative one counts from the end.

        Raises: InputError ``out_of_range``, ``no_token_beside``.
        """
        if position is None:
            return self.positions
        if not -len(self.ids) <= position < len(self.ids):
            raise InputError(
                "out_of_range", name="position", value=position, low=-len(self.ids), high=len(self.ids) - 1
            )
        found = position % len(self.ids)
        if found not in self.positions:
            raise InputError("no_token_beside", position=found, tokens=len(self.source), prompt=len(self.ids))
        return (found,)


@dataclass(frozen=True)
class Cell:
    """A place and a position."""

    place: Place
    position: int

    @property
    def level(self) -> int:
        """Return the last level that is not changed yet."""
        return self.place.layer if self.place.part == "residual" else self.place.layer - 1

    def edit(self, state: np.ndarray) -> Edit:
        return Edit(self.place, state[None], (self.position,))


def patch(
    model: Opened,
    prompt: str,
    *,
    source: str,
    part: Literal["residual", "attention", "mlp", "head"] = "residual",
    layer: int | None = None,
    head: int | None = None,
    position: int | None = None,
    every_position: bool = False,
    between: Sequence[str] = (),
    k: int = 10,
    max_new_tokens: int = 12,
    progress: Callable[[ProgressEvent], None] | None = None,
) -> Patching:
    """Compute the answer before and after, and the grid. Takes and raises: as ``Model.patch``."""
    showing = Comparing(k, max_new_tokens)
    info = network_of(model)
    texts = Aligned(*read_texts(model, prompt, source=source))
    named = _two_tokens(model, (between,) if isinstance(between, str) else between, prompt)
    if position is None and part == "head" and not every_position:
        position = -1
    cells = _cells(texts, info, part=part, layer=layer, head=head, position=position)
    require(model.scheduler.engine, touching(cell.place for cell in cells))
    grid = Grid(model, texts, cells)
    with model.scheduler.holding(grid.nbytes):
        grid.compute([each.id for each in named], progress)
    best = grid.best
    answers = BothSides(model, texts.ids, edits=[cells[best].edit(grid.states[best])], showing=showing)
    return _result(model, prompt, source, grid=grid, answers=answers, of=[each.tokens for each in named] or [1, 1])


def _two_tokens(model: Opened, between: Sequence[str], prompt: str) -> list[Named]:
    """Return the two tokens that were named, or none. Raises: InputError ``not_two_tokens``, ``one_token_twice``."""
    written = [each for each in between if each]
    if between and len(written) != 2:
        raise InputError("not_two_tokens", name="between", count=len(written))
    found = [token_named(model, each, prompt=prompt, option="between") for each in written]
    if found and found[0].id == found[1].id:
        raise InputError("one_token_twice", name="between", token=model.tokenizer.display(found[0].id))
    return found


def _cells(
    texts: Aligned, info: EngineInfo, *, part: Part, layer: int | None, head: int | None, position: int | None
) -> list[Cell]:
    """Return the cells that were named, else all, by layer. Raises: InputError for what is not there."""
    if part not in PARTS:
        raise InputError("bad_choice", name="part", value=shorten(part), known=", ".join(PARTS))
    if head is not None and part != "head":
        raise InputError("head_of_no_head", part=part)
    lowest = 0 if part == "residual" else 1
    layers = range(lowest, info.layers + 1)
    if layer is not None:
        layers = range(layer_within("layer", layer, low=lowest, layers=info.layers), layer + 1)
    heads: Sequence[int | None] = (None,)
    if part == "head":
        heads = range(1, info.heads + 1) if head is None else (head,)
        if head is not None:
            within("head", head, 1, info.heads)
    positions = texts.named(position)
    if len(layers) * len(heads) * len(positions) > MOST_CELLS:
        asked = len(layers) * len(heads) * len(positions)
        raise InputError("grid_too_large", asked=asked, limit=MOST_CELLS)
    return [Cell(Place(part, one, other), at) for one in layers for other in heads for at in positions]


class Grid:
    """What each place changes in the difference of two logits. Everything is bounded when it is made.

    ``states`` are the source's, one for each cell. Shapes: (N,) each.
    """

    def __init__(self, model: Opened, texts: Aligned, cells: Sequence[Cell]) -> None:
        self.model = model
        self.texts = texts
        self.cells = cells
        self.variants = Variants(model.scheduler, texts.ids)
        self.states: list[np.ndarray] = []
        self.tokens = (0, 0)
        self.before = np.empty(0, np.float32)  # logits, (V,)
        self.source = np.empty(0, np.float32)
        self.differences: list[float] = []
        info = model.scheduler.engine.info
        # Counted in whole passes: a cell near the end of text and network costs a small part of one.
        asked = sum(map(self._read, cells))
        if asked > MOST_READ:
            raise InputError("grid_too_long", asked=round(asked), limit=MOST_READ)
        self.nbytes = self.variants.nbytes() + 4 * len(cells) * info.width

    def _read(self, cell: Cell) -> float:
        """Return how many tokens are read again for a cell, as many as go through all layers."""
        layers = self.model.scheduler.engine.info.layers
        behind = (layers - cell.level) / layers if self.variants.branches else 1
        return self.variants.rows(self._variant(cell, ())) * behind

    @staticmethod
    def _variant(cell: Cell, edits: tuple[Edit, ...]) -> Variant:
        return Variant(edits, cell.level, cell.position)

    def compute(self, named: Sequence[int], progress: ProgressCallback | None) -> None:
        """Read the source, the text, and each cell; ``named`` are the two tokens where they are not to be chosen."""
        self._read_source()
        # The text itself is read once; each cell begins at a copy of its cache.
        with self.variants as variants:
            self.before = variants.logits
            self.tokens = (named[0], named[1]) if named else self._chosen()
            asked = [
                self._variant(cell, (cell.edit(state),)) for cell, state in zip(self.cells, self.states, strict=True)
            ]
            for logits in variants.read(asked):
                self.differences.append(self.difference(logits))
                if progress is not None:
                    done = len(self.differences)
                    progress(ProgressEvent("measuring", done, len(asked), "places", self.model.name))

    def _read_source(self) -> None:
        model = self.model
        shift = self.texts.shift
        places = list(dict.fromkeys(cell.place for cell in self.cells))
        positions = tuple(sorted({cell.position for cell in self.cells}))
        found = states(model, self.texts.source, places, positions=tuple(each + shift for each in positions))
        # One pass read all positions of a place: each cell takes its own row.
        rows = {(place, at): kept[row] for place, kept in zip(places, found) for row, at in enumerate(positions)}
        self.states = [rows[cell.place, cell.position] for cell in self.cells]
        logits = model.scheduler.run(self.texts.source, owner=model.owner).output.logits
        assert logits is not None  # a pass gives them unless told not to
        self.source = logits

    def _chosen(self) -> tuple[int, int]:
        """Return the most probable token after the text, and the most probable other one after the source."""
        first = int(self.before.argmax())
        return first, next(each for each in sampling.top_tokens(self.source, 2).tolist() if each != first)

    def difference(self, logits: np.ndarray) -> float:
        """Shapes: (V,)."""
        first, second = self.tokens
        return float(logits[first]) - float(logits[second])

    @property
    def best(self) -> int:
        """Return the cell that moves the difference most towards the source's.

        What enters the first layer and what leaves the last are the other text's token and answer themselves: they
        are left out where there are others.
        """
        last = self.model.scheduler.engine.info.layers
        telling = [place for place, cell in enumerate(self.cells) if cell.place.part != "residual" or
                   0 < cell.place.layer < last]  # fmt: skip
        before = self.difference(self.before)
        there = self.difference(self.source)
        # Towards the source: the sign of the difference between the two texts says in which direction that is.
        sign = 1 if there >= before else -1
        return max(telling or range(len(self.cells)), key=lambda place: sign * (self.differences[place] - before))


def _result(model: Opened, prompt: str, source: str, *, grid: Grid, answers: BothSides, of: Sequence[int]) -> Patching:
    text = TokenTexts(model.tokenizer)
    best = grid.cells[grid.best]
    logits = [
        TokenLogits(token, text(token), text.labels[token], float(grid.before[token]), float(grid.source[token]), count)
        for token, count in zip(grid.tokens, of, strict=True)
    ]
    here, there = (
        tuple(LayerToken(token, text(token)) for token in ids) for ids in (grid.texts.ids, grid.texts.source)
    )
    return Patching(
        **answers.compared(prompt),
        source=source,
        tokens=here,
        source_tokens=there,
        part=best.place.part,
        layer=best.place.layer,
        head=best.place.head,
        position=best.position,
        source_position=best.position + grid.texts.shift,
        between=tuple(logits),
        difference=TwoDifferences(grid.difference(grid.before), grid.difference(grid.source)),
        grid=tuple(_places(grid)),
        layers=model.scheduler.engine.info.layers,
        labels=text.labels,
    )


def _places(grid: Grid) -> Iterator[PlaceChanged]:
    for cell, difference in zip(grid.cells, grid.differences, strict=True):
        yield PlaceChanged(cell.place.layer, cell.place.head, cell.position, difference)
