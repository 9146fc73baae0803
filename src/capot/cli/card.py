"""``capot card``: what is in a model; with no name, the boxed one beside published ones."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from capot.cli.common import Argument, Option, chapter, emit
from capot.errors import AccessError, CapotError, InputError, NotFoundError
from capot.view.visible import visible

if TYPE_CHECKING:
    from capot.chapters.card.result import Card
    from capot.chapters.card.served import ServedCard
    from capot.model import Model


def card(model: Model, *, named: str | None, tune: bool = False) -> Card | ServedCard:
    """Return the card of ``named``, a published model, else of ``model``; ``tune``: its kernels' plan is chosen anew.

    Raises: InputError ``nothing_to_tune`` for a published shape; as ``Model.tune``; as ``Model.card``.
    """
    from capot.chapters.card.served import ServedCard
    from capot.chapters.card.verb import describe_known

    if tune:
        if named is not None:
            raise InputError("nothing_to_tune", name=named[:80])
        model.tune()
    if named is None and model.server is not None:
        return ServedCard(model.name, model.server)
    return model.card(known=model.name == "boxed") if named is None else describe_known(named)


def _opened(given: dict[str, Any]) -> dict[str, Any]:
    """Return the same words, a name that is not that of a published model being one to open, as after --model."""
    from capot.sources import published_shapes

    named = given["named"] or ""
    here = Path(named).expanduser() / "config.json"
    if here.is_file() or published_shapes.is_hub_name(named) or not _published(named):
        return given | {"model": given["named"] or given["model"], "named": None}
    return given


def _published(name: str) -> bool:
    """Return whether ``name`` is that of a published shape. Raises: NotFoundError ``unpublished_shape``."""
    from capot.sources import published_shapes

    try:
        published_shapes.find(name)
    except NotFoundError as error:
        if error.code == "unpublished_shape":
            raise
        return False
    return True


def with_preview(callback: Any) -> Any:
    """Return the same command.

    Where the hub hands out no files it shows what the hub tells everyone, and how to have them.
    """

    def run(**given: Any) -> None:
        asked, given = given["named"], _opened(given)
        try:
            callback(**given)
        except AccessError as refusal:
            if not _preview_shown(callback, given, refusal):
                raise
            click.echo(visible(refusal.message(), lines=True), err=True)
        except NotFoundError as error:
            raise _nearest(asked, error) from None

    return run


def _nearest(name: str | None, error: NotFoundError) -> NotFoundError:
    """Return the error to show where no model goes by a name.

    It tells the published shapes near it, if there are some.
    """
    from capot.sources import published_shapes

    if name is None or "/" in name or not error.code.startswith("unknown_model"):
        return error
    try:
        published_shapes.find(name)
    except NotFoundError as unknown:
        return unknown if unknown.params["near"] else error
    return error


def _preview_shown(callback: Any, given: dict[str, Any], refusal: AccessError) -> bool:
    """Return whether there was something to show all the same.

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
        preview = before_the_gate(given["model"], refusal, revision=given["revision"])
    except CapotError:
        return False
    emit(preview, as_json=given["as_json"], html=given["html"])
    return True


def _shown(callback: Any, given: dict[str, Any]) -> bool:
    with contextlib.suppress(CapotError):  # the refusal itself says more
        callback(**given)
        return True
    return False


command = chapter(
    "card",
    Argument(["named"], words="card.cli.model", metavar="[MODEL]", required=False),
    Option(["--tune"], words="card.cli.tune", is_flag=True),
    call=card,
)
command.callback = with_preview(command.callback)
