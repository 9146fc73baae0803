"""What every chapter's command shares: its options, opening the model, printing the answer.

A chapter's command is written so:

    command = chapter(
        "tokens",
        argument("tokens", "text"),
        option("tokens", "compare"),
        call=lambda model, text, compare: model.tokens(text, compare=split(compare, name="--compare")),
    )
"""

from __future__ import annotations

import codecs
import dataclasses
import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from capot.cli.streams import colored, fed, notice, piped
from capot.cli.words import FILE, STDOUT, Argument, Command, Option, ParamType, language_option
from capot.config import Loading
from capot.errors import InputError, NotFoundError, os_reason, shorten

if TYPE_CHECKING:
    from capot.model import Model
    from capot.view.result import Result

__all__ = [
    "FILE", "STDOUT", "TEXT", "Argument", "Command", "Option", "chapter", "colored", "emit", "notice", "numbers",
    "open_model", "put", "read_path", "read_text", "split", "take_loading", "typed_or_piped",
]  # fmt: skip


PAGE = b"<!doctype html>"  # the first characters of every page that capot writes


class _Text(ParamType):
    """A text: itself, ``-`` for standard input, ``@FILE`` for a file, ``@@...`` for a leading @."""

    name = "TEXT"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        return read_text(value)


TEXT = _Text()


def read_text(value: str) -> str:
    """Return what a text argument stands for.

    Raises: NotFoundError ``no_such_file``; InputError ``no_file_name``, ``cannot_read``, ``not_utf8`` naming the byte.
    """
    if value == "-":
        return _contents(piped(), "-")
    # A text may begin with @ (a handle, a decorator): two say that one is meant.
    if value.startswith("@@"):
        return value[1:]
    if not value.startswith("@"):
        return value
    if value == "@":
        raise InputError("no_file_name")
    path = Path(value[1:])
    # Before reading: "no such file" is the commonest slip and deserves its own hint.
    if not path.exists():
        raise NotFoundError("no_such_file", path=str(path), line=f"@{shorten(value)}")
    return read_path(path)


def read_path(path: Path) -> str:
    """Return the text of a file, named without @.

    Raises: NotFoundError ``no_such_file``; InputError as ``read_text``.
    """
    if not path.exists():
        raise NotFoundError("no_such_file", path=str(path))
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise InputError("cannot_read", path=str(path), reason=os_reason(error)) from None
    return _contents(raw, str(path))


def typed_or_piped(text: str | None, *, name: str) -> str:
    """Return a text that was typed, else the one that a pipe or a file feeds.

    Raises: InputError ``missing_argument``.
    """
    if text is not None:
        return text
    # A terminal that is waited for in silence looks like a program that hangs.
    if not fed():
        raise InputError("missing_argument", name=name)
    return read_text("-")


def numbers(text: str, *, name: str) -> list[int]:
    """Return ids parted by commas, spaces or lines; ``-`` and ``@FILE`` as for a text.

    Raises: InputError ``not_ids``.
    """
    text = read_text(text)
    # Commas and spaces alike: ids are pasted out of JSON, of a table, of this program's own output.
    try:
        return [int(part) for part in text.replace(",", " ").split()]
    except ValueError:
        raise InputError("not_ids", name=name, value=shorten(text)) from None


def _contents(raw: bytes, source: str) -> str:
    """Return the text of a file or of standard input, by one rule.

    A byte order mark at the start and one line end at the end (``\\n`` or ``\\r\\n``) belong to the file, not to the
    text: an editor writes both unasked. Everything else is kept.
    """
    text = _decode(raw, source).removeprefix("\ufeff")
    return text.removesuffix("\n").removesuffix("\r") if text.endswith("\n") else text


def decoded(text: str) -> str:
    """Return a line of standard input, its bytes that are no text kept as half characters, held to UTF-8.

    Raises: InputError ``not_utf8`` naming the byte.
    """
    # Decoded with ``surrogateescape``: the bytes that came are had back and held to one rule.
    return _decode(os.fsencode(text), "-")


def _decode(raw: bytes, source: str) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        # Windows' editors write UTF-16 when asked for Unicode, which deserves a word of its own.
        wide = raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        # No text has a zero byte: it is a picture, an archive or weights, and no other encoding helps.
        if b"\0" in raw and not wide:
            raise InputError("not_text", source=source) from None
        encoding = "utf-16" if wide else "latin1"
        raise InputError("not_utf8", source=source, offset=error.start, encoding=encoding) from None


def split(value: str | None, *, name: str) -> tuple[str, ...]:
    """Return the parts of ``A,B``; none where the option was not written. Raises: InputError ``option_needs_value``."""
    parts = tuple(part.strip() for part in (value or "").split(",") if part.strip())
    # ``--compare ""`` is a variable that a script forgot to set, and not a wish for none.
    if value is not None and not parts:
        raise InputError("option_needs_value", name=name)
    return parts


