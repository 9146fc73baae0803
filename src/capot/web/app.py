"""Build the lab as an ASGI application: pages, one route for each verb, streams, and the model at work."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import anyio.to_thread
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response

from capot import __version__, i18n
from capot.chapters.assistant.ways import own_source
from capot.chapters.card.served import ServedCard
from capot.chapters.models import verb as models
from capot.chapters.models.result import Models
from capot.config import Serving
from capot.errors import InputError, ModelError, NotFoundError
from capot.model import Model
from capot.sources import machine
from capot.text.templates import default_text
from capot.view.html import style_sheet
from capot.web import assets, course_routes, error_handlers, form_data, opening, stream_routes, verb_routes
from capot.web.garbage_collection import IdleCollector
from capot.web.guard import Guard, preferred_language
from capot.web.json_body import CheckedBodyRoute
from capot.web.learners import Learners
from capot.web.links import Invitation, invitation
from capot.web.openapi import ok_responses
from capot.web.paths import PAGES, root_of
from capot.web.serving_options import check_serving
from capot.web.streams import Streams
from capot.web.verbs import json_schema
from capot.web.view_data import view_of

OBJECT = {"type": "object"}


def create_app(
    model: Model, serving: Serving | None = None, *, owner_key: str | None = None, cookie_secret: bytes | None = None
) -> FastAPI:
    """Return the lab around an opened model. ``serving`` bounds what one learner may ask of it.

    ``owner_key`` in a link makes its bearer the owner; without one there is none. ``cookie_secret`` signs cookies, None
    stands for one of this lab alone. Raises: as ``check_serving``.
    """
    serving = check_serving(serving or Serving())
    learners = Learners(model, serving)
    streams = Streams(learners, serving)
    app = FastAPI(
        title="capot",
        version=__version__,
        lifespan=_lifespan(streams, model),
        # FastAPI's own pages load their scripts from elsewhere, which the policy forbids.
        docs_url=None,
        redoc_url=None,
        openapi_url="/api/openapi.json",
    )
    app.state.learners = learners
    app.state.streams = streams
    app.router.route_class = CheckedBodyRoute
    error_handlers.install(app)
    _add_pages(app)
    _add_model_route(app, learners)
    _add_served_route(app, learners)
    _add_info_routes(app, streams)
    _add_models_route(app)
    _add_invitation_route(app, serving)
    verb_routes.install(app)
    stream_routes.install(app, streams)
    course_routes.install(app, serving)
    # Around everything, the error handlers included: what the guard refuses reaches no route.
    keys: dict[str, Any] = {"owner_key": owner_key, "cookie_secret": cookie_secret}
    app.add_middleware(Guard, serving=serving, **keys, opening=lambda: learners.opening)
    return app


def _lifespan(streams: Streams, first: Model) -> Any:
    """Return the lifespan: it frees what absent learners held, and ends everything when the lab closes."""

    async def sweep() -> None:
        swept = 0
        collector = IdleCollector()
        while True:
            # Often enough that a learner who has left costs little, at least twice in the time after which one counts
            # as gone.
            await asyncio.sleep(min(5.0, streams.serving.idle_s / 2))
            before, swept = swept, streams.learners.sweep(streaming=streams.streaming)
            if before or swept:  # once more a turn later, when the engine's thread has let go of what it held
                await anyio.to_thread.run_sync(machine.trim_heap)
            quiet = not any(each.active_requests for each in streams.learners.by_name.values())
            await anyio.to_thread.run_sync(functools.partial(collector.collect_if_due, quiet=quiet))

    @contextlib.asynccontextmanager
    async def life(_: FastAPI) -> AsyncIterator[None]:
        sweeping = asyncio.create_task(sweep())
        packing = asyncio.create_task(anyio.to_thread.run_sync(assets.find, assets.PLOTLY))  # half a second of gzip
        try:
            yield
        finally:
            sweeping.cancel()
            for helpers in (streams.learners.template_workers, streams.learners.tokenizer_workers):
                await anyio.to_thread.run_sync(helpers.close)
            await packing
            # Streams before models: their jobs end with an event, and the engine is still there to hear it.
            for stream in list(streams.streams.values()):
                streams.close(stream)
            if streams.learners.model is not first:  # opened from a page, so nobody else will close it
                await anyio.to_thread.run_sync(streams.learners.model.close)

    return life


def _add_pages(app: FastAPI) -> None:
    for name in PAGES:
        app.add_api_route(f"/{name}", _page(name), methods=["GET"], include_in_schema=False)

    @app.get("/static/theme.css", include_in_schema=False)
    async def theme(request: Request) -> Response:
        return assets.respond(assets.text_asset(style_sheet(), "text/css"), request)

    @app.get("/static/{name:path}", include_in_schema=False)
    async def static(name: str, request: Request) -> Response:
        found = await anyio.to_thread.run_sync(_find_asset, name) if name == assets.PLOTLY else _find_asset(name)
        return assets.respond(found, request)


def _page(name: str) -> Callable[[Request], Awaitable[Response]]:
    """Return what answers with the page of a chapter."""

    async def page(request: Request) -> Response:
        script = f"pages/{form_data.script_of(name)}.js"
        return assets.respond(assets.page(root_of(request.scope), form_data.lab_json(), script=script), request)

    return page


def _find_asset(name: str) -> assets.Asset:
    """Return a static file. Raises: NotFoundError ``no_such_page``."""
    found = assets.find(name)
    if found is None:
        raise NotFoundError("no_such_page")
    return found


def _add_model_route(app: FastAPI, learners: Learners) -> None:
    @app.get(
        "/api/model",
        summary="What is at work: model, engine, device, precision",
        responses=ok_responses(json_schema(opening.ModelAtWork)),
    )
    async def at_work(request: Request) -> JSONResponse:
        found = await anyio.to_thread.run_sync(lambda: opening.at_work(learners.model))
        serving = learners.serving
        limits = {name: getattr(serving, name) for name in ("max_prompt_chars", "max_new_tokens", "max_streams")}
        who = {"owner": request.scope["owner"], "coded": serving.access_code is not None}
        return JSONResponse(
            {"ok": True, "result": {**found.to_dict(), **who, "version": __version__, "limits": limits}}
        )


def _add_served_route(app: FastAPI, learners: Learners) -> None:
    @app.get(
        "/api/served",
        summary="The card of a model that a server has: what the server was seen to do",
        responses=ok_responses(OBJECT),
    )
    async def served(request: Request) -> JSONResponse:
        model = learners.model
        facts = await anyio.to_thread.run_sync(lambda: model.server)
        if facts is None:
            raise NotFoundError("no_such_page")
        card = ServedCard(model.name, facts)
        view = view_of(card, preferred_language(request.scope))
        return JSONResponse({"ok": True, "result": {"card": card.to_dict(), "view": view}})


def _add_info_routes(app: FastAPI, streams: Streams) -> None:
    learners = streams.learners

    @app.get("/api/chapters/{name}", summary="What a chapter's verbs take, in words", responses=ok_responses(OBJECT))
    async def chapter(request: Request, name: str) -> JSONResponse:
        return JSONResponse({"ok": True, "result": form_data.forms(name, preferred_language(request.scope))})

    @app.get("/api/words/{lang}", summary="The pages' words in one language", responses=ok_responses(OBJECT))
    async def words(request: Request, lang: str) -> Response:
        if lang not in i18n.LANGUAGES:
            raise InputError("unknown_language", value=lang[:20], known=", ".join(i18n.LANGUAGES))
        text = json.dumps({"ok": True, "result": dict(i18n.catalogue(lang, "web"))}, ensure_ascii=False)
        return assets.respond(assets.text_asset(text, "application/json"), request)

    @app.get(
        "/api/templates",
        summary="The templates to edit: the packaged one, the model's own",
        responses=ok_responses(OBJECT),
    )
    async def templates(request: Request) -> JSONResponse:
        lang = preferred_language(request.scope)
        own = await anyio.to_thread.run_sync(_own_template, learners.model)
        return JSONResponse({"ok": True, "result": {"template": default_text(lang), "chat_template": own}})

    @app.get("/api/status", summary="The load of this server", responses=ok_responses(OBJECT))
    async def status() -> JSONResponse:
        load = {"streams": streams.count_parts(), "ended": dict(streams.ended)}
        return JSONResponse({"ok": True, "result": {**load, **learners.status()}})


def _own_template(model: Model) -> str | None:
    """Return the model's own template to edit. An unreadable one is reported where it is used, not here."""
    try:
        return own_source(model)
    except ModelError:
        return None


def _add_invitation_route(app: FastAPI, serving: Serving) -> None:
    @app.get(
        "/api/invitation",
        summary="The class's link, its code and its picture, to be projected: the server's owner only",
        responses=ok_responses(json_schema(Invitation)),
    )
    async def invited(request: Request) -> JSONResponse:
        verb_routes.check_owner(request)
        base_url = f"{request.url.scheme}://{request.headers.get('host', '')}"
        found = invitation(serving, (request.scope.get("server") or ("", 0))[1] or 0, base_url=base_url)
        if found is None:
            raise NotFoundError("no_such_page")
        return JSONResponse({"ok": True, "result": found.to_dict()})


def _add_models_route(app: FastAPI) -> None:
    @app.get(
        "/api/models",
        summary="The models of this machine's cache, for who may open another: the server's owner only",
        responses=ok_responses(json_schema(Models)),
    )
    async def here(request: Request) -> JSONResponse:
        verb_routes.check_owner(request)
        found = await anyio.to_thread.run_sync(models.cached)
        return JSONResponse({"ok": True, "result": found.to_dict()})
