"""The door: who may speak to the lab, and what the browser is allowed to do with its pages.

A pure ASGI middleware, so that a stream passes through it untouched. In order:

1. Host: a loopback name, the very address the connection came in by, or a name from
   ``--allow-host``. A rebound DNS name is none of these.
2. Origin: a POST from another site is refused; ``Sec-Fetch-Site`` says it too.
3. Access code, where there is one: in the link once, then in a cookie.
4. Body: bounded, and read whole before anything is done with it.
5. Headers: a policy that lets a page load nothing but its own files.
6. Whatever the lab did not expect: told on the server's terminal, and there only.
"""

from __future__ import annotations

import ipaddress
import json
import logging
from collections.abc import Callable
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs, urlencode, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from capot.config import Serving
from capot.errors import AccessError, BusyError, CapotError, InputError
from capot.i18n import language
from capot.web import door, keys

log = logging.getLogger("capot.web")

MAX_BODY = 4_000_000  # bytes: a long prompt in the widest alphabet, many times over
MAX_AGE_S = 604_800  # of a cookie: a week of lessons; it ends with the server anyway
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
    """Wraps the lab. ``owner_key`` in a link makes its bearer the owner, where there is an access code.

    Every answer carries the name of the ``opening``, so that a page learns that another model was opened.
    """

    def __init__(
        self, app: ASGIApp, *, serving: Serving, owner_key: str | None = None, opening: Callable[[], str] = str
    ) -> None:
        self.app, self.serving, self.owner_key, self.opening = app, serving, owner_key, opening
        self.cookies, self.tries = keys.Cookies(), keys.Tries()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
        elif scope["type"] == "http":
            await self._answer(scope, receive, send)
        else:  # the lab has no WebSocket
            await send({"type": "websocket.close", "code": 1008})

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        try:
            self.check_host(scope, headers)
            self.check_origin(scope, headers)
            cookie = self.admit(scope, headers)
            body = await _body(receive) if scope["method"] not in ("GET", "HEAD") else None
        except CapotError as error:
            await refuse(error, scope, send)
            return
        if cookie is not None and _has_code(scope):
            await _redirect(scope, send, _set_cookie(scope, headers, cookie))
            return
        new = None if cookie is None or cookie == _cookie(headers) else _set_cookie(scope, headers, cookie)
        dressed = _Dressed(send, new, self.opening())
        try:
            await self.app(scope, receive if body is None else _replayed(body, receive), dressed)
        except Exception:
            log.exception("%s %s", scope["method"], scope["path"])
            if dressed.started:
                raise  # half an answer is out: the connection is cut, so that nobody takes it for a whole one
            await refuse(CapotError("internal"), scope, send, status=500)

    def check_host(self, scope: Scope, headers: Headers) -> None:
        """Raises: AccessError ``wrong_host``."""
        host = _host_name(headers.get("host", ""))
        own = _address(host) is not None and _address(host) == _address(_end(scope, "server"))
        if not (host in LOOPBACK or own or host in {name.lower() for name in self.serving.allowed_hosts}):
            raise AccessError("wrong_host", host=host[:100])

    def check_origin(self, scope: Scope, headers: Headers) -> None:
        """Raises: AccessError ``wrong_origin``; InputError ``not_json`` for a form in disguise, ``body_too_long``."""
        if scope["method"] in ("GET", "HEAD"):
            return
        origin = headers.get("origin")
        foreign = origin is not None and origin.partition("://")[2] != headers.get("host")
        if foreign or headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            raise AccessError("wrong_origin", origin=(origin or "?")[:100])
        if headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            raise InputError("not_json")
        announced = headers.get("content-length", "0")
        if not announced.isascii() or not announced.isdigit() or int(announced[:20]) > MAX_BODY:
            raise InputError("body_too_long", limit=MAX_BODY)

    def admit(self, scope: Scope, headers: Headers) -> str | None:
        """The visitor's cookie, made at the first visit. Sets ``scope["learner"]`` and ``scope["owner"]``.

        Raises: AccessError ``access_code``, ``wrong_code``; BusyError ``too_many_codes``.
        """
        cookie, given = _cookie(headers), _code(scope)
        who = self.cookies.read(cookie)
        owner = self._open_to_all or keys.same(given, self.owner_key)
        if who is None and not owner and _needs_no_code(scope):
            scope["learner"], scope["owner"] = "nobody", False
            return None
        if who is None or (owner and not keys.is_owner(who)):
            if not owner:
                self._check_code(scope, given)
            cookie = self.cookies.make(owner=owner)
            who = cookie.rpartition(".")[0]
        scope["learner"], scope["owner"] = who, keys.is_owner(who)
        return cookie

    @property
    def _open_to_all(self) -> bool:
        """Without a code only this machine is listened to, and whoever sits at it is the owner."""
        return self.serving.access_code is None and self.serving.host in LOOPBACK

    def _check_code(self, scope: Scope, given: str | None) -> None:
        if self.serving.access_code is None:
            return
        address = _end(scope, "client")
        seconds = self.tries.wait(address)
        if seconds:
            raise BusyError("too_many_codes", seconds=int(seconds) + 1)
        if not keys.same(given, self.serving.access_code):
            if given is None:
                raise AccessError("access_code")
            self.tries.note(address)
            raise AccessError("wrong_code")


