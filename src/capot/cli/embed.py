"""``capot embed``: the vectors of words."""

from __future__ import annotations

from collections.abc import Iterable

from capot.cli.common import TEXT, Argument, Option, chapter


def lines(texts: Iterable[str]) -> list[str]:
    """Each text, or each line that is not empty where a file or a pipe gave several."""
    return [line for text in texts for line in (filter(None, text.split("\n")) if "\n" in text else [text])]


command = chapter(
    "embed",
    Argument(["words"], words="embed.cli.words", nargs=-1, type=TEXT, metavar="[WORD]..."),
    Option(["--dimensions"], words="embed.cli.dimensions", metavar="2|3", type=int, default=2),
    Option(["--near"], words="embed.cli.near", metavar="K", type=int, default=5),
    Option(["--space"], words="embed.cli.space", metavar="auto|space|bare", default="auto"),
    call=lambda model, words, **options: model.embed(lines(words), **options) if words else model.embed(**options),
)
