"""Report the progress of a download, to a bar in the terminal or to a page."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from capot.i18n import Bytes, percent

Step = Literal["announced", "downloading", "waiting", "retrying", "checking", "done"]


@dataclass(frozen=True)
class DownloadProgress:
    """Where a download stands. Units: bytes, of all its files together.

    ``announced`` comes first, before a byte does: ``total`` is what is to come, ``free`` what
    the disk has. ``waiting``: another process is bringing the same file. ``retrying``: the
    connection broke and is tried again. ``checking``: bytes are held against the published
    hash. ``done`` comes last.
    """

    step: Step
    name: str  # of the model
    file: str
    done: int
    total: int
    files: int
    free: int | None = None


Watch = Callable[[Iterator[DownloadProgress]], None]
SMALL = 1_000_000  # bytes: what weighs less comes without a word
STEPS = 10  # lines that a download makes where nobody sees a bar


def drain(events: Iterator[DownloadProgress]) -> None:
    """Run a download and report nothing."""
    for _ in events:
        pass


def announcement(event: DownloadProgress) -> tuple[str, dict[str, Any]]:
    """Return the sentence before a download, as a key of the catalogue and its parameters."""
    key = "hub.resumed" if event.done else "hub.announced"
    free = Bytes(event.free) if event.free is not None else None
    sizes = {"total": Bytes(event.total), "done": Bytes(event.done)}
    return key if free is not None else f"{key}_only", {"name": event.name, "count": event.files, "free": free, **sizes}


def log_progress(notice: Callable[..., None]) -> Watch:
    """Return a watch that reports a download in a few lines: start, each tenth, errors, end."""

    def watch(events: Iterator[DownloadProgress]) -> None:
        reported, last = 0, ""
        for event in events:
            if event.total < SMALL and event.step not in ("waiting", "retrying"):
                continue
            # By tenths of the whole: a line for each piece would fill a log.
            tenth = STEPS * event.done // event.total if event.total else STEPS
            if event.step == "announced":
                key, facts = announcement(event)
                notice(key, **facts)
                reported = tenth
            elif event.step == "downloading" and tenth > reported:
                sizes = {"done": Bytes(event.done), "total": Bytes(event.total)}
                notice("hub.share", share=percent(event.done / event.total, digits=0), **sizes)
                reported = tenth
            elif event.step != last and event.step in ("waiting", "retrying"):
                notice(f"hub.{event.step}", file=event.file)
            elif event.step == "done":
                notice("hub.done", name=event.name, count=event.files, total=Bytes(event.total))
            last = event.step

    return watch
