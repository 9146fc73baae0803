"""``capot card``: what is in a model; with no name, the boxed one beside published ones."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import click

from capot.cli.common import Argument, chapter, emit
from capot.errors import AccessError, CapotError, NotFoundError
from capot.view.visible import visible

if TYPE_CHECKING:
    from capot.chapters.card.result import Card
    from capot.model import Model


def card(model: Model, *, named: str | None) -> Card:
    """The card of ``named``, a published model, else of ``model``."""
    from capot.chapters.card.verb import describe_known

    return model.card(known=model.name == "boxed") if named is None else describe_known(named)


def _opened(given: dict[str, Any]) -> dict[str, Any]:
    """The same words, a name that is not that of a published model being one to open, as after --model."""
    from capot.sources import published_shapes

    try:
        published_shapes.find(given["named"] or "")
    except NotFoundError:
        return given | {"model": given["named"] or given["model"], "named": None}
    return given


def told_all_the_same(callback: Any) -> Any:
    """The same command; where the hub hands out no files it shows what it tells everyone, and how to have them."""

    def run(**given: Any) -> None:
        given = _opened(given)
        try:
            callback(**given)
        except AccessError as refusal:
            if not _told(callback, given, refusal):
                raise
            click.echo(visible(refusal.message(), lines=True), err=True)

    return run


def _told(callback: Any, given: dict[str, Any], refusal: AccessError) -> bool:
    """Whether there was something to show all the same.

    A wrong token closes what is open to all as well: there, one asks again without any.
    """
    from capot.chapters.card.gated import before_the_gate
    from capot.sources.hub.refusals import WRONG_TOKEN
    from capot.sources.hub.settings import anonymous

    if refusal.code in WRONG_TOKEN:
        with anonymous():
            if _shown(callback, given):
                return True
    try:
        told = before_the_gate(given["model"], refusal, revision=given["revision"])
    except CapotError:
        return False
    emit(told, as_json=given["as_json"], html=given["html"])
    return True


def _shown(callback: Any, given: dict[str, Any]) -> bool:
    with contextlib.suppress(CapotError):  # the refusal itself says more
        callback(**given)
        return True
    return False


command = chapter("card", Argument(["named"], words="card.cli.model", metavar="[MODEL]", required=False), call=card)
command.callback = told_all_the_same(command.callback)
