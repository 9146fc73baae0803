"""What a work tells while it is under way: one family of events, whatever the chapter."""

from __future__ import annotations

import dataclasses
from typing import Any

from capot.view.result import Result, plain


class StreamEvent:
    """Base of the events. A chapter's event is a dataclass, and its fields are the body."""

    __slots__ = ()

    @property
    def kind(self) -> str:
        """The event's name in a stream; each event says its own."""
        raise NotImplementedError

    @property
    def last(self) -> bool:
        """Whether nothing follows."""
        return False

    @property
    def outcome(self) -> Result | None:
        """The verb's answer, which the last event carries."""
        return None

    def body(self) -> dict[str, Any]:
        """What JSON holds of the event."""
        assert dataclasses.is_dataclass(self)
        return {field.name: plain(getattr(self, field.name)) for field in dataclasses.fields(self)}


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
        """What was held back of a text, and belongs to it after all."""
        return ""

    @property
    def why(self) -> str:
        """Why it ended: ``complete``, or a stop reason of its chapter."""
        return "complete"

    def body(self) -> dict[str, Any]:
        figures = {name: plain(value) for name, value in self.outcome.figures().items()}
        return {"text": self.rest, **figures, "stop_reason": self.why, "result": self.outcome.to_dict()}