def _host_name(host: str) -> str:
    """The name in a Host header, its port and its brackets off, in lower case."""
    try:
        return (urlsplit(f"//{host}").hostname or "") if "/" not in host else ""
    except ValueError:  # half a bracket
        return ""


def _end(scope: Scope, name: str) -> str:
    """The address at one end of the connection."""
    return str((scope.get(name) or ("?",))[0])


def _address(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """An address, whether or not the system wrote it as one of the newer kind; None for a name."""
    try:
        found = ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found


def _needs_no_code(scope: Scope) -> bool:
    """The style sheets of the page that asks for the code; the load, for whoever sits at the machine."""
    here = getattr(_address(_end(scope, "client")), "is_loopback", False)
    return scope["method"] == "GET" and (scope["path"] in door.STYLES or (here and scope["path"] == "/api/status"))


def cookie_name(headers: Headers) -> str:
    """Cookies do not know ports, so the name does: two labs at one address keep apart."""
    port = headers.get("host", "").rpartition(":")[2]
    return f"capot-{port}" if port.isascii() and port.isdigit() else "capot-80"


def _cookie(headers: Headers) -> str | None:
    try:
        found = SimpleCookie(headers.get("cookie", "")).get(cookie_name(headers))
    except CookieError:
        return None
    return found.value if found else None


def _code(scope: Scope) -> str | None:
    return parse_qs(scope["query_string"].decode("latin-1")).get("code", [None])[0]


def _has_code(scope: Scope) -> bool:
    return scope["method"] == "GET" and _code(scope) is not None


def _set_cookie(scope: Scope, headers: Headers, cookie: str) -> str:
    secure = "; Secure" if scope.get("scheme") == "https" else ""
    return f"{cookie_name(headers)}={cookie}; Path=/; HttpOnly; SameSite=Lax; Max-Age={MAX_AGE_S}{secure}"


async def _redirect(scope: Scope, send: Send, set_cookie: str) -> None:
    """The same page without the code, which must not stay in an address bar or a history."""
    query = parse_qs(scope["query_string"].decode("latin-1"))
    query.pop("code", None)
    rest = urlencode(query, doseq=True)
    raw = scope.get("raw_path") or b"/"
    target = "/" + raw.decode("latin-1").lstrip("/\\") + (f"?{rest}" if rest else "")
    headers = [(b"location", target.encode("latin-1")), (b"set-cookie", set_cookie.encode())]
    headers += [(b"cache-control", b"no-store"), *_pairs(HEADERS)]
    await send({"type": "http.response.start", "status": 303, "headers": headers})
    await send({"type": "http.response.body", "body": b""})


def _pairs(headers: dict[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.encode(), value.encode()) for name, value in headers.items()]


async def _body(receive: Receive) -> bytes:
    """The whole body. Raises: InputError ``body_too_long`` as soon as it is, whatever length was announced."""
    parts, size = [], 0
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > MAX_BODY:
            raise InputError("body_too_long", limit=MAX_BODY)
        if message["type"] == "http.disconnect" or not message.get("more_body"):
            return b"".join(parts)


def _replayed(body: bytes, receive: Receive) -> Receive:
    """A receive that gives ``body`` in one piece, then what comes after it: the visitor's leaving."""
    given = False

    async def replayed() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replayed


class _Dressed:
    """A send that adds the headers every answer has, and knows whether one has begun."""

    def __init__(self, send: Send, set_cookie: str | None, opening: str) -> None:
        self.send, self.set_cookie, self.opening, self.started = send, set_cookie, opening, False

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


def preferred(scope: Scope) -> str:
    """The language to answer in: the page's own header, else the browser's first that we speak."""
    headers = Headers(scope=scope)
    asked = [headers.get("x-capot-lang", "")]
    asked += [part.partition(";")[0].strip() for part in headers.get("accept-language", "").split(",")]
    return next((name[:2].lower() for name in asked if name[:2].lower() in ("fr", "en")), language())


async def refuse(error: CapotError, scope: Scope, send: Send, *, status: int | None = None) -> None:
    """An error as the one body every face knows; a page that asks for the code where a person opens one."""
    lang, policy = preferred(scope), {}
    if error.code in door.ANSWERS and "text/html" in Headers(scope=scope).get("accept", ""):
        body, kind = door.page(error, lang).encode(), "text/html"
        policy = {"content-security-policy": door.policy(POLICY)}
    else:
        body, kind = json.dumps(error.to_dict(lang), ensure_ascii=False).encode("utf-8", "replace"), "application/json"
    headers = {"content-type": f"{kind}; charset=utf-8", "cache-control": "no-store", **HEADERS, **policy}
    if scope["method"] not in ("GET", "HEAD"):
        headers["connection"] = "close"  # its body may not have been read
    await send({"type": "http.response.start", "status": status or error.http_status, "headers": _pairs(headers)})
    await send({"type": "http.response.body", "body": body})
