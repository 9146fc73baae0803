"""``capot assistant``: one question, four ways, side by side."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from capot.cli.common import FILE, TEXT, Argument, Option, chapter, write_file
from capot.cli.streams import notice
from capot.config import Sampling
from capot.errors import InputError
from capot.i18n import tr

if TYPE_CHECKING:
    from capot.chapters.assistant.result import Answers
    from capot.model import Model


FILTERS = ("top-k", "top-p", "min-p")


def sampling_options(topic: str) -> list[click.Parameter]:
    """The settings that both commands of this chapter show; ``Sampling`` holds their bounds."""
    return [
        Option(["--max-new-tokens"], words=f"{topic}.cli.max_new_tokens", metavar="N"),
        Option(["--temperature"], words=f"{topic}.cli.temperature", metavar="T"),
        *(
            Option([f"--{name}"], words=f"generate.cli.{name.replace('-', '_')}", metavar=name[-1].upper())
            for name in FILTERS
        ),
        Option(["--seed"], words=f"{topic}.cli.seed", metavar="S"),
    ]


def sampling(given: dict[str, Any]) -> Sampling:
    """Take the sampling settings out of what was given."""
    names = ("max_new_tokens", "temperature", "seed", *(name.replace("-", "_") for name in FILTERS))
    return Sampling(**{name: value for name in names if (value := given.pop(name)) is not None})


def from_file(path: Path | None) -> dict[str, str]:
    """The arguments that a template file stands for: a plain dialogue, or a chat template."""
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
    if question is None:
        raise InputError("missing_argument", name="QUESTION")
    if given["after_stop"] is None:
        given.pop("after_stop")
    return model.assistant(question, sampling=settings, progress=tell, **from_file(template), **given)


def write(path: Path) -> None:
    """Put the packaged template where it can be edited; a file that is there stays as it is."""
    from capot.text.templates import default_text

    if path.exists():
        raise InputError("file_exists", path=str(path))
    write_file(path, default_text())
    notice("cli.written", path=str(path))


def tell(kind: str) -> None:
    notice("assistant.asking", kind=tr(f"assistant.{kind}.title"))


command = chapter(
    "assistant",
    Argument(["question"], words="assistant.cli.question", type=TEXT, required=False, metavar="QUESTION"),
    Option(["--template"], words="assistant.cli.template", metavar="FILE", type=FILE),
    Option(["--write-template"], words="assistant.cli.write_template", metavar="FILE", type=FILE),
    Option(["--system"], words="assistant.cli.system", metavar="TEXT", type=TEXT, default=""),
    Option(["--after-stop"], words="assistant.cli.after_stop", metavar="N", type=int),
    *sampling_options("assistant"),
    call=assistant,
)
