"""Add one POST route for each verb, and one that answers any verb as a self-contained page."""

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
from capot.engines.cancellation import cancel_when, check_cancelled
from capot.errors import AccessError, InterruptedByUser, NotFoundError
from capot.model import Model
from capot.view.result import Result, redact_paths
from capot.web.addresses import address_of
from capot.web.bounds import check_bounds, memory_cost
from capot.web.error_handlers import validation_error
from capot.web.guard import preferred_language
from capot.web.json_writer import encode_json
from capot.web.learners import Learner, Learners
from capot.web.openapi import ERRORS, LOGITS, PAGE, answer_schema, ok_responses, request_examples
from capot.web.request_scope import RequestScope
from capot.web.stream_jobs import executor_for
from capot.web.uploads import request_resources
from capot.web.verbs import Verb, verbs
from capot.web.view_data import answer_body

if TYPE_CHECKING:
    from capot.web.streams import OpenStream

T = TypeVar("T")
CALL_HEADER = "x-capot-call"  # a name of the page's choosing for one answer, so that it can ask where that stands
NAME_PATTERN = r"^[\w-]+$"
PYTHON_VERBS = ("tokens",)  # verbs that compute long in Python, from beginning to end


def install(app: FastAPI) -> None:
    """Add a route for each verb, the one for pages, and the one for places in the queue."""
    for verb in verbs().values():
        _add_verb_route(app, verb)
    _add_place_route(app)

    @app.post("/api/page/{name}", summary="The answer as one page that opens with no server", responses=PAGE)
    async def page(name: str, request: Request, body: dict[str, Any]) -> Response:
        verb = verbs().get(name)
        if verb is None:
            raise NotFoundError("no_such_page")
        arguments = bounded_arguments(request, verb, parse_arguments(verb, body))
        lang = preferred_language(request.scope)

        def page_of(result: Result) -> str:
            return str(redact_paths(result).to_html(lang))

        text = await compute(request, verb, arguments, written_by=page_of)
        headers = {"content-disposition": f'attachment; filename="{verb.name}.html"'}
        return Response(text, media_type="text/html", headers=headers)


def _add_place_route(app: FastAPI) -> None:
    """Add the route that a page polls while it shows that its answer waits."""
    places = {name: {"type": "integer", "minimum": 0} for name in ("position", "turn", "at_once")}
    found = {"type": "object", "properties": places, "required": list(places)}

    @app.get("/api/place", summary="The place in the queue of an answer under way", responses=ok_responses(found))
    async def place(request: Request, call: Annotated[str, Query(max_length=64, pattern=NAME_PATTERN)]) -> JSONResponse:
        learners = request.app.state.learners
        learner = learners.by_name.get(request.scope["learner"])
        return JSONResponse({"ok": True, "result": learners.position(learner, call)})


def _add_verb_route(app: FastAPI, verb: Verb) -> None:
    """Add ``POST /api/<verb>``: the verb's parameters in, ``{ok, result}`` out."""

    async def answer(request: Request, body: Any, view: bool = Query(False)) -> Response:
        return await _answer(request, verb, body, view=view, logits=False)

    async def answer_or_logits(
        request: Request, body: Any, view: bool = Query(False), logits: bool = Query(False)
    ) -> Response:
        return await _answer(request, verb, body, view=view, logits=logits)

    endpoint = answer_or_logits if verb.logits else answer
    endpoint.__annotations__["body"] = Annotated[verb.request, Body(openapi_examples=request_examples(verb.name))]
    content = {"application/json": {"schema": answer_schema(verb.schema)}, **(LOGITS if verb.logits else {})}
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
    arguments = bounded_arguments(request, verb, body)
    lang = preferred_language(request.scope)

    def response(result: Any) -> Response:
        result = result if request.scope["owner"] else redact_paths(result)
        if logits:
            raw = result.logits.astype("<f4").tobytes()  # V little-endian float32, for the sliders
            return Response(raw, media_type="application/octet-stream")
        return Response(encode_json(answer_body(result, lang, shown=view)), media_type="application/json")

    return await compute(request, verb, arguments, written_by=response)


def bounded_arguments(request: Request, verb: Verb, body: BaseModel) -> dict[str, Any]:
    """Return the call's arguments, held to this server's bounds. Raises: as ``check_bounds``."""
    serving = request.app.state.learners.serving
    return check_bounds(verb.name, verb.arguments(body), serving=serving, owner=request.scope["owner"])


