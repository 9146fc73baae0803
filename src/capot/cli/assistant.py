"""``capot assistant``: one question, four ways, side by side."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from capot.cli.common import FILE, STDOUT, Option, chapter, put, typed_or_piped
from capot.cli.settings import argument, option
from capot.cli.streams import notice
from capot.config import Sampling
from capot.errors import InputError
from capot.i18n import tr

if TYPE_CHECKING:
    from capot.chapters.assistant.result import Answers
    from capot.model import Model
    from capot.view.event import ProgressEvent


# The settings of ``Sampling`` that both commands of this chapter show, with what stands for a value.
SHOWN = {"max_new_tokens": "N", "temperature": "T", "top_k": "K", "top_p": "P", "min_p": "P", "seed": "S"}


def sampling_options(verb: str) -> list[click.Parameter]:
    return [option(verb, name, metavar=metavar) for name, metavar in SHOWN.items()]


def sampling(given: dict[str, Any]) -> Sampling:
    """Take the sampling settings out of what was given."""
    return Sampling(**{name: given.pop(name) for name in SHOWN})


def from_file(path: Path | None) -> dict[str, Any]:
    """Return the arguments that a template file stands for: a plain dialogue, or a chat template."""
    from capot.text.templates import load_text

    if path is None:
        return {}
    kind, text = load_text(path)
    return {kind: text}


def assistant(
    model: Model, *, question: str | None, template: Path | None, write_template: Path | None, **given: Any
) -> Answers | None:
    settings = sampling(given)
    if write_template is not None:
        write(write_template)
        return None
    question = typed_or_piped(question, name="QUESTION")
    return model.assistant(question, sampling=settings, progress=tell, **from_file(template), **given)


def write(path: Path) -> None:
    """Put the packaged template where it can be edited; a file that is there stays as it is."""
    from capot.text.templates import default_text

    if path != STDOUT and path.exists():
        raise InputError("file_exists", path=str(path))
    put(path, default_text())


def tell(event: ProgressEvent) -> None:
    if event.step == "asking":
        notice("assistant.asking", kind=tr(f"assistant.{event.what}.title"))


command = chapter(
    "assistant",
    argument("assistant", "question", required=False, metavar="QUESTION"),
    Option(["--template"], words="assistant.cli.template", metavar="FILE", type=FILE),
    Option(["--write-template"], words="assistant.cli.write_template", metavar="FILE", type=FILE),
    option("assistant", "system", default="", metavar="TEXT"),
    option("assistant", "after_stop", metavar="N"),
    *sampling_options("assistant"),
    call=assistant,
)
