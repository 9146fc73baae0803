"""What a text becomes: tokens with their ids, bytes and places, and what it costs elsewhere."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import overload

from capot.i18n import number, tr
from capot.text.tokenizer import decode_whole
from capot.view.blocks import Bar, Bars, Block, Facts, Heading, Piece, PieceKind, Strip, Table, Text
from capot.view.graphemes import graphemes, hex_bytes, token_label
from capot.view.result import Result, text_tail

SHOWN = 400  # pieces of a strip; the rest is in --json
LISTED = 60  # rows of the table
_LONGEST = 12  # characters of a grapheme repeated over its tokens


@dataclass(frozen=True)
class Token:
    """One token. ``start`` and ``end`` are byte offsets in the UTF-8 text; ``text`` is
    empty where the bytes are no whole character."""

    id: int
    bytes: bytes
    text: str
    start: int
    end: int
    special: bool = False


class Cut(Sequence[Token]):
    """The tokens of a text, each made when it is looked at: a comparison shows a few of 100,000 and counts the rest."""

    def __init__(self, spans: Iterable[tuple[int, bytes, int, int]], *, special_ids: frozenset[int]) -> None:
        self._ids, self._starts, self._ends = array("Q"), array("I"), array("I")
        self._pieces: list[bytes] = []
        self._special = special_ids
        # Three arrays and the bytes: a list of 100,000 tokens takes 19 MB, and these 2.4.
        for token, raw, start, end in spans:
            self._ids.append(token)
            self._pieces.append(raw)
            self._starts.append(start)
            self._ends.append(end)

    def __len__(self) -> int:
        return len(self._ids)

    @overload
    def __getitem__(self, place: int) -> Token: ...

    @overload
    def __getitem__(self, place: slice) -> list[Token]: ...

    def __getitem__(self, place: int | slice) -> Token | list[Token]:
        if isinstance(place, slice):
            return [self[each] for each in range(*place.indices(len(self)))]
        raw = self._pieces[place]
        token = self._ids[place]
        return Token(token, raw, decode_whole(raw), self._starts[place], self._ends[place], token in self._special)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and len(self) == len(other) and all(a == b for a, b in zip(self, other))

    def __hash__(self) -> int:
        return hash((self._ids.tobytes(), self._starts.tobytes(), self._ends.tobytes()))


@dataclass(frozen=True)
class Comparison(Result):
    """The same text in one tokenizer; ``relative`` is its count over the first one's."""

    tokenizer: str
    vocabulary_size: int
    count: int
    relative: float
    tokens: Sequence[Token] = field(default=(), repr=False, metadata={"json": False})

    table = "tokens"

    def brief(self, lang: str | None = None) -> str:
        return tr("tokens.comparison", lang, tokenizer=self.tokenizer, count=self.count, relative=self._times(lang))

    def _times(self, lang: str | None) -> str:
        return number(self.relative, lang, 2)

    def view(self, lang: str | None = None) -> list[Block]:
        """Return the text as this tokenizer cuts it."""
        text = b"".join(token.bytes for token in self.tokens).decode("utf-8", errors="replace")
        return [Strip(pieces(text, self.tokens, lang), label=self.tokenizer)]


@dataclass(frozen=True)
class Missing:
    """A tokenizer that the text could not be compared with, and why: ``code`` and ``message`` as an error has them."""

    tokenizer: str
    code: str
    message: str


