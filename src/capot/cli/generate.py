"""``capot generate``: text as it is made, then one line about how it ended."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from capot.cli.common import TEXT, Argument, Option, chapter, colored
from capot.config import Sampling
from capot.errors import InputError

if TYPE_CHECKING:
    from capot.chapters.generate.result import Generation
    from capot.model import Model


def generate(model: Model, prompt: str, *, ids: str | None, **options: Any) -> Generation | None:
    """Print the text as it comes; where a file or JSON is asked for, answer the whole."""
    options["ids"] = None if ids is None else numbers(ids)
    asked = click.get_current_context().params
    if asked["as_json"] or asked["html"]:
        return model.generate(prompt, **options)
    _show(model, prompt, options)
    return None


def _show(model: Model, prompt: str, options: dict[str, Any]) -> None:
    """The text on standard output, and on standard error why it ended: a pipe gets the text alone.

    On a terminal the prompt comes first, dim, and nothing in a text can move the cursor.
    """
    from capot.chapters.generate.result import Progress
    from capot.engines.scheduler import stopping
    from capot.view.visible import visible

    watched, head = sys.stdout.isatty(), click.style(visible(prompt, lines=True), dim=True)
    with model.stream(prompt, **options) as events, stopping(events.cancel):
        for event in events:
            text = getattr(event, "text", "")
            if watched and head and not isinstance(event, Progress):  # read: no line moves here any more
                click.echo(head, nl=False, color=colored())
                head = ""
            if text:
                sys.stdout.write(visible(text, lines=True) if watched else text)
                sys.stdout.flush()
    assert events.result is not None  # the last event has come
    click.echo()
    click.echo(click.style(events.result.summary(), dim=True), err=True)


def numbers(text: str) -> list[int]:
    """Ids parted by commas. Raises: InputError ``not_a_number``."""
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise InputError("not_a_number", name="--ids", value=text[:80]) from None


def _setting(flag: str, kind: type, metavar: str, **extra: Any) -> Option:
    """An option of ``Sampling``: its default is written there alone."""
    name = flag.removeprefix("--").replace("-", "_")
    shown = {"default": getattr(Sampling, name), "show_default": True, "metavar": metavar}
    return Option([flag, name], words=f"generate.cli.{name}", type=kind, **shown, **extra)


command = chapter(
    "generate",
    Argument(["prompt"], words="generate.cli.prompt", type=TEXT),
    _setting("--max-new-tokens", int, "N"),
    _setting("--temperature", float, "T"),
    _setting("--top-k", int, "K"),
    _setting("--top-p", float, "P"),
    _setting("--min-p", float, "P"),
    _setting("--seed", int, "S"),
    _setting("--stop", str, "STRING", multiple=True),
    Option(["--after-stop"], words="generate.cli.after_stop", type=int, default=0, metavar="N"),
    Option(["--ids"], words="generate.cli.ids", metavar="N,N"),
    Option(["--first-draw"], words="generate.cli.first_draw", type=int, default=0, metavar="N"),
    call=generate,
)
