"""What a proxy in front of the lab says of a request: whose it is, by which name, over TLS or not.

Anybody can write such headers, so they count from the proxies that ``--trusted-proxy`` names and from no other.
Each proxy adds what it saw behind what it was told: the last hop alone is the word of the trusted one.
Where both spellings of a header stand there and do not agree, the proxy has written one of them and has let
the visitor's other one pass: neither counts.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable

from starlette.datastructures import Headers
from starlette.types import Scope

from capot.web.addresses import address_of, is_loopback, parsed

HERE = "capot.here"  # in a scope: whether the visitor sits at the machine
# What a proxy adds, of whatever make: a request with one of these did not come straight from its visitor.
SIGNS = ("x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip", "forwarded", "via")
# A pair of ``Forwarded`` and its end. What is taken is not given back: spaces are looked at once, however many.
PAIR = re.compile(r'\s*+(?:([\w-]+)\s*+=\s*+("(?:[^"\\]|\\.)*"|[^\s;,"]*))?+\s*+([;,]|$)')


def network(named: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    """An address or a network, as ``--trusted-proxy`` names it; None for anything else."""
    try:
        return ipaddress.ip_network(named.strip(), strict=False)
    except ValueError:
        return None


class Proxies:
    """The proxies whose word counts."""

    def __init__(self, named: Iterable[str]) -> None:
        self.networks = [found for each in named if (found := network(each)) is not None]

    def trusts(self, address: str) -> bool:
        """Whether ``address`` is one of them."""
        found = parsed(address)
        return found is not None and any(found in each for each in self.networks if each.version == found.version)

    def seen(self, scope: Scope) -> Scope:
        """The request as its visitor sent it: address, scheme and host in their places."""
        headers, peer = Headers(scope=scope), address_of(scope)
        if not self.trusts(peer):
            here = is_loopback(peer) and not any(name in headers for name in SIGNS)
            return {**scope, HERE: here}
        said = {**scope, HERE: False}
        hop = _last(headers)
        if found := _agreed(_plain(_listed(headers, "x-forwarded-for")), _plain(hop.get("for", ""))):
            said["client"] = (found, 0)
        scheme = _agreed(_listed(headers, "x-forwarded-proto").lower(), hop.get("proto", "").lower())
        if scheme in ("http", "https"):
            said["scheme"] = scheme
        if host := _agreed(_listed(headers, "x-forwarded-host"), hop.get("host", "")):
            others = [(name, value) for name, value in scope["headers"] if name != b"host"]
            said["headers"] = [(b"host", host.encode("latin-1")), *others]
        return said


def _agreed(one: str, other: str) -> str:
    """What both spellings say, or the only one there is; empty where they differ."""
    return one if one == other or not other else other if not one else ""


def _listed(headers: Headers, name: str) -> str:
    """The last entry of a header that is a list, on however many lines."""
    return ",".join(headers.getlist(name)).rpartition(",")[2].strip()


def _last(headers: Headers) -> dict[str, str]:
    """What the last hop of ``Forwarded`` says (RFC 7239); nothing where any of it is not as it should be.

    A visitor who opens a quotation and leaves it open would else have the proxy's word read as part of their own.
    """
    text, place, pairs = ",".join(headers.getlist("forwarded")), 0, {}
    while found := PAIR.match(text, place):
        name, value, end = found.groups()
        if name:
            pairs[name.lower()] = _unquoted(value)
        if not end:
            return pairs
        pairs, place = ({} if end == "," else pairs), found.end()
    return {}


def _unquoted(value: str) -> str:
    return re.sub(r"\\(.)", r"\1", value[1:-1]) if value.startswith('"') else value


def _plain(said: str) -> str:
    """An address without its port and its brackets; empty for a name, which nobody can be counted by.

    >>> _plain("[2001:db8::1]:443"), _plain("192.0.2.7:80"), _plain("_hidden")
    ('2001:db8::1', '192.0.2.7', '')
    """
    inner = re.fullmatch(r"\[([^\]]*)\](?::\d+)?|([^:]*):\d+", said)
    found = parsed(next(filter(None, inner.groups()), "") if inner else said)
    return "" if found is None else str(found)
