"""Words as vectors: where they lie, the angles between them, and what is near."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from capot.i18n import number, percent, size, tr
from capot.view.blocks import Block, Facts, Heading, Point, Scatter, Table, Text
from capot.view.result import Result

Matrix = Sequence[Sequence[float | None]]

LISTED = 40  # rows of a table
MATRIX = 12  # words of the cosine table: more than a page is wide helps nobody
LABELLED = 60  # names in the picture
NAMED = 6  # words told apart in one sentence
NONE = "–"


@dataclass(frozen=True)
class Spelling:
    """One way of writing a word and its tokens, as ids and as a view shows them."""

    text: str
    ids: Sequence[int]
    tokens: Sequence[str]


@dataclass(frozen=True)
class Word:
    """A word of the list. ``ids`` are those whose mean is its vector, written as ``used``;
    ``x``, ``y`` (and ``z``) its place in the picture; ``spellings_cosine`` compares its
    vector with a leading space to the one without."""

    word: str
    ids: Sequence[int]
    x: float
    y: float
    z: float | None
    tokens: Sequence[str]
    used: str
    spaced: Spelling
    bare: Spelling
    spellings_cosine: float | None


@dataclass(frozen=True)
class Near:
    """A token of the vocabulary; ``text`` is empty where its bytes are no whole character."""

    id: int
    text: str
    cosine: float | None
    shown: str


@dataclass(frozen=True)
class Neighbours:
    """The tokens whose vectors point most like a word's, its own tokens left out."""

    word: str
    near: Sequence[Near]


@dataclass(frozen=True)
class Embedding(Result):
    """What the embedding table says of some words.

    ``explained_variance`` are shares of the whole spread, one for each axis, as
    scikit-learn's ``explained_variance_ratio_``; ``cosine`` has None where a vector is
    all zeros. ``whole`` is false where only the rows of these words came, from the hub:
    then there are no neighbours, which take the whole table.

    Shapes: ``shape`` (V, D); ``cosine`` one row and one column for each word, in order
    """

    shape: tuple[int, int]
    dtype: str
    table_bytes: int
    words: Sequence[Word]
    explained_variance: Sequence[float]
    cosine: Matrix
    neighbours: Sequence[Neighbours] = ()
    whole: bool = True

    def brief(self, lang: str | None = None) -> str:
        words = ", ".join(each.word for each in self.words[:NAMED]) + ("…" if self.words[NAMED:] else "")
        return tr("embed.brief", lang, count=len(self.words), width=self.shape[1], words=words)

    def to_rows(self) -> list[dict[str, Any]]:
        """Return a row a word: its place in the picture, then its cosine with each word."""
        names = [f"cosine {each.word}" for each in self.words]
        return [
            {"word": each.word, "used": each.used, "ids": list(each.ids), "x": each.x, "y": each.y, "z": each.z}
            | dict(zip(names, row, strict=True))
            for each, row in zip(self.words, self.cosine, strict=True)
        ]

    def view(self, lang: str | None = None) -> list[Block]:
        """Return the table's shape, the words' tokens, their picture, their angles, their neighbours."""
        blocks: list[Block] = [Heading(tr("embed.title", lang)), self._facts(lang), self._written(lang)]
        blocks += self._means(lang)
        if len(self.words) > 1:
            blocks += [self._picture(lang), self._angles(lang)]
        else:
            alone = tr("embed.alone", lang, word=self.words[0].word, width=self.shape[1])
            blocks.append(Text(alone, tone="quiet"))
        if self.neighbours:
            blocks.append(self._near(lang))
        if not self.whole:
            blocks.append(Text(tr("embed.rows_alone", lang, size=size(self.table_bytes, lang)), tone="quiet"))
        if len(self.words) > MATRIX:
            blocks.append(Text(tr("embed.more", lang, count=len(self.words), shown=MATRIX), tone="quiet"))
        return blocks

    def _facts(self, lang: str | None) -> Facts:
        rows, width = self.shape
        shape = tr("embed.facts.table_value", lang, rows=rows, width=width)
        stored = tr("embed.facts.stored_value", lang, size=size(self.table_bytes, lang), dtype=self.dtype)
        return Facts([(tr("embed.facts.table", lang), shape), (tr("embed.facts.stored", lang), stored)])

    def _written(self, lang: str | None) -> Table:
        """Return how each word becomes tokens, in both spellings, and which of them is used."""
        columns = [tr(f"embed.written.{name}", lang) for name in ("word", "spaced", "bare", "cosine", "vector")]
        rows = [
            (
                word.word,
                pieces(word.spaced),
                pieces(word.bare),
                cosine(word.spellings_cosine, lang),
                _vector(word, lang),
            )
            for word in self.words[:LISTED]
        ]
        apart = [word for word in self.words if word.spaced.ids != word.bare.ids and word.spellings_cosine is not None]
        caption = tr("embed.written.same", lang, word=self.words[0].word)
        if apart:
            shown = {"word": apart[0].word, "cosine": cosine(apart[0].spellings_cosine, lang)}
            caption = tr("embed.written.caption", lang, **shown)
        return Table(columns, rows, title=tr("embed.written.title", lang), caption=caption, align="lllrl")

    def _means(self, lang: str | None) -> Iterator[Text]:
        """Yield a sentence for each word of several tokens: none is split silently."""
        several = [word for word in {word.word: word for word in self.words}.values() if len(word.ids) > 1]
        if several:
            named = ", ".join(f"{word.word} = {' + '.join(word.tokens)}" for word in several[:NAMED])
            yield Text(
                tr("embed.mean", lang, count=len(several), words=named + ("…" if several[NAMED:] else "")), "warning"
            )

    def _picture(self, lang: str | None) -> Scatter:
        once = {
            word.word: word for word in reversed(self.words)
        }  # a word written twice is one point, at its first place
        points = [
            Point(word.word if place < LABELLED else "", xyz(word), place % 6)
            for place, word in enumerate(self.words)
            if once[word.word] is word
        ]
        axes = [
            tr("embed.picture.axis", lang, axis=axis, share=percent(share, lang))
            for axis, share in enumerate(self.explained_variance, start=1)
        ]
        kept = sum(self.explained_variance)
        return Scatter(
            points, axes, arrows=True, title=tr("embed.picture.title", lang),
            caption=spread_caption("embed.picture", lang, kept=kept, count=len(self.words), width=self.shape[1]),
        )  # fmt: skip

    def _angles(self, lang: str | None) -> Table:
        names = [word.word for word in self.words]
        return angles(names, names, self.cosine, lang, title=tr("embed.cosine.title", lang), topic="embed.cosine")

    def _near(self, lang: str | None) -> Table:
        listed = self.neighbours[:LISTED]
        rows = [
            (line.word, "  ".join(f"{near.shown} {cosine(near.cosine, lang)}" for near in line.near)) for line in listed
        ]
        columns = [tr("embed.near.word", lang), tr("embed.near.near", lang)]
        best = max(
            (line for line in self.neighbours if line.near), key=lambda line: line.near[0].cosine or 0, default=None
        )
        caption = ""
        if best is not None:
            shown = {"word": best.word, "near": best.near[0].shown, "cosine": cosine(best.near[0].cosine, lang)}
            caption = tr("embed.near.caption", lang, rows=self.shape[0], **shown)
        return Table(columns, rows, title=tr("embed.near.title", lang), caption=caption, align="ll")


