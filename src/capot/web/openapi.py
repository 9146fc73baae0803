"""Complete the OpenAPI document: examples, errors, and answers that are not JSON."""

from __future__ import annotations

from typing import Any

from capot.chapters import registry
from capot.web.error_handlers import STATUSES

# One request of each verb that any model can answer; a verb does without until it has one.
EXAMPLES: dict[str, dict[str, Any]] = {
    name: dict(verb.example) for name, (_, verb) in registry.verbs().items() if verb.example
}

ERROR_SCHEMA = {
    "type": "object",
    "required": ["ok", "error"],
    "properties": {
        "ok": {"const": False},
        "error": {
            "type": "object",
            "required": ["code", "message"],
            "properties": {
                "code": {"type": "string"},
                "message": {"type": "string"},
                "field": {"type": "string"},
            },
        },
    },
}
ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"description": "error", "content": {"application/json": {"schema": ERROR_SCHEMA}}} for status in STATUSES
}
LOGITS = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
PAGE: dict[int | str, dict[str, Any]] = {
    200: {"description": "page", "content": {"text/html": {"schema": {"type": "string"}}}},
    **ERRORS,
}
# One event of a stream: what kind it is, and JSON that says whose it is; see ``web.events`` for the bodies.
KINDS = ("queued", "progress", "notice", "card", "started", "step", "answered", "finished", "error")
TAGGED = {
    "type": "object",
    "required": ["tag", "body"],
    "properties": {"tag": {"type": "string"}, "body": {"type": "object"}},
}
EVENT = {
    "type": "object",
    "required": ["event", "data"],
    "properties": {
        "event": {"enum": list(KINDS)},
        "data": {"type": "string", "contentMediaType": "application/json", "contentSchema": TAGGED},
    },
}
EVENTS: dict[int | str, dict[str, Any]] = {
    200: {"description": "server-sent events", "content": {"text/event-stream": {"schema": EVENT}}},
    **ERRORS,
}


def answer_schema(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of ``{ok, result}``, with the blocks of ``view`` where they are asked for.

    ``labels`` has, by id, how tokens are shown whose text does not tell it.
    """
    properties = {
        "ok": {"const": True},
        "result": schema,
        "view": {"type": "array", "items": {"type": "object"}},
        "labels": {"type": "object", "additionalProperties": {"type": "string"}},
    }
    return {"type": "object", "required": ["ok", "result"], "properties": properties}


def ok_responses(schema: dict[str, Any]) -> dict[int | str, dict[str, Any]]:
    """Return the responses of a route with this result."""
    return {
        200: {"description": "answer", "content": {"application/json": {"schema": answer_schema(schema)}}},
        **ERRORS,
    }


def request_examples(verb: str) -> dict[str, Any] | None:
    """Return a verb's example, as FastAPI takes it."""
    return {verb: {"value": EXAMPLES[verb]}} if verb in EXAMPLES else None
