"""``capot embed``: the vectors of words."""

from __future__ import annotations

from collections.abc import Iterable

from capot.cli.common import chapter
from capot.cli.settings import argument, option
from capot.i18n import tr


def lines(texts: Iterable[str]) -> list[str]:
    """Return each text, or each line that is not empty where a file or a pipe gave several."""
    return [line for text in texts for line in (filter(None, text.split("\n")) if "\n" in text else [text])]


command = chapter(
    "embed",
    argument("embed", "words", metavar="[WORD]..."),
    option("embed", "dimensions", metavar="2|3"),
    option("embed", "near", metavar="K"),
    option("embed", "space", metavar="auto|space|bare"),
    call=lambda model, words, **options: model.embed(lines(words) or tr("embed.default").split(), **options),
)
