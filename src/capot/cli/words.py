"""click's commands and options with their words in the catalogues instead of in Python."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import click
from click.core import ParameterSource

from capot.cli import streams
from capot.cli.typed import proposing
from capot.errors import InputError, named_call
from capot.i18n import LANGUAGES, find, tr

if TYPE_CHECKING:
    ParamType: TypeAlias = click.ParamType[Any]
    WordChoice: TypeAlias = click.Choice[str]
else:  # the oldest versions of click have no parameters of types
    ParamType = click.ParamType
    WordChoice = click.Choice


NARROWEST, WIDEST = 40, 100  # columns of a page of help
LEAST_COLUMN = 24  # columns that a sentence beside its option takes


def heading(name: str) -> str:
    return tr(f"cli.heading.{name}")


class Number(ParamType):
    """A whole or a real number; ``0,7`` is read as ``0.7``."""

    def __init__(self, kind: type) -> None:
        self.kind = kind
        self.name = kind.__name__

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not isinstance(value, str):
            return value  # a default
        try:
            # French writes 0,7: one comma in a number is its decimal sign.
            return self.kind(value if self.kind is int else value.replace(",", ".", 1))
        except ValueError:
            name = called(param)
            if self.kind is int:
                raise InputError("not_whole", name=name, value=value[:80]) from None
            raise InputError("not_a_number", name=name, value=value[:80]) from None


class Choice(WordChoice):
    """One of a few words."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value not in self.choices:
            # Click's own error has English words; codes have ours in both languages.
            name = called(param)
            raise InputError("bad_choice", name=name, value=str(value)[:80], known=", ".join(self.choices))
        return value


class _File(ParamType):
    """A path; whether it can be read or written is found out when it is."""

    name = "FILE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        if value == "":  # a variable that a script forgot to set, and not the folder where one is
            raise InputError("option_needs_value", name=called(param))
        return Path(value)


FILE = _File()
STDOUT = Path("-")  # as a file to write
_NUMBERS = {int: Number(int), float: Number(float)}


def called(param: click.Parameter | None) -> str:
    """Return an option by its long name, which says what it is."""
    return max(param.opts, key=len) if param else ""


def named(metavar: str) -> str:
    """Return the names of values in a usage line, in the reader's language: ``[FILE]`` is ``[FICHIER]``."""
    return re.sub(r"[A-Z]{3,}", lambda found: _name(found[0]), metavar)


def _name(word: str) -> str:
    said = find(f"cli.metavar.{word}")
    return said if isinstance(said, str) else word


class _Typed(click.Parameter):
    """What is typed: UTF-8, but for the name of a file, which the system lets be any bytes."""

    def type_cast_value(self, ctx: click.Context, value: Any) -> Any:
        """Raises: InputError ``not_utf8`` naming the option and the byte."""
        for text in value if isinstance(value, list | tuple) else (value,):
            if isinstance(text, str) and not self._names_file(text):
                self._check_utf8(ctx, text)
        return super().type_cast_value(ctx, value)

    def _names_file(self, text: str) -> bool:
        if re.search("FILE|DIR", f"{self.type.name} {self.metavar}"):
            return True
        # A file that is read for a text: one that is not there is said to be missing.
        return self.type.name == "TEXT" and text.startswith("@") and not text.startswith("@@")

    def _check_utf8(self, ctx: click.Context, text: str) -> None:
        # Python decodes arguments with ``surrogateescape``: a byte that is no text came in as half a character.
        for part in text.split(","):
            halves = re.search("[\ud800-\udfff]", part)
            # A model or a vocabulary may be a folder of that very name.
            if halves and not os.path.lexists(Path(part.removeprefix("@")).expanduser()):
                source = called(self) if isinstance(self, click.Option) else self.make_metavar(ctx).strip("[].")
                offset = len(text[: text.index(part) + halves.start()].encode("utf-8", "surrogateescape"))
                raise InputError("not_utf8", source=source, offset=offset)


class Option(_Typed, click.Option):
    """An option whose help is the sentence ``words``, looked up when it is shown."""

    def __init__(self, names: Sequence[str], *, words: str, type: Any = None, **kwargs: Any) -> None:
        super().__init__(names, type=_NUMBERS.get(type, type), **kwargs)
        self.words = words

    def make_metavar(self, *given: Any, **named_too: Any) -> str:
        return named(super().make_metavar(*given, **named_too))

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        self.help = tr(self.words)
        record = super().get_help_record(ctx)
        # Click writes "default" itself, in English.
        return record and (record[0], record[1].replace("[default: ", f"[{tr('cli.default')} "))


