"""A conversation and its bill: what each turn sent again, computed, and cost."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from itertools import accumulate
from types import UnionType
from typing import Any

from capot import i18n
from capot.chapters.assistant.result import indented
from capot.chapters.generate.result import CUT
from capot.config import Prices, limits, within
from capot.errors import InputError
from capot.i18n import duration, number, percent, tr
from capot.view import blocks as b
from capot.view.result import Result, text_tail

MAX_TURNS = 10_000
SUMS = ("sent_tokens", "computed_tokens", "generated_tokens")
TURN = ("stop_reason", *SUMS, "first_token_s", "total_s")
MOST = 10**12  # tokens, or seconds: what is believed of a bill that comes back


@dataclass(frozen=True)
class Exchange(Result):
    """One turn: what was said, and what it took.

    ``sent_tokens`` were in the prompt, ``computed_tokens`` of them were not found in the
    cache; None where a server writes and does not tell. ``dropped_turns`` is how many of the
    oldest turns this prompt no longer holds.
    ``at_marker``: the answer was cut right after the end marker, before the end of that line.
    Units: ``first_token_s`` and ``total_s`` from the moment the message is handed over.
    """

    user: str
    assistant: str
    sent_tokens: int
    computed_tokens: int | None
    generated_tokens: int
    first_token_s: float
    total_s: float
    stop_reason: str = ""
    dropped_turns: int = 0
    indented: Sequence[str] = ()
    at_marker: bool = False
    prompt: str = field(default="", repr=False, metadata={"json": False})
    prompt_ids: Sequence[int] = field(default=(), repr=False, metadata={"json": False})

    def brief(self, lang: str | None = None) -> str:
        return tr("chat.exchange", lang, user=text_tail(self.user), assistant=text_tail(self.assistant.strip(), 80))

    def view(self, lang: str | None = None) -> list[b.Block]:
        """Return this turn alone, and what there is to say of it."""
        warnings = [b.Text(text, tone="warning") for text in notices(self, None, lang)]
        return [b.Chat(self.said(tr("chat.model", lang), "", lang)), *warnings]

    def said(self, model: str, place: str, lang: str | None = None) -> list[b.Turn]:
        """Return both sides of the turn, the model's with its bill."""
        asked = b.Turn(tr("chat.you", lang), self.user, note=place)
        return [asked, b.Turn(model, self.assistant.strip() or "∅", note=note(self, lang))]

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Exchange:
        """Return what ``to_dict`` made, held to its types. Raises: InputError ``conversation_field``."""
        given = {f.name: data[f.name] for f in fields(cls) if f.name in data and f.metadata.get("json", True)}
        for name, value in given.items():
            given[name] = _typed(name, value)
        try:
            return cls(**given)
        except TypeError:
            raise InputError("conversation_field", name="turns") from None


def _typed(name: str, value: Any) -> Any:
    kinds: dict[str, type | UnionType] = {
        "user": str, "assistant": str, "stop_reason": str, "indented": list | tuple, "at_marker": bool,
    }  # fmt: skip
    if name.endswith("_s"):
        kinds[name] = float | int
    if name == "computed_tokens" and value is None:
        return None
    kind = kinds.get(name, int)
    sound = isinstance(value, kind) and (kind is bool or not isinstance(value, bool))
    if sound and isinstance(value, int | float):
        sound = 0 <= value <= MOST
    if sound and name == "indented":
        sound, value = all(isinstance(line, str) for line in value), tuple(value)
    if not sound:
        raise InputError("conversation_field", name=name)
    return value


