"""One POST route per verb, and the same answer as a page that needs no server."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import anyio.to_thread
from fastapi import Body, FastAPI, Query, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ValidationError

from capot import i18n
from capot.errors import AccessError, InterruptedByUser, NotFoundError
from capot.leaving import look, wanted
from capot.model import Model
from capot.view.result import Result, public
from capot.web.addresses import address_of
from capot.web.bounds import bounded, price
from capot.web.documents import ERRORS, LOGITS, PAGE, answered, body_of, described
from capot.web.faults import malformed
from capot.web.guard import preferred
from capot.web.learners import Learner, Learners
from capot.web.request_scope import RequestScope
from capot.web.shown import answer_body
from capot.web.stream_jobs import line_of
from capot.web.uploads import kept
from capot.web.verbs import Verb, verbs
from capot.web.written import written

if TYPE_CHECKING:
    from capot.web.streams import OpenStream

T = TypeVar("T")
CALL = "x-capot-call"  # a name of the page's choosing for one answer, so that it can ask where that stands
NAME = r"^[\w-]+$"
WITHOUT_ENGINE = ("tokens",)  # verbs that compute long in Python, from beginning to end


def install(app: FastAPI) -> None:
    """A route for each verb, and one for all of them as pages."""
    for verb in verbs().values():
        _route(app, verb)
    _place(app)

    @app.post("/api/page/{name}", summary="The answer as one page that opens with no server", responses=PAGE)
    async def page(name: str, request: Request, body: dict[str, Any]) -> Response:
        verb = verbs().get(name)
        if verb is None:
            raise NotFoundError("no_such_page")
        arguments = allowed(request, verb, validated(verb, body))
        lang = preferred(request.scope)

        def page_of(result: Result) -> str:
            return str(public(result).to_html(lang))

        text = await computed(request, verb, arguments, written_by=page_of)
        headers = {"content-disposition": f'attachment; filename="{verb.name}.html"'}
        return Response(text, media_type="text/html", headers=headers)


def _place(app: FastAPI) -> None:
    """Where an answer stands that is waited for: a page asks while it shows that it waits."""
    places = {name: {"type": "integer", "minimum": 0} for name in ("position", "turn", "at_once")}
    found = {"type": "object", "properties": places, "required": list(places)}

    @app.get("/api/place", summary="The place in the queue of an answer under way", responses=answered(found))
    async def place(request: Request, call: Annotated[str, Query(max_length=64, pattern=NAME)]) -> JSONResponse:
        learners = request.app.state.learners
        learner = learners.known.get(request.scope["learner"])
        return JSONResponse({"ok": True, "result": learners.place(learner, call)})


def _route(app: FastAPI, verb: Verb) -> None:
    """``POST /api/<verb>``: the verb's own parameters in, ``{ok, result}`` out."""

    async def answer(request: Request, body: Any, view: bool = Query(False)) -> Response:
        return await _answer(request, verb, body, view=view, logits=False)

    async def answer_or_logits(
        request: Request, body: Any, view: bool = Query(False), logits: bool = Query(False)
    ) -> Response:
        return await _answer(request, verb, body, view=view, logits=logits)

    endpoint = answer_or_logits if verb.logits else answer
    endpoint.__annotations__["body"] = Annotated[verb.request, Body(openapi_examples=described(verb.name))]
    content = {"application/json": {"schema": body_of(verb.schema)}, **(LOGITS if verb.logits else {})}
    app.add_api_route(
        f"/api/{verb.name}",
        endpoint,
        methods=["POST"],
        operation_id=verb.name,
        summary=verb.summary,
        response_class=JSONResponse,
        responses={200: {"description": "answer", "content": content}, **ERRORS},
    )


async def _answer(request: Request, verb: Verb, body: BaseModel, *, view: bool, logits: bool) -> Response:
    arguments = allowed(request, verb, body)
    lang = preferred(request.scope)

    def response(result: Any) -> Response:
        result = result if request.scope["owner"] else public(result)
        if logits:
            raw = result.logits.astype("<f4").tobytes()  # V little-endian float32, for the sliders
            return Response(raw, media_type="application/octet-stream")
        return Response(written(answer_body(result, lang, shown=view)), media_type="application/json")

    return await computed(request, verb, arguments, written_by=response)


