"""The client of servers of models, over a real socket: keys, errors, attempts, streams that break, cancellation."""

from __future__ import annotations

import asyncio
import json
import shutil
import ssl
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from lab_helpers import looped
from openai_server import KEY, NAME, Fault, OpenAIServer, client_of, connected, serving
from openai_streams import EventStream, stream_of

from capot.engines.cancellation import cancel_when
from capot.engines.openai import client as client_module
from capot.engines.openai import connect
from capot.engines.openai.client import ServerClient, Timeouts
from capot.errors import CapotError, InterruptedByUser

AT_ONCE = Timeouts(retry_delays=(0.0, 0.0))

server = pytest.fixture(serving)


@pytest.fixture(params=["wire", "httpx2"])
def client(
    server: OpenAIServer, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[ServerClient]:
    """A client that reads streams from a plain connection, and one that does as behind a proxy or TLS."""
    if request.param == "httpx2":
        monkeypatch.setattr(client_module, "WireTransport", lambda: None)
    yield from connected(server, timeouts=AT_ONCE)


def asked(**changes: Any) -> dict[str, Any]:
    return {"model": NAME, "prompt": "The capital of Japan is", "max_tokens": 6, "stream": True} | changes


def completions(client: ServerClient) -> str:
    return f"{client.address.base}/completions"


def text_of(events: Iterator[dict[str, Any]]) -> str:
    return "".join(event["choices"][0]["text"] for event in events)


def code(work: Any) -> str:
    with pytest.raises(CapotError) as raised:
        work()
    assert KEY not in raised.value.message("en") + raised.value.message("fr") + repr(raised.value.params)
    return raised.value.code


def broken(stream: EventStream) -> tuple[str, str]:
    """The text that came, and the code of the error that ended it."""
    found: list[dict[str, Any]] = []

    def read() -> None:
        for event in stream:
            found.append(event)

    return code(read), text_of(iter(found))


def test_a_question_and_a_stream(client: ServerClient) -> None:
    assert client.get(f"{client.address.base}/models")["data"][0]["id"] == NAME
    stream = stream_of(client, completions(client), asked())
    assert text_of(stream) == " Tokyo" and list(stream) == []


def test_the_key_goes_to_its_server_and_nowhere_else() -> None:
    with OpenAIServer(key=KEY) as server, OpenAIServer() as other:
        client = client_of(server.url, key=KEY, timeouts=AT_ONCE)
        client.get(f"{server.url}/models")
        assert server.seen[-1].headers["Authorization"] == f"Bearer {KEY}"
        server.faults.append(Fault(307, headers={"Location": f"{other.url}/models"}))
        assert code(lambda: client.get(f"{server.url}/models")) == "server_redirects"
        assert other.seen == []
        client.close()
        without = client_of(server.url, timeouts=AT_ONCE)
        assert code(lambda: without.get(f"{server.url}/models")) == "server_no_key"
        without.close()


REFUSALS = [
    (401, {"message": f"Incorrect API key provided: {KEY}"}, "server_wrong_key"),
    (403, {"message": "no"}, "server_wrong_key"),
    (404, {"message": f"The model `{NAME}` does not exist."}, "server_no_model"),
    (404, {"message": "no such path"}, "server_other_kind"),
    (400, {"message": "This model's maximum context length is 8 tokens."}, "server_context"),
    (400, {"message": "the request exceeds", "type": "exceed_context_size_error"}, "server_context"),
    (400, {"message": "too long", "code": "context_length_exceeded"}, "server_context"),
    (400, {"message": f"bad {KEY}\n\x1b[31m"}, "server_refused"),
    (422, "a text and no object", "server_refused"),
    (429, {"message": "slow down"}, "server_busy"),
    (500, {"message": "CUDA out of memory"}, "server_failing"),
    (502, {}, "server_failing"),
]


@pytest.mark.parametrize(("status", "told", "expected"), REFUSALS)
def test_a_refusal_has_one_code_as_an_answer_and_as_an_event(server: OpenAIServer, status, told, expected) -> None:
    client = client_of(server.url, key=KEY, timeouts=AT_ONCE)
    body = json.dumps({"error": told}).encode()
    server.faults += [Fault(status, body)] * 3
    assert code(lambda: client.get(f"{server.url}/models")) == expected
    server.faults[:] = [Fault(status, body)] * 3
    assert code(lambda: next(stream_of(client, completions(client), asked()))) == expected
    if isinstance(told, dict) and told:
        event = json.dumps({"error": {"code": status, **told}}).encode()
        server.faults[:] = [Fault(after=2, raw=b"data: " + event + b"\n\n", cut=True)]
        refused, came = broken(stream_of(client, completions(client), asked()))
        assert came == " T" and refused == expected
    client.close()


def test_control_characters_of_a_server_are_not_shown(server: OpenAIServer, client: ServerClient) -> None:
    server.faults.append(Fault(400, json.dumps({"error": {"message": "a\x1b[31m\nb" + "c" * 999}}).encode()))
    with pytest.raises(CapotError) as raised:
        client.get(f"{server.url}/models")
    shown = raised.value.message("en")
    assert "\x1b" not in shown and "a [31m bccc" in shown and len(shown) < 400


@pytest.mark.parametrize(
    ("body", "kind"),
    [(b"<!doctype html><title>Sign in</title>", "text/html"), (b"", "text/plain"), (b"[" * 99_999, "application/json")],
    ids=["html", "nothing", "deep"],
)
def test_another_kind_of_server_is_told(server: OpenAIServer, client: ServerClient, body: bytes, kind: str) -> None:
    server.faults += [Fault(200, body, {"Content-Type": kind})] * 2
    assert code(lambda: client.get(f"{server.url}/models")) == "server_other_kind"
    assert code(lambda: next(stream_of(client, completions(client), asked()))) == "server_other_kind"


def test_what_passes_is_asked_again_and_no_more_often_than_told(server: OpenAIServer, client: ServerClient) -> None:
    passing = [Fault(503, headers={"Retry-After": "0"}), Fault(502)]
    server.faults += passing
    assert client.get(f"{server.url}/models")["data"] and len(server.seen) == 3
    server.faults += [Fault(dropped=True), Fault(dropped=True)]
    assert client.get(f"{server.url}/models")["data"] and len(server.seen) == 6
    server.faults.append(Fault(429, headers={"Retry-After": "120"}))  # longer than anybody waits
    assert code(lambda: client.get(f"{server.url}/models")) == "server_busy" and len(server.seen) == 7
    server.faults += [Fault(400)]
    assert code(lambda: client.get(f"{server.url}/models")) == "server_refused" and len(server.seen) == 8


def test_a_text_that_a_server_may_be_at_work_on_is_not_asked_for_twice(
    server: OpenAIServer, client: ServerClient
) -> None:
    server.faults.append(Fault(dropped=True))
    assert code(lambda: next(stream_of(client, completions(client), asked()))) == "server_cut"
    assert len(server.seen) == 1
    server.faults.append(Fault(429))  # refused: nothing is at work
    assert text_of(stream_of(client, completions(client), asked())) == " Tokyo" and len(server.seen) == 3


def test_nobody_there(server: OpenAIServer) -> None:
    client = client_of("http://127.0.0.1:1/v1", timeouts=AT_ONCE)
    with pytest.raises(CapotError) as raised:
        client.get("http://127.0.0.1:1/v1/models")
    assert raised.value.code == "server_unreachable" and "connection refused" in raised.value.message("en")
    client.close()


def test_https_to_a_server_that_does_not_encrypt_says_so(server: OpenAIServer) -> None:
    """OpenSSL's numbers are not the system's: nothing was not permitted."""
    address = server.url.replace("http:", "https:")
    client = client_of(address, timeouts=AT_ONCE)
    with pytest.raises(CapotError) as raised:
        client.get(f"{address}/models")
    assert raised.value.code == "server_encryption" and "not permitted" not in raised.value.message("en")
    assert "http://" in raised.value.message("en") and "http://" in raised.value.message("fr")
    client.close()


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificate")
def test_http_to_a_server_that_encrypts_says_so(tmp_path: Path) -> None:
    """It breaks the connection off, or refuses the request: neither tells what to do."""
    key, cert = tmp_path / "key.pem", tmp_path / "cert.pem"
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", cert, "-subj", "/CN=a"]
    subprocess.run(made, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)

    async def ask() -> CapotError:
        server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0, ssl=context)
        async with server:
            address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
            client = client_of(address, timeouts=AT_ONCE)
            with pytest.raises(CapotError) as raised:
                await asyncio.to_thread(client.get, f"{address}/models")
            await asyncio.to_thread(client.close)
            return raised.value

    error = looped(ask())
    assert error.code == "server_encrypts" and all("https://" in error.message(lang) for lang in ("en", "fr"))