@dataclass(frozen=True)
class Conversation(Result):
    """All there is to know to go on: the next turn is a function of this and of a message.

    Units: ``price_in`` and ``price_out`` per million tokens, in any currency; 0 is no price.
    """

    turns: tuple[Exchange, ...] = ()
    kind: str = ""
    system: str = ""
    model: str = ""
    context_length: int = 0
    price_in: float = 0.0
    price_out: float = 0.0

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Conversation:
        """Return what ``to_dict`` made, perhaps kept by a browser in between: nothing in it is believed.

        Raises: InputError ``conversation_field``.
        """
        if not isinstance(data, Mapping):
            raise InputError("conversation_field", name="conversation")
        turns = data.get("turns", ())
        if not isinstance(turns, list | tuple) or len(turns) > MAX_TURNS:
            raise InputError("conversation_field", name="turns")
        if not all(isinstance(turn, Mapping) for turn in turns):
            raise InputError("conversation_field", name="turns")
        values: dict[str, Any] = {"turns": tuple(map(Exchange.from_dict, turns))}
        for name, kind in (("kind", str), ("system", str), ("model", str), ("price_in", float), ("price_out", float)):
            value = data.get(name, kind())
            if not isinstance(value, kind) and not (kind is float and isinstance(value, int)):
                raise InputError("conversation_field", name=name)
            values[name] = value if isinstance(value, str) else check_price(name, value)
        return cls(**values)

    def figures(self) -> dict[str, Any]:
        """Return the last turn's figures; of a conversation without a turn, its sums."""
        source, names = (self.turns[-1], TURN) if self.turns else (self, SUMS)
        return {name: getattr(source, name) for name in names}

    @property
    def sent_tokens(self) -> int:
        return sum(turn.sent_tokens for turn in self.turns)

    @property
    def computed_tokens(self) -> int | None:
        """Return the sum, None where one turn's count is not known."""
        return next(iter(self._computed[-1:]), 0)

    @property
    def _computed(self) -> list[int | None]:
        """Return the running total, None from the first turn on whose count is not known."""
        counts = (turn.computed_tokens for turn in self.turns)
        return list(accumulate(counts, lambda sum_, count: None if sum_ is None or count is None else sum_ + count))

    @property
    def generated_tokens(self) -> int:
        return sum(turn.generated_tokens for turn in self.turns)

    def cost(self, tokens_in: int) -> float:
        """Return what ``tokens_in`` read and all that was generated come to, in the prices' currency."""
        return self._cost(tokens_in, self.generated_tokens)

    def _cost(self, tokens_in: int, tokens_out: int) -> float:
        return (tokens_in * self.price_in + tokens_out * self.price_out) / 1e6

    @property
    def _priced(self) -> bool:
        return bool(self.price_in or self.price_out)

    def to_dict(self) -> dict[str, Any]:
        """Return the fields and the ``bill``: totals, and running totals turn by turn."""
        turns = self.turns
        bill = {
            "sent_tokens": self.sent_tokens,
            "computed_tokens": self.computed_tokens,
            "generated_tokens": self.generated_tokens,
            "cumulative_sent": list(accumulate(turn.sent_tokens for turn in turns)),
            "cumulative_computed": self._computed,
            "cost": self.cost(self.sent_tokens),
            "cost_of_computed": None if self.computed_tokens is None else self.cost(self.computed_tokens),
        }
        return {**super().to_dict(), "bill": bill}

    table = "turns"

    def brief(self, lang: str | None = None) -> str:
        sums = {name: getattr(self, name) for name in SUMS if getattr(self, name) is not None}
        key = "chat.brief_untold" if self.computed_tokens is None else "chat.brief"
        return tr(key, lang, count=len(self.turns), model=self.model or tr("chat.model", lang), **sums)

    def view(self, lang: str | None = None) -> list[b.Block]:
        """Return what was said, then the bill."""
        name = self.model or tr("chat.model", lang)
        said = [part for place, turn in enumerate(self.turns, 1) for part in turn.said(name, str(place), lang)]
        pairs = enumerate(zip(self.turns, (None, *self.turns)), 1)
        texts = [
            tr("chat.told", lang, turn=place, text=text)
            for place, (turn, before) in pairs
            for text in notices(turn, before, lang)
        ]
        chat = [b.Chat(said)] if said else []
        warnings = [b.Text(text, tone="warning") for text in texts]
        return [b.Heading(tr("chat.title", lang)), *chat, *warnings, *self.bill(lang)]

    def bill(self, lang: str | None = None) -> list[b.Block]:
        """Return each turn's tokens and times, the running totals with and without the cache, and the price."""
        if not self.turns:
            return [b.Text(tr("chat.bill.empty", lang), tone="quiet")]
        return [
            b.Heading(tr("chat.bill.title", lang), level=2),
            self._table(lang),
            self._curves(lang) if len(self.turns) > 1 else b.Text(tr("chat.curves.one_turn", lang), tone="quiet"),
            *self._price(lang),
        ]

    def _table(self, lang: str | None) -> b.Table:
        names = ["turn", "sent", "computed", "generated", "first", "total", *(["cost"] if self._priced else [])]
        rows = []
        for place, turn in enumerate(self.turns, 1):
            counts = (turn.sent_tokens, turn.computed_tokens, turn.generated_tokens)
            times = (turn.first_token_s, turn.total_s)
            cost = money(self._cost(turn.sent_tokens, turn.generated_tokens), lang)
            rows.append([str(place), *(_count(n, lang) for n in counts), *(duration(s, lang) for s in times), cost])
        totals = (self.sent_tokens, self.computed_tokens, self.generated_tokens)
        spent = duration(sum(turn.total_s for turn in self.turns), lang)
        cost = money(self.cost(self.sent_tokens), lang)
        rows.append([tr("chat.bill.all", lang), *(_count(n, lang) for n in totals), "", spent, cost])
        columns = [tr(f"chat.bill.{name}", lang) for name in names]
        shown = [row[: len(names)] for row in rows]
        return b.Table(columns, shown, align="lrrrrrr"[: len(names)], caption=self._table_caption(lang))

    def _table_caption(self, lang: str | None) -> str:
        last = self.turns[-1]
        numbers = {"turn": len(self.turns), "count": last.sent_tokens, "generated": last.generated_tokens}
        if last.computed_tokens is None:
            return tr("chat.bill.caption_untold", lang, **numbers)
        numbers |= {"computed": last.computed_tokens, "reused": last.sent_tokens - last.computed_tokens}
        return tr("chat.bill.caption", lang, **numbers)

    def _curves(self, lang: str | None) -> b.Curves:
        turns = list(range(1, len(self.turns) + 1))
        sent = list(accumulate(turn.sent_tokens for turn in self.turns))
        series = [b.Series(tr("chat.curves.without", lang), turns, sent)]
        if self.computed_tokens is None:
            caption = tr("chat.curves.caption_untold", lang, count=len(turns), sent=sent[-1])
        else:
            computed = [count for count in self._computed if count is not None]
            series.append(b.Series(tr("chat.curves.with", lang), turns, computed))
            spared = percent(1 - computed[-1] / sent[-1] if sent[-1] else 0.0, lang)
            caption = tr(
                "chat.curves.caption", lang, count=len(turns), sent=sent[-1], computed=computed[-1], spared=spared
            )
        x, y, title = (tr(f"chat.curves.{name}", lang) for name in ("x", "y", "title"))
        return b.Curves(series, x_label=x, y_label=y, title=title, caption=caption)

    def _price(self, lang: str | None) -> list[b.Block]:
        if not self._priced:
            return []
        told = {"price_in": number(self.price_in, lang), "price_out": number(self.price_out, lang)}
        told["cost"] = money(self.cost(self.sent_tokens), lang)
        if self.computed_tokens is None:
            return [b.Text(tr("chat.bill.price_untold", lang, **told))]
        return [b.Text(tr("chat.bill.price", lang, less=money(self.cost(self.computed_tokens), lang), **told))]


