"""What is in a model: its parameters, sizes and licence, and whether it fits this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from capot.chapters.chapter import Chapter, ModelVerb

if TYPE_CHECKING:
    from capot.chapters.card.result import Card
    from capot.chapters.protocols import Opened

CHAPTER = Chapter("card", {"card": ModelVerb("card.verb:describe", {"known": False})}, ("card",), aside=True)


class CardVerbs:
    """The verb of the chapter ``card``."""

    def card(self: Opened, *, known: bool = False) -> Card:
        """Say what is in this model: parameters by block, sizes, context, licence. No weight is read.

        ``known``: add the table of published models.

        Units: sizes in bytes, parameters and tokens as counts.
        Of a server's model it needs the model's files; :attr:`Model.server` says what the server does.

        Raises: NotFoundError ``no_checkpoint``; ModelError for damaged weights; UnsupportedError
        ``shape_unknown`` for an unknown family without weights.

        >>> import capot
        >>> capot.open("boxed").card().tied  # the head is the table of the embeddings
        True
        """
        from capot.chapters.card.verb import describe

        return describe(self, known=known)
