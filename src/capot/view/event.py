"""What a work tells while it is under way: one family of events, whatever the chapter."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any, Literal

from capot.view.result import Result, record_fields


@dataclasses.dataclass(frozen=True, slots=True)
class ProgressEvent:
    """How far something that takes long has come: what every ``progress`` of capot hears, whatever it is.

    ``step`` is ``downloading``, ``opening``, ``compiling`` (kernels, once on a machine), ``reading`` (a prompt),
    ``generating``, ``measuring`` or ``asking``. ``done`` of ``total`` are of ``unit``; ``total`` None is not known.
    ``what`` names what is under way: a file, a model, a sentence, a way of asking. ``value`` is what came with it:
    a download's own event, the token that was made, the row that was measured.

    It is called on the thread of whoever asked, in the order of what happened; what it raises ends the work.
    """

    step: Literal["downloading", "opening", "compiling", "reading", "generating", "measuring", "asking"]
    done: int
    total: int | None
    unit: Literal["bytes", "tokens", "lengths", "ways", "places"]
    what: str = ""
    value: Any = None

    @property
    def share(self) -> float | None:
        """Return how much is done, from 0 to 1; None where the total is not known."""
        if self.total is None:
            return None
        return self.done / self.total if self.total else 1.0


ProgressCallback = Callable[[ProgressEvent], None]


def download_progress(progress: ProgressCallback) -> Callable[[Iterator[Any]], None]:
    """Return what follows a download, event by event."""

    def watch(events: Iterator[Any]) -> None:
        for event in events:
            progress(ProgressEvent("downloading", event.done, event.total, "bytes", event.file or event.name, event))

    return watch


def prompt_progress(
    progress: ProgressCallback | None, *, before: int = 0, total: int | None = None, what: str = ""
) -> Callable[[int, int], None] | None:
    """Return a callback for the reading of a prompt, which takes tokens read and tokens to read.

    ``before`` and ``total`` are those of several prompts together.
    """
    if progress is None:
        return None

    def report(done: int, of: int) -> None:
        progress(ProgressEvent("reading", before + done, of if total is None else total, "tokens", what))

    return report


class StreamEvent:
    """Base of the events. A chapter's event is a dataclass, and its fields are the body."""

    __slots__ = ()

    @property
    def kind(self) -> str:
        """Return the event's name in a stream; each event says its own."""
        raise NotImplementedError

    @property
    def last(self) -> bool:
        """Return whether nothing follows."""
        return False

    @property
    def outcome(self) -> Result | None:
        """Return the verb's answer, which the last event carries."""
        return None

    def body(self) -> dict[str, Any]:
        """Return what JSON holds of the event, by name; the writer of JSON takes its values apart."""
        found = record_fields(self)
        assert found is not None  # a dataclass
        return found


class LastEvent(StreamEvent):
    """The end of a work, of one shape whatever the verb: the rest of its text, a summary, ``result``."""

    __slots__ = ()
    kind = "finished"
    last = True

    @property
    def outcome(self) -> Result:
        raise NotImplementedError

    @property
    def rest(self) -> str:
        """Return what was held back of a text, and belongs to it after all."""
        return ""

    @property
    def why(self) -> str:
        """Return why it ended: ``complete``, or a stop reason of its chapter."""
        return "complete"

    def body(self) -> dict[str, Any]:
        return {"text": self.rest, **self.outcome.figures(), "stop_reason": self.why, "result": self.outcome}
