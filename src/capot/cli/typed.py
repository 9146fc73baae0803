"""What to type in the place of a value that was refused, in the words of the command that refused it."""

from __future__ import annotations

import contextlib
import math
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from capot.errors import CapotError
from capot.i18n import find, tr


@contextlib.contextmanager
def proposing(ctx: click.Context) -> Iterator[None]:
    """Let an error that leaves the block name its option as it is typed, and hold a line to paste as ``typed``."""
    try:
        yield
    except CapotError as error:
        if more := _proposed(ctx, error):
            # No new error: the one on its way keeps its traceback, its kind and the call that met it.
            error.params = {**error.params, **more}
        raise


def _proposed(ctx: click.Context, error: CapotError) -> dict[str, str]:
    if error.code in ("cannot_write", "file_exists"):
        return _elsewhere(ctx, error.params)
    if error.code == "not_text":
        return {"typed": _whole(ctx)}
    param = _option(ctx, str(error.params.get("name", "")))
    if param is None:
        return {}
    value = _instead(param, error.params)
    # With the sign of equality a negative number is no option of its own.
    sign = "=" if value.startswith("-") else " "
    name = max(param.opts, key=len)
    return {"name": name, "typed": f"{name}{sign}{value}"}


def _option(ctx: click.Context, name: str) -> click.Option | None:
    """Return the option that an error names, by what Python calls it or as it is typed."""
    asked = name.partition("[")[0]
    options = [param for param in ctx.command.params if isinstance(param, click.Option)]
    return next((param for param in options if asked and asked in (param.name, *param.opts)), None)


def _instead(param: click.Option, given: dict[str, Any]) -> str:
    """Return a number that is taken: the option's default, else the nearest within bounds, else 1."""
    default = param.default
    if isinstance(default, int | float) and not isinstance(default, bool):
        return plain(default)
    return plain(given["low"] if given["value"] < given["low"] else given["high"]) if "low" in given else "1"


def plain(value: float) -> str:
    """Return a number as it is typed.

    >>> plain(0.7), plain(100.0), plain(2**64 - 1)
    ('0.7', '100', '18446744073709551615')
    """
    return str(int(value)) if isinstance(value, int) or (math.isfinite(value) and value == int(value)) else str(value)


def _elsewhere(ctx: click.Context, given: dict[str, Any]) -> dict[str, str]:
    """Return the option that named a file, with the same name in the folder where the command runs."""
    path = str(given.get("path", ""))
    named = {str(value): param for param in ctx.command.params if (value := ctx.params.get(param.name or ""))}
    param = named.get(path)
    if not isinstance(param, click.Option):
        return {}
    old = Path(path)
    name = f"{old.stem or ctx.command.name}{old.suffix or ('.html' if param.name == 'html' else '')}"
    # A name that is there, or that could not be written in this very folder, is no better there.
    if Path(name).exists() or old.parent == Path():
        name = str(Path(name).with_stem(f"{Path(name).stem}-2"))
    return {"typed": f"{max(param.opts, key=len)} {shlex.quote(name)}"}


def _whole(ctx: click.Context) -> str:
    """Return the whole command with a text that it takes, or its help where it takes more than a text."""
    command = ctx.command_path
    texts = [param for param in ctx.command.params if param.type.name == "TEXT" and param.nargs == 1]
    if not any(isinstance(param, click.Argument) for param in texts) or ctx.command.name == "context":
        return f"{command} --help"
    others = find(f"{ctx.command.name}.others.command")
    return f"{command} {tr('python.sample.prompt')}{others if isinstance(others, str) else ''}"
