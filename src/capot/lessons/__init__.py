"""The course: lessons in files of Markdown, what reads and checks them, what plays their instruments on a model.

    reader     a file to a ``Lesson``, or the faults that it has, each with its line
    page       what Markdown may hold
    fields     the TOML of a lesson, with the line of every key
    calls      the instruments: verbs of ``Model`` with their arguments
    questions  the kinds of questions
    values     what is read in an answer, and sentences filled with it
    play       a question played on a model, and what a learner saw held against it
    paper      a worksheet and its key
    notebook   the course as a Jupyter notebook, and hf_cells the same in plain transformers
    course     the lessons of a folder, and what a page is told of them before a prediction
    nodes      Markdown as names and texts, for a page that builds its own elements
    judge      a prediction held against the run that a page has made

A lesson is data: nothing in it runs but verbs of ``Model``, with arguments that are bounded.
"""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).parent
SUFFIX = ".md"


def packaged(lang: str) -> list[Path]:
    """Return the files of the course in a language, in its order.

    >>> [path.name for path in packaged("en")][:1]
    ['0-why.md']
    """
    return sorted((FOLDER / lang).glob(f"*{SUFFIX}"))
