"""The lab as an ASGI application: pages, one route per verb, streams, and what is at work."""

from __future__ import annotations

import functools
import logging
import secrets
from typing import Annotated, Any

import anyio
import anyio.to_thread
from fastapi import Body, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response, StreamingResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException

from capot import __version__, i18n
from capot.config import Serving
from capot.errors import CapotError, InputError, NotFoundError
from capot.model import Model
from capot.results.base import Result
from capot.view.blocks import Curves, Scatter
from capot.view.data import to_data
from capot.view.figure import to_spec
from capot.view.html import style_sheet
from capot.view.theme import DARK, LIGHT
from capot.web import assets
from capot.web.guard import Guard, preferred
from capot.web.learners import Learners
from capot.web.streams import Hub, Part
from capot.web.verbs import Verb, verbs

log = logging.getLogger("capot.web")

PAGES = ("", "card", "tokens", "embeddings", "next", "generate", "memory", "assistant")
WAITING_THREADS = 8  # one-shot answers waiting for the engine; streams need none


class StreamPart(BaseModel):
    """One generation of a stream: a tag of the page's choosing, a verb, its arguments."""

    model_config = ConfigDict(extra="forbid")
    tag: str = Field(min_length=1, max_length=40)
    verb: str = Field(max_length=40, examples=["generate"])
    arguments: dict[str, Any] = Field(default_factory=dict, examples=[{"prompt": "Once upon a time", "seed": 1}])


class StreamRequest(BaseModel):
    """Several generations on one response."""

    model_config = ConfigDict(extra="forbid")
    name: str = Field(min_length=8, max_length=64, pattern=r"^[\w-]+$", examples=["page-7f3a91c2"])
    streams: list[StreamPart] = Field(min_length=1, max_length=8)


class StopRequest(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name: str = Field(max_length=64)
    tag: str | None = Field(default=None, max_length=40)


def create_app(model: Model, serving: Serving | None = None, *, owner_key: str | None = None) -> FastAPI:
    """The lab around an opened model; ``serving`` bounds what one learner may ask of it."""
    serving = serving or Serving()
    app = FastAPI(title="capot", version=__version__, docs_url=None, redoc_url=None, openapi_url="/api/openapi.json")
    state = Learners(model, serving)
    app.state.learners, app.state.hub = state, Hub(serving)
    app.state.limiter = None
    _errors(app)
    _pages(app)
    _facts(app, model)
    for verb in verbs().values():
        _verb_route(app, verb)
    _page_route(app)
    _stream_routes(app)
    app.add_middleware(Guard, serving=serving, owner_key=owner_key)
    return app


def _errors(app: FastAPI) -> None:
    """Every failure as the one body ``{ok, error}``; what is our bug says nothing but that."""

    @app.exception_handler(CapotError)
    async def ours(request: Request, error: CapotError) -> JSONResponse:
        return JSONResponse(error.to_dict(preferred(request.scope)), status_code=error.http_status)

    @app.exception_handler(RequestValidationError)
    async def malformed(request: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"][1:]) or "body"
        return await ours(request, InputError("bad_request", name=where[:80], detail=str(first["msg"])[:200]))

    @app.exception_handler(HTTPException)
    async def missing(request: Request, error: HTTPException) -> JSONResponse:
        wrapped = NotFoundError("no_such_page")
        return JSONResponse(wrapped.to_dict(preferred(request.scope)), status_code=error.status_code)

    @app.exception_handler(Exception)
    async def bug(request: Request, error: Exception) -> JSONResponse:
        log.error("unexpected error", exc_info=error)
        return JSONResponse(CapotError("internal").to_dict(preferred(request.scope)), status_code=500)


def _pages(app: FastAPI) -> None:
    async def page(request: Request) -> Response:
        found = assets.find("index.html")
        if found is None:
            raise NotFoundError("no_such_page")
        return assets.respond(found, request)

    for name in PAGES:
        app.add_api_route(f"/{name}", page, methods=["GET"], include_in_schema=False)

    @app.get("/static/theme.css", include_in_schema=False)
    async def theme(request: Request) -> Response:
        return assets.respond(assets.of_text(style_sheet(), "text/css"), request)

    @app.get("/static/{name:path}", include_in_schema=False)
    async def static(name: str, request: Request) -> Response:
        found = assets.find(name)
        if found is None:
            raise NotFoundError("no_such_page")
        return assets.respond(found, request)


def _facts(app: FastAPI, model: Model) -> None:
    @app.get("/api/model", summary="What is at work: model, engine, device, precision")
    async def at_work(request: Request) -> dict[str, Any]:
        info = await anyio.to_thread.run_sync(lambda: model.scheduler.engine.info)
        facts = {name: getattr(info, name) for name in info.__dataclass_fields__}
        return {"ok": True, "result": {**facts, "owner": request.scope["owner"], "version": __version__}}

    @app.get("/api/words/{lang}", summary="The pages' words in one language")
    async def words(lang: str) -> dict[str, Any]:
        if lang not in i18n.LANGUAGES:
            raise InputError("unknown_language", value=lang[:20], known=", ".join(i18n.LANGUAGES))
        return {"ok": True, "result": dict(i18n.catalogue(lang, "web"))}

    @app.get("/api/status", summary="The load of this server")
    async def status(request: Request) -> dict[str, Any]:
        return {"ok": True, "result": app.state.learners.status(app.state.hub)}


def _limiter(app: FastAPI) -> anyio.CapacityLimiter:
    if app.state.limiter is None:  # made inside the loop that will use it
        app.state.limiter = anyio.CapacityLimiter(WAITING_THREADS)
    return app.state.limiter


def _verb_route(app: FastAPI, verb: Verb) -> None:
    """``POST /api/<verb>``: the verb's own parameters in, ``{ok, result}`` out."""

    async def answer(request: Request, body: Any) -> Response:
        lang = preferred(request.scope)
        person = app.state.learners.model_of(request.scope["learner"])
        arguments = app.state.learners.bounded(verb.name, verb.arguments(body))

        asked = request.query_params

        def call() -> Response:
            with i18n.speaking(lang):
                result = verb.function(person, **arguments)
                if asked.get("logits") == "1" and getattr(result, "logits", None) is not None:
                    raw = result.logits.astype("<f4").tobytes()  # V little-endian float32, for the sliders
                    return Response(raw, media_type="application/octet-stream")
                return JSONResponse(answer_body(result, lang, shown=asked.get("view") == "1"))

        return await anyio.to_thread.run_sync(call, limiter=_limiter(app))

    answer.__annotations__["body"] = Annotated[verb.request, Body()]
    body_schema = {
        "type": "object",
        "required": ["ok", "result"],
        "properties": {"ok": {"const": True}, "result": verb.schema},
    }
    app.add_api_route(
        f"/api/{verb.name}",
        answer,
        methods=["POST"],
        summary=(verb.function.__doc__ or verb.name).splitlines()[0],
        responses={200: {"content": {"application/json": {"schema": body_schema}}}, **ERRORS},
    )


def answer_body(result: Result, lang: str, *, shown: bool) -> dict[str, Any]:
    """``{ok, result}``; with ``shown`` also ``view``, its blocks with a Plotly figure where there is one to draw."""
    body: dict[str, Any] = {"ok": True, "result": result.to_dict()}
    if shown:
        blocks = result.view(lang)
        body["view"] = to_data(blocks)
        for block, data in zip(blocks, body["view"], strict=True):
            if isinstance(block, (Scatter, Curves)):
                data["figure"] = {
                    name: to_spec(block, theme=theme, lang=lang) for name, theme in (("light", LIGHT), ("dark", DARK))
                }
    return body


def _page_route(app: FastAPI) -> None:
    known = functools.cache(verbs)

    @app.post("/api/page/{name}", summary="The answer as one page that opens with no server", responses=ERRORS)
    async def page(name: str, request: Request, body: dict[str, Any]) -> Response:
        verb = known().get(name)
        if verb is None:
            raise NotFoundError("no_such_page")
        lang = preferred(request.scope)
        arguments = app.state.learners.bounded(name, verb.arguments(_validated(verb, body)))
        person = app.state.learners.model_of(request.scope["learner"])
        text = await anyio.to_thread.run_sync(
            lambda: verb.function(person, **arguments).to_html(lang), limiter=_limiter(app)
        )
        return Response(
            text, media_type="text/html", headers={"content-disposition": f'attachment; filename="{name}.html"'}
        )


ERROR_SCHEMA = {
    "type": "object",
    "required": ["ok", "error"],
    "properties": {
        "ok": {"const": False},
        "error": {
            "type": "object",
            "required": ["code", "message"],
            "properties": {"code": {"type": "string"}, "message": {"type": "string"}},
        },
    },
}
ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"description": "error", "content": {"application/json": {"schema": ERROR_SCHEMA}}}
    for status in (400, 403, 404, 405, 409, 422, 429, 499, 501, 502, 507)
}


