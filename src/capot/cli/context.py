"""``capot context``: one word in several sentences."""

from __future__ import annotations

from capot.cli.common import TEXT, Argument, Option, chapter
from capot.cli.embed import lines

command = chapter(
    "context",
    Argument(["word"], words="context.cli.word", type=TEXT),
    Argument(["sentences"], words="context.cli.sentences", nargs=-1, type=TEXT, metavar="SENTENCE..."),
    Option(["--layer"], words="context.cli.layer", metavar="L", type=int),
    call=lambda model, word, sentences, layer: model.context(word, sentences=lines(sentences), layer=layer),
)
