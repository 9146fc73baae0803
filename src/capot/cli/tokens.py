"""``capot tokens``: a text cut into tokens, and what it costs elsewhere."""

from __future__ import annotations

from capot.cli.common import TEXT, Argument, Option, chapter, split
from capot.cli.words import Choice

command = chapter(
    "tokens",
    Argument(["text"], words="tokens.cli.text", type=TEXT),
    Option(["--compare"], words="tokens.cli.compare", metavar="A,B"),
    Option(["--specials"], words="tokens.cli.specials", type=Choice(["text", "strict", "allow"]), default="text"),
    call=lambda model, text, compare, specials: model.tokens(text, compare=split(compare), specials=specials),
)
