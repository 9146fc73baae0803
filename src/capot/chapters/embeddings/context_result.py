"""One word in several sentences: what the layers make of its one vector."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from capot.chapters.embeddings.embed_result import LISTED, Matrix, Spelling, angles, cosine, spread_caption
from capot.i18n import percent, tr
from capot.view.blocks import Block, Curves, Heading, Piece, Point, Scatter, Series, Strip, Table, Text
from capot.view.result import Result

DRAWN = 6  # curves that can be told apart
LONG = 300  # tokens; of a longer text only the surroundings of the word are drawn
AROUND = 14  # characters kept on each side of the word to name an occurrence


@dataclass(frozen=True)
class Sentence:
    """A sentence and its tokens, as ids and as a view shows them."""

    text: str
    ids: Sequence[int]
    tokens: Sequence[str]


@dataclass(frozen=True)
class Occurrence:
    """The word in ``sentence`` (counted from 0), at characters ``start`` to ``end``; ``positions``
    are the places of its tokens in the sentence's."""

    sentence: int
    start: int
    end: int
    positions: Sequence[int]
    ids: Sequence[int]
    tokens: Sequence[str]


@dataclass(frozen=True)
class Angles:
    """After a layer (0: before any): the cosines between the occurrences, of each to the
    word's row of the table, and ``others``, the mean cosine of two other tokens, one from
    each of two sentences."""

    layer: int
    cosine: Matrix
    to_static: Sequence[float | None]
    others: float | None


@dataclass(frozen=True)
class PlanePoint:
    x: float
    y: float


