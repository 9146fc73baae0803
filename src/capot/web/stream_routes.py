"""Add the routes of what takes time: streaming, stopping a stream, opening another model."""

from __future__ import annotations

import asyncio
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from capot.errors import InterruptedByUser, NotFoundError
from capot.web import opening
from capot.web.bounds import memory_cost
from capot.web.guard import preferred_language
from capot.web.openapi import EVENTS, ok_responses
from capot.web.stream_jobs import StreamJob
from capot.web.streams import EventResponse, Streams
from capot.web.verb_routes import (
    CALL_HEADER,
    NAME_PATTERN,
    DisconnectWatch,
    bounded_arguments,
    check_owner,
    current_learner,
    parse_arguments,
)
from capot.web.verbs import verbs

MAX_PARTS = 8


class StreamPart(BaseModel):
    """One part of a stream: a tag of the page's choosing, a verb, its arguments.

    ``prompt`` adds the exact prompt, as tokens, to ``started``; ``view`` the drawn answer to ``finished``.
    """

    model_config = ConfigDict(extra="forbid")
    tag: str = Field(min_length=1, max_length=40, examples=["text"])
    verb: str = Field(max_length=40, examples=["generate"])
    arguments: dict[str, Any] = Field(
        default_factory=dict, examples=[{"prompt": "Once upon a time", "max_new_tokens": 12, "seed": 1}]
    )
    prompt: bool = Field(default=False, strict=True)
    view: bool = Field(default=False, strict=True)


class StreamRequest(BaseModel):
    """Several verbs on one response."""

    model_config = ConfigDict(extra="forbid")
    name: str = Field(min_length=8, max_length=64, pattern=NAME_PATTERN, examples=["page-7f3a91c2"])
    streams: list[StreamPart] = Field(min_length=1, max_length=MAX_PARTS)


class StopRequest(BaseModel):
    """A stream by its name; with ``tag``, one of its parts alone."""

    model_config = ConfigDict(extra="forbid")
    name: str = Field(max_length=64, examples=["page-7f3a91c2"])
    tag: str | None = Field(default=None, max_length=40)


def install(app: FastAPI, streams: Streams) -> None:
    """Add the routes to the application."""

    @app.post("/api/stream", summary="Several works on one tagged event stream", responses=EVENTS)
    async def stream(request: Request, body: StreamRequest) -> EventResponse:
        parts = [_stream_job(request, part) for part in body.streams]
        return await _streamed(request, body.name, parts)

    @app.post(
        "/api/stop",
        summary="Stop a stream, or one of its works",
        responses=ok_responses(
            {"type": "object", "properties": {"stopped": {"type": "boolean"}}, "required": ["stopped"]}
        ),
    )
    async def stop(request: Request, body: StopRequest) -> JSONResponse:
        stopped = streams.stop(request.scope["learner"], body.name, body.tag)
        return JSONResponse({"ok": True, "result": {"stopped": stopped}})

    @app.post("/api/open", summary="Open another model, with progress: the server's owner only", responses=EVENTS)
    async def open_model(request: Request, body: opening.OpenRequest) -> EventResponse:
        check_owner(request)
        verb = opening.verb(streams.learners)
        return await _streamed(request, "open", [StreamJob("open", verb, verb.arguments(body))])

    async def _streamed(request: Request, name: str, parts: list[StreamJob]) -> EventResponse:
        learner = current_learner(request)
        call = request.headers.get(CALL_HEADER)
        lang = preferred_language(request.scope)
        disconnect = DisconnectWatch()
        watch = asyncio.create_task(disconnect.watch(request))
        try:
            with disconnect.cancel_scope:
                stream = await streams.open(learner, name, lang=lang, parts=parts, call=call, begun=disconnect.attach)
        finally:
            watch.cancel()
        if disconnect.disconnected:
            streams.close(stream)
            raise InterruptedByUser("interrupted")
        return EventResponse(streams, stream)


def _stream_job(request: Request, asked: StreamPart) -> StreamJob:
    """Make a job of a part.

    Raises: NotFoundError ``unknown_stream``; what the verb's schema and the server's bounds refuse.
    """
    verb = verbs().get(asked.verb)
    if verb is None:
        raise NotFoundError("unknown_stream", name=asked.verb)
    arguments = bounded_arguments(request, verb, parse_arguments(verb, asked.arguments))
    cost = memory_cost(verb.name, arguments)
    return StreamJob(asked.tag, verb, arguments, prompt=asked.prompt, view=asked.view, price=cost)
