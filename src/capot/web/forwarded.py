"""Read what a proxy in front of the lab says of a request: address, host name, TLS or not.

Anybody can write such headers, so they count from the proxies that ``--trusted-proxy`` names, and from no other. Each
proxy appends what it saw to what it was told: the last hop alone comes from the trusted one. If the two spellings of a
header disagree there, the proxy has written one and let the visitor's other one pass: neither counts.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable

from starlette.datastructures import Headers
from starlette.types import Scope

from capot.web.addresses import address_of, is_loopback, parse_address

LOCAL_KEY = "capot.here"  # in a scope: whether the visitor sits at the machine
# What a proxy adds, of whatever make: a request with one of these did not come straight from its visitor.
PROXY_HEADERS = ("x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip", "forwarded", "via")
# A pair of ``Forwarded`` and its end. What is taken is not given back: spaces are looked at once, however many.
FORWARDED_PAIR = re.compile(r'\s*+(?:([\w-]+)\s*+=\s*+("(?:[^"\\]|\\.)*"|[^\s;,"]*))?+\s*+([;,]|$)')


def network(named: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    """Return the address or network that ``--trusted-proxy`` names; None for anything else."""
    try:
        return ipaddress.ip_network(named.strip(), strict=False)
    except ValueError:
        return None


class Proxies:
    """The proxies that are trusted."""

    def __init__(self, named: Iterable[str]) -> None:
        self.networks = [found for each in named if (found := network(each)) is not None]

    def trusts(self, address: str) -> bool:
        """Return whether ``address`` is one of them."""
        found = parse_address(address)
        # An address of the other family is in no such network, and comparing them raises.
        return found is not None and any(found in each for each in self.networks if each.version == found.version)

    def apply(self, scope: Scope) -> Scope:
        """Return the request as its visitor sent it: with their address, scheme and host."""
        headers = Headers(scope=scope)
        peer = address_of(scope)
        # Loopback alone proves nothing where a proxy of this machine forwards: its headers give it away.
        if not self.trusts(peer):
            here = is_loopback(peer) and not any(name in headers for name in PROXY_HEADERS)
            return {**scope, LOCAL_KEY: here}
        said = {**scope, LOCAL_KEY: False}
        hop = _last_hop(headers)
        if found := _agreed_value(
            _bare_address(_last_entry(headers, "x-forwarded-for")), _bare_address(hop.get("for", ""))
        ):
            said["client"] = (found, 0)
        scheme = _agreed_value(_last_entry(headers, "x-forwarded-proto").lower(), hop.get("proto", "").lower())
        if scheme in ("http", "https"):
            said["scheme"] = scheme
        if host := _agreed_value(_last_entry(headers, "x-forwarded-host"), hop.get("host", "")):
            # The lab sees the visitor's host, so that links and the check of origins fit what their browser shows.
            others = [(name, value) for name, value in scope["headers"] if name != b"host"]
            said["headers"] = [(b"host", host.encode("latin-1")), *others]
        return said


def _agreed_value(one: str, other: str) -> str:
    """Return what both spellings say, or the only one there is; empty if they differ."""
    if one and other:
        return one if one == other else ""
    return one or other


def _last_entry(headers: Headers, name: str) -> str:
    """Return the last entry of a list header, on however many lines."""
    # The last entry is the trusted proxy's own; those before it are what it was told.
    return ",".join(headers.getlist(name)).rpartition(",")[2].strip()


def _last_hop(headers: Headers) -> dict[str, str]:
    """Return what the last hop of ``Forwarded`` says (RFC 7239); nothing if any of it is malformed.

    A visitor who opens a quotation and leaves it open would otherwise turn the proxy's entry into part of their own.
    """
    text = ",".join(headers.getlist("forwarded"))
    place = 0
    pairs = {}
    while found := FORWARDED_PAIR.match(text, place):
        name, value, end = found.groups()
        if name:
            pairs[name.lower()] = _unquote(value)
        if not end:
            return pairs
        pairs, place = ({} if end == "," else pairs), found.end()
    return {}


def _unquote(value: str) -> str:
    return re.sub(r"\\(.)", r"\1", value[1:-1]) if value.startswith('"') else value


def _bare_address(said: str) -> str:
    """Return an address without port and brackets; empty for a name, which cannot be counted.

    >>> _bare_address("[2001:db8::1]:443"), _bare_address("192.0.2.7:80"), _bare_address("_hidden")
    ('2001:db8::1', '192.0.2.7', '')
    """
    inner = re.fullmatch(r"\[([^\]]*)\](?::\d+)?|([^:]*):\d+", said)
    found = parse_address(next(filter(None, inner.groups()), "") if inner else said)
    return "" if found is None else str(found)
