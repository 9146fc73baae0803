"""Standard streams as a program finds them: closed, in an old encoding, left by their reader, full."""

from __future__ import annotations

import codecs
import contextlib
import errno
import os
import stat
import sys
from typing import Any

import click

from capot.errors import InputError, os_reason, shorten
from capot.i18n import tr

_FULL = {errno.ENOSPC, errno.EIO, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC)}

_NAMES = {errno.ENAMETOOLONG, errno.EACCES, errno.EPERM, errno.ELOOP}
OUTPUT = "stdout"  # its name in an error
_read: Any = None  # the standard input that this command line has read to its end


class ReaderLeft(Exception):
    """What reads our output has seen enough (``capot ... | head``): no failure."""


def prepare() -> None:
    """Let standard output and error take any text, whatever the system made of them.

    A file or a pipe gets UTF-8 (Windows would give it an old code page); a terminal of
    another encoding keeps it, and shows what it can.
    """
    global _read
    _read = None
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # closed before we began, or a Windows program without a console
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 - for as long as we run
        elif hasattr(stream, "reconfigure"):
            keep_encoding = bool(os.environ.get("PYTHONIOENCODING")) or stream.isatty()
            old = codecs.lookup(stream.encoding).name != "utf-8"
            stream.reconfigure(encoding=None if keep_encoding or not old else "utf-8", errors="backslashreplace")


def color() -> bool | None:
    """Return whether to write colours: by the environment (no-color.org, FORCE_COLOR, a dumb terminal).

    None: on terminals alone.
    """
    # NO_COLOR comes first, as no-color.org asks.
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    return False if os.environ.get("TERM") == "dumb" else None


def colored() -> bool:
    """Return whether standard output shows colours."""
    wished = color()
    return sys.stdout.isatty() if wished is None else wished


def unprinted(error: OSError) -> Exception:
    """Return what it means that standard output took no more; any other error is itself."""
    # An error of a file has its name; one of standard output has none.
    if error.filename is not None:
        # A name that is too long, or in a folder that is closed to us, is refused by the first question about it,
        # wherever that is asked; what else goes wrong with a file is our affair.
        named = InputError("cannot_read", path=shorten(os.fsdecode(error.filename)), reason=os_reason(error))
        return named if error.errno in _NAMES else error
    # Windows tells a closed pipe by an invalid argument.
    if isinstance(error, BrokenPipeError) or (os.name == "nt" and error.errno == errno.EINVAL):
        _silence()
        return ReaderLeft()
    if error.errno in _FULL:
        _silence()
        return InputError("cannot_write", path=OUTPUT, reason=os_reason(error))
    return error


def _silence() -> None:
    """Send what is still held back nowhere, so that leaving does not fail on it again."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def fed() -> bool:
    """Return whether a pipe or a file feeds standard input: a text may come from there that no argument gave.

    A service, a scheduler or a test gives none of the two, and is told what is missing instead of kept waiting.
    """
    try:
        # By the kind of file and not by ``isatty``: /dev/null of a service is no terminal either, and feeds nothing.
        mode = os.fstat(sys.stdin.fileno()).st_mode
    except (AttributeError, OSError, ValueError):  # closed, or none of the system's
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISREG(mode)


def piped() -> bytes:
    """Return all of standard input. Raises: InputError ``no_stdin`` where it is closed, ``stdin_twice``."""
    global _read
    if sys.stdin is None:
        raise InputError("no_stdin")
    # A second reader would find it empty, and be told that its text is.
    if _read is sys.stdin:
        raise InputError("stdin_twice")
    _read = sys.stdin
    return sys.stdin.buffer.read()


def notice(key: str, **params: Any) -> None:
    """Write one dim line on standard error about what is being waited for."""
    from capot.view.visible import paragraph  # not needed for --help

    click.echo(click.style(paragraph(tr(key, **params)), dim=True), err=True)
