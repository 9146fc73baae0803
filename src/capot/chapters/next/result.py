"""What may come next: every token of the vocabulary with its logit and its probability."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from capot.chapters.token_texts import id_text
from capot.i18n import bits, number, percent, tr
from capot.view.blocks import Bar, Bars, Block, Facts, Heading, Table, Text
from capot.view.result import Result, text_tail

SURE = 0.5  # bits of entropy below which a choice is as good as made
SHOWN = 300  # characters of the prompt that a view repeats: its end is what counts


@dataclass(frozen=True)
class Candidate:
    """One token. ``text`` is empty where its bytes are no whole character, ``label`` never is.

    Where a server answers, ``logit`` is the log-probability, and ``id`` is -1 if it tells the text of a token alone.
    """

    rank: int
    id: int
    text: str
    label: str
    logit: float
    probability: float


@dataclass(frozen=True)
class Asked(Candidate):
    """A token asked for by ``asked``; where that takes ``tokens`` > 1 tokens, the first of them."""

    asked: str
    tokens: int


@dataclass(frozen=True)
class Drawn:
    """The draw at another temperature, ``probabilities`` those of the same candidates in the same order."""

    temperature: float
    kept: int
    entropy_bits: float
    probabilities: Sequence[float]


@dataclass(frozen=True)
class Prediction(Result):
    """The distribution over the next token.

    Units: ``entropy_bits`` bits, of the distribution at ``temperature`` after the filters, which
    leave ``kept`` tokens to draw from; ``model_entropy_bits`` of the model's own, at temperature 1 and
    without filters; ``prefill_s`` seconds of engine time. ``exact`` is False
    where a server tells its most probable tokens only: ``seen`` is what they have together, ``entropy_bits`` without
    filters and ``model_entropy_bits`` are lower bounds, ``vocabulary_size`` is 0 if it is not known, and ``logits`` is
    empty.
    ``prompt_tokens`` counts ``opening``, the names of the tokens that the model's files put before a prompt (BOS).
    Shapes: ``logits`` (V,) float32, raw, left out of JSON.
    """

    prompt: str
    model: str
    temperature: float
    top_k: int
    top_p: float
    min_p: float
    kept: int
    vocabulary_size: int
    entropy_bits: float
    model_entropy_bits: float
    exact: bool
    candidates: Sequence[Candidate]
    asked: Sequence[Asked]
    prompt_tokens: int
    reused_tokens: int | None
    prefill_s: float
    logits: np.ndarray = field(repr=False, compare=False, metadata={"json": False})
    opening: Sequence[str] = ()
    beside: Sequence[Drawn] = ()
    seen: float = 1.0

    table = "candidates"

    def brief(self, lang: str | None = None) -> str:
        first = ", ".join(f"{each.label} {percent(each.probability, lang)}" for each in self.candidates[:3])
        return tr("next.brief", lang, prompt=text_tail(self.prompt), tokens=first)

    def view(self, lang: str | None = None) -> list[Block]:
        """Return the end of the prompt, the most probable tokens as bars and as figures, those asked for."""
        blocks: list[Block] = [Heading(tr("next.title", lang)), Text(self._prompt_end()), self._bars(lang)]
        if not self.exact:
            blocks.append(Text(self._inexact(lang), tone="warning"))
        blocks += [self._table(lang), self._facts(lang)]
        if self.beside:
            blocks.append(self._beside_table(lang))
        if self.asked:
            blocks.append(self._asked_table(lang))
        return blocks

    def _inexact(self, lang: str | None) -> str:
        """Return what is not known where the most probable tokens alone are told."""
        left = 1 - self.seen
        facts = {"count": len(self.candidates), "seen": percent(self.seen, lang), "left": percent(max(0.0, left), lang)}
        return tr("next.inexact", lang, **facts, entropy=bits(self.model_entropy_bits, lang))

    def _prompt_end(self) -> str:
        return self.prompt if len(self.prompt) <= SHOWN else "…" + self.prompt[-SHOWN:]

    def _bars(self, lang: str | None) -> Bars:
        wanted = {token.id for token in self.asked}
        rows = [
            Bar(each.label, each.probability, percent(each.probability, lang), marked=each.id in wanted)
            for each in self.candidates
        ]
        return Bars(rows, title=tr("next.bars", lang, count=len(rows)), caption=self._caption(lang))

    def _caption(self, lang: str | None) -> str:
        best = self.candidates[0]
        facts = {"token": best.label, "size": self.vocabulary_size, "share": percent(best.probability, lang)}
        first = tr("next.caption.best" if self.exact else "next.caption.told", lang, **facts)
        if self.temperature == 0:
            return f"{first} {tr('next.caption.greedy', lang)}"
        alike = number(2**self.entropy_bits, lang, 1 if self.entropy_bits < 5 else 0)
        usual, drawn = ("sure", "drawn_sure") if self.entropy_bits < SURE else ("entropy", "drawn")
        kind = usual if self.exact else "least"
        kind = drawn if self._moved else kind
        said = {"entropy": bits(self.entropy_bits, lang), "own": bits(self.model_entropy_bits, lang)}
        return f"{first} {tr(f'next.caption.{kind}', lang, alike=alike, **said)}"

    def _table(self, lang: str | None) -> Table:
        rows = []
        total = 0.0
        for each in self.candidates:
            total += each.probability
            rows.append((*_figures(each, lang), percent(total, lang)))
        names = ("rank", "token", "id", "logit", "probability", "total")
        mass = percent(total, lang)
        key = "filtered" if self._filtered else "caption"
        key = "greedy" if self.temperature == 0 else key
        key = "told" if not self.exact and not self._moved else key
        kept = tr("next.table.kept", lang, count=self.kept)
        facts = {"count": len(rows), "mass": mass, "size": self.vocabulary_size, "kept": kept}
        facts["token"] = self.candidates[0].label
        caption = tr(f"next.table.{key}", lang, **facts)
        return Table([tr(f"next.table.{name}", lang) for name in names], rows, caption=caption, align="rlrrrr")

    @property
    def _filtered(self) -> bool:
        if not self.exact:
            return self.temperature > 0 and (self.top_k > 0 or self.top_p < 1 or self.min_p > 0)
        return self.temperature > 0 and self.kept < self.vocabulary_size

    @property
    def _moved(self) -> bool:
        """Return whether the draw is another distribution than the model's own."""
        return self.temperature != 1 or self._filtered

    def _facts(self, lang: str | None) -> Facts:
        values = {
            "model": self.model,
            "prompt": self._prompt_size(lang),
            **(
                {"vocabulary": tr("next.facts.tokens", lang, count=self.vocabulary_size)}
                if self.vocabulary_size
                else {}
            ),
            **({} if self.exact else {"seen": percent(self.seen, lang)}),
            "temperature": number(self.temperature, lang),
            **({"kept": tr("next.facts.tokens", lang, count=self.kept)} if self._filtered else {}),
            **({"model_entropy": self._least(self.model_entropy_bits, lang)} if self._moved else {}),
        }
        own = bits(self.entropy_bits, lang) if self._moved else self._least(self.entropy_bits, lang)
        values["draw_entropy" if self._moved else "entropy"] = own
        return Facts([(tr(f"next.facts.{name}", lang), value) for name, value in values.items()])

    def _least(self, entropy: float, lang: str | None) -> str:
        """Return an entropy of the model's own, which is a lower bound where not all is told."""
        return bits(entropy, lang) if self.exact else tr("next.facts.at_least", lang, entropy=bits(entropy, lang))

    def _prompt_size(self, lang: str | None) -> str:
        key, opening = ("tokens", "") if not self.opening else ("prompt_value", ", ".join(self.opening))
        return tr(f"next.facts.{key}", lang, count=self.prompt_tokens, opening=opening)

    def _beside_table(self, lang: str | None) -> Table:
        """Return the same candidates at each temperature, and the entropy of each draw."""
        own = Drawn(self.temperature, self.kept, self.entropy_bits, [each.probability for each in self.candidates])
        draws = [own, *self.beside]
        rows = [
            (each.label, *(percent(draw.probabilities[place], lang) for draw in draws))
            for place, each in enumerate(self.candidates)
        ]
        rows.append((tr("next.beside.entropy", lang), *(bits(draw.entropy_bits, lang) for draw in draws)))
        columns = [tr("next.table.token", lang), *(f"T = {number(draw.temperature, lang)}" for draw in draws)]
        low, high = (pick(draws, key=lambda draw: draw.temperature) for pick in (min, max))
        facts = {"low": low.temperature, "high": high.temperature, "token": self.candidates[0].label}
        facts |= {"least": percent(high.probabilities[0], lang), "most": percent(low.probabilities[0], lang)}
        caption = tr("next.beside.caption", lang, **facts)
        return Table(columns, rows, title=tr("next.beside.title", lang), caption=caption, align="l" + "r" * len(draws))

    def _asked_table(self, lang: str | None) -> Table:
        names = ("asked", "rank", "token", "id", "logit", "probability")
        rows = [(each.asked, *_figures(each, lang)) for each in self.asked]
        long = next((each for each in self.asked if each.tokens > 1), None)
        first = self.asked[0]
        facts = {"token": first.label, "rank": first.rank, "size": self.vocabulary_size}
        caption = tr("next.asked.rank" if self.vocabulary_size else "next.asked.place", lang, **facts) + " "
        if long is not None:
            caption += tr("next.asked.first", lang, asked=long.asked, count=long.tokens, token=long.label)
        else:
            caption += tr("next.asked.whole", lang, share=percent(first.probability, lang))
        columns = [tr(f"next.table.{name}", lang) for name in names]
        return Table(columns, rows, title=tr("next.asked.title", lang), caption=caption, align="lrlrrr")


def _figures(each: Candidate, lang: str | None) -> tuple[str, ...]:
    rank = number(each.rank, lang)
    return rank, each.label, id_text(each.id), number(each.logit, lang, 2), percent(each.probability, lang)
