"""A model whose files the hub does not hand out yet: what is known of it all the same."""

from __future__ import annotations

from dataclasses import dataclass

from capot.chapters.card.result import Fit, Sheet
from capot.i18n import tr
from capot.sources.hub.published import Published
from capot.view.blocks import Block, Facts, Heading, Text


@dataclass(frozen=True)
class Preview(Sheet):
    """The part of a card that the hub tells everyone; its fields are those of :class:`Card`.

    ``memory`` counts the weights as they are and guesses the cache from the number of parameters.
    """

    memory: Fit
    published: Published

    cache_known = "guessed"

    def view(self, lang: str | None = None) -> list[Block]:
        """What it is called, what it weighs, whether it fits; and that there is more behind the gate."""
        return [
            Heading(tr("card.title", lang)),
            Facts([*self.name_rows(lang), *self.hub_rows(self.published, lang)]),
            self.size_table(self.memory, lang),
            Text(
                self.fit_sentence(self.memory, lang),
                tone="plain" if self.memory.fits in ("yes", "unknown") else "warning",
            ),
            self.disk_text(self.published, lang),
            Text(tr("card.preview", lang), tone="quiet"),
        ]