@dataclass(frozen=True)
class Context(Result):
    """A word followed through the layers. ``static`` is the spelling whose vector is its row of
    the table; ``points`` are the occurrences after ``layer``, by principal components."""

    word: str
    sentences: Sequence[Sentence]
    occurrences: Sequence[Occurrence]
    static: Spelling
    layers: Sequence[Angles]
    layer: int
    explained_variance: Sequence[float]
    points: Sequence[PlanePoint]

    def brief(self, lang: str | None = None) -> str:
        return tr("context.brief", lang, word=self.word, count=len(self.occurrences), layers=len(self.layers) - 1)

    def to_rows(self) -> list[dict[str, Any]]:
        """Return a row a layer and a pair of occurrences, counted from 0: the cosine between the two."""
        return [
            {"layer": each.layer, "first": a, "second": b, "cosine": each.cosine[a][b], "others": each.others}
            for each in self.layers
            for a, b in self._pairs()
        ]

    def view(self, lang: str | None = None) -> list[Block]:
        """Return the sentences, the cosines by layer, and the chosen layer closer."""
        blocks: list[Block] = [Heading(tr("context.title", lang, word=self.word)), *self._strips(lang)]
        blocks += [Text(note, tone="warning") for note in self._notes(lang)]
        if len(self.occurrences) > 1:
            blocks.append(self._between(lang))
        blocks.append(self._to_static(lang))
        if len(self.occurrences) > 1:
            blocks += [self._angles(lang), self._picture(lang)]
        return [*blocks, self._table(lang)]

    def _strips(self, lang: str | None) -> Iterator[Strip]:
        for place, sentence in enumerate(self.sentences[:LISTED]):
            here = [(n, o) for n, o in enumerate(self.occurrences, start=1) if o.sentence == place]
            inside = {position for _, occurrence in here for position in occurrence.positions}
            yield Strip(_pieces(sentence, inside), label=", ".join(str(n) for n, _ in here))

    def _notes(self, lang: str | None) -> Iterator[str]:
        """Yield a sentence where a word has several tokens, and where other tokens spell occurrences."""
        if len(self.static.ids) > 1:
            tokens = " + ".join(self.static.tokens)
            yield tr("context.mean", lang, word=self.word, count=len(self.static.ids), tokens=tokens)
        odd = [n for n, o in enumerate(self.occurrences, start=1) if tuple(o.ids) != tuple(self.static.ids)]
        if odd:
            named = ", ".join(map(str, odd[:DRAWN])) + ("…" if odd[DRAWN:] else "")
            tokens = " + ".join(self.static.tokens)
            yield tr("context.other_tokens", lang, count=len(odd), numbers=named, tokens=tokens)

    def names(self) -> list[str]:
        """Return each occurrence by its number and what stands around it."""
        return [f"{n} {_snippet(self.sentences[o.sentence].text, o)}" for n, o in enumerate(self.occurrences, start=1)]

    def _pairs(self) -> list[tuple[int, int]]:
        return [(a, b) for b in range(len(self.occurrences)) for a in range(b)]

    def _mean(self, layer: Angles) -> float | None:
        return _mean([layer.cosine[a][b] for a, b in self._pairs()])

    def _between(self, lang: str | None) -> Curves:
        depths = [layer.layer for layer in self.layers]
        pairs = self._pairs()
        if len(pairs) <= DRAWN:
            lines = [
                Series(f"{a + 1}–{b + 1}", depths, [layer.cosine[a][b] for layer in self.layers]) for a, b in pairs
            ]
        else:
            lines = [Series(tr("context.between.mean", lang), depths, [self._mean(layer) for layer in self.layers])]
        others = [layer.others for layer in self.layers]
        if any(value is not None for value in others):
            lines.append(Series(tr("context.between.others", lang), depths, others, dashed=True))
        low = min(self.layers[1:], key=lambda layer: _or_one(self._mean(layer)), default=self.layers[0])
        shown = {
            "count": len(self.occurrences),
            "first": cosine(self._mean(self.layers[0]), lang),
            "low": cosine(self._mean(low), lang),
            "layer": low.layer,
            "others": cosine(low.others, lang),
        }
        away = _or_one(self._mean(low)) < _or_one(self._mean(self.layers[0]))
        parts = "apart" if away else "closer", "alone" if low.others is None else "yardstick"
        caption = " ".join(tr(f"context.between.{part}", lang, **shown) for part in parts)
        return Curves(
            lines, tr("context.layer", lang), tr("context.cosine.axis", lang),
            title=tr("context.between.title", lang), caption=caption,
        )  # fmt: skip

    def _to_static(self, lang: str | None) -> Curves:
        depths = [layer.layer for layer in self.layers]
        if len(self.occurrences) <= DRAWN:
            lines = [
                Series(name, depths, [layer.to_static[n] for layer in self.layers])
                for n, name in enumerate(self.names())
            ]
        else:
            means = [_mean(layer.to_static) for layer in self.layers]
            lines = [Series(tr("context.static.mean", lang), depths, means)]
        first = _mean(self.layers[0].to_static)
        last = _mean(self.layers[-1].to_static)
        caption = tr(
            "context.static.caption", lang,
            first=cosine(first, lang), last=cosine(last, lang), layer=self.layers[-1].layer, word=self.word,
        )  # fmt: skip
        axes = tr("context.layer", lang), tr("context.cosine.axis", lang)
        return Curves(lines, *axes, title=tr("context.static.title", lang), caption=caption)

    def _angles(self, lang: str | None) -> Table:
        numbers = [str(n) for n in range(1, len(self.occurrences) + 1)]
        title = tr("context.cosine.title", lang, layer=self.layer)
        matrix = self.layers[self.layer].cosine
        return angles(self.names(), numbers, matrix, lang, title=title, topic="context.cosine")

    def _picture(self, lang: str | None) -> Scatter:
        points = [Point(name, (at.x, at.y), n % 6) for n, (name, at) in enumerate(zip(self.names(), self.points))]
        axes = [
            tr("context.picture.axis", lang, axis=axis, share=percent(share, lang))
            for axis, share in enumerate(self.explained_variance, start=1)
        ]
        shown = {"count": len(points), "layer": self.layer}
        kept = sum(self.explained_variance)
        caption = spread_caption("context.picture", lang, kept=kept, **shown)
        if kept and len(points) == 2:
            caption = tr("context.picture.two", lang, layer=self.layer)
        return Scatter(points, axes, title=tr("context.picture.title", lang, layer=self.layer), caption=caption)

    def _table(self, lang: str | None) -> Table:
        columns = [
            tr("context.layer", lang),
            *(tr(f"context.table.{name}", lang) for name in ("mean", "static", "others")),
        ]
        rows = [
            (str(layer.layer), *(cosine(v, lang) for v in (self._mean(layer), _mean(layer.to_static), layer.others)))
            for layer in self.layers
        ]
        caption = tr("context.table.caption", lang)
        return Table(columns, rows, title=tr("context.table.title", lang), caption=caption)


def _pieces(sentence: Sentence, inside: set[int]) -> list[Piece]:
    """Return the tokens, the word's own set apart; of a long text, only those around the word."""
    pieces: list[Piece] = []
    for at, (token, ident) in enumerate(zip(sentence.tokens, sentence.ids, strict=True)):
        if len(sentence.ids) <= LONG or any(abs(at - position) <= LONG // 10 for position in inside):
            pieces.append(Piece(token, hint=str(ident), tone=0, kind="token" if at in inside else "prompt"))
        elif not pieces or pieces[-1].text != "…":
            pieces.append(Piece("…", kind="prompt"))
    return pieces


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _or_one(value: float | None) -> float:
    return 1.0 if value is None else value


def _snippet(text: str, occurrence: Occurrence) -> str:
    """Return the word with a little of its sentence on each side, cut between words where that is possible."""
    start = occurrence.start
    end = occurrence.end
    before = text[:start][-AROUND:]
    after = text[end:][:AROUND]
    if len(before) < start:
        before = "…" + (before.partition(" ")[2] or before)
    if end + len(after) < len(text):
        after = (after.rpartition(" ")[0] or after) + "…"
    return f"{before}{text[start:end]}{after}"