def language_option(**options: Any) -> Option:
    """Add ``--lang``, before a command or after it. Raises: InputError ``unknown_language``."""

    def known(_: click.Context, __: click.Parameter, value: str | None) -> str | None:
        if value is not None and value not in LANGUAGES:
            raise InputError("unknown_language", value=value, known=", ".join(LANGUAGES))
        return value

    return Option(["--lang"], words="cli.options.lang", metavar="|".join(LANGUAGES), callback=known, **options)


class Argument(_Typed, click.Argument):
    """An argument; ``metavar`` names it in usage lines, ``words`` explains it.

    One that is ``fed`` reads standard input where nothing was said and a pipe or a file feeds it.
    """

    def __init__(self, *args: Any, words: str, fed: bool = False, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.words = words
        self.fed = fed

    def consume_value(self, ctx: click.Context, opts: Any) -> tuple[Any, ParameterSource]:
        value, source = super().consume_value(ctx, opts)
        said = value not in (None, ()) and source is ParameterSource.COMMANDLINE
        # A pipe that feeds an argument stands for "-", unless something was typed.
        if said or not self.fed or ctx.resilient_parsing or not streams.fed():
            return value, source
        return "-" if self.nargs == 1 else ("-",), ParameterSource.COMMANDLINE

    def make_metavar(self, *given: Any, **named_too: Any) -> str:
        return named(super().make_metavar(*given, **named_too))

    def get_help_record(self, ctx: click.Context) -> tuple[str, str]:
        return self.make_metavar(ctx), tr(self.words)


class Formatter(click.HelpFormatter):
    """Help as wide as the terminal. In a narrow one a sentence stands under its option, not in a column beside it."""

    def write_dl(self, rows: Iterable[tuple[str, str]], col_max: int = 30, col_spacing: int = 2) -> None:
        rows = list(rows)
        column = min(max(len(term) for term, _ in rows), col_max) + col_spacing
        if self.width - self.current_indent - column >= LEAST_COLUMN:
            super().write_dl(rows, col_max, col_spacing)
            return
        for term, sentence in rows:
            self.write_text(term)
            with self.indentation():
                self.write_text(sentence)


class CallContext(click.Context):
    """A call of a command, whose help is as wide as the terminal, from 40 columns to 100."""

    formatter_class = Formatter

    def make_formatter(self) -> click.HelpFormatter:
        columns = shutil.get_terminal_size((80, 24)).columns or 80
        return Formatter(width=max(NARROWEST, min(columns, WIDEST)) - 2)


class WordedCommand(click.Command):
    """A command that explains itself in the reader's language."""

    context_class = CallContext

    def __init__(self, *args: Any, words: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.words = words
        self.context_settings.setdefault("help_option_names", ["-h", "--help"])

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Raises: InputError ``one_output``, ``no_such_argument``, ``too_many_arguments``."""
        ctx.allow_extra_args = True
        try:
            with proposing(ctx):
                rest = super().parse_args(ctx, args)
        except click.BadOptionUsage as error:
            error.ctx = ctx  # click knows the command and forgets to say
            raise
        if ctx.params.get("as_json") and ctx.params.get("html") == STDOUT:
            raise InputError("one_output")
        if ctx.args and not isinstance(self, click.Group):
            extra = ctx.args[0][:80]
            command = ctx.command_path
            if any(isinstance(one, Argument) and one.type.name == "TEXT" for one in self.params):  # without its quotes
                raise InputError("too_many_arguments", extra=extra, command=command)
            raise InputError("no_such_argument", extra=extra, command=command)
        return rest

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; the errors that it meets propose it, and none of the verbs that it calls."""
        if isinstance(self, click.Group):
            return super().invoke(ctx)
        with named_call("", ctx.command_path), proposing(ctx):
            return super().invoke(ctx)

    def get_help_option(self, ctx: click.Context) -> click.Option | None:
        option = super().get_help_option(ctx)
        if option is not None:
            option.help = tr("cli.help_option")
        return option

    def format_usage(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        pieces = " ".join(self.collect_usage_pieces(ctx))
        formatter.write_usage(ctx.command_path, pieces, prefix=f"{heading('usage')} ")

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        formatter.write_paragraph()
        with formatter.indentation():
            formatter.write_text(tr(self.words))

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        records = [(p, p.get_help_record(ctx)) for p in self.get_params(ctx)]
        for name, kind in (("arguments", Argument), ("options", click.Option)):
            rows = [record for p, record in records if record and isinstance(p, kind)]
            if rows:
                with formatter.section(heading(name)):
                    formatter.write_dl(rows)
        if isinstance(self, click.Group):
            self.format_commands(ctx, formatter)


class Command(WordedCommand):
    """A worded command that takes arguments in any order with its options."""
