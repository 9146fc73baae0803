"""Make and check what proves who somebody is: access codes, signed cookies, and a count of wrong codes.

The lab stores nothing about a visitor: a cookie says who they are and proves it by a signature that only this run of
the server can make, or those that share its secret. However many come, no list grows.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import re
import secrets
import time
import unicodedata
from collections import defaultdict, deque
from collections.abc import Callable

from capot.errors import InputError
from capot.web.addresses import network_of

MAX_FAILURES, WINDOW_S = 10, 60.0  # wrong codes from one address before it must wait
MAX_NETWORK_FAILURES = 400  # from one IPv6 /64, whose holder has as many addresses as they like: a class and some more
MAX_TOTAL_FAILURES = (
    300  # from everywhere: then each address has fewer, and none that is new must wait for others' guesses
)
MIN_FAILURES = 3  # which an address has all the same
MAX_REMEMBERED = 20_000  # wrong codes; a guesser with more addresses than that outruns any count
SECRET, SHORTEST_SECRET = "CAPOT_LAB_SECRET", 32  # of the environment; characters
SEPARATORS = re.compile(r"[\W_]+")  # what nobody says when a code is read aloud: spaces, hyphens of any kind
ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"  # no letter that is taken for another when read aloud


def lab_secret() -> bytes:
    """Return the secret that several labs share (``CAPOT_LAB_SECRET``), else one of this run alone.

    Raises: InputError ``lab_secret_short``, whose words show none of it.
    """
    shared = os.environ.get(SECRET, "").strip()
    if not shared:
        return secrets.token_bytes(32)
    if len(shared) < SHORTEST_SECRET:
        raise InputError("lab_secret_short", variable=SECRET, least=SHORTEST_SECRET)
    return shared.encode()


def derived(secret: bytes, purpose: str) -> bytes:
    """Return the key for one purpose. No key tells of another, nor of the secret.

    >>> derived(b"secret", "owner") == derived(b"secret", "cookies")
    False
    """
    return hmac.new(secret, purpose.encode(), hashlib.sha256).digest()


def owner_key(secret: bytes) -> str:
    """Return what makes an owner, in a link that only the terminal shows (144 bits)."""
    return base64.urlsafe_b64encode(derived(secret, "owner")[:18]).decode()


def access_code() -> str:
    """Return a new code, short enough to be read aloud, long enough against 300 tries a minute (40 bits)."""
    return "-".join("".join(secrets.choice(ALPHABET) for _ in range(4)) for _ in range(2))


def normalize_code(code: str) -> str:
    """Return a code as it is compared: letters and digits only, regardless of case.

    >>> normalize_code(" 5SPD - H7KH "), normalize_code("5spdh7kh")
    ('5spdh7kh', '5spdh7kh')
    """
    # Twice: casefold may undo the form that the first normalization made.
    return SEPARATORS.sub("", unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", code).casefold()))


def same_access_code(given: str | None, wanted: str | None) -> bool:
    """Return whether an access code is right, however it is spelled."""
    return given is not None and wanted is not None and same_secret(normalize_code(given), normalize_code(wanted))


def same_secret(given: str | None, wanted: str | None) -> bool:
    """Compare two secrets in constant time, so that the time tells nothing of the right one or its length."""
    if given is None or wanted is None:
        return False
    # Digests have one length, and ``compare_digest`` takes time by length.
    return hmac.compare_digest(_digest(given), _digest(wanted))


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


class Cookies:
    """Make and read ``<who>.<signature>``; ``who`` begins with ``owner`` or ``learner``.

    ``secret`` signs them, None stands for one that is drawn now and ends with the server.
    """

    def __init__(self, secret: bytes | None = None) -> None:
        self._secret = secret or secrets.token_bytes(32)

    def make(self, *, owner: bool) -> str:
        who = f"{'owner' if owner else 'learner'}-{secrets.token_urlsafe(9)}"
        return f"{who}.{self._signature(who)}"

    def read(self, cookie: str | None) -> str | None:
        """Return who a cookie belongs to, or None if this server did not sign it."""
        who, dot, signature = (cookie or "").rpartition(".")
        return who if dot and same_secret(signature, self._signature(who)) else None

    def _signature(self, who: str) -> str:
        # 128 bits of the signature are enough, and keep the cookie short.
        return hmac.new(self._secret, who.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()[:32]


class FailedAttempts:
    """Count the wrong codes of the last minute: by address, by /64 network, and in all."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._wrong: deque[tuple[float, str]] = deque()
        self._times: defaultdict[str, deque[float]] = defaultdict(deque)  # of each address and each network

    def note(self, address: str) -> None:
        """Count a wrong code."""
        now = self._clock()
        self._wrong.append((now, address))
        for name in _buckets(address):
            self._times[name].append(now)
        if len(self._wrong) > MAX_REMEMBERED:
            self._forget_one()

    def wait(self, address: str) -> float:
        """Return the seconds that ``address`` must wait before its next try, or 0."""
        now = self._clock()
        while self._wrong and now - self._wrong[0][0] > WINDOW_S:
            self._forget_one()
        most = MAX_FAILURES if len(self._wrong) < MAX_TOTAL_FAILURES else MIN_FAILURES
        # The network's own limit is higher, as a whole class may come out of one /64.
        quotas = zip(_buckets(address), (most, MAX_NETWORK_FAILURES), strict=False)
        return max(self._until(name, most, now) for name, most in quotas)

    def _until(self, name: str, most: int, now: float) -> float:
        """Return the seconds until an address or a network has fewer than ``most``."""
        times = self._times.get(name, ())
        return 0.0 if len(times) < most else WINDOW_S - (now - times[-most])

    def _forget_one(self) -> None:
        _, address = self._wrong.popleft()
        for name in _buckets(address):
            self._times[name].popleft()
            if not self._times[name]:
                del self._times[name]


def _buckets(address: str) -> list[str]:
    """Return what a wrong code is counted under."""
    return [name for name in (address, network_of(address)) if name]


def is_owner(who: str) -> bool:
    """Return whether a cookie's bearer has the owner's key."""
    return who.startswith("owner-")
