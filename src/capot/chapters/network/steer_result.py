"""The answer of ``steer``: before and after a direction is added."""

from __future__ import annotations

from dataclasses import dataclass

from capot.chapters.network.edited_result import Compared
from capot.i18n import number, percent, tr
from capot.view.blocks import Block, Heading, Text
from capot.view.result import text_tail


@dataclass(frozen=True)
class Steered(Compared):
    """What the model answers while ``strength`` times the difference of two texts is added to what leaves a layer.

    The difference is that of their last tokens: ``toward`` less ``away``. ``added_norm`` is the length of what is
    added, ``stream_norm`` that of what it is added to, at the prompt's last token.
    """

    toward: str
    away: str
    layer: int
    strength: float
    added_norm: float
    stream_norm: float

    def brief(self, lang: str | None = None) -> str:
        shown = {"prompt": text_tail(self.prompt), "changed": percent(self.changed, lang)}
        return tr("steer.brief", lang, toward=text_tail(self.toward), **shown)

    def view(self, lang: str | None = None) -> list[Block]:
        """Return what is added, then the two answers."""
        texts = {"toward": text_tail(self.toward), "away": text_tail(self.away), "layer": self.layer}
        norms = {"added": number(self.added_norm, lang, 1), "stream": number(self.stream_norm, lang, 1)}
        said = tr("steer.added", lang, strength=number(self.strength, lang, 1), **texts, **norms)
        limits = Text(tr("steer.limits", lang), tone="quiet")
        return [Heading(tr("steer.title", lang)), self.shown_prompt(), Text(said), *self.answers(lang), limits]
