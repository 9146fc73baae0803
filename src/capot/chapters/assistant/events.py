"""The events of a question that is asked in several ways at once."""

from __future__ import annotations

import dataclasses
from typing import Any

from capot.chapters.assistant.result import Answer, Answers
from capot.chapters.generate.result import Event
from capot.view.event import LastEvent, StreamEvent


@dataclasses.dataclass(frozen=True)
class WayEvent(StreamEvent):
    """An event of one way: any of ``generate``'s but the last; ``column`` is the way's kind."""

    column: str
    event: Event

    @property
    def kind(self) -> str:
        return self.event.kind

    def body(self) -> dict[str, Any]:
        """Return the event's body as it would be alone, with the way's name."""
        return {**self.event.body(), "column": self.column}


@dataclasses.dataclass(frozen=True)
class Answered(StreamEvent):
    """One way has ended. ``text`` is what had been held back of it."""

    kind = "answered"

    column: str
    text: str
    answer: Answer


@dataclasses.dataclass(frozen=True)
class AnswersFinished(LastEvent):
    """The last event: every way has ended, and has told its own text."""

    answers: Answers
    stop_reason: str

    @property
    def outcome(self) -> Answers:
        return self.answers

    @property
    def why(self) -> str:
        return self.stop_reason
