"""Define the events of a stream: each has a name, and a body that JSON can hold.

    queued    position                                 when the place in the queue changes
    progress  done, total; row for ``memory``           how much of a long work is done
    started   prompt_ids, prompt_tokens, reused_tokens, prefill_s, seed
    step      one token: id, text, label, probability, chance, alternatives, draw...
    card      result, view                              of a model that cannot be opened: what the hub tells everyone
    answered  column, text, answer                      one way of ``assistant`` has ended
    finished  text, stop_reason, ..., result           always last; ``result`` is what the verb answers
    error     ok, error                                 instead of ``finished``, after a failure

An event of one column among several (``assistant``) holds ``column`` as well.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from capot.errors import CapotError
from capot.view.event import LastEvent, StreamEvent
from capot.view.result import Result
from capot.web.error_handlers import error_body as fault_body
from capot.web.json_writer import encode_json


@dataclasses.dataclass(frozen=True)
class NamedEvent(StreamEvent):
    """An event that already has its name and its body."""

    name: str
    content: dict[str, Any]

    @property
    def kind(self) -> str:
        return self.name

    @property
    def last(self) -> bool:
        return self.name == "finished"

    def body(self) -> dict[str, Any]:
        return self.content


@dataclasses.dataclass(frozen=True)
class Ended(LastEvent):
    """The end of a verb that makes no text: its answer."""

    result: Result

    @property
    def outcome(self) -> Result:
        return self.result

    @property
    def why(self) -> str:
        return self.result.ending


@dataclasses.dataclass(frozen=True)
class Failed(StreamEvent):
    """The end of a verb that failed, in words of one language."""

    kind = "error"
    last = True

    error: BaseException
    lang: str

    def body(self) -> dict[str, Any]:
        return fault_body(self.error if isinstance(self.error, CapotError) else CapotError("internal"), self.lang)


def stream_event(event: StreamEvent | BaseException, lang: str) -> StreamEvent:
    """Return the event that a stream sends. A verb reports an error as it is; here it becomes an event."""
    return Failed(event, lang) if isinstance(event, BaseException) else event


def sse(kind: str, data: Any) -> bytes:
    """Return one server-sent event. JSON holds no raw line end, so one data line is enough."""
    return b"".join((b"event: ", kind.encode(), b"\ndata: ", encode_json(data, small=kind != "finished"), b"\n\n"))
