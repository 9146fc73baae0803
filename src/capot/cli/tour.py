"""``capot tour``: the road from text to text on three prompts, one chapter after the other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from capot.cancellation import INTERRUPTED
from capot.cli.common import Command, colored, loading_options, open_model, output_options, put, terminal_width
from capot.config import Sampling
from capot.i18n import language, tr, use_language
from capot.view.blocks import Block, Heading, Text
from capot.view.result import Result

SEED = 1  # so that two people who follow the tour read the same text


def road(model: Any) -> list[tuple[str, Any]]:
    """The stops: a catalogue key for what is about to be seen, and the call that shows it."""
    prompts = tr("tour.prompts").split("|")
    french, capital = tr("tour.french"), prompts[1]
    sampling = Sampling(max_new_tokens=40, seed=SEED)
    return [
        ("card", model.card),
        ("tokens", lambda: model.tokens(french, compare=("english", "french"))),
        ("next", lambda: model.next(capital)),
        *(("generate", lambda prompt=prompt: model.generate(prompt, sampling=sampling)) for prompt in prompts),
    ]


def tour(as_json: bool, html: Path | None, lang: str | None, **loading: Any) -> None:
    """Print each stop as soon as it is known; with --html, keep them all on one page."""
    blocks: list[Block] = []
    answers: list[Result] = []
    with open_model(**loading) as model:
        for stop, call in road(model):
            if not as_json and html is None:
                click.echo(click.style(tr(f"tour.{stop}"), dim=True) if colored() else tr(f"tour.{stop}"))
            answer = call()
            answers.append(answer)
            blocks += [Text(tr(f"tour.{stop}"), tone="quiet"), *answer.view(language())]
            if not as_json and html is None:
                click.echo(answer.to_text(width=terminal_width(), color=colored()) + "\n")
            if INTERRUPTED.is_set():
                break
    _finish(answers, blocks, as_json=as_json, html=html)


def _finish(answers: list[Result], blocks: list[Block], *, as_json: bool, html: Path | None) -> None:
    from capot.view.html import to_html

    if html is not None:
        with use_language(None) as lang:
            put(html, to_html([Heading(tr("tour.title")), *blocks], lang=lang))
    if as_json:
        click.echo("[" + ",\n".join(answer.to_json() for answer in answers) + "]")
    elif html is None:
        click.echo(tr("tour.end"))


command = Command(
    "tour",
    words="tour.cli.help",
    params=[*loading_options(), *output_options()],
    callback=tour,
)

__all__ = ["command"]