BROKEN = [
    (b"", "server_cut"),  # in the middle of an answer
    (b'data: {"choices": [{"te', "server_cut"),  # in the middle of an event
    (b"data: not JSON\n\n", "server_malformed"),
    (b"data: [1]\n\n", "server_malformed"),
]


@pytest.mark.parametrize(("raw", "expected"), BROKEN)
def test_a_stream_that_breaks_gives_what_came_then_an_error(server, client, raw: bytes, expected: str) -> None:
    server.faults.append(Fault(after=3, raw=raw, cut=True))
    stream = stream_of(client, completions(client), asked())
    assert broken(stream) == (expected, " To") and list(stream) == []


def test_comments_and_characters_cut_in_half_between_packets_are_read(server, client) -> None:
    event = json.dumps({"choices": [{"text": "œ"}]}, ensure_ascii=False).encode()
    server.faults.append(Fault(after=0, raw=b": ping\n\nevent: message\r\ndata: " + event + b"\r\n\r\n"))
    assert text_of(stream_of(client, completions(client), asked(max_tokens=1))) == "œ "


def test_a_silent_server_is_given_up(server: OpenAIServer) -> None:
    client = client_of(server.url, timeouts=Timeouts(read=0.05, retry_delays=()))
    server.faults.append(Fault(after=1, held=True))
    stream = stream_of(client, completions(client), asked())
    next(stream)
    assert code(lambda: next(stream)) == "server_slow" and server.left.wait(30)
    client.close()


