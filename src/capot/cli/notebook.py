"""``capot notebook``: the whole course as a Jupyter notebook on the Python API."""

from __future__ import annotations

import json
from pathlib import Path

from capot.cli.common import FILE, Command, Option, put
from capot.cli.words import language_option
from capot.i18n import language


def write(output: Path, lessons: Path | None, lang: str | None) -> None:
    """Write the notebook; no model is opened.

    Raises: as ``read_course``, ``put``.
    """
    from capot.lessons.course import read_course
    from capot.lessons.notebook import notebook

    folder = None if lessons is None else str(lessons.resolve())
    made = notebook(read_course(lessons, language()), language(), folder=folder)
    put(output, json.dumps(made, ensure_ascii=False, indent=1) + "\n")


command = Command(
    "notebook",
    words="notebook.cli.help",
    params=[
        Option(["-o", "--output"], words="notebook.cli.output", metavar="FILE", type=FILE, required=True),
        Option(["--lessons"], words="serve.cli.lessons", metavar="DIR", type=FILE),
        language_option(),
    ],
    callback=write,
)