def _vector(word: Word, lang: str | None) -> str:
    """Return which spelling stands for the word, and as how many tokens."""
    kind = "spaced" if word.used[:1].isspace() else "bare"
    return tr(f"embed.vector.{kind}", lang, count=len(word.ids))


def xyz(point: Word) -> tuple[float, ...]:
    return (point.x, point.y) if point.z is None else (point.x, point.y, point.z)


def pieces(spelling: Spelling) -> str:
    return " + ".join(spelling.tokens)


def cosine(value: float | None, lang: str | None) -> str:
    return NONE if value is None else number(round(value, 2), lang, 2)


def spread_caption(topic: str, lang: str | None, *, kept: float, **shown: int) -> str:
    """Return what the picture keeps of the points' spread; other words where there is no spread at all."""
    if not kept:
        return tr(f"{topic}.still", lang, **shown)
    if kept > 0.9995:  # what would be written as 0.0% lost
        return tr(f"{topic}.whole", lang, **shown)
    return tr(f"{topic}.caption", lang, kept=percent(kept, lang), lost=percent(1 - kept, lang), **shown)


def angles(
    names: Sequence[str], columns: Sequence[str], matrix: Matrix, lang: str | None, *, title: str, topic: str
) -> Table:
    """Return a matrix of cosines as a heat table; its caption names the pair most alike and the least."""
    shown = [row[:MATRIX] for row in matrix[:MATRIX]]
    rows = [(name, *(cosine(value, lang) for value in row)) for name, row in zip(names, shown, strict=False)]
    heat = [(None, *(None if value is None else max(0.0, value) for value in row)) for row in shown]
    pairs = [
        (value, columns[i], columns[j])
        for i, row in enumerate(matrix)
        for j, value in enumerate(row[:i])
        if value is not None
    ]
    caption = ""
    if pairs:
        (high, a, b), (low, c, d) = max(pairs, key=lambda pair: pair[0]), min(pairs, key=lambda pair: pair[0])
        mean = sum(value for value, *_ in pairs) / len(pairs)
        facts = {"high": cosine(high, lang), "low": cosine(low, lang), "mean": cosine(mean, lang)}
        form = "caption" if len(pairs) > 1 else "pair"
        caption = tr(f"{topic}.{form}", lang, a=b, b=a, c=d, d=c, **facts)
    return Table(["", *columns[:MATRIX]], rows, title=title, caption=caption, heat=heat)