def check_price(name: str, value: float) -> float:
    """Return a price per million tokens. Raises: InputError ``out_of_range``."""
    within(name, value, *limits(Prices, name))
    return float(value)


def note(turn: Exchange, lang: str | None = None) -> str:
    """Return one turn's bill on one line."""
    times = {"first": duration(turn.first_token_s, lang), "total": duration(turn.total_s, lang)}
    counts = {"sent": turn.sent_tokens, "generated": turn.generated_tokens}
    if turn.computed_tokens is None:
        return tr("chat.note_untold", lang, **counts, **times)
    return tr("chat.note", lang, computed=turn.computed_tokens, **counts, **times)


def _count(count: int | None, lang: str | None) -> str:
    """Return a count, a dash where it is not known."""
    return "–" if count is None else number(count, lang)


def notices(turn: Exchange, before: Exchange | None, lang: str | None = None) -> list[str]:
    """Return what the person must be told about a turn: turns left out, lines moved, an answer cut."""
    texts = []
    dropped = turn.dropped_turns - (before.dropped_turns if before else 0)
    if dropped > 0:
        texts.append(tr("chat.dropped", lang, count=dropped))
    if turn.indented:
        texts.append(indented(turn.indented, lang))
    if turn.stop_reason in CUT:
        texts.append(tr(f"chat.cut.{turn.stop_reason}", lang))
    if turn.at_marker:
        texts.append(tr("assistant.at_marker", lang))
    return texts


def money(amount: float, lang: str | None = None) -> str:
    """Return an amount with as many digits as it takes to see it.

    >>> money(0.0001234, "en"), money(12.5, "en")
    ('0.000123', '12.50')
    """
    digits = 2 if amount >= 1 or amount == 0 else 2 - math.floor(math.log10(amount))
    return i18n.number(amount, lang, min(digits, 12))
