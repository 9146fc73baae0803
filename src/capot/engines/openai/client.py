"""Send requests to a server of models, and read its streams.

One thread with an event loop has all connections of a client, so that a stream costs no thread, and cancelling one
closes its connection wherever it is: while the server is still silent too. What a reader does not take stays in the
socket, and the server waits. No redirect is followed, no cookie or password file is read, and the key goes to the
address that the client was made for alone.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import json
import os
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

import httpx2

from capot.engines import forks
from capot.engines.cancellation import check_cancelled
from capot.engines.openai.address import ServerAddress
from capot.engines.openai.refusals import event_error, retry_after, status_error, transport_error
from capot.engines.openai.server_sent import EventReader
from capot.engines.openai.wire import Wire, WireTransport, answers_tls
from capot.errors import BusyError, CapotError, InterruptedByUser, NetworkError
from capot.sources.hub.connection import proxy_for, trusted_certificates

_LARGEST = 64_000_000  # bytes of an answer
_LARGEST_ERROR = 100_000  # bytes of a refusal that are read
_LARGEST_EVENT = 8_000_000  # bytes of one event of a stream
_LONGEST_PAUSE = 30.0  # seconds that one waits for a server which says how long
_PASSING = (429, 502, 503, 504)  # refusals that may be over in a moment

T = TypeVar("T")


@dataclass(frozen=True)
class Timeouts:
    """How long a client waits. Units: seconds.

    ``read`` is the longest time without a byte, ``total`` the longest time for a whole answer; ``retry_delays`` come
    before each new attempt.
    """

    connect: float = 10.0
    read: float = 300.0
    total: float = 3600.0
    retry_delays: tuple[float, ...] = (0.5, 1.0, 2.0)


class ServerClient:
    """Connections to one server. Its thread starts with the first request, and ends with ``close``."""

    # Nothing is opened here: a model may be named, and its card shown, before any connection.
    def __init__(self, address: ServerAddress, *, key: str | None = None, timeouts: Timeouts | None = None) -> None:
        self.address = address
        self._key = key
        self.timeouts = timeouts or Timeouts()
        self._process = os.getpid()
        self._closed = False
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        # Questions and streams apart: at each beginning and end a pool looks at all of its connections.
        self._http: dict[bool, httpx2.AsyncClient] = {}

    def get(self, url: str) -> Any:
        """Return the JSON at ``url``, an address of this server. Raises: as ``post``."""
        return self.wait(self.ask("GET", url))

    def post(self, url: str, body: Any) -> Any:
        """Return the JSON that answers ``body``. Only for what may be asked twice.

        Raises: InputError, ContextError, AccessError, NotFoundError, BusyError and NetworkError as ``refusals`` has
        them; InterruptedByUser if whoever asked has left.
        """
        return self.wait(self.ask("POST", url, body))

    def run(self, work: Coroutine[Any, Any, T]) -> concurrent.futures.Future[T]:
        """Start ``work`` on the client's thread.

        Raises: BusyError ``closed``; CapabilityError ``forked`` in a copy of the process.
        """
        try:
            forks.check_process(self._process)
            return self._started(work)
        except CapotError:
            # A coroutine that is never awaited warns when it is collected.
            work.close()
            raise

    def _started(self, work: Coroutine[Any, Any, T]) -> concurrent.futures.Future[T]:
        with self._lock:
            if self._closed:
                raise BusyError("closed")
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=self._loop.run_forever, name="capot-server", daemon=True)
                self._thread.start()
            return asyncio.run_coroutine_threadsafe(work, self._loop)

    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        """Return what ``work`` answers. Work that nobody wants any more is cancelled."""
        future = self.run(work)
        try:
            while not concurrent.futures.wait([future], 0.2).done:  # returns often, so that Ctrl-C is heard everywhere
                check_cancelled()
        except BaseException:
            future.cancel()
            raise
        try:
            return future.result()
        except concurrent.futures.CancelledError:
            raise InterruptedByUser("interrupted") from None

    def close(self) -> None:
        """End what is under way and close the connections. Closing twice is harmless."""
        # In a copy of the process the loop's thread is gone, and the connections are the other's.
        if self._process != os.getpid():
            return
        with self._lock:
            self._closed = True
            loop = self._loop
            self._loop = None
        if loop is None or self._thread is None:
            return
        asyncio.run_coroutine_threadsafe(self._shut(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        self._thread.join()
        loop.close()

    async def _shut(self) -> None:
        # What is under way ends with a CancelledError of its own, so that its connection is closed before the loop is.
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        if others:
            await asyncio.wait(others)
        for http in self._http.values():
            await http.aclose()
        self._http.clear()

    def _connections(self, *, streams: bool) -> httpx2.AsyncClient:
        if streams not in self._http:
            own = {"Authorization": f"Bearer {self._key}"} if self._key else {}
            encrypted = self.address.base.startswith("https:")
            proxy = proxy_for(self.address.base)
            self._http[streams] = httpx2.AsyncClient(
                # Identity: the bounds below count bytes as they come.
                headers={"User-Agent": "capot", "Accept-Encoding": "identity", **own},
                # No limit of the pool: jobs are counted by the scheduler, and a wait for a free connection would look
                # like silence.
                timeout=httpx2.Timeout(self.timeouts.read, connect=self.timeouts.connect, pool=None),
                limits=httpx2.Limits(max_connections=None, max_keepalive_connections=20),
                verify=trusted_certificates() if encrypted else False,
                proxy=proxy,
                transport=WireTransport() if streams and not (encrypted or proxy) else None,
                # Not followed, and nothing from the environment: the key must go nowhere but to the address it was
                # given for.
                follow_redirects=False,
                trust_env=False,
            )
        return self._http[streams]

    def soon(self, work: Callable[[], None]) -> None:
        """Run ``work`` on the client's thread, without waiting and without a lock: a signal handler may call it."""
        loop = self._loop
        if loop is not None and self._process == os.getpid():
            with contextlib.suppress(RuntimeError):  # it was closed meanwhile
                loop.call_soon_threadsafe(work)

    @property
    def here(self) -> bool:
        """Return whether this is the client's thread, on which nothing may wait for an answer."""
        return threading.current_thread() is self._thread

    # What runs on the client's thread.

    async def ask(self, method: str, url: str, body: Any = None) -> Any:
        """Return the JSON that answers a request, on the client's thread. Raises: as ``post``."""
        try:
            raw = await self._asked(method, url, body)
        except CapotError as error:
            # How servers that encrypt answer plain text. Only where a list is asked for, which comes first: a server
            # that does not encrypt notes an attempt of TLS as an error.
            if method == "GET" and error.code in ("server_cut", "server_refused") and await self._is_encrypted():
                raise NetworkError("server_encrypts", host=self.address.host) from None
            raise
        try:
            return json.loads(raw)
        except (ValueError, RecursionError):
            raise NetworkError("server_other_kind", host=self.address.host) from None

    async def _is_encrypted(self) -> bool:
        """Return whether a server that was asked in plain text answers in TLS."""
        url = httpx2.URL(self.address.base)
        plain = url.scheme == "http" and proxy_for(self.address.base) is None
        return plain and await answers_tls(url.host, url.port or 80, seconds=self.timeouts.connect)

    async def _asked(self, method: str, url: str, body: Any) -> bytes:
        with self._translated():
            # All of an answer has an end too: a byte every five minutes is no silence.
            async with asyncio.timeout(self.timeouts.total):
                response = await self._answer(method, url, body, streams=False, again=_may_pass)
                try:
                    return await _read(response, _LARGEST)
                finally:
                    await response.aclose()

    async def events(self, url: str, body: Any) -> AsyncGenerator[dict[str, Any], None]:
        """Yield the events of a stream. Raises: NetworkError ``server_cut`` where it ends before its end."""
        host = self.address.host
        clock = asyncio.get_running_loop().time
        until = clock() + self.timeouts.total
        with self._translated():
            # A server that was reached may be at work on it: only one that was not, or that refused, is asked again.
            response = await self._answer(
                "POST", url, body, streams=True, again=lambda error: isinstance(error, _NEVER_SENT)
            )
            try:
                if not response.headers.get("content-type", "").startswith("text/event-stream"):
                    raise NetworkError("server_other_kind", host=host)
                reader = EventReader(_LARGEST_EVENT)
                async for block in _blocks_of(response):
                    for data in reader.take(block):
                        # The protocol's own last line. A stream that ends without it was cut, whatever it looked like.
                        if data.strip() == "[DONE]":
                            return
                        if clock() > until:
                            raise TimeoutError
                        yield self._event(data)
            finally:
                await response.aclose()
        raise NetworkError("server_cut", host=host, reason="[DONE]")

    def _event(self, data: str) -> dict[str, Any]:
        try:
            event = json.loads(data)
        except (ValueError, RecursionError):
            event = None
        if not isinstance(event, dict):
            raise NetworkError("server_malformed", host=self.address.host, field="data")
        # An error in the middle of a stream comes as an event, under the status 200 of its beginning.
        if event.get("error"):
            raise event_error(event["error"], address=self.address, key=self._key)
        return event

    async def _answer(
        self, method: str, url: str, body: Any, *, streams: bool, again: Callable[[httpx2.TransportError], bool]
    ) -> httpx2.Response:
        """Return an answer of success, its body unread. A failure for which ``again`` holds is tried anew."""
        for pause in (*self.timeouts.retry_delays, None):
            http = self._connections(streams=streams)
            request = http.build_request(method, url, json=body)
            try:
                response = await http.send(request, stream=True)
            except httpx2.TransportError as error:
                if pause is None or not again(error):
                    raise
            else:
                # 200 and nothing else: other successes have no body of the protocol.
                if response.status_code == 200:
                    return response
                asked = retry_after(response.headers)
                if pause is None or response.status_code not in _PASSING or (asked or 0) > _LONGEST_PAUSE:
                    raise await self._refusal(response)
                await response.aclose()
                pause = pause if asked is None else asked
            await asyncio.sleep(pause)
        raise AssertionError("the last attempt answers or raises")

    async def _refusal(self, response: httpx2.Response) -> CapotError:
        try:
            raw = await _read(response, _LARGEST_ERROR)
        except httpx2.TransportError:  # the status says enough
            raw = b""
        finally:
            await response.aclose()
        return status_error(response.status_code, raw, address=self.address, headers=response.headers, key=self._key)

    @contextlib.contextmanager
    def _translated(self) -> Any:
        try:
            yield
        except (httpx2.TransportError, httpx2.DecodingError, TimeoutError) as error:
            raise transport_error(error, host=self.address.host, seconds=self._seconds(error)) from None

    def _seconds(self, error: Exception) -> float:
        if isinstance(error, httpx2.ConnectTimeout):
            return self.timeouts.connect
        return self.timeouts.read if isinstance(error, httpx2.TimeoutException) else self.timeouts.total


def _may_pass(error: httpx2.TransportError) -> bool:
    """Return whether a question is worth asking again: not of a server that is silent for as long as one waits."""
    # A server that has been silent for minutes is at work, or hangs: asking again would double its work.
    return not isinstance(error, httpx2.ReadTimeout)


_NEVER_SENT = (httpx2.ConnectError, httpx2.ConnectTimeout)


def _blocks_of(response: httpx2.Response) -> AsyncIterator[bytes]:
    """Return the bytes of a body as they come: from a connection of our own without the layers between."""
    wire: Wire | None = response.extensions.get("wire")
    return response.aiter_raw() if wire is None else wire


async def _read(response: httpx2.Response, most: int) -> bytes:
    """Return a body, or its first ``most`` bytes."""
    parts = []
    size = 0
    async for part in response.aiter_bytes():
        parts.append(part)
        size += len(part)
        if size > most:
            break
    return b"".join(parts)[:most]
