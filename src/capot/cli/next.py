"""``capot next``: what may come next, with its probability."""

from __future__ import annotations

from capot.cli.common import TEXT, Argument, Option, chapter

command = chapter(
    "next",
    Argument(["prompt"], words="next.cli.prompt", type=TEXT),
    Option(["-k", "k"], words="next.cli.k", type=int, default=10, show_default=True, metavar="K"),
    Option(["--temperature"], words="next.cli.temperature", type=float, default=1.0, show_default=True, metavar="T"),
    Option(["--top-k", "top_k"], words="next.cli.top_k", type=int, default=0, show_default=True, metavar="K"),
    Option(["--top-p", "top_p"], words="next.cli.top_p", type=float, default=1.0, show_default=True, metavar="P"),
    Option(["--min-p", "min_p"], words="next.cli.min_p", type=float, default=0.0, show_default=True, metavar="P"),
    Option(["--rank"], words="next.cli.rank", multiple=True, metavar="TOKEN"),
    call=lambda model, prompt, **options: model.next(prompt, **options),
)