def _stream_routes(app: FastAPI) -> None:
    known = functools.cache(verbs)

    @app.post("/api/stream", summary="Several generations on one tagged event stream", responses=ERRORS)
    async def stream(request: Request, body: StreamRequest) -> StreamingResponse:
        learner, lang = request.scope["learner"], preferred(request.scope)
        parts = []
        for part in body.streams:
            verb = known().get(part.verb)
            if verb is None:
                raise NotFoundError("unknown_stream", name=part.verb)
            arguments = verb.arguments(_validated(verb, part.arguments))
            parts.append(Part(part.tag, part.verb, app.state.learners.bounded(part.verb, arguments)))
        person = app.state.learners.model_of(learner)
        app.state.hub.open(learner, body.name, lang=lang, parts=parts, model=person)
        events = app.state.hub.events(learner, body.name)
        return StreamingResponse(events, media_type="text/event-stream", headers={"cache-control": "no-store"})

    @app.post("/api/stop", summary="Stop a stream, or one of its generations", responses=ERRORS)
    async def stop(request: Request, body: StopRequest) -> dict[str, Any]:
        return {"ok": True, "result": {"stopped": app.state.hub.stop(request.scope["learner"], body.name, body.tag)}}


def _validated(verb: Verb, arguments: dict[str, Any]) -> BaseModel:
    """The arguments of one part, held to the verb's own schema.

    Raises: InputError ``bad_request`` naming the argument.
    """
    from pydantic import ValidationError

    try:
        return verb.request.model_validate(arguments)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])[:80]
        raise InputError("bad_request", name=where, detail=str(first["msg"])[:200]) from None


def access_code() -> str:
    """A code short enough to be read aloud, long enough against ten tries a minute."""
    return "-".join("".join(secrets.choice("abcdefghjkmnpqrstuvwxyz23456789") for _ in range(4)) for _ in range(2))
