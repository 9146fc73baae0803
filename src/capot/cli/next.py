"""``capot next``: the distribution over the next token."""

from __future__ import annotations

from capot.cli.common import chapter
from capot.cli.settings import argument, option

command = chapter(
    "next",
    argument("next", "prompt"),
    option("next", "k", "-k", metavar="K"),
    option("next", "temperature", metavar="T"),
    option("next", "top_k", metavar="K"),
    option("next", "top_p", metavar="P"),
    option("next", "min_p", metavar="P"),
    option("next", "rank", multiple=True, metavar="TOKEN"),
    call=lambda model, prompt, **options: model.next(prompt, **options),
)
