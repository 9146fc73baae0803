"""Answer every failure with the one body ``{ok, error}``. A bug of capot's own says nothing but that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, Response
from pydantic import ValidationError
from starlette.exceptions import HTTPException

from capot.errors import CapotError, InputError, NotFoundError, shorten
from capot.i18n import Reason
from capot.view.visible import visible
from capot.web import code_page
from capot.web.guard import preferred_language
from capot.web.paths import root_of

STATUSES = (400, 403, 404, 405, 409, 413, 422, 429, 499, 500, 501, 502, 507)
MAX_PARAM_CHARS = 200  # characters of a parameter; only the lists of what is known here are longer


def error_body(error: CapotError, lang: str) -> dict[str, Any]:
    """Return the error's body. A path of this machine becomes its model's name, or its own last part.

    Control characters in its message are written out, so that nothing in it acts on a terminal.

    >>> from capot.errors import local_path
    >>> error = NotFoundError("no_template", path=local_path("/home/ann lee/models/one.toml", "one.toml"))
    >>> error_body(error, "en")["error"]["message"].splitlines()[0]
    'there is no template file one.toml.'
    """
    public = error.public()
    params = {name: value if name == "known" else _shown_param(value) for name, value in public.params.items()}
    answer = public.with_params(params).to_dict(lang, face="command")
    answer["error"]["message"] = visible(answer["error"]["message"], lines=True)
    field = str(params.get("name") or params.get("option") or "")
    if isinstance(error, InputError) and field.replace(".", "_").isidentifier():
        answer["error"]["field"] = field  # so that a page can say it beside the field
    return answer


def _shown_param(value: Any) -> Any:
    """Return a parameter as a visitor sees it: cut to a sentence's length, and valid UTF-8."""
    if not isinstance(value, str):
        return value
    found = shorten(value, MAX_PARAM_CHARS).encode("utf-8", "replace").decode()
    return value if found == value else found  # a reason of the system stays one


def validation_error(error: ValidationError | RequestValidationError, *, skip: int = 0) -> InputError:
    """Return the first error of a request, naming the argument. ``skip`` parts of its path are FastAPI's."""
    first = error.errors()[0]
    if first["type"] == "json_invalid":
        return InputError("bad_json")
    where = ".".join(map(str, _field_path(first["loc"][skip:]))) or "body"
    params = _reason_params(first.get("ctx", {}))
    detail = Reason(str(first["msg"])[:200], key=f"request.{first['type']}", **params)
    return InputError("bad_request", name=where[:80], detail=detail)


def _field_path(parts: Sequence[str | int]) -> list[str | int]:
    """Return the path of an argument: ``streams.0.tag``, without the type that pydantic tried (``tokens.str``)."""
    found: list[str | int] = []
    for part in parts:
        if found and isinstance(part, str) and isinstance(found[-1], str):
            break
        found.append(part)
    return found


def _reason_params(context: Mapping[str, Any]) -> dict[str, Any]:
    """Return the bounds of an error. Pydantic writes lists in English: ``'last' or 'all'`` gets a comma."""
    return {name: value.replace(" or ", ", ") if isinstance(value, str) else value for name, value in context.items()}


def install(app: FastAPI) -> None:
    """Add the handlers to the application. The guard catches what none of them knows."""

    @app.exception_handler(CapotError)
    async def ours(request: Request, error: CapotError) -> JSONResponse:
        return JSONResponse(error_body(error, preferred_language(request.scope)), status_code=error.http_status)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        return await ours(request, validation_error(error, skip=1))

    @app.exception_handler(HTTPException)
    async def missing(request: Request, error: HTTPException) -> Response:
        found = _error_of_status(error.status_code)
        lang = preferred_language(request.scope)
        if error.status_code == 404 and "text/html" in request.headers.get("accept", ""):  # a person, in a browser
            return HTMLResponse(code_page.page(found, lang, root=root_of(request.scope)), 404)
        answer = error_body(found, lang)
        return JSONResponse(answer, error.status_code, headers=error.headers)


def _error_of_status(status: int) -> CapotError:
    """Return the error for a refusal of the framework's own: wrong address, wrong method, unreadable body."""
    if status == 404:
        return NotFoundError("no_such_page")
    return InputError("wrong_method") if status == 405 else InputError("bad_json")
