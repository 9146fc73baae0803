"""How probable a text is, token by token."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from capot.chapters.token_texts import TokenShare, label_of
from capot.i18n import bits, number, percent, three_digits, tr
from capot.view.blocks import Block, Facts, Heading, Piece, Strip, Table, Text
from capot.view.graphemes import token_label
from capot.view.result import Result, flatten, text_tail

DARKEST = 16.0  # bits from which a token is drawn darkest: one of 65,536 that are equally probable
DRAWN = 1000  # tokens of the strip
SURPRISING = 10


@dataclass(frozen=True)
class ScoredToken:
    """A token of the text. ``text`` is empty where its bytes are no whole character.

    ``expected`` is the most probable token there, ``rank`` this one's place among all tokens, from 1;
    ``entropy_bits`` says how undecided the model was. All of it is None for a first token that nothing stands before;
    ``rank`` also where a server does not tell it.
    """

    id: int
    text: str
    bits: float | None
    rank: int | None
    probability: float | None
    expected: TokenShare | None
    entropy_bits: float | None


@dataclass(frozen=True)
class Score(Result):
    """The probability of a text, token by token.

    ``bits`` is the sum over the tokens that have a probability, and so are the two means; None where there is none.
    ``exact`` is False where a server tells its most probable tokens alone: ``entropy_bits`` are then lower bounds.
    """

    text: str
    tokens: Sequence[ScoredToken]
    bits: float | None
    perplexity: float | None
    bits_per_byte: float | None
    labels: Mapping[int, str] = field(repr=False, compare=False, metadata={"json": False})
    model: str = field(metadata={"json": False})
    exact: bool = True

    def brief(self, lang: str | None = None) -> str:
        return tr("score.brief", lang, text=text_tail(self.text), count=len(self.tokens))

    def to_rows(self) -> list[dict[str, Any]]:
        """Return a row a token, what was expected there beside it."""
        rows = [flatten(token) for token in self.tokens]
        for row in rows:  # where nothing was expected, the same columns are empty
            row.update(
                {f"expected_{name}": row.pop(f"expected_{name}", None) for name in ("id", "text", "probability")}
            )
            row.pop("expected", None)
        return rows

    def view(self, lang: str | None = None) -> list[Block]:
        """Return the text shaded by surprise, the totals, the tokens that surprise most."""
        blocks: list[Block] = [Heading(tr("score.chapter.question", lang)), self._strip(lang)]
        if len(self.tokens) > DRAWN:
            blocks.append(Text(tr("score.strip.cut", lang, drawn=DRAWN, all=len(self.tokens)), tone="quiet"))
        if self.bits is None or self.perplexity is None or self.bits_per_byte is None:
            return [*blocks, Text(tr("score.nothing", lang), tone="quiet")]
        figures = {
            "bits": number(self.bits, lang, 1),
            "perplexity": three_digits(self.perplexity, lang),
            "bits_per_byte": number(self.bits_per_byte, lang, 3),
        }
        blocks.append(Facts([(tr(f"score.total.{name}", lang), figure) for name, figure in figures.items()]))
        counted = sum(token.bits is not None for token in self.tokens)
        each = bits(self.bits / counted, lang, 2)
        told = figures | {"bits": bits(self.bits, lang, 1), "each": each}
        blocks += [Text(tr("score.total.said", lang, **told)), self._table(lang)]
        if self.tokens[0].bits is None:
            blocks.append(Text(tr("score.first", lang), tone="quiet"))
        return blocks

    def _label(self, token: int) -> str:
        return label_of(self.labels, token)

    def _expected(self, token: TokenShare) -> str:
        return self._label(token.id) if token.id >= 0 else token_label(token.text)

    def _strip(self, lang: str | None) -> Strip:
        pieces = []
        for token in self.tokens[:DRAWN]:
            if token.bits is None or token.expected is None:
                pieces.append(Piece(self._label(token.id)))
                continue
            shown = {"bits": bits(token.bits, lang, 1), "expected": self._expected(token.expected)}
            hint = tr("score.strip.hint", lang, **shown, share=percent(token.expected.probability, lang))
            pieces.append(Piece(self._label(token.id), hint=hint, weight=min(1.0, max(0.0, token.bits / DARKEST))))
        return Strip(pieces, label=tr("score.strip.label", lang), caption=tr("score.strip.caption", lang))

    def _table(self, lang: str | None) -> Table:
        known = [(token.bits, place) for place, token in enumerate(self.tokens) if token.bits is not None]
        rows = []
        for _, place in sorted(known, key=lambda pair: (-pair[0], pair[1]))[:SURPRISING]:
            token = self.tokens[place]
            assert token.expected is not None and token.probability is not None
            rows.append((
                str(place), self._label(token.id), number(token.bits or 0.0, lang, 1),
                "–" if token.rank is None else number(token.rank, lang), percent(token.probability, lang),
                self._expected(token.expected),
                percent(token.expected.probability, lang),
            ))  # fmt: skip
        names = ("position", "token", "bits", "rank", "probability", "expected", "share")
        columns = [tr(f"score.table.{name}", lang) for name in names]
        title, caption = tr("score.table.title", lang), tr("score.table.caption", lang)
        return Table(columns, rows, title=title, caption=caption, align="rlrrrlr")
