"""Who holds which key: codes as people write them, signed cookies, and a short memory of wrong codes.

Nothing is kept of a visitor: a cookie says who it is and proves it by a signature that
only this run of the server can make. However many come, no list grows.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import time
import unicodedata
from collections import defaultdict, deque
from collections.abc import Callable

from capot.web.addresses import network_of

TRIES, WINDOW_S = 10, 60.0  # wrong codes from one address before it must wait
NETWORK_TRIES = 400  # from one IPv6 /64, whose holder has as many addresses as they like: a class and some more
ALL_TRIES = 300  # from everywhere: then each address has fewer, and none that is new must wait for others' guesses
FRESH_TRIES = 3  # which an address has all the same
REMEMBERED = 20_000  # wrong codes; a guesser with more addresses than that outruns any count
UNHEARD = re.compile(r"[\W_]+")  # what nobody says when a code is read aloud: spaces, hyphens of any kind
ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"  # no letter that is taken for another when read aloud


def access_code() -> str:
    """A code short enough to be read aloud, long enough against 300 tries a minute (40 bits)."""
    return "-".join("".join(secrets.choice(ALPHABET) for _ in range(4)) for _ in range(2))


def folded(code: str) -> str:
    """A code as it is compared: its letters and digits, small ones and capitals alike.

    >>> folded(" 5SPD - H7KH "), folded("5spdh7kh")
    ('5spdh7kh', '5spdh7kh')
    """
    return UNHEARD.sub("", unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", code).casefold()))


def same_code(given: str | None, wanted: str | None) -> bool:
    """Whether an access code is the right one, however it is spelled."""
    return given is not None and wanted is not None and same(folded(given), folded(wanted))


def same(given: str | None, wanted: str | None) -> bool:
    """Whether a key is the right one, in a time that tells neither how much of it is nor how long it should be."""
    if given is None or wanted is None:
        return False
    return hmac.compare_digest(_digest(given), _digest(wanted))


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


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
    """The wrong codes of the last minute: by full address, by /64, and in all."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._wrong: deque[tuple[float, str]] = deque()
        self._times: defaultdict[str, deque[float]] = defaultdict(deque)  # of each address and each network

    def note(self, address: str) -> None:
        """Remember a wrong code."""
        now = self._clock()
        self._wrong.append((now, address))
        for name in _names(address):
            self._times[name].append(now)
        if len(self._wrong) > REMEMBERED:
            self._forget_one()

    def wait(self, address: str) -> float:
        """Seconds that ``address`` must wait before its next try; 0 where it need not."""
        now = self._clock()
        while self._wrong and now - self._wrong[0][0] > WINDOW_S:
            self._forget_one()
        most = TRIES if len(self._wrong) < ALL_TRIES else FRESH_TRIES
        quotas = zip(_names(address), (most, NETWORK_TRIES), strict=False)
        return max(self._until(name, most, now) for name, most in quotas)

    def _until(self, name: str, most: int, now: float) -> float:
        """Seconds until there are fewer than ``most`` of an address or a network."""
        times = self._times.get(name, ())
        return 0.0 if len(times) < most else WINDOW_S - (now - times[-most])

    def _forget_one(self) -> None:
        _, address = self._wrong.popleft()
        for name in _names(address):
            self._times[name].popleft()
            if not self._times[name]:
                del self._times[name]


def _names(address: str) -> list[str]:
    """What a wrong code is counted under."""
    return [name for name in (address, network_of(address)) if name]


def is_owner(who: str) -> bool:
    """Whether a cookie's bearer holds the owner's key."""
    return who.startswith("owner-")
