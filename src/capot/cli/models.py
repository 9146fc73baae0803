"""``capot models``: those of this machine, those of the hub; bring one, remove one."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from capot.cli.common import Argument, Command, Option, emit, output_options
from capot.errors import AccessError, InputError, NotFoundError
from capot.i18n import Bytes, tr
from capot.view.visible import visible

if TYPE_CHECKING:
    from capot.view.result import Result

ACTIONS = ("get", "remove")


def run(
    words: tuple[str, ...], search: str | None, limit: int, revision: str | None, yes: bool,
    as_json: bool, html: Path | None, lang: str | None,
) -> None:  # fmt: skip
    """List, search, bring or remove."""
    from capot.chapters.models import verb as models

    refusal = None
    if search is not None:
        answer, refusal = _found(" ".join((search, *words)), limit=limit)
    elif not words:
        answer = models.cached()
    else:
        answer = _change(words, revision=revision, sure=yes)
    emit(answer, as_json=as_json, html=html)
    if refusal is not None:
        click.echo(visible(refusal.message(), lines=True), err=True)


def _found(words: str, *, limit: int) -> tuple[Result | None, AccessError | None]:
    """Return what a search finds; a token that is wrong is then left out, and still said to be wrong."""
    from capot.chapters.models import verb as models
    from capot.sources.hub.refusals import WRONG_TOKEN
    from capot.sources.hub.settings import anonymous

    try:
        return models.search(words, limit=limit), None
    except AccessError as refusal:
        if refusal.code not in WRONG_TOKEN:
            raise
        with anonymous():
            return models.search(words, limit=limit), refusal


def _change(words: tuple[str, ...], *, revision: str | None, sure: bool) -> Result | None:
    """Bring or remove one model.

    Raises: InputError ``models_action``, ``missing_argument``, ``hub_name``, ``not_confirmed``; NotFoundError
    ``model_address``.
    """
    from capot.chapters.models import verb as models
    from capot.sources.hub.cache_index import find
    from capot.sources.hub.listing import is_name, name_from_url

    action, *named = words
    if action not in ACTIONS:
        raise InputError("models_action", value=action[:80], words=" ".join(words)[:80])
    if len(named) != 1:
        raise InputError("missing_argument", name="ORG/NAME")
    if action == "get":
        from capot.cli.progress import watch

        if page := name_from_url(named[0]):
            raise NotFoundError("model_address", name=named[0][:200], model=page)
        if not is_name(named[0]):
            raise InputError("hub_name", name=named[0][:100])
        return models.get(named[0], revision=revision, watch=watch())
    found = find(named[0])
    if not sure and not _confirmed(found.name, found.nbytes):
        return None
    return models.remove(found.name)


def _confirmed(name: str, nbytes: int) -> bool:
    """Ask a person. Raises: InputError ``not_confirmed`` where nobody is at a terminal."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise InputError("not_confirmed", name=name)
    click.echo(tr("models.sure", name=visible(name), size=Bytes(nbytes)) + " ", nl=False, err=True)
    answer = sys.stdin.readline().strip().casefold()
    return answer in tr("models.yes").split()


command = Command(
    "models",
    words="models.cli.help",
    callback=run,
    params=[
        Argument(["words"], words="models.cli.words", nargs=-1, metavar="[get|remove ORG/NAME]"),
        Option(["--search"], words="models.cli.search", metavar="WORDS"),
        Option(["--limit"], words="models.cli.limit", type=int, default=20, show_default=True),
        Option(["--revision"], words="cli.options.revision", metavar="REVISION"),
        Option(["--yes"], words="models.cli.yes", is_flag=True),
        *output_options(),
    ],
)
