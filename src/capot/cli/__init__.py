"""The command line: parse, one call, print.

A command is ``capot.cli.<name>.command``, read when it is named; without such a module it is made of what its verb
takes.
"""

from __future__ import annotations

import functools
import importlib
import itertools
import json
import sys
from collections.abc import Sequence
from importlib import util
from typing import Any

import click

from capot import __version__, i18n
from capot.cli import streams
from capot.cli.words import Command, Option, WordedCommand, called, heading, language_option
from capot.engines.cancellation import INTERRUPTED
from capot.errors import CapotError, InputError, InterruptedByUser, NotFoundError, hints_for, named_call

HELP = "help"  # no command: another way to write --help


@functools.cache
def commands() -> tuple[str, ...]:
    """Return every command in the order a newcomer meets them: those of the house, then those of the chapters."""
    from capot.chapters.registry import CHAPTERS  # not needed for --version

    return (
        "tour",
        "serve",
        "lesson",
        "worksheet",
        "key",
        "notebook",
        *(name for chapter in CHAPTERS for name in chapter.commands),
    )


class Capot(WordedCommand, click.Group):
    """The group of commands, loaded lazily."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(commands())

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in commands():
            return None
        # ``find_spec`` looks for a file and imports nothing but the folder's own ``__init__``.
        if util.find_spec(f"capot.cli.{cmd_name}") is None:  # it needs nothing but what its verb takes
            from capot.cli.settings import plain

            return plain(cmd_name)
        command: click.Command = importlib.import_module(f"capot.cli.{cmd_name}").command
        return command

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse a line. Options before a command are its own; without a command they are those of ``serve``."""
        own = {name for param in self.get_params(ctx) for name in param.opts}
        # The first word that is a command's name means that command.
        before = list(itertools.takewhile(lambda word: word not in (*commands(), HELP), args))
        name, *after = args[len(before) :] or ["serve"]
        foreign = [_name(word) for word in before if word.startswith("-") and _name(word) not in own]
        command = self.get_command(ctx, name) if foreign else None
        if command is not None and any(foreign[0] in param.opts for param in command.params):
            args = [name, *before, *after]
        return super().parse_args(ctx, args)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        # ``capot help next`` and ``capot next --help`` are one: people try both.
        if args and args[0] == HELP:
            args = [word for word in args[1:] if not word.startswith("-")] + ["--help"]
        if args[0] == "--help":
            click.echo(ctx.get_help())
            ctx.exit()
        # click would answer in English, and in words of its own.
        if args[0] not in commands():
            from capot.cli.near import near

            raise NotFoundError("unknown_command", name=args[0][:80], near=near(args[0], (*commands(), HELP)))
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; a reader that leaves is told apart here, since click would call it a failure."""
        try:
            answer = super().invoke(ctx)
            # Flushed here: a reader that left would else be noticed when Python ends, with a traceback.
            sys.stdout.flush()
        except OSError as error:
            raise streams.unprinted(error) from None
        return answer

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands with their one sentence each, without importing any of them."""
        with formatter.section(heading("commands")):
            # From the catalogues: importing every command would more than double the time of help.
            listed = [(name, i18n.tr(f"{name}.cli.short")) for name in commands()]
            formatter.write_dl([*listed, (HELP, i18n.tr("cli.help_command"))])


def _name(word: str) -> str:
    """Return an option's name, without the value that may follow it."""
    return word.partition("=")[0]