def allowed(request: Request, verb: Verb, body: BaseModel) -> dict[str, Any]:
    """The call's arguments, within this server's bounds. Raises: as ``bounded``."""
    serving = request.app.state.learners.serving
    return bounded(verb.name, verb.arguments(body), serving=serving, owner=request.scope["owner"])


def validated(verb: Verb, arguments: dict[str, Any]) -> BaseModel:
    """Arguments held to the verb's own schema. Raises: InputError ``bad_request`` naming the argument."""
    try:
        return verb.request.model_validate(arguments)
    except ValidationError as error:
        raise malformed(error) from None


def visitor(request: Request) -> Learner:
    """The request's learner, with something under way until the answer is taken. Raises: as ``Learners.seen``."""
    learners: Learners = request.app.state.learners
    learner = learners.seen(request.scope["learner"], address_of(request.scope))
    kept(request.scope).enter_context(learner.busy())
    return learner


def check_owner(request: Request) -> None:
    """Let nobody but the server's owner on. Raises: AccessError ``owner_only``."""
    if not request.scope["owner"]:
        raise AccessError("owner_only")


async def computed(request: Request, verb: Verb, arguments: dict[str, Any], *, written_by: Callable[[Any], T]) -> T:
    """Answer on a thread, on behalf of the request's learner; their leaving ends it, or its waiting, at once.

    The memory that it may take besides caches counts, and its turn lasts, until the answer is taken. A measurement
    waits for the one thread that makes them.

    Raises: what the verb does; InterruptedByUser; BusyError ``too_much_memory``.
    """
    line = line_of(verb, arguments)
    learners, lang = request.app.state.learners, preferred(request.scope)
    learner = visitor(request)
    leaving = Leaving()

    def call() -> T:
        model, share = learners.opened(learner)
        leaving.take(share)
        if leaving.left:
            raise InterruptedByUser("interrupted")
        with i18n.speaking(lang), wanted(lambda: leaving.left):
            return _worked(model, verb, arguments, desk=learner.desk, written_by=written_by)

    watch = asyncio.create_task(leaving.watch(request))
    try:
        with learner.calling(request.headers.get(CALL), leaving), leaving.scope:
            await kept(request.scope).enter_async_context(learners.turn(learner, leaving))
            kept(request.scope).enter_context(learner.account.holding(price(verb.name, arguments)))
            if line is not None:
                return await line.run(call, owner=learner.name, who=leaving)
            async with learners.room.taken(leaving):
                return await anyio.to_thread.run_sync(call, limiter=learners.threads)
    finally:
        watch.cancel()
    raise InterruptedByUser("interrupted")


def _worked(
    model: Model, verb: Verb, arguments: dict[str, Any], *, desk: threading.Lock, written_by: Callable[[Any], T]
) -> T:
    """The answer, written; of one learner's one at a time, as the engine shares the interpreter with all of them.

    A verb that waits for the engine does so beside the others: its answer alone is written in its turn.
    """
    with desk if verb.name in WITHOUT_ENGINE else contextlib.nullcontext():
        result = verb.function(model, **arguments)
    with desk:
        look()
        return written_by(result)


class Leaving:
    """Cancels a request's share, or its waiting, when its connection closes; knows its place until then."""

    def __init__(self) -> None:
        self.left, self.scope = False, anyio.CancelScope()
        self.share: RequestScope | OpenStream | None = None

    def take(self, share: RequestScope | OpenStream) -> None:
        self.share = share
        if self.left:
            share.cancel()

    @property
    def position(self) -> int:
        """0 at work, done or not begun, else the place in the queue."""
        return 0 if self.share is None else self.share.position

    async def watch(self, request: Request) -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass
        self.left = True
        self.scope.cancel()  # a thread at work is not left alone: what it computes is cancelled, and it is waited for
        if self.share is not None:
            self.share.cancel()
