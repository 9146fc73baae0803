"""``capot tokens``: a text cut into tokens, and what it costs elsewhere."""

from __future__ import annotations

from capot.cli.common import chapter, split
from capot.cli.settings import argument, option

command = chapter(
    "tokens",
    argument("tokens", "text"),
    option("tokens", "compare", metavar="A,B"),
    option("tokens", "specials"),
    call=lambda model, text, compare, specials: model.tokens(text, compare=split(compare), specials=specials),
)