def _version(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        click.echo(f"capot {__version__}")
        ctx.exit()


group = Capot(
    "capot",
    words="cli.help",
    invoke_without_command=True,
    no_args_is_help=False,
    params=[
        Option(
            ["-V", "--version"], words="cli.version", is_flag=True, is_eager=True, expose_value=False, callback=_version
        ),
        language_option(expose_value=False),
    ],
)


@click.pass_context
def _start(ctx: click.Context) -> None:
    if ctx.invoked_subcommand is None:  # the lab for a person at a terminal; a program would wait for ever
        # Both must be terminals: a lab started from a script would never end.
        at_terminal = sys.stdin.isatty() and sys.stdout.isatty()
        command = group.get_command(ctx, "serve" if at_terminal else "tour")
        assert command is not None  # both are among the commands
        ctx.invoke(command)


group.callback = _start


def run(arguments: Sequence[str]) -> int:
    """Run one command line and answer its exit status; no user's mistake shows a traceback."""
    arguments = list(arguments)
    as_json = "--json" in arguments
    # Tests and notebooks run several command lines in one process.
    INTERRUPTED.clear()
    streams.prepare()
    lang = _asked_language(arguments)
    with i18n.use_language(lang), hints_for("command"):
        if lang is None:
            _tell_unheard()
        try:
            status = group.main(arguments, prog_name="capot", standalone_mode=False, color=streams.color()) or 0
            return InterruptedByUser.exit_status if INTERRUPTED.is_set() else status
        except CapotError as error:
            return _report(error, as_json=as_json and error.params.get("path") != streams.OUTPUT)
        except click.UsageError as error:
            with named_call("", error.ctx.command_path if error.ctx else "capot"):
                return _report(usage_error(error), as_json=as_json)
        except click.exceptions.Exit as stop:
            return stop.exit_code
        except (KeyboardInterrupt, click.Abort):
            exec("")  # Python remembers a Ctrl-C inside an exec, as imports use it, and would end on a signal instead
            return _report(InterruptedByUser("interrupted"), as_json=as_json)
        # ``capot ... | head`` has succeeded, as it has for every other program.
        except streams.ReaderLeft:
            return 0


def _tell_unheard() -> None:
    """Say on one line, in every language that we have, that ``CAPOT_LANG`` names none of them."""
    if asked := i18n.unsupported_language():
        from capot.view.visible import visible

        params = {"value": visible(asked[:40]), "known": ", ".join(i18n.LANGUAGES)}
        click.echo(" / ".join(i18n.tr("cli.unheard", lang, **params) for lang in i18n.LANGUAGES), err=True)


def _asked_language(arguments: list[str]) -> str | None:
    """Return the value of --lang, wanted before parsing because help and errors speak it too."""
    for position, argument in enumerate(arguments):
        if argument == "--lang":
            return arguments[position + 1] if position + 1 < len(arguments) else None
        if argument.startswith("--lang="):
            return argument.partition("=")[2]
    return None


def _report(error: CapotError, *, as_json: bool) -> int:
    if as_json:
        click.echo(json.dumps(error.to_dict(), ensure_ascii=False))
    else:
        from capot.view.visible import visible

        what, _, hint = visible(error.message(), lines=True).partition("\n")
        click.echo(click.style(f"{i18n.tr('cli.error')} {what}", fg="red"), err=True, color=streams.color())
        if hint:
            click.echo(hint, err=True)
    return error.exit_status


def usage_error(error: click.UsageError) -> CapotError:
    """Return the parser's own complaint, in our words. The one place that knows click's errors."""
    name = _parameter_name(error)
    if isinstance(error, click.NoSuchOption):
        return InputError("no_such_option", name=error.option_name, near=_near_option(error))
    if isinstance(error, click.MissingParameter):
        return InputError("missing_argument", name=name)
    if isinstance(error, click.BadOptionUsage):
        if _is_flag(error):
            return InputError("option_is_a_flag", name=error.option_name)
        return InputError("option_needs_value", name=error.option_name)
    if isinstance(error, click.BadParameter):
        return InputError("bad_value", name=name, detail=error.message)
    return InputError("usage", detail=error.format_message())


def _near_option(error: click.NoSuchOption) -> str:
    from capot.cli.near import near_option

    if error.ctx is None:
        return "--help"
    context = error.ctx
    return near_option(
        error.option_name, context.command.get_params(context), command=context.command_path,
        metavar=lambda param: param.make_metavar(context),
    )  # fmt: skip


def _is_flag(error: click.BadOptionUsage) -> bool:
    options = error.ctx.command.params if error.ctx else []
    return any(isinstance(o, click.Option) and o.is_flag and error.option_name in o.opts for o in options)


def _parameter_name(error: click.UsageError) -> str:
    parameter = getattr(error, "param", None)
    if parameter is None:
        return getattr(error, "param_hint", None) or ""
    name: str = called(parameter) if parameter.param_type_name == "option" else parameter.make_metavar(error.ctx)
    return name


__all__ = ["Command", "commands", "run"]
