"""Two answers to one text, before something was changed in the network and after."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from capot.chapters.generate.result import StopReason
from capot.chapters.next.result import Candidate
from capot.i18n import percent, points, tr
from capot.view.blocks import Bar, Bars, Block, Heading, Table, Text
from capot.view.result import Result, flatten, text_tail

SHOWN = 300  # characters of the prompt that a view repeats


@dataclass(frozen=True)
class Side:
    """The most probable next tokens, and the ``text`` that follows where the first of them is taken each time.

    ``stop_reason`` says why the text ends, in the words of ``generate``.
    """

    candidates: Sequence[Candidate]
    text: str
    stop_reason: StopReason


@dataclass(frozen=True)
class Shift:
    """A token, and its probability before and after. ``text`` is empty where its bytes are no whole character."""

    id: int
    text: str
    label: str
    before: float
    after: float


@dataclass(frozen=True)
class PartOff:
    """A part that was switched off, by layer and head from 1; ``head`` is None where it is no single head."""

    part: Literal["residual", "attention", "mlp", "head"]
    layer: int
    head: int | None

    def label(self, lang: str | None) -> str:
        at = str(self.layer) if self.head is None else f"{self.layer}.{self.head}"
        return tr(f"edited.part.{self.part}", lang, at=at)


@dataclass(frozen=True)
class Compared(Result):
    """What the model answers before and after.

    ``changed`` is the probability that is another token's afterwards, ``moved`` the tokens where it changed most.
    """

    prompt: str
    before: Side
    after: Side
    changed: float
    moved: Sequence[Shift]
    model: str = field(metadata={"json": False})

    def to_rows(self) -> list[dict[str, Any]]:
        """Return a row a token whose probability changed."""
        return [flatten(shift) for shift in self.moved]

    def answers(self, lang: str | None) -> list[Block]:
        """Return the two answers as bars, what moved, the texts that follow."""
        blocks: list[Block] = [self._bars("before", self.before, lang), self._bars("after", self.after, lang)]
        same = all(each.before == each.after for each in self.moved)
        blocks.append(Text(tr("edited.moved.none", lang)) if same else self._moved(lang))
        if self.before.text or self.after.text:
            alike = "same" if self.before.text == self.after.text else "other"
            texts = {"before": self.before.text, "after": self.after.text}
            rows = [(tr(f"edited.{name}", lang), " ".join(text.split())) for name, text in texts.items()]
            columns = ("", tr("edited.text.column", lang))
            full = "context_full" in (self.before.stop_reason, self.after.stop_reason)
            caption = " ".join(tr(f"edited.text.{key}", lang) for key in (alike, *(["full"] if full else [])))
            blocks.append(Table(columns, rows, title=tr("edited.text.title", lang), caption=caption, align="ll"))
        return blocks

    def shown_prompt(self) -> Text:
        """Return the prompt, or its end."""
        return Text(self.prompt if len(self.prompt) <= SHOWN else "…" + self.prompt[-SHOWN:])

    def _bars(self, name: str, answered: Side, lang: str | None) -> Bars:
        rows = [Bar(each.label, each.probability, percent(each.probability, lang)) for each in answered.candidates]
        caption = "" if name == "before" else self._caption(lang)
        return Bars(rows, title=tr(f"edited.{name}", lang), caption=caption)

    def _caption(self, lang: str | None) -> str:
        first = self.before.candidates[0]
        then = self.after.candidates[0]
        kept = next(each for each in (*self.after.candidates, then) if each.id in (first.id, then.id))
        key = "kept" if first.id == then.id else "lost"
        shown = {"first": first.label, "then": then.label, "before": percent(first.probability, lang)}
        return tr(f"edited.caption.{key}", lang, after=percent(kept.probability, lang), **shown)

    def _moved(self, lang: str | None) -> Table:
        rows = [
            (each.label, percent(each.before, lang), percent(each.after, lang), points(each.after - each.before, lang))
            for each in self.moved
        ]
        columns = [tr(f"edited.moved.{name}", lang) for name in ("token", "before", "after", "change")]
        caption = tr("edited.moved.caption", lang, changed=percent(self.changed, lang))
        return Table(columns, rows, title=tr("edited.moved.title", lang), caption=caption, align="lrrr")


@dataclass(frozen=True)
class Ablation(Compared):
    """What the model answers with the parts of ``off`` switched off, ``by`` zero or by the mean over the prompt."""

    by: Literal["zero", "mean"]
    off: Sequence[PartOff]

    def brief(self, lang: str | None = None) -> str:
        return tr("ablate.brief", lang, prompt=text_tail(self.prompt), changed=percent(self.changed, lang))

    def view(self, lang: str | None = None) -> list[Block]:
        """Return what is off, then the two answers."""
        parts = ", ".join(part.label(lang) for part in self.off)
        said = Text(tr(f"ablate.off.{self.by}", lang, parts=parts))
        limits = Text(tr("ablate.limits", lang), tone="quiet")
        return [Heading(tr("ablate.title", lang)), self.shown_prompt(), said, *self.answers(lang), limits]
