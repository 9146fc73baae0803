"""What a download tells while it goes: read by a bar in the terminal, or by a page."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

Step = Literal["announced", "downloading", "waiting", "retrying", "checking", "done"]


@dataclass(frozen=True)
class Progress:
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


Watch = Callable[[Iterator[Progress]], None]


def quietly(events: Iterator[Progress]) -> None:
    """Follow a download and say nothing."""
    for _ in events:
        pass
