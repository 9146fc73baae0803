"""``capot tokens``: a text cut into tokens, and what it costs elsewhere; for scripts, the count or the ids alone."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from capot.cli.common import Option, chapter, numbers, split, typed_or_piped
from capot.cli.settings import argument, option
from capot.cli.streams import notice
from capot.errors import InputError

if TYPE_CHECKING:
    from capot.chapters.tokens.result import Comparison, Tokens
    from capot.model import Model


def tokens(
    model: Model, *, text: str | None, decode: str | None, count: bool, ids: bool, compare: str | None, **given: Any
) -> Tokens | None:
    """Cut a text, or put one together from ids; print the bare figures where they alone are wanted."""
    output = click.get_current_context().params
    whole = output["as_json"] or output["html"]
    if decode is not None:
        return decoded(model, decode, text=text, whole=bool(whole))
    text = typed_or_piped(text, name="TEXT")
    answer = model.tokens(text, compare=split(compare, name="--compare"), **given)
    if whole or not (count or ids):
        return answer
    for each in answer.comparisons or [answer.own]:
        click.echo(figures(each, count=count, ids=ids, named=bool(compare)))
    for missing in answer.missing:
        notice("tokens.missing", name=missing.tokenizer, why=missing.message)
    return None


def decoded(model: Model, ids: str, *, text: str | None, whole: bool) -> Tokens | None:
    """Return the text of ids. Raises: InputError ``text_or_ids``, ``not_ids``, ``no_such_id``."""
    from capot.chapters.tokens.verb import of_ids
    from capot.view.visible import visible

    if text is not None:
        raise InputError("text_or_ids")
    answer = of_ids(model, numbers(ids, name="--decode"))
    if whole:
        return answer
    click.echo(visible(answer.text, lines=True) if sys.stdout.isatty() else answer.text)
    return None


def figures(each: Comparison, *, count: bool, ids: bool, named: bool) -> str:
    """Return the bare figures of one tokenizer, parted by tabs: its name where there are several, count, ids."""
    listed = ",".join(str(token.id) for token in each.tokens)
    return "\t".join([*([each.tokenizer] if named else []), *([str(each.count)] if count else []), *([listed] * ids)])


command = chapter(
    "tokens",
    argument("tokens", "text", required=False, fed=False),  # --decode does without
    option("tokens", "compare", metavar="A,B"),
    option("tokens", "specials"),
    Option(["--count"], words="tokens.cli.count", is_flag=True),
    Option(["--ids"], words="tokens.cli.ids", is_flag=True),
    Option(["--decode"], words="tokens.cli.decode", metavar="N,N"),
    call=tokens,
)
