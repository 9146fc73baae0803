"""What ``capot worksheet`` and ``capot key`` share: the packaged course as one page to print."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from capot.cli.common import FILE, Command, Option, loading_options, open_model, put
from capot.cli.words import language_option
from capot.i18n import language


def paper_command(name: str) -> Command:
    """Return the command that writes a page of ``capot.lessons.paper``."""

    def write(output: Path, lessons: Path | None, lang: str | None, **loading: Any) -> None:
        from capot.lessons import paper
        from capot.lessons.course import read_course

        read = read_course(lessons, language()).lessons
        with open_model(watched=False, **loading) as model:
            put(output, getattr(paper, name)(read, model, language()))

    where = Option(["-o", "--output"], words=f"{name}.cli.output", metavar="FILE", type=FILE, required=True)
    own = Option(["--lessons"], words="serve.cli.lessons", metavar="DIR", type=FILE)
    params = [where, own, *loading_options(), language_option()]
    return Command(name, words=f"{name}.cli.help", params=params, callback=write)
