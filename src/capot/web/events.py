"""What a stream says: each event of a chapter as a name and a body that JSON can hold.

    queued    position                                 when the place in the queue changes
    progress  done, total; row for ``memory``           how much of a long work is done
    started   prompt_ids, prompt_tokens, reused_tokens, prefill_s, seed
    step      one token: id, text, label, probability, chance, alternatives, draw...
    answered  column, text, answer                      one way of ``assistant`` has ended
    finished  text, stop_reason, ..., result           always last; ``result`` is what the verb answers
    error     ok, error                                 in its place where it failed

An event of one column among several (``assistant``) holds ``column`` as well.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from capot.errors import CapotError
from capot.view.result import Result, plain
from capot.web.faults import body as fault_body
from capot.web.written import written

# What `finished` lifts out of the result, where the result or its last turn has it.
LIFTED = (
    "stop_reason", "stop_string", "after_stop", "seed", "prompt_tokens", "sent_tokens", "computed_tokens",
    "reused_tokens", "generated_tokens", "prefill_s", "decode_s", "tokens_per_s", "first_token_s", "total_s",
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class NamedEvent:
    """An event that has its name and its body already."""

    kind: str
    body: dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Ended:
    """The end of a part: what was held back of its text, its answer, and why it stopped."""

    kind = "finished"

    text: str
    result: Result
    stop_reason: str


def told(event: Any, lang: str) -> tuple[str, dict[str, Any]]:
    """An event's name and body."""
    if isinstance(event, NamedEvent):
        return event.kind, event.body
    if isinstance(event, BaseException):
        error = event if isinstance(event, CapotError) else CapotError("internal")
        return "error", fault_body(error, lang)
    if hasattr(event, "column"):  # one way of several of ``assistant``: told as it would be alone, with its name
        kind, body = told(event.event, lang) if hasattr(event, "event") else ("answered", plain(event))
        return kind, {**body, "column": event.column}
    return event.kind, finished(event) if event.kind == "finished" else plain(event)


def finished(event: Any) -> dict[str, Any]:
    """The body of the last event, of one shape whatever the verb: what was held back, a summary, ``result``."""
    result = answer_of(event)
    turns = getattr(result, "turns", ())
    source: Any = turns[-1] if turns else result
    body = {name: plain(getattr(source, name)) for name in LIFTED if hasattr(source, name)}
    if hasattr(source, "decode_s"):  # a generation, which counts its tokens by holding them
        body["generated_tokens"] = len(source.tokens)
    body["stop_reason"] = getattr(event, "stop_reason", body.get("stop_reason"))
    return {"text": event.text, **body, "result": result.to_dict()}


def answer_of(event: Any) -> Result:
    """The answer that the last event of a work carries."""
    found = (getattr(event, field.name) for field in dataclasses.fields(event))
    return next(value for value in found if isinstance(value, Result))


def sse(kind: str, data: Any) -> bytes:
    """One server-sent event; JSON holds no raw line end, so one data line is enough."""
    return b"".join((b"event: ", kind.encode(), b"\ndata: ", written(data, small=kind != "finished"), b"\n\n"))
