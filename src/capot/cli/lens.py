"""``capot lens``: the guess after every layer."""

from __future__ import annotations

from capot.cli.common import TEXT, Argument, chapter

command = chapter(
    "lens",
    Argument(["prompt"], words="lens.cli.prompt", type=TEXT),
    call=lambda model, prompt: model.lens(prompt),
)
