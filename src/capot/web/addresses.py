"""Find the address that a request comes from."""

from __future__ import annotations

import ipaddress

from starlette.types import Scope


def address_of(scope: Scope) -> str:
    """Return the visitor's address. Every limit by address asks here.

    Inside the guard it is the one that a trusted proxy names, see ``forwarded``.
    """
    return normalize_address(str((scope.get("client") or ("?",))[0]))


def normalize_address(address: str) -> str:
    """Return an address in one spelling, IPv4 in its own form.

    >>> normalize_address("::ffff:192.0.2.7"), normalize_address("fe80::1%eth0"), normalize_address("2001:DB8:0::7")
    ('192.0.2.7', 'fe80::1', '2001:db8::7')
    """
    found = parse_address(address)
    return address[:45] if found is None else str(found)  # a test's, or that of a socket in the file system


def parse_address(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Parse an address, mapped into IPv6 or not; return None for a name."""
    try:
        # A zone (``%eth0``) names an interface of this machine, and no other visitor.
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return None
    # A socket that listens on both families shows IPv4 visitors in IPv6's form: they are one visitor.
    return getattr(found, "ipv4_mapped", None) or found


def is_loopback(address: str) -> bool:
    """Return whether an address is this machine's own, which no other can have."""
    return getattr(parse_address(address), "is_loopback", False)


def network_of(address: str) -> str | None:
    """Return the /64 of an IPv6 address, whose other half its holder chooses; None for any other.

    >>> network_of("2001:db8:1:2:3:4:5:6"), network_of("192.0.2.7")
    ('2001:db8:1:2::/64', None)
    """
    found = parse_address(address)
    if found is None or found.version == 4:
        return None
    return f"{ipaddress.ip_address(int(found) >> 64 << 64)}/64"
