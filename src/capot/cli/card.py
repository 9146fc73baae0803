"""``capot card``: what is in a model; with no name, the boxed one beside published ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

from capot.cli.common import Argument, chapter, open_model
from capot.errors import NotFoundError

if TYPE_CHECKING:
    from capot.model import Model
    from capot.results.card import Card


def card(model: Model, *, named: str | None) -> Card:
    """The card of ``named``, a published model or one to open, else of ``model``."""
    from capot.card import describe_known

    if named is None:
        return model.card(known=model.name == "boxed")
    try:
        return describe_known(named)
    except NotFoundError:
        with open_model(model=named) as other:
            return other.card()


command = chapter("card", Argument(["named"], words="card.cli.model", metavar="[MODEL]", required=False), call=card)