@dataclass(frozen=True)
class Tokens(Result):
    """A text as the model reads it.

    ``lossless`` says whether the bytes of the tokens, joined, are the text;
    ``comparisons`` begins with the model's own tokenizer, ``missing`` are those that could not be had.
    ``opening`` names the tokens that the model's files put before a prompt (BOS); ``count`` leaves them out.
    """

    text: str
    tokenizer: str
    vocabulary_size: int
    vocabulary_base: int
    count: int
    characters: int
    bytes: int
    characters_per_token: float | None
    lossless: bool
    tokens: Sequence[Token]
    comparisons: Sequence[Comparison] = ()
    missing: Sequence[Missing] = ()
    opening: Sequence[str] = ()

    @property
    def own(self) -> Comparison:
        """Return the text in the model's own tokenizer, as ``comparisons`` has it where there are some."""
        return Comparison(self.tokenizer, self.vocabulary_size, self.count, 1.0, self.tokens)

    table = "tokens"

    def brief(self, lang: str | None = None) -> str:
        return tr("tokens.brief", lang, text=text_tail(self.text), count=self.count, tokenizer=self.tokenizer)

    def view(self, lang: str | None = None) -> list[Block]:
        """Return the text cut, its figures, its tokens one by one, and the other tokenizers."""
        blocks: list[Block] = [Heading(tr("tokens.title", lang))]
        blocks.append(Strip(pieces(self.text, self.tokens, lang), label=self.tokenizer, caption=self._caption(lang)))
        if self.count > SHOWN:
            blocks.append(Text(tr("tokens.more", lang, shown=SHOWN, count=self.count), tone="quiet"))
        if not self.lossless:
            blocks.append(Text(tr("tokens.lossy", lang), tone="warning"))
        blocks.append(self._facts(lang))
        if self.tokens:
            blocks.append(self._table(lang))
        if len(self.comparisons) > 1:
            blocks += self._compared(lang)
        return blocks + self._missed(lang)

    def _missed(self, lang: str | None) -> list[Block]:
        """Return a line for each tokenizer that could not be had, and what to do."""
        blocks: list[Block] = []
        for each in self.missing:
            why, _, hint = each.message.partition("\n")
            blocks.append(Text(tr("tokens.missing", lang, name=each.tokenizer, why=why), tone="warning"))
            blocks += [Text(hint, tone="quiet")] if hint else []
        return blocks

    def _caption(self, lang: str | None) -> str:
        if not self.tokens:
            return tr("tokens.caption.empty", lang)
        said = self._cut_into(lang)
        if not self.opening:
            return said
        named = ", ".join(self.opening)
        count = self.count + len(self.opening)
        return f"{said} {tr('tokens.caption.prompt', lang, count=count, opening=named)}"

    def _cut_into(self, lang: str | None) -> str:
        """Return into how many tokens it is cut, and how long the longest is."""
        rate = number(self.characters_per_token or 0, lang, 1)
        become = tr("tokens.caption.characters", lang, count=self.characters)
        first = tr("tokens.caption.count", lang, count=self.count, characters=become, rate=rate)
        partial = sum(not token.text for token in self.tokens)
        if partial:
            return f"{first} {tr('tokens.caption.partial', lang, count=partial)}"
        ordinary = [token for token in self.tokens if not token.special]
        if not ordinary:
            return f"{first} {tr('tokens.caption.special', lang, count=self.count)}"
        if self.count == 1:
            return f"{first} {tr('tokens.caption.whole', lang)}" if self.characters > 1 else first
        longest = max(ordinary, key=lambda token: len(token.text))
        shown = token_label(longest.text[: 3 * _LONGEST])
        return f"{first} {tr('tokens.caption.longest', lang, token=shown, count=len(longest.text))}"

    def _facts(self, lang: str | None) -> Facts:
        rate = self.characters_per_token
        added = "value" if self.vocabulary_size != self.vocabulary_base else "same"
        sizes = {"size": self.vocabulary_size, "base": self.vocabulary_base}
        values = {
            "tokens": number(self.count, lang),
            "characters": number(self.characters, lang),
            "bytes": number(self.bytes, lang),
            "rate": "–" if rate is None else number(rate, lang, 2),
            **({"vocabulary": tr(f"tokens.facts.vocabulary_{added}", lang, **sizes)} if self.vocabulary_size else {}),
        }
        return Facts([(tr(f"tokens.facts.{name}", lang), value) for name, value in values.items()])

    def _table(self, lang: str | None) -> Table:
        names = ("place", "id", "text", "bytes", "offsets")
        rows = [
            (str(place), str(token.id), face(token), token.bytes.hex(" ").upper(), f"{token.start}–{token.end}")
            for place, token in enumerate(self.tokens[:LISTED], 1)
        ]
        left_out = self.count - len(rows)
        caption = tr("tokens.table.caption", lang)
        if left_out:
            caption += " " + tr("tokens.table.more", lang, count=left_out)
        columns = [tr(f"tokens.table.{name}", lang) for name in names]
        return Table(columns, rows, title=tr("tokens.table.title", lang), caption=caption, align="rrllr")

    def _compared(self, lang: str | None) -> list[Block]:
        strips = [Strip(pieces(self.text, other.tokens, lang), label=other.tokenizer) for other in self.comparisons[1:]]
        most = max(other.count for other in self.comparisons) or 1
        rows = [
            Bar(
                other.tokenizer,
                other.count / most,
                tr("tokens.compare.bar", lang, count=other.count, relative=number(other.relative, lang, 2)),
                marked=place == 0,
            )
            for place, other in enumerate(self.comparisons)
        ]
        bars = Bars(rows, title=tr("tokens.compare.title", lang), caption=self._compared_caption(lang))
        return [Heading(tr("tokens.compare.heading", lang), level=2), *strips, bars]

    def _compared_caption(self, lang: str | None) -> str:
        first, *others = self.comparisons
        if not others or not first.count:
            return ""
        dearest, cheapest = max(others, key=_count), min(others, key=_count)
        other = dearest if dearest.relative - 1 >= 1 - cheapest.relative else cheapest
        kind = "dearer" if other.count > first.count else "cheaper"
        kind = "same" if other.count == first.count else kind
        shown = number(other.relative, lang, 2)
        facts = {"first": first.tokenizer, "other": other.tokenizer, "a": first.count, "b": other.count}
        sentence = tr(f"tokens.compare.{kind}", lang, **facts, relative=shown)
        return f"{sentence} {tr(f'tokens.compare.{kind}_means', lang)}"


