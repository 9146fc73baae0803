"""What requests under way hold: their bodies, read whole and bounded for each learner; their number at an address."""

from __future__ import annotations

import contextlib
from collections import Counter

from starlette.types import Receive, Scope

from capot.config import Serving
from capot.errors import BusyError, InputError, InterruptedByUser
from capot.web.addresses import address_of
from capot.web.quota import Quota

FREE = 65_536  # bytes of each body that nobody counts: an ordinary request passes whatever the others send
LEARNERS = 16  # whose whole budgets fit in the lab at once
KEPT = "capot.kept"


def kept(scope: Scope) -> contextlib.AsyncExitStack:
    """What a request holds until its answer has been taken, or its connection has ended."""
    held: contextlib.AsyncExitStack = scope[KEPT]
    return held


class Requests:
    """Requests under way at each address: behind a proxy an address has no connections of its own to be counted."""

    def __init__(self, serving: Serving) -> None:
        self.quota = Quota(serving.max_connections_of_address)

    def take(self, scope: Scope) -> None:
        """Count a request for as long as it lasts. Raises: BusyError ``too_many_requests``."""
        address = address_of(scope)
        if self.quota.full(address) is not None:
            raise BusyError("too_many_requests", limit=self.quota.most)
        self.quota.add(address)
        kept(scope).callback(self.quota.remove, address)


class Uploads:
    """The bytes of bodies that each learner's requests hold, from their first byte to the end of the answer."""

    def __init__(self, serving: Serving) -> None:
        self.limit = serving.max_upload_bytes
        self.held = Counter[str]()

    async def read(self, scope: Scope, receive: Receive, *, limit: int) -> bytes:
        """The whole body, counted in its learner's budget for as long as the request lasts.

        Raises: InputError ``body_too_long`` as soon as it is, whatever length was announced; BusyError
        ``too_much_upload``; InterruptedByUser where the visitor left before its end.
        """
        body, counted = bytearray(), Counted(self, scope["learner"])
        kept(scope).callback(counted.release)
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise InterruptedByUser("interrupted")
            body += message.get("body", b"")
            if len(body) > limit:
                raise InputError("body_too_long", limit=limit)
            counted.grow(len(body) - FREE)
            if not message.get("more_body"):
                return bytes(body)

    def take(self, learner: str, more: int) -> None:
        """Raises: BusyError ``too_much_upload``."""
        if self.held[learner] + more > self.limit or self.held.total() + more > LEARNERS * self.limit:
            raise BusyError("too_much_upload", limit=self.limit)
        self.held[learner] += more

    def give(self, learner: str, less: int) -> None:
        self.held[learner] -= less
        if self.held[learner] <= 0:
            del self.held[learner]


class Counted:
    """What one body takes of a budget."""

    def __init__(self, uploads: Uploads, learner: str) -> None:
        self.uploads, self.learner, self.size = uploads, learner, 0

    def grow(self, size: int) -> None:
        if size > self.size:
            self.uploads.take(self.learner, size - self.size)
            self.size = size

    def release(self) -> None:
        if self.size:
            self.uploads.give(self.learner, self.size)
