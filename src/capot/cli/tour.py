"""``capot tour``: every chapter in turn, on the sentences of the lessons."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from capot.cli.common import FILE, Command, Option, colored, loading_options, open_model, output_options, put
from capot.cli.common import terminal_width as width
from capot.engines.cancellation import INTERRUPTED
from capot.errors import CapotError, InterruptedByUser
from capot.i18n import language, tr, use_language
from capot.view.blocks import Block, Heading, Text
from capot.view.result import Result

SEED = 1  # so that two people who follow the tour read the same text
POWERS = tuple(2**power for power in range(14))


def road(model: Any) -> list[tuple[str, Any]]:
    """Return the stops: a catalogue key for what is about to be seen, and the call that shows it."""
    sentence, capital, question = tr("tour.prompts").split("|")
    drawn = {"temperature": 0.5, "max_new_tokens": 30, "seed": SEED}
    return [
        ("card", model.card),
        ("tokens", lambda: model.tokens(tr("tour.french"), compare=("english", "french"))),
        ("embed", lambda: model.embed(tr("tour.words").split("|"), near=3)),
        ("network", lambda: model.network(capital, k=1, positions=[-1])),
        ("next", lambda: model.next(capital)),
        ("score", lambda: model.score(sentence)),
        ("generate", lambda: model.generate(tr("tour.begin"), **drawn)),
        ("memory", lambda: model.memory(tokens=POWERS, simulate=True)),
        ("assistant", lambda: model.assistant(question, temperature=0, max_new_tokens=40)),
    ]


def tour(as_json: bool, html: Path | None, lang: str | None, **loading: Any) -> None:
    """Print each stop as soon as it is known; with --html, keep them all on one page."""
    blocks: list[Block] = []
    answers: list[Result] = []
    printing = not as_json and html is None
    said = dict(zip(("sentence", "capital", "question"), tr("tour.prompts").split("|"), strict=True))
    with open_model(**loading) as model:
        for stop, call in road(model):
            lead = tr(f"tour.{stop}", **said)
            blocks.append(Text(lead, tone="quiet"))
            if printing:
                click.echo(click.style(lead, dim=True) if colored() else lead)
            answer = _answer(call, blocks)
            if isinstance(answer, Result):
                answers.append(answer)
            if printing:
                page = answer.to_text(width=width(), color=colored()) if isinstance(answer, Result) else answer
                click.echo(page + "\n")
            if INTERRUPTED.is_set():
                break
    _finish(answers, blocks, as_json=as_json, html=html)


def _answer(call: Any, blocks: list[Block]) -> Result | str:
    """Return a stop's answer, or what this model says instead: the tour goes on to what it has.

    Its blocks are added.
    """
    try:
        answer: Result = call()
    except InterruptedByUser:
        raise
    except CapotError as error:
        blocks.append(Text(error.message(), tone="warning"))
        return error.message()
    blocks += answer.view(language())
    return answer


def _finish(answers: list[Result], blocks: list[Block], *, as_json: bool, html: Path | None) -> None:
    from capot.view.html import to_html

    if html is not None:
        with use_language(None) as lang:
            put(html, to_html([Heading(tr("tour.title")), *blocks], lang=lang))
    if as_json:
        click.echo("[" + ",\n".join(answer.to_json() for answer in answers) + "]")
    elif html is None:
        click.echo(tr("tour.end"))


PAGE = Option(["-o", "--html"], words="cli.options.html", metavar="FILE", type=FILE)
command = Command(
    "tour",
    words="tour.cli.help",
    params=[*loading_options(), *(PAGE if option.name == "html" else option for option in output_options())],
    callback=tour,
)

__all__ = ["command"]
