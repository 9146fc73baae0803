"""What takes long, as a terminal shows it: one line that moves. Elsewhere, a few lines that stay, or nothing."""

from __future__ import annotations

import contextvars
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator

import click

from capot.cli.streams import notice
from capot.i18n import Bytes, duration, percent, size, tr
from capot.sources.hub.events import SMALL, DownloadProgress, Watch, announcement, log_progress
from capot.view.visible import visible

EVERY = 0.1  # seconds between two drawings
SOON = 1.0  # seconds before which a speed says nothing
LONG = 100 * 3600  # seconds of which nobody wants to know the minutes
WINDOW = 5.0  # seconds over which the speed is taken: a connection has its moods
BAR = 24  # letters


def watch() -> Watch:
    """Return what follows a download: a bar where a person watches, else lines."""
    return draw if _seen() else log_progress(notice)


def reading(words: str = "cli.reading") -> Callable[[int, int], None] | None:
    """Return what follows a prompt as it is read, where a person watches; a line that a command leaves is wiped."""
    if not _seen():
        return None
    # the engine's thread has no language of its own
    follows = Reading(words)
    context = contextvars.copy_context()
    click.get_current_context().call_on_close(follows.wipe)
    return lambda done, total: context.run(follows, done, total)


def _seen() -> bool:
    return sys.stderr.isatty() and os.environ.get("TERM") != "dumb"


def draw(events: Iterator[DownloadProgress]) -> None:
    """Announce, then draw one line over and over; whatever happens, the cursor ends on a line of its own."""
    speed = Speed()
    drawn = 0.0
    last = ""
    try:
        for event in events:
            if event.total < SMALL and event.step not in ("waiting", "retrying"):
                continue
            speed.add(event.done)
            if event.step == "announced":
                key, facts = announcement(event)
                notice(key, **facts)
            elif event.step == "done":
                _line("")
                notice("hub.done", name=event.name, count=event.files, total=Bytes(event.total))
            # Drawn when something else happens at once, else ten times a second.
            elif event.step != last or time.monotonic() - drawn >= EVERY:
                _line(_words(event, speed))
                drawn = time.monotonic()
            last = event.step
    except BaseException:
        # The error that ends the program is then on a line of its own.
        click.echo(err=True)
        raise


def _line(text: str) -> None:
    # One column less: a terminal that wraps at its last column would leave half a line behind.
    width = max(20, shutil.get_terminal_size((80, 24)).columns - 1)
    # Padded to the width, so that nothing of a longer line before is left.
    click.echo("\r" + visible(text)[:width].ljust(width) + ("" if text else "\r"), nl=False, err=True)


def _words(event: DownloadProgress, speed: Speed) -> str:
    if event.step in ("waiting", "retrying", "checking"):
        return tr(f"hub.{event.step}", file=event.file)
    pieces = [_bar(event.done, event.total), f"{size(event.done)} / {size(event.total)}"]
    if rate := speed.bytes_per_s():
        left = (event.total - event.done) / rate
        pieces += [f"{size(rate)}/s", *([_left(left)] if left < LONG else [])]
    return "  ".join(pieces)


def _bar(done: int, total: int) -> str:
    share = done / total if total else 1.0
    return f"{percent(share, digits=0):>5} " + ("█" * round(BAR * share)).ljust(BAR, "░")


def _left(seconds: float) -> str:
    """Return the time left in whole seconds: nobody knows the hundredths of what is to come."""
    whole = max(1, round(seconds))
    return tr("hub.left", time=duration(whole) if whole >= 120 else f"{whole}\u00a0s")


class Reading:
    """How much of a prompt has been read: a line that comes after a second and goes when all is."""

    def __init__(self, words: str = "cli.reading") -> None:
        self._words = words
        self._began: tuple[float, int] | None = None  # when this prompt was first heard of, and how far it was
        self._drawn = 0.0

    def __call__(self, done: int, total: int) -> None:
        now = time.monotonic()
        if done >= total:
            self.wipe()
        # Another prompt has begun: the clock begins with it.
        elif self._began is None or done <= self._began[1]:
            self._began = (now, done)
        elif now - self._began[0] >= SOON and now - self._drawn >= EVERY:
            then, before = self._began
            # Counted from when this prompt began, as a cached beginning is read in no time.
            left = (total - done) * (now - then) / (done - before)
            _line("  ".join([_bar(done, total), tr(self._words, done=done, total=total), _left(left)]))
            self._drawn = now

    def wipe(self) -> None:
        if self._drawn:
            _line("")
        self._began, self._drawn = None, 0.0


class Speed:
    """Bytes a second over the last moments."""

    def __init__(self) -> None:
        self._points: list[tuple[float, int]] = []

    def add(self, done: int) -> None:
        """Note how far one is. What goes back (a file begun again) starts the count afresh."""
        now = time.monotonic()
        if self._points and done < self._points[-1][1]:
            self._points.clear()
        if not self._points or now - self._points[-1][0] >= EVERY:
            self._points.append((now, done))
        # An average since the beginning would hide that a connection has slowed down.
        self._points = [point for point in self._points if now - point[0] <= WINDOW]

    def bytes_per_s(self) -> float:
        """Return the speed, zero while there is nothing to tell."""
        then, before = self._points[0]
        now, after = self._points[-1]
        return (after - before) / (now - then) if now - then >= SOON else 0.0
