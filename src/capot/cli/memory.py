"""``capot memory``: what a prompt costs, row by row as it is measured."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from capot.cli.common import Command, emit, loading_options, open_model, output_options, take_loading
from capot.cli.settings import option
from capot.cli.streams import notice
from capot.errors import InputError, NotFoundError
from capot.i18n import duration, size

if TYPE_CHECKING:
    from capot.chapters.memory.rows import Row
    from capot.view.event import ProgressEvent

# Options that nothing measured here has a use for; left unsaid, they would seem to have been obeyed.
ON_PAPER = {"gpu": "--gpu", "precision": "--precision", "kv_precision": "--kv-precision", "users_at": "--users-at"}
UNSAID = {"default": None, "show_default": False}


def run(as_json: bool, html: Path | None, **given: Any) -> None:
    """Measure or simulate; a simulation takes the name of a published shape too, and asks no hub for it."""
    given.pop("lang")
    loading = take_loading(given)
    asked = {name: value for name, value in given.items() if value not in (None, False)}
    if nothing := next((name for name, value in asked.items() if value == ""), None):
        raise InputError("option_needs_value", name=f"--{nothing.replace('_', '-')}")
    for name in set(ON_PAPER) & set(asked):
        if not given["simulate"]:
            raise InputError("only_simulated", name=ON_PAPER[name])
    if given["simulate"] and published(loading["model"]):
        loading["model"], asked["known"] = "boxed", loading["model"]
    with open_model(**loading) as opened:
        emit(opened.memory(**asked, progress=tell), as_json=as_json, html=html)


def published(name: str) -> bool:
    """Return whether ``name`` is to be looked for among published shapes: it is no folder, and the hub is not meant."""
    from capot.sources.hub.listing import is_name
    from capot.sources.published_shapes import find
    from capot.sources.unknown_name import PACKAGED

    if name in PACKAGED or Path(name).expanduser().is_dir():
        return False
    with contextlib.suppress(NotFoundError):
        return bool(find(name))
    return not is_name(name)


def tell(event: ProgressEvent) -> None:
    """Write one line on standard error for each row, as soon as it is there."""
    row: Row = event.value
    held = "–" if row.measured_bytes is None else size(row.measured_bytes)  # a system may not tell
    spent = "–" if row.seconds is None else duration(row.seconds)
    notice("memory.progress.row", count=row.tokens, bytes=held, time=spent)


command = Command(
    "memory",
    words="memory.cli.help",
    callback=run,
    params=[
        option("memory", "tokens", metavar="N,N"),
        option("memory", "mode", type=str, metavar="last|all"),
        option("memory", "simulate"),
        # What nothing measured has a use for has no default here: only what was said is refused.
        option("memory", "gpu", **UNSAID, metavar="SIZE,SIZE"),
        option("memory", "precision", **UNSAID, metavar="A,B"),
        option("memory", "kv_precision", **UNSAID, metavar="A"),
        option("memory", "users_at", **UNSAID, metavar="N,N"),
        *loading_options(),
        *output_options(),
    ],
)