def parse_arguments(verb: Verb, arguments: dict[str, Any]) -> BaseModel:
    """Validate arguments against the verb's schema. Raises: InputError ``bad_request`` naming the argument."""
    try:
        return verb.request.model_validate(arguments)
    except ValidationError as error:
        raise validation_error(error) from None


def current_learner(request: Request) -> Learner:
    """Return the request's learner, kept busy until the answer is taken.

    Raises: as ``Learners.visit``.
    """
    learners: Learners = request.app.state.learners
    learner = learners.visit(request.scope["learner"], address_of(request.scope))
    request_resources(request.scope).enter_context(learner.busy())
    return learner


def check_owner(request: Request) -> None:
    """Refuse everybody but the server's owner. Raises: AccessError ``owner_only``."""
    if not request.scope["owner"]:
        raise AccessError("owner_only")


async def compute(request: Request, verb: Verb, arguments: dict[str, Any], *, written_by: Callable[[Any], T]) -> T:
    """Compute an answer on a thread, on behalf of the request's learner; stop at once if they leave.

    The memory that it may need counts in the learner's account, and its place among their calls is held, until the
    answer is taken. A measurement waits for the one thread that makes them.

    Raises: what the verb does; InterruptedByUser; BusyError ``too_much_memory``.
    """
    executor = executor_for(verb, arguments)
    learners = request.app.state.learners
    lang = preferred_language(request.scope)
    learner = current_learner(request)
    disconnect = DisconnectWatch()

    def call() -> T:
        model, scope = learners.model_for(learner)
        # Left while the model was being read: nothing is computed for nobody.
        disconnect.attach(scope)
        if disconnect.disconnected:
            raise InterruptedByUser("interrupted")
        with i18n.use_language(lang), cancel_when(lambda: disconnect.disconnected):
            return _compute_and_write(model, verb, arguments, lock=learner.python_lock, written_by=written_by)

    watch = asyncio.create_task(disconnect.watch(request))
    try:
        with learner.named_call(request.headers.get(CALL_HEADER), disconnect), disconnect.cancel_scope:
            # Places first, then the account: who waits holds no memory.
            await request_resources(request.scope).enter_async_context(learners.turn(learner, disconnect))
            request_resources(request.scope).enter_context(learner.account.holding(memory_cost(verb.name, arguments)))
            if executor is not None:
                return await executor.run(call, owner=learner.name, key=disconnect)
            async with learners.semaphore.acquired(disconnect):
                return await anyio.to_thread.run_sync(call, limiter=learners.threads)
    finally:
        watch.cancel()
    raise InterruptedByUser("interrupted")


def _compute_and_write(
    model: Model, verb: Verb, arguments: dict[str, Any], *, lock: threading.Lock, written_by: Callable[[Any], T]
) -> T:
    """Compute the answer and write it, one at a time for each learner.

    Python code holds the interpreter, which the engine thread needs as well: one learner must not have several threads
    that compete with it. A verb that waits for the engine needs no turn to compute, only to write its answer.
    """
    with lock if verb.name in PYTHON_VERBS else contextlib.nullcontext():
        result = verb.function(model, **arguments)
    with lock:
        check_cancelled()
        return written_by(result)


class DisconnectWatch:
    """Cancel a request's work, or its wait, when its connection closes."""

    def __init__(self) -> None:
        self.disconnected = False
        self.cancel_scope = anyio.CancelScope()
        self.work: RequestScope | OpenStream | None = None

    def attach(self, work: RequestScope | OpenStream) -> None:
        """Say what to cancel."""
        self.work = work
        if self.disconnected:
            work.cancel()

    @property
    def position(self) -> int:
        """Return the place in the queue, or 0 if the work runs, is done or has not begun."""
        return 0 if self.work is None else self.work.position

    async def watch(self, request: Request) -> None:
        """Wait for the end of the connection, and cancel then."""
        while (await request.receive())["type"] != "http.disconnect":
            pass
        self.disconnected = True
        # A thread cannot be interrupted: its work is cancelled below, and the scope waits until it has ended.
        self.cancel_scope.cancel()
        if self.work is not None:
            self.work.cancel()
