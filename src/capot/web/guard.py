"""Decide who may speak to the lab, and what the browser may do with its pages.

This is a pure ASGI middleware, so that a stream passes through it untouched. In order:

1. Proxy: a trusted one says who asks (``forwarded``), and under which path the lab is (``paths``).
2. Host: it must be a loopback name, the very address the connection came in by, or a name from ``--allow-host``.
   A rebound DNS name is none of these.
3. Origin: a POST from another site is refused, by ``Origin`` or by ``Sec-Fetch-Site``.
4. Access code, if there is one, and the owner's key: in the link once, then in a cookie (``authentication``).
5. Body: bounded, and read whole before anything is done with it (``uploads``).
6. Headers: a policy that lets a page load nothing but its own files.
7. Bugs: an unexpected exception is logged on the server's terminal, and shown nowhere else.
"""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Callable
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from capot.config import Serving
from capot.errors import AccessError, CapotError, InputError
from capot.i18n import language
from capot.view.visible import visible
from capot.web import code_page
from capot.web.addresses import parse_address
from capot.web.authentication import Authenticator, cookie_of, has_code, set_cookie, without_code
from capot.web.forwarded import Proxies
from capot.web.paths import root_of, with_root
from capot.web.uploads import RESOURCES_KEY, RequestQuota, UploadBudget

log = logging.getLogger("capot.web")

MAX_BODY = 4_000_000  # bytes: a long prompt in the widest alphabet, many times over
LOOPBACK = {"localhost", "127.0.0.1", "::1"}

