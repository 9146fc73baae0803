"""Bound what requests hold while they last: the bytes of their bodies, and their number at each address."""

from __future__ import annotations

import contextlib
from collections import Counter

from starlette.types import Receive, Scope

from capot.config import Serving
from capot.errors import BusyError, InputError, InterruptedByUser
from capot.web.addresses import address_of
from capot.web.quota import Quota

UNCOUNTED_BYTES = 65_536  # bytes of each body that nobody counts: an ordinary request passes whatever the others send
FULL_BUDGETS = 16  # whose whole budgets fit in the lab at once
RESOURCES_KEY = "capot.kept"


def request_resources(scope: Scope) -> contextlib.AsyncExitStack:
    """Return the stack of what a request holds until its answer is taken or its connection ends."""
    held: contextlib.AsyncExitStack = scope[RESOURCES_KEY]
    return held


class RequestQuota:
    """Count the requests of each address.

    Behind a proxy all connections are the proxy's, so counting connections would not bound an address.
    """

    def __init__(self, serving: Serving) -> None:
        self.quota = Quota(serving.max_connections_of_address)

    def acquire(self, scope: Scope) -> None:
        """Count a request for as long as it lasts. Raises: BusyError ``too_many_requests``."""
        address = address_of(scope)
        if self.quota.full(address) is not None:
            raise BusyError("too_many_requests", limit=self.quota.limit)
        self.quota.add(address)
        request_resources(scope).callback(self.quota.remove, address)


class UploadBudget:
    """Count the bytes of each learner's bodies, from their first byte to the end of the answer."""

    def __init__(self, serving: Serving) -> None:
        self.limit = serving.max_upload_bytes
        self.reserved = Counter[str]()

    async def read(self, scope: Scope, receive: Receive, *, limit: int) -> bytes:
        """Read a whole body, counted in its learner's budget for as long as the request lasts.

        Raises: InputError ``body_too_long`` as soon as it is, whatever length was announced; BusyError
        ``too_much_upload``; InterruptedByUser if the visitor left before its end.
        """
        body = bytearray()
        reservation = BodyReservation(self, scope["learner"])
        request_resources(scope).callback(reservation.release)
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise InterruptedByUser("interrupted")
            body += message.get("body", b"")
            if len(body) > limit:
                raise InputError("body_too_long", limit=limit)
            # What was announced is not believed, only what came.
            reservation.grow(len(body) - UNCOUNTED_BYTES)
            if not message.get("more_body"):
                return bytes(body)

    def reserve(self, learner: str, size: int) -> None:
        """Count bytes of a learner's. Raises: BusyError ``too_much_upload``."""
        if self.reserved[learner] + size > self.limit or self.reserved.total() + size > FULL_BUDGETS * self.limit:
            raise BusyError("too_much_upload", limit=self.limit)
        self.reserved[learner] += size

    def release(self, learner: str, size: int) -> None:
        self.reserved[learner] -= size
        if self.reserved[learner] <= 0:
            del self.reserved[learner]


class BodyReservation:
    """The part of a budget that one body holds."""

    def __init__(self, uploads: UploadBudget, learner: str) -> None:
        self.uploads = uploads
        self.learner = learner
        self.size = 0

    def grow(self, size: int) -> None:
        if size > self.size:
            self.uploads.reserve(self.learner, size - self.size)
            self.size = size

    def release(self) -> None:
        if self.size:
            self.uploads.release(self.learner, self.size)
