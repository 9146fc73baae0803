"""Who a visitor is: their cookie, the code in their link, and how many wrong ones there were.

The owner is known by a key alone, never by where they sit: behind a proxy everybody seems to sit at the machine.
"""

from __future__ import annotations

from urllib.parse import parse_qs, quote, urlencode

from starlette.datastructures import Headers
from starlette.types import Scope

from capot.config import Serving
from capot.errors import AccessError, BusyError
from capot.web import code_page, credentials
from capot.web.addresses import address_of
from capot.web.forwarded import HERE
from capot.web.paths import inside, root_of

MAX_AGE_S = 604_800  # of a cookie: a week of lessons; it ends with the server anyway


class Admission:
    """Lets visitors in. ``owner_key`` in a link makes its bearer the owner."""

    def __init__(self, serving: Serving, owner_key: str | None) -> None:
        self.code, self.owner_key = serving.access_code, owner_key
        self.cookies, self.tries = credentials.Cookies(), credentials.Tries()

    def admit(self, scope: Scope, headers: Headers) -> str | None:
        """The visitor's cookie, made at the first visit. Sets ``scope["learner"]`` and ``scope["owner"]``.

        Raises: AccessError ``access_code``, ``wrong_code``; BusyError ``too_many_codes``.
        """
        cookie, given = cookie_of(scope, headers), code_of(scope)
        who = self.cookies.read(cookie)
        owner = credentials.same(given, self.owner_key)
        if who is None and not owner and self.code is not None and _needs_no_code(scope):
            scope["learner"], scope["owner"] = "nobody", False
            return None
        if who is None or (owner and not credentials.is_owner(who)):
            if not owner:
                self._check_code(scope, given)
            cookie = self.cookies.make(owner=owner)
            who = cookie.rpartition(".")[0]
        scope["learner"], scope["owner"] = who, credentials.is_owner(who)
        return cookie

    def _check_code(self, scope: Scope, given: str | None) -> None:
        if self.code is None:
            return
        address = address_of(scope)
        seconds = self.tries.wait(address)
        if seconds:
            raise BusyError("too_many_codes", seconds=int(seconds) + 1)
        if not credentials.same_code(given, self.code):
            if given is None:
                raise AccessError("access_code")
            self.tries.note(address)
            raise AccessError("wrong_code")


def _needs_no_code(scope: Scope) -> bool:
    """The style sheets of the page that asks for the code; the load, for whoever sits at the machine."""
    path = inside(scope)
    return scope["method"] == "GET" and (path in code_page.STYLES or (scope.get(HERE, False) and path == "/api/status"))


def cookie_name(scope: Scope, headers: Headers) -> str:
    """Cookies do not know ports, so the name does, and the path: two labs at one address keep apart."""
    port = headers.get("host", "").rpartition(":")[2]
    port = port if port.isascii() and port.isdigit() else "443" if scope.get("scheme") == "https" else "80"
    return f"capot-{port}{root_of(scope).replace('/', '-')}"


def cookie_of(scope: Scope, headers: Headers) -> str | None:
    """The cookie that the visitor shows. Those of others at the same host do not matter, however they are written."""
    name = cookie_name(scope, headers)
    for pair in headers.get("cookie", "").split(";"):
        found, _, value = pair.partition("=")
        if found.strip() == name:
            return value.strip()
    return None


def set_cookie(scope: Scope, headers: Headers, cookie: str) -> str:
    """The header that leaves a cookie; over TLS, ended here or by a trusted proxy, it never goes without."""
    secure = "; Secure" if scope.get("scheme") == "https" else ""
    name, path = cookie_name(scope, headers), root_of(scope) or "/"
    return f"{name}={cookie}; Path={path}; HttpOnly; SameSite=Lax; Max-Age={MAX_AGE_S}{secure}"


def code_of(scope: Scope) -> str | None:
    """The code or the key in the address."""
    return _query(scope).get("code", [None])[0]


def has_code(scope: Scope) -> bool:
    """Whether an address bar holds a code, which must not stay there."""
    return scope["method"] == "GET" and code_of(scope) is not None


def without_code(scope: Scope) -> str:
    """The same address without the code, on this server whatever the path is."""
    query = _query(scope)
    query.pop("code", None)
    rest = urlencode(query, doseq=True, errors="replace")
    path = "/" + quote(inside(scope).lstrip("/\\"), safe="/~@:!$&'()*+,;=", errors="replace")
    return root_of(scope) + path + (f"?{rest}" if rest else "")


def _query(scope: Scope) -> dict[str, list[str]]:
    return parse_qs(scope["query_string"].decode("latin-1"))