def loading_options() -> list[click.Parameter]:
    """Add --model and what says how to open it, on every command that opens one: the fields of ``Loading``."""
    return [
        # No choices are listed: a folder or any name of the hub may stand here.
        Option(["--model"], words="cli.options.model", metavar="MODEL", envvar="CAPOT_MODEL", default=Loading.model),
        Option(["--engine"], words="cli.options.engine", metavar="ENGINE"),
        Option(["--device"], words="cli.options.device", metavar="DEVICE"),
        Option(["--dtype"], words="cli.options.dtype", metavar="DTYPE"),
        Option(["--compiled"], words="cli.options.compiled", is_flag=True),
        Option(["--revision"], words="cli.options.revision", metavar="REVISION"),
        Option(["--trust-remote-code"], words="cli.options.trust_remote_code", is_flag=True),
    ]


def take_loading(given: dict[str, Any]) -> dict[str, Any]:
    """Take the fields of ``Loading`` out of what was given."""
    return {field.name: given.pop(field.name) for field in dataclasses.fields(Loading) if field.name in given}


def output_options() -> list[click.Parameter]:
    """Add --json, --html and --lang, on every command that prints an answer."""
    return [
        Option(["--json", "as_json"], words="cli.options.json", is_flag=True),
        Option(["--html"], words="cli.options.html", metavar="FILE", type=FILE),
        language_option(),
    ]


def chapter(name: str, *params: click.Parameter, call: Callable[..., Any], model: bool = True) -> Command:
    """Return a command that opens the model, makes one ``call`` and prints the answer it returns.

    ``call`` gets the model first, then one keyword for each of ``params``. Where it
    prints by itself (a stream), it returns None.
    """

    def callback(as_json: bool, html: Path | None, lang: str | None, **given: Any) -> None:
        # The model is closed with the block, so that weights are given back before Python ends.
        with open_model(**take_loading(given)) as opened:
            emit(call(opened, **given), as_json=as_json, html=html)

    options = [*(loading_options() if model else []), *output_options()]
    return Command(name, words=f"{name}.cli.help", params=[*params, *options], callback=callback)


def open_model(*, watched: bool = True, **loading: Any) -> Model:
    """Open what ``--model`` and its companions name; ``watched``: who gives the prompts sits at this terminal."""
    from capot.cli.progress import reading, watch
    from capot.model import open_loading

    model = open_loading(Loading(**loading), notice=notice, watch=watch())
    # A lab's prompts are its learners', who see their own progress in the browser.
    model.shared.reading = reading() if watched else None
    return model


def emit(result: Result | None, *, as_json: bool, html: Path | None) -> None:
    """Print an answer the way it was asked for."""
    if result is None:
        return
    # The page first: where its file cannot be written nothing was printed that looks like success.
    if html is not None:
        put(html, result.to_html())
    if as_json:
        click.echo(result.to_json())
    elif html is None:
        click.echo(result.to_text(width=terminal_width(), color=colored()))


def put(path: Path, text: str) -> None:
    """Write a file and say so; ``-`` is standard output, where nothing else is then written.

    Raises: InputError ``not_replaced``, ``cannot_write``.
    """
    if path == STDOUT:
        # A page ends in a line end already, and a second one would make its copy another file.
        click.echo(text, nl=not text.endswith("\n"))
    else:
        _check_replaced(path, text)
        write_file(path, text)
        notice("cli.written", path=str(path))


def _check_replaced(path: Path, text: str) -> None:
    """Refuse to replace what may be somebody's work: a lesson, notes, a notebook that was filled in.

    A page takes the place of a page, as one is soon made again; any other text takes that of its equal alone.

    Raises: InputError ``not_replaced``, ``cannot_write`` where nobody can tell.
    """
    if not path.is_file():
        return
    new = text.encode()
    try:
        with path.open("rb") as file:
            old = file.read(len(new) + 1)
    except OSError as error:
        raise InputError("cannot_write", path=str(path), reason=os_reason(error)) from None
    if old in (b"", new) or (_is_page(old) and _is_page(new)):
        return
    other = path.with_stem(path.stem + "-2")
    raise InputError("not_replaced", path=str(path), name=other.with_suffix(".html") if _is_page(new) else other)


def _is_page(raw: bytes) -> bool:
    return raw[: len(PAGE)].lower() == PAGE


def write_file(path: Path, text: str) -> None:
    """Write a whole file or none: a failure leaves no half page behind.

    Raises: InputError ``cannot_write`` with the system's reason.
    """
    # Before the partial file: a rename onto a folder fails with an error that names the wrong path.
    if path.is_dir():
        folder = IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        raise InputError("cannot_write", path=str(path), reason=os_reason(folder))
    # In the same folder, as a rename between file systems is a copy.
    partial = path.with_name(path.name + ".part")
    try:
        partial.write_text(text, encoding="utf-8")
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise InputError("cannot_write", path=str(path), reason=os_reason(error)) from None


def terminal_width() -> int:
    return max(40, min(shutil.get_terminal_size((80, 24)).columns, 120))
