"""``capot context``: one word in several sentences."""

from __future__ import annotations

from capot.cli.common import chapter
from capot.cli.embed import lines
from capot.cli.settings import argument, option

command = chapter(
    "context",
    argument("context", "word"),
    argument("context", "sentences", metavar="SENTENCE..."),
    option("context", "layer", metavar="L"),
    call=lambda model, word, sentences, layer: model.context(word, sentences=lines(sentences), layer=layer),
)
