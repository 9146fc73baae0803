"""What ``capot worksheet`` and ``capot key`` share: the packaged course as one page to print."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from capot.cli.common import FILE, Command, Option, loading_options, open_model, put
from capot.cli.words import language_option
from capot.i18n import language


def paper_command(name: str) -> Command:
    """Return the command that writes a page of ``capot.lessons.paper``."""

    def write(output: Path, lang: str | None, **loading: Any) -> None:
        from capot.lessons import packaged, paper
        from capot.lessons.reader import read_lesson

        lessons = [read_lesson(path) for path in packaged(language())]
        with open_model(watched=False, **loading) as model:
            put(output, getattr(paper, name)(lessons, model, language()))

    where = Option(["-o", "--output"], words=f"{name}.cli.output", metavar="FILE", type=FILE, required=True)
    return Command(
        name, words=f"{name}.cli.help", params=[where, *loading_options(), language_option()], callback=write
    )