# Plotly adds one empty <style>: its hash is the only style allowed that is not a file of ours.
POLICY = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self' 'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='",
        "img-src 'self' data: blob:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    ]
)
# By ``setdefault`` below: a route may say otherwise for its own answer.
HEADERS = {
    "content-security-policy": POLICY,
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


class Guard:
    """The middleware around the lab. ``owner_key`` in a link makes its bearer the owner, and nothing else does.

    Every answer names the present ``opening``, so that a page learns that another model was opened.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        serving: Serving,
        owner_key: str | None = None,
        cookie_secret: bytes | None = None,
        opening: Callable[[], str] = str,
    ) -> None:
        self.app = app
        self.serving = serving
        self.opening = opening
        self.authenticator = Authenticator(serving, owner_key, cookie_secret=cookie_secret)
        self.proxies = Proxies(serving.trusted_proxies)
        self.requests, self.uploads = RequestQuota(serving), UploadBudget(serving)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
        elif scope["type"] == "http":
            async with (
                contextlib.AsyncExitStack() as held
            ):  # until the answer is taken: see ``uploads.request_resources``
                await self._answer({**scope, RESOURCES_KEY: held}, receive, send)
        else:  # the lab has no WebSocket
            await send({"type": "websocket.close", "code": 1008})

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope = with_root(self.proxies.apply(scope), self.serving.root_path)
        headers = Headers(scope=scope)
        try:
            self.check_host(scope, headers)
            self.check_origin(scope, headers)
            self.requests.acquire(scope)
            cookie = self.authenticator.authenticate(scope, headers)
            # A body is read before the route runs: a route that waited for it would hold its learner's place.
            body = None
            if scope["method"] not in ("GET", "HEAD"):
                body = await self.uploads.read(scope, receive, limit=MAX_BODY)
        except CapotError as error:
            await refuse(error, scope, send)
            return
        if cookie is not None and has_code(scope):
            await _redirect(scope, send, set_cookie(scope, headers, cookie))
            return
        new = None if cookie is None or cookie == cookie_of(scope, headers) else set_cookie(scope, headers, cookie)
        dressed = _HeaderSender(send, new, self.opening())
        try:
            # An exception that reaches here is a bug: its text may hold a path or a prompt, so the visitor gets none of
            # it.
            await self.app(scope, receive if body is None else _replay_body(body, receive), dressed)
        except Exception:
            log.exception("%s %s", scope["method"], scope["path"])
            if dressed.started:
                raise  # half an answer is out: the connection is cut, so that nobody takes it for a whole one
            await refuse(CapotError("internal"), scope, send, status=500)

    def check_host(self, scope: Scope, headers: Headers) -> None:
        """Check the ``Host`` header. Raises: AccessError ``wrong_host``."""
        host = _host_name(headers.get("host", ""))
        # The address that the connection came to, typed as it is: a class has no name for the teacher's machine.
        own = parse_address(host) is not None and parse_address(host) == parse_address(_socket_address(scope, "server"))
        if not (host in LOOPBACK or own or host in {name.lower() for name in self.serving.allowed_hosts}):
            raise AccessError("wrong_host", host=host[:100])

    def check_origin(self, scope: Scope, headers: Headers) -> None:
        """Check where a POST comes from, and what it says of its body.

        Raises: AccessError ``wrong_origin``; InputError ``not_json`` for a form in disguise, ``body_too_long``.
        """
        if scope["method"] in ("GET", "HEAD"):
            return
        origin = headers.get("origin")
        # Browsers send ``Origin`` with every POST; a program that sends none has no user's cookie to abuse.
        foreign = origin is not None and origin.partition("://")[2] != headers.get("host")
        if foreign or headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            raise AccessError("wrong_origin", origin=(origin or "?")[:100])
        # A form can send text/plain to any site, without asking; application/json needs a preflight, which is refused.
        if headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            raise InputError("not_json")
        announced = headers.get("content-length", "0")
        if not announced.isascii() or not announced.isdigit() or int(announced[:20]) > MAX_BODY:
            # The first digits are enough: a number of a million digits takes Python long to read.
            raise InputError("body_too_long", limit=MAX_BODY)


def _host_name(host: str) -> str:
    """Return the name in a Host header, without port and brackets, in lower case."""
    try:
        return (urlsplit(f"//{host}").hostname or "") if "/" not in host else ""
    except ValueError:  # half a bracket
        return ""


def _socket_address(scope: Scope, name: str) -> str:
    """Return the address at one end of the connection."""
    return str((scope.get(name) or ("?",))[0])


async def _redirect(scope: Scope, send: Send, set_cookie: str) -> None:
    """Redirect to the same page without the code, which must not stay in an address bar or a history."""
    headers = [(b"location", without_code(scope).encode()), (b"set-cookie", set_cookie.encode())]
    headers += [(b"cache-control", b"no-store"), *_encode_headers(HEADERS)]
    await send({"type": "http.response.start", "status": 303, "headers": headers})
    await send({"type": "http.response.body", "body": b""})


def _encode_headers(headers: dict[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.encode(), value.encode()) for name, value in headers.items()]


def _replay_body(body: bytes, receive: Receive) -> Receive:
    """Return a ``receive`` that gives ``body`` in one piece, and then the disconnection."""
    given = False

    async def replayed() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replayed


class _HeaderSender:
    """A ``send`` that adds the headers of every answer, and knows whether one has begun."""

    def __init__(self, send: Send, set_cookie: str | None, opening: str) -> None:
        self.send = send
        self.set_cookie = set_cookie
        self.opening = opening
        self.started = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.started = True
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
            headers.setdefault("cache-control", "no-store")
            headers["x-capot-opening"] = self.opening
            if self.set_cookie is not None:
                headers.append("set-cookie", self.set_cookie)
        await self.send(message)


def preferred_language(scope: Scope) -> str:
    """Return the language to answer in: the page's own header, else the browser's first that we speak."""
    headers = Headers(scope=scope)
    asked = [headers.get("x-capot-lang", "")]
    asked += [part.partition(";")[0].strip() for part in headers.get("accept-language", "").split(",")]
    return next((name[:2].lower() for name in asked if name[:2].lower() in ("fr", "en")), language())


async def refuse(error: CapotError, scope: Scope, send: Send, *, status: int | None = None) -> None:
    """Answer with an error: as a page that asks for the code to a person who needs one, else as JSON."""
    lang = preferred_language(scope)
    policy = {}
    if error.code in code_page.CODE_ERRORS and "text/html" in Headers(scope=scope).get("accept", ""):
        body = code_page.page(error, lang, root=root_of(scope)).encode()
        kind = "text/html"
        policy = {"content-security-policy": code_page.policy(POLICY)}
    else:
        data = error.to_dict(lang, face="command")
        data["error"]["message"] = visible(data["error"]["message"], lines=True)
        body = json.dumps(data, ensure_ascii=False).encode("utf-8", "replace")
        kind = "application/json"
    headers = {"content-type": f"{kind}; charset=utf-8", "cache-control": "no-store", **HEADERS, **policy}
    if scope["method"] not in ("GET", "HEAD"):
        headers["connection"] = "close"  # its body may not have been read
    await send(
        {"type": "http.response.start", "status": status or error.http_status, "headers": _encode_headers(headers)}
    )
    await send({"type": "http.response.body", "body": body})
