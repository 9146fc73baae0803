"""The streams of a server's client, read one event after the other by whoever asks: how tests look at them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Iterator, Sequence
from typing import Any

from capot.engines.openai.client import ServerClient
from capot.engines.openai.completions import STREAMED, CompletionReader, ServedText, request_body
from capot.engines.seen import Bill
from capot.errors import CapotError

_END: Any = object()


def stream_of(client: ServerClient, url: str, body: Any) -> EventStream:
    """Return the events that answer ``body``; nothing is sent before the first is asked for."""
    return EventStream(client, client.events(url, body))


def complete(
    client: ServerClient, prompt: str | Sequence[int], *, logprobs: int | None = None, **settings: Any
) -> Iterator[ServedText | Bill]:
    """Yield a text as it grows, then its bill. Closing the iterator frees the server's slot.

    ``settings`` are those of the protocol (``max_tokens``, ``temperature``, ``seed``, ``stop``...).

    Raises: as ``ServerClient.post``; NetworkError ``server_cut``, ``server_malformed`` in the middle of a text.
    """
    body = request_body(client, prompt, logprobs=logprobs) | STREAMED | settings
    stream = stream_of(client, f"{client.address.base}/completions", body)
    return _read(stream, CompletionReader(client.address.host, logprobs or 0))


def _read(stream: EventStream, reader: CompletionReader) -> Iterator[ServedText | Bill]:
    try:
        for event in stream:
            yield from reader.read(**event)
    finally:
        stream.cancel()


class EventStream:
    """The events of one answer, as objects of JSON, without an event loop around. ``cancel`` may be called anywhere.

    Each event is read when it is asked for. A stream that is let go of is cancelled.
    """

    def __init__(self, client: ServerClient, events: AsyncGenerator[dict[str, Any], None]) -> None:
        self._client = client
        self._events = events
        self._task: asyncio.Task[Any] | None = None
        self._over = False  # ended, failed or cancelled
        self._begun = False

    def __iter__(self) -> EventStream:
        return self

    def __next__(self) -> dict[str, Any]:
        if self._over:
            raise StopIteration
        self._begun = True
        try:
            found = self._client.wait(self._next())
        except BaseException:
            self.cancel()
            raise
        if found is _END:
            self._over = True
            raise StopIteration
        event: dict[str, Any] = found
        return event

    async def _next(self) -> Any:
        self._task = asyncio.current_task()
        return await anext(self._events, _END)

    def cancel(self) -> None:
        """Close the connection, without waiting for that; who waits for an event gets InterruptedByUser."""
        if self._over:
            return
        self._over = True
        # What was never begun has no connection.
        if self._begun:
            with contextlib.suppress(CapotError, RuntimeError):  # the client is closed, or in another process
                self._client.run(self._shut())

    async def _shut(self) -> None:
        # Cancelled first: ``aclose`` on a generator that is running raises.
        if self._task is not None and not self._task.done():
            self._task.cancel()
            await asyncio.wait([self._task])
        await self._events.aclose()

    def __del__(self) -> None:
        self.cancel()
