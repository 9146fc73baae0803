"""The door: who may speak to the lab, and what the browser is allowed to do with its pages.

A pure ASGI middleware, so that a stream passes through it untouched. In order:

1. Host: a loopback name, the very address the connection came in by, or a name from
   ``--allow-host``. A rebound DNS name is none of these.
2. Origin: a POST from another site is refused; ``Sec-Fetch-Site`` says it too.
3. Access code, where there is one: in the link once, then in a cookie.
4. Body: bounded, whether its length is announced or not.
5. Headers: a policy that lets a page load nothing but its own files.
"""

from __future__ import annotations

import hmac
import ipaddress
import json
import secrets
import time
from collections import defaultdict, deque
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs, urlencode, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from capot.config import Serving
from capot.errors import AccessError, BusyError, CapotError, InputError
from capot.i18n import language

COOKIE = "capot"
MAX_BODY = 4_000_000  # bytes: a long prompt in the widest alphabet, many times over
TRIES, WINDOW_S = 10, 60.0  # wrong codes from one address before it must wait
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
HEADERS = {
    "content-security-policy": POLICY,
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


class Guard:
    """Wraps the lab; keeps who has shown the code (``learners``) and who failed to."""

    def __init__(self, app: ASGIApp, *, serving: Serving, owner_key: str | None = None) -> None:
        self.app, self.serving, self.owner_key = app, serving, owner_key
        self.learners: dict[str, bool] = {}  # cookie -> is the server's owner
        self.failures: dict[str, deque[float]] = defaultdict(lambda: deque(maxlen=TRIES))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        try:
            self.check_host(scope, headers)
            self.check_origin(scope, headers)
            cookie = self.admit(scope, headers)
        except CapotError as error:
            await refuse(error, scope, send)
            return
        if cookie is not None and _has_code(scope):
            await _redirect(scope, send, cookie)
            return
        try:
            await self.app(scope, _bounded(receive), _dressed(send, None if _cookie(headers) == cookie else cookie))
        except InputError as error:  # a body that grew too long before anybody answered
            await refuse(error, scope, send)

    def check_host(self, scope: Scope, headers: Headers) -> None:
        """Raises: AccessError ``wrong_host``."""
        host = _host_name(headers.get("host", ""))
        arrived = str((scope.get("server") or ("",))[0])
        own = host == arrived and _is_address(host)
        if not (host in LOOPBACK or own or host in self.serving.allowed_hosts):
            raise AccessError("wrong_host", host=host[:100])

    def check_origin(self, scope: Scope, headers: Headers) -> None:
        """Raises: AccessError ``wrong_origin``; InputError ``not_json`` for a form in disguise."""
        if scope["method"] in ("GET", "HEAD"):
            return
        origin = headers.get("origin")
        foreign = origin is not None and urlsplit(origin).netloc != headers.get("host")
        if foreign or headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            raise AccessError("wrong_origin", origin=(origin or "?")[:100])
        if headers.get("content-type", "").partition(";")[0].strip() != "application/json":
            raise InputError("not_json")
        if int(headers.get("content-length") or 0) > MAX_BODY:
            raise InputError("body_too_long", limit=MAX_BODY)

    def admit(self, scope: Scope, headers: Headers) -> str | None:
        """Who this is: the learner's cookie, made at the first visit. Sets ``scope["learner"]``.

        Raises: AccessError ``access_code``; BusyError ``too_many_codes``.
        """
        cookie = _cookie(headers)
        given = _code(scope)
        owner = self.serving.access_code is None or self._is(given, self.owner_key)
        if cookie not in self.learners or (owner and not self.learners[cookie]):
            if not owner:
                self._check_code(scope, given)
            cookie = secrets.token_urlsafe(18)
            self.learners[cookie] = owner
        scope["learner"], scope["owner"] = cookie, self.learners[cookie]
        return cookie

    def _check_code(self, scope: Scope, given: str | None) -> None:
        address = str((scope.get("client") or ("?",))[0])
        tries, now = self.failures[address], time.monotonic()
        while tries and now - tries[0] > WINDOW_S:
            tries.popleft()
        if len(tries) == TRIES:
            raise BusyError("too_many_codes", seconds=int(WINDOW_S - (now - tries[0])) + 1)
        if not self._is(given, self.serving.access_code):
            if given is not None:
                tries.append(now)
            raise AccessError("access_code")

    @staticmethod
    def _is(given: str | None, wanted: str | None) -> bool:
        return None not in (given, wanted) and hmac.compare_digest(str(given).encode(), str(wanted).encode())


def _host_name(host: str) -> str:
    """The name in a Host header, its port and its brackets off, in lower case."""
    return (urlsplit(f"//{host}").hostname or "") if host.count("//") == 0 else ""


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
        return True
    except ValueError:
        return False


def _cookie(headers: Headers) -> str | None:
    try:
        found = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
    except CookieError:
        return None
    return found.value if found else None


def _code(scope: Scope) -> str | None:
    return parse_qs(scope["query_string"].decode("latin-1")).get("code", [None])[0]


def _has_code(scope: Scope) -> bool:
    return scope["method"] == "GET" and _code(scope) is not None


def _set_cookie(cookie: str) -> str:
    return f"{COOKIE}={cookie}; Path=/; HttpOnly; SameSite=Lax; Max-Age=604800"


async def _redirect(scope: Scope, send: Send, cookie: str) -> None:
    """The same page without the code, which must not stay in an address bar or a history."""
    query = parse_qs(scope["query_string"].decode("latin-1"))
    query.pop("code", None)
    rest = urlencode(query, doseq=True)
    target = "/" + scope["path"].lstrip("/") + (f"?{rest}" if rest else "")
    headers = [(b"location", target.encode()), (b"set-cookie", _set_cookie(cookie).encode())]
    headers += [(name.encode(), value.encode()) for name, value in HEADERS.items()]
    await send({"type": "http.response.start", "status": 303, "headers": headers})
    await send({"type": "http.response.body", "body": b""})


def _bounded(receive: Receive) -> Receive:
    """The same body, cut with an error where it grows past MAX_BODY."""
    seen = 0

    async def bounded() -> Message:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > MAX_BODY:
            raise InputError("body_too_long", limit=MAX_BODY)
        return message

    return bounded


def _dressed(send: Send, new_cookie: str | None) -> Send:
    async def dressed(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
            if new_cookie is not None:
                headers.append("set-cookie", _set_cookie(new_cookie))
        await send(message)

    return dressed


def preferred(scope: Scope) -> str:
    """The language to answer in: the page's own header, else the browser's first that we speak."""
    headers = Headers(scope=scope)
    asked = [headers.get("x-capot-lang", "")]
    asked += [part.partition(";")[0].strip() for part in headers.get("accept-language", "").split(",")]
    return next((name[:2].lower() for name in asked if name[:2].lower() in ("fr", "en")), language())


async def refuse(error: CapotError, scope: Scope, send: Send) -> None:
    """An error as the one body every face knows, with no path, token or traceback in it."""
    body = json.dumps(error.to_dict(preferred(scope)), ensure_ascii=False).encode()
    headers = [(b"content-type", b"application/json; charset=utf-8")]
    headers += [(name.encode(), value.encode()) for name, value in HEADERS.items()]
    await send({"type": "http.response.start", "status": error.http_status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
