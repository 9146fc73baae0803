"""What comes from a server's connection, whatever its packets: frames of a body, and the events in it."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator

import httpx2
import pytest
from lab_helpers import looped

from capot.engines.openai.server_sent import EventReader
from capot.engines.openai.wire import ChunkedFrames, WireTransport

STREAM = "\ufeffdata: œ\n\n: ping\n\nevent: x\rdata:1\r\n\r\ndata\ndata: 2\r\rid: 3\n\ndata: {}\n\n".encode()
TOLD = ["œ", "1", "\n2", "{}"]


def pieces(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


@pytest.mark.parametrize("size", [1, 2, 3, 5, 8, 1000])
def test_events_are_the_same_however_they_are_cut(size: int) -> None:
    reader = EventReader(1000)
    assert [told for block in pieces(STREAM, size) for told in reader.take(block)] == TOLD


@pytest.mark.parametrize("raw", [b"data: " + b"x" * 200, b"data: 123456\n" * 20, b"x" * 200])
def test_an_event_without_end_is_refused(raw: bytes) -> None:
    with pytest.raises(httpx2.SSEError):
        EventReader(100).take(raw)


FRAMED = b"".join(b"%X;a=b\r\n%b\r\n" % (len(part), part) for part in pieces(STREAM, 7)) + b"0\r\nT: x\r\n\r\n"


@pytest.mark.parametrize("size", [1, 2, 3, 9, 1000])
def test_a_body_is_taken_out_of_its_frames_however_they_are_cut(size: int) -> None:
    frames = ChunkedFrames()
    assert b"".join(map(frames.take, pieces(FRAMED, size))) == STREAM and frames.ended


@pytest.mark.parametrize("raw", [b"xyz\r\n", b"-1\r\n", b"\r\n", b"1" * 2000])
def test_a_frame_that_is_none_is_refused(raw: bytes) -> None:
    with pytest.raises(ValueError, match="frame"):
        ChunkedFrames().take(raw)


# Over a socket: what a server sends, byte for byte.


@contextlib.asynccontextmanager
async def sending(*parts: bytes) -> AsyncIterator[str]:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        for part in parts:
            writer.write(part)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"


async def asked(*parts: bytes) -> httpx2.Response:
    async with sending(*parts) as url, httpx2.AsyncClient(transport=WireTransport(), trust_env=False) as client:
        return await client.get(url)


HEAD = b"HTTP/1.1 200 OK\r\nX-Of: it\r\n"
WHOLE = [
    (HEAD, b"\r\n", b"ab", b"c"),  # until the connection ends
    (HEAD[:9], HEAD[9:] + b"Content-Length: 3\r\n\r\nab", b"c"),
    (HEAD + b"Content-Length: 3\r\n\r\nabcd",),
    (b"HTTP/1.1 100 Continue\r\n\r\n" + HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n",),
]


@pytest.mark.parametrize("parts", WHOLE)
def test_an_answer_is_whole_whatever_its_form(parts: tuple[bytes, ...]) -> None:
    found = looped(asked(*parts))
    assert (found.status_code, found.content, found.headers["x-of"]) == (200, b"abc", "it")


@pytest.mark.parametrize(
    "parts",
    [
        (b"",), (HEAD,), (b"what?\r\n\r\n",), (HEAD + b"Content-Length: 9\r\n\r\nabc",),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n9\r\nabc",), (HEAD + b"Transfer-Encoding: chunked\r\n\r\nabx\r\n",),
        (HEAD + b"Transfer-Encoding: gzip\r\n\r\n",), (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000,),
    ],
)  # fmt: skip
def test_half_an_answer_is_an_error_and_no_shorter_answer(parts: tuple[bytes, ...]) -> None:
    with pytest.raises(httpx2.TransportError):
        looped(asked(*parts))


def test_a_request_says_what_the_client_says() -> None:
    seen: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await reader.readuntil(b"\r\n\r\n") + await reader.readexactly(7))
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        writer.close()

    async def ask() -> None:
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/a%20b?c=d"
        headers = {"Authorization": "Bearer k"}
        async with server, httpx2.AsyncClient(transport=WireTransport(), headers=headers, trust_env=False) as client:
            assert (await client.post(url, json={"a": 1})).status_code == 204

    looped(ask())
    head, _, body = seen[0].partition(b"\r\n\r\n")
    lines = head.lower().split(b"\r\n")
    assert lines[0] == b"post /a%20b?c=d http/1.1" and json.loads(body) == {"a": 1}
    assert b"authorization: bearer k" in lines and lines.count(b"connection: close") == 1
    assert not any(line.startswith(b"connection: keep") for line in lines)
