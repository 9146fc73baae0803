"""Find out who a visitor is: their cookie, the code in their link, and how many wrong ones there were.

The owner is known by a key alone, never by an address: behind a proxy everybody seems to sit at the machine.
"""

from __future__ import annotations

from urllib.parse import parse_qs, quote, urlencode

from starlette.datastructures import Headers
from starlette.types import Scope

from capot.config import Serving
from capot.errors import AccessError, BusyError
from capot.web import code_page, credentials
from capot.web.addresses import address_of
from capot.web.forwarded import LOCAL_KEY
from capot.web.paths import path_in_lab, root_of

MAX_AGE_S = 604_800  # of a cookie: a week of lessons; it ends with the server, unless labs share a secret


class Authenticator:
    """Let visitors in. ``owner_key`` in a link makes its bearer the owner; ``cookie_secret`` signs cookies."""

    def __init__(self, serving: Serving, owner_key: str | None, *, cookie_secret: bytes | None = None) -> None:
        self.code = serving.access_code
        self.owner_key = owner_key
        self.cookies = credentials.Cookies(cookie_secret)
        self.failed_attempts = credentials.FailedAttempts()

    def authenticate(self, scope: Scope, headers: Headers) -> str | None:
        """Return the visitor's cookie, made at the first visit.

        Sets ``scope["learner"]`` and ``scope["owner"]``.

        Raises: AccessError ``access_code``, ``wrong_code``; BusyError ``too_many_codes``.
        """
        cookie = cookie_of(scope, headers)
        given = code_of(scope)
        who = self.cookies.read(cookie)
        owner = credentials.same_secret(given, self.owner_key)
        if who is None and not owner and self.code is not None and _is_public(scope):
            scope["learner"], scope["owner"] = "nobody", False
            return None
        # The owner's key turns a learner's cookie into an owner's; nothing turns it back.
        if who is None or (owner and not credentials.is_owner(who)):
            if not owner:
                self._check_code(scope, given)
            cookie = self.cookies.make(owner=owner)
            who = cookie.rpartition(".")[0]
        scope["learner"] = who
        scope["owner"] = credentials.is_owner(who)
        return cookie

    def _check_code(self, scope: Scope, given: str | None) -> None:
        if self.code is None:
            return
        address = address_of(scope)
        seconds = self.failed_attempts.wait(address)
        if seconds:
            raise BusyError("too_many_codes", seconds=int(seconds) + 1)
        if not credentials.same_access_code(given, self.code):
            # A page without a code is how everybody begins, and no wrong guess.
            if given is None:
                raise AccessError("access_code")
            self.failed_attempts.note(address)
            raise AccessError("wrong_code")


def _is_public(scope: Scope) -> bool:
    """Return whether a request needs no code.

    The page that asks for the code needs its style sheets; ``capot serve --status`` asks from the machine itself.
    """
    path = path_in_lab(scope)
    return scope["method"] == "GET" and (
        path in code_page.STYLES or (scope.get(LOCAL_KEY, False) and path == "/api/status")
    )


def cookie_name(scope: Scope, headers: Headers) -> str:
    """Return the cookie's name. It holds port and path, which keep two labs on one host apart."""
    port = headers.get("host", "").rpartition(":")[2]
    if not (port.isascii() and port.isdigit()):
        port = "443" if scope.get("scheme") == "https" else "80"
    return f"capot-{port}{root_of(scope).replace('/', '-')}"


def cookie_of(scope: Scope, headers: Headers) -> str | None:
    """Return the visitor's cookie. Other cookies of the host are skipped, however malformed they are."""
    name = cookie_name(scope, headers)
    for pair in headers.get("cookie", "").split(";"):
        found, _, value = pair.partition("=")
        if found.strip() == name:
            return value.strip()
    return None


def set_cookie(scope: Scope, headers: Headers, cookie: str) -> str:
    """Return the ``Set-Cookie`` header. Over TLS, also a trusted proxy's, the cookie is ``Secure``."""
    secure = "; Secure" if scope.get("scheme") == "https" else ""
    name = cookie_name(scope, headers)
    path = root_of(scope) or "/"
    return f"{name}={cookie}; Path={path}; HttpOnly; SameSite=Lax; Max-Age={MAX_AGE_S}{secure}"


def code_of(scope: Scope) -> str | None:
    """Return the code or the key in the address."""
    return _query_of(scope).get("code", [None])[0]


def has_code(scope: Scope) -> bool:
    """Return whether the address bar holds a code, which must not stay there."""
    return scope["method"] == "GET" and code_of(scope) is not None


def without_code(scope: Scope) -> str:
    """Return the same address without the code, on this server whatever the path is."""
    query = _query_of(scope)
    query.pop("code", None)
    rest = urlencode(query, doseq=True, errors="replace")
    # Two slashes at the beginning would name another host, and the redirect would lead there.
    path = "/" + quote(path_in_lab(scope).lstrip("/\\"), safe="/~@:!$&'()*+,;=", errors="replace")
    return root_of(scope) + path + (f"?{rest}" if rest else "")


def _query_of(scope: Scope) -> dict[str, list[str]]:
    return parse_qs(scope["query_string"].decode("latin-1"))
