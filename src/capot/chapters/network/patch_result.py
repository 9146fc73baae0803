"""The answer of ``patch``: before and after, and what each place changes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from capot.chapters.network.edited_result import Compared, PartOff
from capot.chapters.network.result import SHOWN, LayerToken
from capot.i18n import number, tr
from capot.view.blocks import Block, Heading, Table, Text
from capot.view.result import flatten, text_tail

COLUMNS, MOST_COLUMNS = 8, 32  # of a grid beside each other, and in all; positions are the last ones


@dataclass(frozen=True)
class TokenLogits:
    """One of the two tokens, and its logit after the prompt and after the source."""

    id: int
    text: str
    label: str
    before: float
    source: float


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
        """A row a place that was tried."""
        return [flatten(each) for each in self.grid]

    def view(self, lang: str | None = None) -> list[Block]:
        """The two texts, what each place changes, then the two answers."""
        source = self.source if len(self.source) <= SHOWN else "…" + self.source[-SHOWN:]
        shown = {"place": self._place(lang), "token": self._label(self.tokens[self.position])}
        shown |= {"other": self._label(self.source_tokens[self.source_position])}
        blocks: list[Block] = [Heading(tr("patch.title", lang)), self.shown_prompt()]
        blocks.append(Text(tr("patch.source", lang, source=source)))
        blocks += self._grids(lang) if len(self.grid) > 1 else []
        said = Text(tr("patch.put", lang, **shown))
        return [*blocks, said, *self.answers(lang), Text(tr("patch.limits", lang), tone="quiet")]

    def _place(self, lang: str | None) -> str:
        return PartOff(self.part, self.layer, self.head).label(lang)

    def _label(self, token: LayerToken) -> str:
        return self.labels.get(token.id, str(token.id))

    # ------------------------------------------------------------ the grid

    def _grids(self, lang: str | None) -> Iterator[Table]:
        """Layers as rows, the last on top; positions as columns, or heads. A few columns beside each other."""
        by_head = self.part == "head" and len({each.head for each in self.grid}) > 1
        cells = {(each.layer, each.head if by_head else each.position): each.difference for each in self.grid}
        columns = sorted({column for _, column in cells if column is not None})[-MOST_COLUMNS:]
        rows = sorted({layer for layer, _ in cells}, reverse=True)
        for start in range(0, len(columns), COLUMNS):
            chosen = columns[start : start + COLUMNS]
            names = [str(each) if by_head else self._label(self.tokens[each]) for each in chosen]
            texts = [
                (str(row), *(number(round(cells[row, each], 1) + 0.0, lang, 1) for each in chosen)) for row in rows
            ]
            heat = [(None, *(self._share(cells[row, each]) for each in chosen)) for row in rows]
            title = "" if start else tr(f"patch.grid.{'heads' if by_head else 'title'}", lang, **self._two())
            caption = self._grid_caption(lang) if start + COLUMNS >= len(columns) else ""
            yield Table((tr("network.layer", lang), *names), texts, title=title, caption=caption, heat=heat)

    def _share(self, difference: float) -> float | None:
        """How far towards the source's difference, from 0 to 1; None where both texts have the same."""
        way = self.difference.source - self.difference.before
        return min(1.0, max(0.0, (difference - self.difference.before) / way)) if abs(way) > 1e-6 else None

    def _two(self) -> dict[str, str]:
        return {"first": self.between[0].label, "second": self.between[1].label}

    def _grid_caption(self, lang: str | None) -> str:
        shown = {"before": number(self.difference.before, lang, 1), "source": number(self.difference.source, lang, 1)}
        aligned = tr("patch.grid.aligned", lang) if len(self.tokens) != len(self.source_tokens) else ""
        return f"{tr('patch.grid.caption', lang, **shown, **self._two())} {aligned}".strip()
