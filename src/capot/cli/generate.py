"""``capot generate``: text as it is made, then one line about how it ended."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from capot.cli.common import chapter, colored, numbers
from capot.cli.settings import argument, option

if TYPE_CHECKING:
    from capot.chapters.generate.result import Generation
    from capot.model import Model


def generate(model: Model, prompt: str, *, ids: str | None, **options: Any) -> Generation | None:
    """Print the text as it comes; where a file or JSON is asked for, answer the whole."""
    options["ids"] = None if ids is None else numbers(ids, name="--ids")
    asked = click.get_current_context().params
    if asked["as_json"] or asked["html"]:
        return model.generate(prompt, **options)
    _show(model, prompt, options)
    return None


def _show(model: Model, prompt: str, options: dict[str, Any]) -> None:
    """Write the text on standard output, and on standard error why it ended: a pipe gets the text alone.

    On a terminal the prompt comes first, dim, and nothing in a text can move the cursor.
    """
    from capot.chapters.generate.result import Finished, Progress, Step
    from capot.engines.scheduler import cancel_on_ctrl_c
    from capot.view.visible import visible

    watched = sys.stdout.isatty()
    head = click.style(visible(prompt, lines=True), dim=True)
    with model.stream(prompt, **options) as events, cancel_on_ctrl_c(events.cancel):
        for event in events:
            text = event.text if isinstance(event, Step | Finished) else ""
            if watched and head and not isinstance(event, Progress):  # read: no line moves here any more
                click.echo(head, nl=False, color=colored())
                head = ""
            if text:
                sys.stdout.write(visible(text, lines=True) if watched else text)
                sys.stdout.flush()
    assert events.result is not None  # the last event has come
    click.echo()
    click.echo(click.style(events.result.summary(), dim=True), err=True)


command = chapter(
    "generate",
    argument("generate", "prompt"),
    option("generate", "max_new_tokens", metavar="N"),
    option("generate", "temperature", metavar="T"),
    option("generate", "top_k", metavar="K"),
    option("generate", "top_p", metavar="P"),
    option("generate", "min_p", metavar="P"),
    option("generate", "seed", metavar="S"),
    option("generate", "stop", type=str, multiple=True, metavar="STRING"),
    option("generate", "after_stop", metavar="N"),
    option("generate", "ids", type=str, metavar="N,N"),
    option("generate", "first_draw", metavar="N"),
    call=generate,
)
