"""``capot lesson``: check lessons of one's own, or begin one."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import click

from capot.cli.common import Argument, Command, Option, loading_options, notice, open_model, write_file
from capot.cli.words import language_option
from capot.errors import CapotError, InputError, NotFoundError
from capot.i18n import language, number, tr
from capot.view.visible import visible

ACTIONS = ("check", "new")


def run(words: tuple[str, ...], play: bool, lang: str | None, **loading: Any) -> None:
    """Check files, or write one. Raises: InputError ``lesson_action``, ``missing_argument``, ``lessons_faulty``."""
    if not words or words[0] not in ACTIONS:
        raise InputError("lesson_action", value=(words[0] if words else "")[:80])
    action, *named = words
    if not named or (action == "new" and len(named) > 1):
        raise InputError("missing_argument", name="FILE")
    if action == "new":
        _new(Path(named[0]))
        return
    paths = [path for name in named for path in _files(Path(name))]
    count = sum(_check(path, play=play, loading=loading) for path in paths)
    if count:
        raise InputError("lessons_faulty", count=count)


def _new(path: Path) -> None:
    from capot.lessons import FOLDER, SUFFIX

    if path.exists():
        raise InputError("lesson_exists", path=str(path))
    write_file(path, (FOLDER / "blank" / f"{language()}{SUFFIX}").read_text(encoding="utf-8"))
    notice("lesson.written", path=str(path))


def _files(path: Path) -> list[Path]:
    """Return the lessons of a folder, or the file itself.

    Raises: NotFoundError ``lesson_missing`` where there is none.
    """
    from capot.lessons import SUFFIX

    found = sorted(path.glob(f"*{SUFFIX}")) if path.is_dir() else [path]
    if not found:
        raise NotFoundError("lesson_missing", path=str(path), suffix=SUFFIX)
    return found


def _check(path: Path, *, play: bool, loading: dict[str, Any]) -> int:
    """Print the faults of a file, and answer how many there are."""
    from capot.lessons.reader import parse, read_source

    source = read_source(path)
    lesson, faults = parse(source, name=path.stem, folder=path.parent)
    problems = [(fault.line, fault.sentence()) for fault in sorted(faults, key=lambda fault: fault.line)]
    model = None
    if play and not problems:
        with open_model(watched=False, **loading) as opened:
            model = opened.name
            problems = _played(lesson, opened, source.split("\n"))
    for line, fault in problems:
        click.echo(visible(tr("lesson.faulty", path=str(path), at=str(line), fault=fault)))
    if not problems:
        facts: dict[str, Any] = {"path": str(path), "questions": len(lesson.questions)}
        click.echo(visible(tr("lesson.played", model=model, **facts) if model else tr("lesson.sound", **facts)))
    return len(problems)


def _played(lesson: Any, model: Any, lines: list[str]) -> list[tuple[int, str]]:
    """Return what of a lesson, whose file has these lines, cannot be played on a model, by line."""
    from capot.lessons.play import play, run

    found = []
    for part in (*lesson.figures, *lesson.questions, *filter(None, [lesson.change])):
        try:
            if part not in lesson.questions:
                run(part.calls, model)
                continue
            played = play(part, model)
            played.hints(), played.answer()
            bound = None if part.kind != "number" else part.bounds.beyond(played.right)
            if bound is not None:
                found.append((part.line, tr("lesson.beyond", value=number(played.right), bound=number(bound))))
            if part.seen is not None:
                played.saw("0")
        except CapotError as error:
            found.append((_line_of(error, part, lines), _said(error, part)))
    return found


def _line_of(error: CapotError, part: Any, lines: list[str]) -> int:
    """Return the line of a block on which a path stands that a run does not have; else the block's first."""
    path = error.params.get("path") if error.code == "lesson_path" else None
    for place, line in enumerate(lines[part.line - 1 :], part.line):
        if line.startswith("```"):
            break
        if path and re.search(rf"(?<![\w.]){re.escape(path)}(?![\w.])", line):
            return place
    return int(part.line)


def _said(error: CapotError, part: Any) -> str:
    """Return a fault of a run in one line; of a path, with the call whose answer does not have it."""
    said, *more = error.message().splitlines()
    if error.code != "lesson_path":
        return " ".join([said, *more])
    first = str(error.params["path"]).partition(".")[0]
    call = part.calls[int(first) if first.isdigit() and int(first) < len(part.calls) else 0]
    given = ", ".join(f"{name}={value!r}" for name, value in call.given.items())
    return f"{said} {tr('lesson.run_has', call=f'model.{call.verb}({given}).to_dict()')}"


command = Command(
    "lesson",
    words="lesson.cli.help",
    params=[
        Argument(["words"], words="lesson.cli.words", nargs=-1, metavar="check|new FILE..."),
        Option(["--play"], words="lesson.cli.play", is_flag=True),
        *loading_options(),
        language_option(),
    ],
    callback=run,
)

__all__ = ["command"]
