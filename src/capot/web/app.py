"""The lab as an ASGI application: pages, one route per verb, streams, and what is at work."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
from collections.abc import AsyncIterator
from typing import Any

import anyio.to_thread
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response

from capot import __version__, i18n
from capot.chapters.assistant.ways import own_source
from capot.chapters.models import verb as models
from capot.chapters.models.result import Models
from capot.config import Serving
from capot.errors import InputError, ModelError, NotFoundError
from capot.model import Model
from capot.sources import machine
from capot.text.templates import default_text
from capot.view.html import style_sheet
from capot.web import answers, assets, described, faults, live, opening
from capot.web.checked import checked
from capot.web.collecting import Collector
from capot.web.documents import answered
from capot.web.forms import Formed
from capot.web.guard import Guard, preferred
from capot.web.learners import Learners
from capot.web.links import Invitation, invitation
from capot.web.paths import PAGES, root_of
from capot.web.streams import Streams
from capot.web.verbs import schema

OBJECT = {"type": "object"}


def create_app(model: Model, serving: Serving | None = None, *, owner_key: str | None = None) -> FastAPI:
    """The lab around an opened model; ``serving`` bounds what one learner may ask of it.

    ``owner_key`` in a link makes its bearer the owner; without one there is none. Raises: as ``checked``.
    """
    serving = checked(serving or Serving())
    learners = Learners(model, serving)
    hub = Streams(learners, serving)
    app = FastAPI(
        title="capot",
        version=__version__,
        lifespan=_life(hub, model),
        docs_url=None,
        redoc_url=None,
        openapi_url="/api/openapi.json",
    )
    app.state.learners, app.state.hub = learners, hub
    app.router.route_class = Formed
    faults.install(app)
    _pages(app)
    _facts(app, hub)
    _here(app)
    _invited(app, serving)
    answers.install(app)
    live.install(app, hub)
    app.add_middleware(Guard, serving=serving, owner_key=owner_key, opening=lambda: learners.opening)
    return app


def _life(hub: Streams, first: Model) -> Any:
    """While the lab is open: what those who have left held goes back; at its end nothing is left at work."""

    async def sweep() -> None:
        swept, collector = 0, Collector()
        while True:
            await asyncio.sleep(min(5.0, hub.serving.idle_s / 2))
            before, swept = swept, hub.learners.sweep(streaming=hub.streaming)
            if before or swept:  # once more a turn later, when the engine's thread has let go of what it held
                await anyio.to_thread.run_sync(machine.give_back)
            quiet = not any(each.under_way for each in hub.learners.known.values())
            await anyio.to_thread.run_sync(functools.partial(collector.look, quiet=quiet))

    @contextlib.asynccontextmanager
    async def life(_: FastAPI) -> AsyncIterator[None]:
        sweeping = asyncio.create_task(sweep())
        packing = asyncio.create_task(anyio.to_thread.run_sync(assets.find, assets.PLOTLY))  # half a second of gzip
        try:
            yield
        finally:
            sweeping.cancel()
            for helpers in (hub.learners.helpers, hub.learners.cutters):
                await anyio.to_thread.run_sync(helpers.close)
            await packing
            for stream in list(hub.streams.values()):
                hub.close(stream)
            if hub.learners.model is not first:  # opened from a page, so nobody else will close it
                await anyio.to_thread.run_sync(hub.learners.model.close)

    return life


def _pages(app: FastAPI) -> None:
    async def page(request: Request) -> Response:
        return assets.respond(assets.page(root_of(request.scope), described.lab()), request)

    for name in PAGES:
        app.add_api_route(f"/{name}", page, methods=["GET"], include_in_schema=False)

    @app.get("/static/theme.css", include_in_schema=False)
    async def theme(request: Request) -> Response:
        return assets.respond(assets.of_text(style_sheet(), "text/css"), request)

    @app.get("/static/{name:path}", include_in_schema=False)
    async def static(name: str, request: Request) -> Response:
        found = await anyio.to_thread.run_sync(_found, name) if name == assets.PLOTLY else _found(name)
        return assets.respond(found, request)


def _found(name: str) -> assets.Asset:
    """Raises: NotFoundError ``no_such_page``."""
    found = assets.find(name)
    if found is None:
        raise NotFoundError("no_such_page")
    return found


def _facts(app: FastAPI, hub: Streams) -> None:
    learners = hub.learners

    @app.get(
        "/api/model",
        summary="What is at work: model, engine, device, precision",
        responses=answered(schema(opening.AtWork)),
    )
    async def at_work(request: Request) -> JSONResponse:
        found = await anyio.to_thread.run_sync(lambda: opening.at_work(learners.model))
        serving = learners.serving
        limits = {name: getattr(serving, name) for name in ("max_prompt_chars", "max_new_tokens", "max_streams")}
        who = {"owner": request.scope["owner"], "coded": serving.access_code is not None}
        more = {**who, "version": __version__, "limits": limits}
        return JSONResponse({"ok": True, "result": {**found.to_dict(), **more}})

    @app.get("/api/chapters/{name}", summary="What a chapter's verbs take, in words", responses=answered(OBJECT))
    async def chapter(request: Request, name: str) -> JSONResponse:
        return JSONResponse({"ok": True, "result": described.forms(name, preferred(request.scope))})

    @app.get("/api/words/{lang}", summary="The pages' words in one language", responses=answered(OBJECT))
    async def words(request: Request, lang: str) -> Response:
        if lang not in i18n.LANGUAGES:
            raise InputError("unknown_language", value=lang[:20], known=", ".join(i18n.LANGUAGES))
        text = json.dumps({"ok": True, "result": dict(i18n.catalogue(lang, "web"))}, ensure_ascii=False)
        return assets.respond(assets.of_text(text, "application/json"), request)

    @app.get(
        "/api/templates", summary="The templates to edit: the packaged one, the model's own", responses=answered(OBJECT)
    )
    async def templates(request: Request) -> JSONResponse:
        lang = preferred(request.scope)
        own = await anyio.to_thread.run_sync(_own_template, learners.model)
        return JSONResponse({"ok": True, "result": {"template": default_text(lang), "chat_template": own}})

    @app.get("/api/status", summary="The load of this server", responses=answered(OBJECT))
    async def status() -> JSONResponse:
        load = {"streams": sum(len(each.parts) for each in hub.streams.values()), "ended": dict(hub.ended)}
        return JSONResponse({"ok": True, "result": {**load, **learners.status()}})


def _own_template(model: Model) -> str | None:
    """The model's own template to edit. Why one cannot be read is said where it is to be used; the others can be."""
    try:
        return own_source(model)
    except ModelError:
        return None


def _invited(app: FastAPI, serving: Serving) -> None:
    @app.get(
        "/api/invitation",
        summary="The class's link, its code and its picture, to be projected: the server's owner only",
        responses=answered(schema(Invitation)),
    )
    async def invited(request: Request) -> JSONResponse:
        answers.check_owner(request)
        seen = f"{request.url.scheme}://{request.headers.get('host', '')}"
        found = invitation(serving, (request.scope.get("server") or ("", 0))[1] or 0, seen=seen)
        if found is None:
            raise NotFoundError("no_such_page")
        return JSONResponse({"ok": True, "result": found.to_dict()})


def _here(app: FastAPI) -> None:
    @app.get(
        "/api/models",
        summary="The models of this machine's cache, for who may open another: the server's owner only",
        responses=answered(schema(Models)),
    )
    async def here(request: Request) -> JSONResponse:
        answers.check_owner(request)
        found = await anyio.to_thread.run_sync(models.cached)
        return JSONResponse({"ok": True, "result": found.to_dict()})
