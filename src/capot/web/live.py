"""The routes of what takes time: streams, stopping them, opening another model."""

from __future__ import annotations

import asyncio
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from capot.errors import InterruptedByUser, NotFoundError
from capot.web import opening
from capot.web.answers import CALL, NAME, Leaving, allowed, check_owner, validated, visitor
from capot.web.bounds import price
from capot.web.documents import EVENTS, answered
from capot.web.guard import preferred
from capot.web.stream_jobs import StreamJob
from capot.web.streams import EventResponse, Streams
from capot.web.verbs import verbs

MAX_PARTS = 8


class StreamPart(BaseModel):
    """One work of a stream: a tag of the page's choosing, a verb, its arguments.

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
    """Several works on one response."""

    model_config = ConfigDict(extra="forbid")
    name: str = Field(min_length=8, max_length=64, pattern=NAME, examples=["page-7f3a91c2"])
    streams: list[StreamPart] = Field(min_length=1, max_length=MAX_PARTS)


class StopRequest(BaseModel):
    """A stream by its name; with ``tag``, one of its works alone."""

    model_config = ConfigDict(extra="forbid")
    name: str = Field(max_length=64, examples=["page-7f3a91c2"])
    tag: str | None = Field(default=None, max_length=40)


def install(app: FastAPI, hub: Streams) -> None:
    """Give the application its routes."""

    @app.post("/api/stream", summary="Several works on one tagged event stream", responses=EVENTS)
    async def stream(request: Request, body: StreamRequest) -> EventResponse:
        parts = [_part(request, part) for part in body.streams]
        return await _streamed(request, body.name, parts)

    @app.post(
        "/api/stop",
        summary="Stop a stream, or one of its works",
        responses=answered({"type": "object", "properties": {"stopped": {"type": "boolean"}}, "required": ["stopped"]}),
    )
    async def stop(request: Request, body: StopRequest) -> JSONResponse:
        stopped = hub.stop(request.scope["learner"], body.name, body.tag)
        return JSONResponse({"ok": True, "result": {"stopped": stopped}})

    @app.post("/api/open", summary="Open another model, with progress: the server's owner only", responses=EVENTS)
    async def open_model(request: Request, body: opening.OpenRequest) -> EventResponse:
        check_owner(request)
        verb = opening.verb(hub.learners)
        return await _streamed(request, "open", [StreamJob("open", verb, verb.arguments(body))])

    async def _streamed(request: Request, name: str, parts: list[StreamJob]) -> EventResponse:
        learner = visitor(request)
        call, lang = request.headers.get(CALL), preferred(request.scope)
        leaving = Leaving()
        watch = asyncio.create_task(leaving.watch(request))
        try:
            with leaving.scope:
                stream = await hub.open(learner, name, lang=lang, parts=parts, call=call, begun=leaving.take)
        finally:
            watch.cancel()
        if leaving.left:
            hub.close(stream)
            raise InterruptedByUser("interrupted")
        return EventResponse(hub, stream)


def _part(request: Request, asked: StreamPart) -> StreamJob:
    """Raises: NotFoundError ``unknown_stream``; what the verb's schema and the server's bounds refuse."""
    verb = verbs().get(asked.verb)
    if verb is None:
        raise NotFoundError("unknown_stream", name=asked.verb)
    arguments = allowed(request, verb, validated(verb, asked.arguments))
    cost = price(verb.name, arguments)
    return StreamJob(asked.tag, verb, arguments, prompt=asked.prompt, view=asked.view, price=cost)