def test_a_silent_server_is_asked_once(server: OpenAIServer) -> None:
    client = client_of(server.url, timeouts=Timeouts(read=0.05, retry_delays=(0.0, 0.0)))
    server.faults.append(Fault(held=True))
    assert code(lambda: client.get(f"{server.url}/models")) == "server_slow" and len(server.seen) == 1
    client.close()


def test_a_closed_client_asks_nothing_more(server: OpenAIServer, client: ServerClient) -> None:
    stream = stream_of(client, completions(client), asked())
    next(stream)
    client.close()
    assert code(lambda: client.get(f"{server.url}/models")) == "closed"
    assert code(lambda: next(stream)) == "closed" and list(stream) == []
    assert len(server.seen) == 1


@pytest.mark.parametrize("by", ["cancel", "letting go", "close", "the asker leaves"])
def test_a_stream_that_nobody_wants_is_closed_at_the_server(
    server: OpenAIServer, client: ServerClient, by: str
) -> None:
    server.faults.append(Fault(after=1, held=True))
    stream = stream_of(client, completions(client), asked())
    next(stream)
    assert server.holding.wait(30) and not server.left.is_set()
    if by == "cancel":
        threading.Thread(target=stream.cancel).start()
    elif by == "letting go":
        del stream
    elif by == "close":
        client.close()
    else:
        with cancel_when(lambda: True), pytest.raises(InterruptedByUser):
            next(stream)
    assert server.left.wait(30)


def test_a_cancelled_stream_wakes_who_waits_for_it(server: OpenAIServer, client: ServerClient) -> None:
    server.faults.append(Fault(after=0, held=True))
    stream, raised = stream_of(client, completions(client), asked()), []

    def read() -> None:
        try:
            next(stream)
        except CapotError as error:
            raised.append(error.code)

    reader = threading.Thread(target=read)
    reader.start()
    assert server.holding.wait(30)
    stream.cancel()
    reader.join(30)
    assert raised == ["interrupted"] and server.left.wait(30)


def test_what_is_not_taken_waits_at_the_server(server: OpenAIServer, client: ServerClient) -> None:
    """Nobody holds a stream that nobody reads: the socket fills, and the server stops sending."""
    ping = b": " + b"x" * 1_000_000 + b"\n\n"
    server.faults.append(Fault(after=1, raw=ping * 40))
    stream = stream_of(client, completions(client), asked())
    next(stream)
    assert server.sent == 1  # 40 MB do not fit in the buffers of a socket
    stream.cancel()
    assert server.left.wait(30) and server.sent == 1


def test_connecting_sends_nothing_and_takes_the_key_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    with OpenAIServer(key=KEY) as server:
        monkeypatch.setenv("CAPOT_API_KEY", KEY)
        client = connect(server.url)
        assert server.seen == []
        assert client.get(f"{server.url}/models")["data"]
        client.close()
        client.close()


def test_the_extra_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(CapotError) as raised:
        connect("http://127.0.0.1:8000/v1")
    assert "capot[openai]" in raised.value.message("en")


def test_neither_a_password_file_nor_a_proxy_sees_a_server_of_this_machine(
    server: OpenAIServer, client: ServerClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text(f"machine 127.0.0.1 login me password {KEY}\n")
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    client.get(f"{server.url}/models")
    assert "Authorization" not in server.seen[-1].headers


def test_many_streams_at_once_on_one_thread(server: OpenAIServer, client: ServerClient) -> None:
    before = sum(thread.name == "capot-server" for thread in threading.enumerate())
    streams = [stream_of(client, completions(client), asked()) for _ in range(24)]
    texts = [""] * len(streams)
    for _ in range(6):
        for place, stream in enumerate(streams):
            texts[place] += next(stream)["choices"][0]["text"]
    assert texts == [" Tokyo"] * 24 and [list(stream) for stream in streams] == [[]] * 24
    assert sum(thread.name == "capot-server" for thread in threading.enumerate()) == before + 1
