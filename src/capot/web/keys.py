"""Who holds which key: signed cookies, and a short memory of wrong codes.

Nothing is kept of a visitor: a cookie says who it is and proves it by a signature that
only this run of the server can make. However many come, no list grows.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import secrets
import time
from collections import deque
from collections.abc import Callable

TRIES, WINDOW_S = 10, 60.0  # wrong codes from one address before it must wait
ALL_TRIES = 300  # from everywhere: a guesser with many addresses must wait as well
ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"  # no letter that is taken for another when read aloud


def access_code() -> str:
    """A code short enough to be read aloud, long enough against 300 tries a minute (40 bits)."""
    return "-".join("".join(secrets.choice(ALPHABET) for _ in range(4)) for _ in range(2))


def same(given: str | None, wanted: str | None) -> bool:
    """Whether a code is the right one, in a time that does not tell how much of it is."""
    if given is None or wanted is None:
        return False
    return hmac.compare_digest(given.encode("utf-8", "surrogatepass"), wanted.encode("utf-8", "surrogatepass"))


class Cookies:
    """Makes and reads ``<who>.<signature>``; ``who`` begins with ``owner`` or ``learner``."""

    def __init__(self) -> None:
        self._secret = secrets.token_bytes(32)

    def make(self, *, owner: bool) -> str:
        who = f"{'owner' if owner else 'learner'}-{secrets.token_urlsafe(9)}"
        return f"{who}.{self._signature(who)}"

    def read(self, cookie: str | None) -> str | None:
        """Who a cookie is, None where it is not of our making."""
        who, dot, signature = (cookie or "").rpartition(".")
        return who if dot and same(signature, self._signature(who)) else None

    def _signature(self, who: str) -> str:
        return hmac.new(self._secret, who.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()[:32]


class Tries:
    """The wrong codes of the last minute, no more than ``ALL_TRIES`` of them."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._wrong: deque[tuple[float, str]] = deque(maxlen=ALL_TRIES)

    def note(self, address: str) -> None:
        self._wrong.append((self._clock(), network(address)))

    def wait(self, address: str) -> float:
        """Seconds that ``address`` must wait before its next try; 0 where it need not."""
        now, mine = self._clock(), network(address)
        while self._wrong and now - self._wrong[0][0] > WINDOW_S:
            self._wrong.popleft()
        times = [when for when, who in self._wrong if who == mine]
        oldest = times[-TRIES] if len(times) >= TRIES else None
        if oldest is None and len(self._wrong) == ALL_TRIES:
            oldest = self._wrong[0][0]
        return 0.0 if oldest is None else WINDOW_S - (now - oldest)


def is_owner(who: str) -> bool:
    """Whether a cookie's bearer sits at the machine or holds the owner's key."""
    return who.startswith("owner-")


def network(address: str) -> str:
    """What stands for one visitor: an IPv4 address, the first half of an IPv6 one (the rest is theirs to choose).

    >>> network("2001:db8:1:2:3:4:5:6"), network("192.0.2.7")
    ('2001:db8:1:2::', '192.0.2.7')
    """
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address[:45]
    if found.version == 4:
        return str(found)
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(ipaddress.ip_address(int(found) >> 64 << 64))
