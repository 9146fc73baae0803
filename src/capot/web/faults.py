"""Every failure as the one body ``{ok, error}``; what is our bug says nothing but that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, Response
from pydantic import ValidationError
from starlette.exceptions import HTTPException

from capot.errors import CapotError, InputError, NotFoundError, shown
from capot.i18n import Reason
from capot.view.visible import visible
from capot.web import code_page
from capot.web.guard import preferred
from capot.web.paths import root_of

STATUSES = (400, 403, 404, 405, 409, 413, 422, 429, 499, 500, 501, 502, 507)
LONGEST = 200  # characters of a parameter; only the lists of what is known here are longer


def body(error: CapotError, lang: str) -> dict[str, Any]:
    """The error's body: a path of this machine is its model's name there, or its own last part.

    Nothing in its words acts on a screen.

    >>> from capot.errors import local
    >>> error = NotFoundError("no_template", path=local("/home/ann lee/models/one.toml", "one.toml"))
    >>> body(error, "en")["error"]["message"].splitlines()[0]
    'there is no template file one.toml.'
    """
    public = error.public()
    params = {name: value if name == "known" else _told(value) for name, value in public.params.items()}
    told = type(error)(error.code, **params).to_dict(lang, face="command")
    told["error"]["message"] = visible(told["error"]["message"], lines=True)
    field = str(params.get("name", ""))
    if isinstance(error, InputError) and field.replace(".", "_").isidentifier():
        told["error"]["field"] = field  # so that a page can say it beside the field
    return told


def _told(value: Any) -> Any:
    """A parameter as a visitor is told it: no more of a text than a sentence bears, nothing unwritable."""
    if not isinstance(value, str):
        return value
    found = shown(value, LONGEST).encode("utf-8", "replace").decode()
    return value if found == value else found  # a reason of the system stays one


def malformed(error: ValidationError | RequestValidationError, *, skip: int = 0) -> InputError:
    """The first complaint about a request, naming the argument; ``skip`` parts of its place are ours."""
    first = error.errors()[0]
    if first["type"] == "json_invalid":
        return InputError("bad_json")
    where = ".".join(map(str, _place(first["loc"][skip:]))) or "body"
    detail = Reason(str(first["msg"])[:200])
    detail.key, detail.params = f"request.{first['type']}", _context(first.get("ctx", {}))
    return InputError("bad_request", name=where[:80], detail=detail)


def _place(parts: Sequence[str | int]) -> list[str | int]:
    """Where a complaint belongs: ``streams.0.tag``; without the type that was tried, so not ``tokens.str``."""
    found: list[str | int] = []
    for part in parts:
        if found and isinstance(part, str) and isinstance(found[-1], str):
            break
        found.append(part)
    return found


def _context(context: Mapping[str, Any]) -> dict[str, Any]:
    """Bounds and words of a complaint; these come as an English sentence has them: ``'last' or 'all'``."""
    return {name: value.replace(" or ", ", ") if isinstance(value, str) else value for name, value in context.items()}


def install(app: FastAPI) -> None:
    """Give the application its handlers. What none of them knows, the guard catches."""

    @app.exception_handler(CapotError)
    async def ours(request: Request, error: CapotError) -> JSONResponse:
        return JSONResponse(body(error, preferred(request.scope)), status_code=error.http_status)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        return await ours(request, malformed(error, skip=1))

    @app.exception_handler(HTTPException)
    async def missing(request: Request, error: HTTPException) -> Response:
        found, lang = _of_status(error.status_code), preferred(request.scope)
        if error.status_code == 404 and "text/html" in request.headers.get("accept", ""):  # a person, in a browser
            return HTMLResponse(code_page.page(found, lang, root=root_of(request.scope)), 404)
        told = body(found, lang)
        return JSONResponse(told, error.status_code, headers=error.headers)


def _of_status(status: int) -> CapotError:
    """The framework's own refusals: no such address, a wrong method, a body that it could not read."""
    if status == 404:
        return NotFoundError("no_such_page")
    return InputError("wrong_method") if status == 405 else InputError("bad_json")
