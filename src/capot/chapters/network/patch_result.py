"""The answer of ``patch``: before and after, and what each place changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from capot.chapters.network.edited_result import Compared, PartOff
from capot.chapters.network.result import MOST_COLUMNS, SHOWN, LayerToken, first_of
from capot.chapters.token_texts import label_of
from capot.i18n import number, tr
from capot.view.blocks import Block, Heading, Table, Text
from capot.view.result import flatten, text_tail

MOST_ROWS = 48  # of a grid: where each head is a row there are hundreds

Row = tuple[int, int | None]  # a layer, and a head of it where each is a row


@dataclass(frozen=True)
class TokenLogits:
    """One of the two tokens, and its logit after the prompt and after the source.

    It is the first of the ``tokens`` that what was asked for has.
    """

    id: int
    text: str
    label: str
    before: float
    source: float
    tokens: int


@dataclass(frozen=True)
class TwoDifferences:
    """The first token's logit less the second's, after the prompt and after the source."""

    before: float
    source: float


@dataclass(frozen=True)
class PlaceChanged:
    """A place, and the difference of the two logits once the source's state is there."""

    layer: int
    head: int | None
    position: int
    difference: float


@dataclass(frozen=True)
class Patching(Compared):
    """What the model answers to ``prompt`` with a state of ``source`` in its place.

    ``after`` is the answer with the state at ``layer``, ``head`` and ``position``: the place that was named or, where
    several were not, the one that moves the difference of the two logits of ``between`` most towards the source's.
    ``grid`` has all places that were tried.
    """

    source: str
    tokens: Sequence[LayerToken]
    source_tokens: Sequence[LayerToken]
    part: Literal["residual", "attention", "mlp", "head"]
    layer: int
    head: int | None
    position: int
    source_position: int
    between: Sequence[TokenLogits]
    difference: TwoDifferences
    grid: Sequence[PlaceChanged]
    layers: int = field(metadata={"json": False})
    labels: Mapping[int, str] = field(repr=False, compare=False, metadata={"json": False})

    def brief(self, lang: str | None = None) -> str:
        return tr("patch.brief", lang, prompt=text_tail(self.prompt), place=self._place(lang))

    def to_rows(self) -> list[dict[str, Any]]:
        """Return a row a place that was tried."""
        return [flatten(each) for each in self.grid]

    def view(self, lang: str | None = None) -> list[Block]:
        """Return the two texts, what each place changes, then the two answers."""
        source = self.source if len(self.source) <= SHOWN else "…" + self.source[-SHOWN:]
        shown = {"place": self._place(lang), "token": self._label(self.tokens[self.position])}
        shown |= {"other": self._label(self.source_tokens[self.source_position])}
        blocks: list[Block] = [Heading(tr("patch.title", lang)), self.shown_prompt()]
        blocks.append(Text(tr("patch.source", lang, source=source)))
        if len(self.grid) > 1:
            blocks.append(self._grid(lang))
            blocks += [said for token in self.between for said in first_of(token.label, token.tokens, lang)]
        said = Text(tr("patch.put", lang, **shown))
        return [*blocks, said, *self.answers(lang), Text(tr("patch.limits", lang), tone="quiet")]

    def _place(self, lang: str | None) -> str:
        return PartOff(self.part, self.layer, self.head).label(lang)

    def _label(self, token: LayerToken) -> str:
        return label_of(self.labels, token.id)

    # ------------------------------------------------------------ the grid

    def _grid(self, lang: str | None) -> Table:
        """Return the grid. Rows are layers, the last on top, or the heads of each.

        Columns are positions, or the heads of a layer.
        """
        positions = sorted({each.position for each in self.grid})
        by_head = self.part == "head" and len(positions) == 1
        columns = sorted({each.head or 0 for each in self.grid}) if by_head else positions[-MOST_COLUMNS:]
        cells = {self._at(each, by_head): each.difference for each in self.grid}
        names = [str(each) if by_head else self._label(self.tokens[each]) for each in columns]
        rows = sorted({row for row, _ in cells}, reverse=True)
        shown = self._telling(cells, rows)
        texts = [
            (_row_name(row), *(number(round(cells[row, each], 1) + 0.0, lang, 1) for each in columns)) for row in shown
        ]
        heat = [(None, *(self._share(cells[row, each]) for each in columns)) for row in shown]
        title = tr(f"patch.grid.{'heads' if self.part == 'head' else 'title'}", lang, **self._two())
        caption = self._grid_caption(lang, shown=len(shown), all=len(rows))
        first = tr("network.layer" if by_head or self.part != "head" else "network.heads.head", lang)
        return Table(
            (first, *names), texts, title=title, caption=caption, align="r" * (len(names) + 1), heat=heat, grid=True
        )

    def _at(self, each: PlaceChanged, by_head: bool) -> tuple[Row, int]:
        """Return the row and the column of a place."""
        if by_head:
            return (each.layer, None), each.head or 0
        return (each.layer, each.head), each.position

    def _telling(self, cells: Mapping[tuple[Row, int], float], rows: Sequence[Row]) -> Sequence[Row]:
        """Return the rows that change most, in their order, where there are very many."""
        most: dict[Row, float] = dict.fromkeys(rows, 0.0)
        for (row, _), difference in cells.items():
            most[row] = max(most[row], abs(difference - self.difference.before))
        kept = set(sorted(rows, key=lambda row: -most[row])[:MOST_ROWS])
        return [row for row in rows if row in kept]

    def _share(self, difference: float) -> float | None:
        """Return how far the difference went towards the source's, from 0 to 1; None where both texts have the same."""
        way = self.difference.source - self.difference.before
        return min(1.0, max(0.0, (difference - self.difference.before) / way)) if abs(way) > 1e-6 else None

    def _two(self) -> dict[str, str]:
        return {"first": self.between[0].label, "second": self.between[1].label}

    def _grid_caption(self, lang: str | None, **rows: int) -> str:
        numbers = {"before": self.difference.before, "source": self.difference.source}
        shown = {name: number(value, lang, 1) for name, value in numbers.items()}
        said = [tr("patch.grid.caption", lang, **shown, **self._two())]
        if rows["shown"] < rows["all"]:
            said.append(tr("patch.grid.most", lang, **rows))
        if len(self.tokens) != len(self.source_tokens):
            said.append(tr("patch.grid.aligned", lang))
        return " ".join(said)


def _row_name(row: Row) -> str:
    layer, head = row
    return str(layer) if head is None else f"{layer}.{head}"