def _count(comparison: Comparison) -> int:
    return comparison.count


def face(token: Token) -> str:
    """Return a token by itself: its text drawn, else its bytes, else its id."""
    return token_label(token.text) or (hex_bytes(token.bytes) if token.bytes else f"⟨{token.id}⟩")


def pieces(text: str, tokens: Sequence[Token], lang: str | None = None, *, limit: int | None = SHOWN) -> list[Piece]:
    """Return the tokens of a strip: those that share one visible character share its colour.

    Such a token shows the character and which part of it it holds: ``🤗 1/2``, ``🤗 2/2``.
    """
    drawn = []
    for tone, group in enumerate(groups(text, tokens[:limit])):
        whole = text.encode()[group[0].start : group[-1].end].decode("utf-8", errors="ignore") if group[1:] else ""
        whole = whole if len(whole) <= _LONGEST else whole[:_LONGEST] + "…"
        for part, token in enumerate(group, 1):
            hint = tr("tokens.hint", lang, id=str(token.id), bytes=token.bytes.hex(" ").upper())
            shown = f"{token_label(whole)} {part}/{len(group)}" if whole else face(token)
            kind: PieceKind = "bytes" if whole or not token.text else "token"
            kind = "special" if token.special else kind
            drawn.append(Piece(shown, hint=hint, tone=tone % 6, kind=kind))
    return drawn


def groups(text: str, tokens: Iterable[Token]) -> list[list[Token]]:
    """Return the tokens gathered so that every group begins and ends between visible characters."""
    tokens = list(tokens)
    last = max((token.end for token in tokens), default=0)
    begun = text.encode()[: last + 64].decode("utf-8", errors="ignore")  # as much as the tokens cover
    borders = {0, *accumulate(len(shape.encode()) for shape in graphemes(begun))}
    gathered: list[list[Token]] = []
    for token in tokens:
        if gathered and token.start not in borders:
            gathered[-1].append(token)
        else:
            gathered.append([token])
    return gathered
