"""Which servers of models are on this machine: those that answer at their usual ports, here others."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator

import pytest
from openai_server import CONTEXT, KEY, NAME, Fault, OpenAIServer, serving

import capot
from capot.cli import run
from capot.sources import nearby
from capot.sources.nearby import FoundServer, ServedModel, servers

LONG = 600.0  # seconds: what answers is not to be left out on a slow machine

server = pytest.fixture(serving)


@pytest.fixture
def closed() -> Iterator[int]:
    """A port at which nobody listens."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


def test_all_that_answer_are_listed_in_the_order_of_the_ports(server: OpenAIServer, closed: int) -> None:
    with OpenAIServer() as other:
        other.models = ["a", "b"]
        ports = {other.port: "Ollama", closed: "LM Studio", server.port: "vLLM"}
        found = servers(ports, seconds=LONG)
        several = tuple(ServedModel(name, CONTEXT, NAME) for name in "ab")
        one = (ServedModel(NAME, CONTEXT, NAME),)
        assert found == (FoundServer(other.url, "Ollama", several), FoundServer(server.url, "vLLM", one))


def test_no_key_is_sent_and_no_proxy_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAPOT_API_KEY", KEY)
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with OpenAIServer(key=KEY) as guarded:
        (found,) = servers({guarded.port: "vLLM"}, seconds=LONG)
        assert found.needs_key and found.models == ()
        (seen,) = guarded.seen
        assert (seen.method, seen.path) == ("GET", "/v1/models")
        assert KEY not in str(seen.headers) and "Authorization" not in seen.headers


@pytest.mark.parametrize(
    "fault",
    [
        Fault(status=200, body=b"<html>"), Fault(status=200, body=b"[]"), Fault(status=200, body=b'{"data": [1]}'),
        Fault(status=200, body=b"[" * 500_000), Fault(status=200, body=b" " * 2_000_000), Fault(status=404),
        Fault(status=307, headers={"Location": "/v1/models"}), Fault(dropped=True),
    ],
    ids=["a page", "a list", "numbers", "deep", "long", "no such path", "elsewhere", "cut"],
)  # fmt: skip
def test_a_server_of_another_kind_is_left_out(server: OpenAIServer, fault: Fault) -> None:
    server.faults.append(fault)
    assert servers({server.port: "vLLM"}, seconds=LONG) == () and len(server.seen) == 1


def test_one_that_is_silent_is_not_waited_for(server: OpenAIServer) -> None:
    server.faults.append(Fault(held=True))
    assert servers({server.port: "Ollama"}, seconds=0.05) == ()


class Meeting(list[str]):
    """Models that a server lists once another is asked for its own too."""

    def __init__(self, met: threading.Barrier) -> None:
        super().__init__([NAME])
        self.met = met

    def __iter__(self) -> Iterator[str]:
        self.met.wait(60)
        return super().__iter__()


def test_all_ports_are_asked_side_by_side(server: OpenAIServer) -> None:
    with OpenAIServer() as other:
        server.models = other.models = Meeting(threading.Barrier(2))
        assert len(servers({one.port: "" for one in (server, other)}, seconds=LONG)) == 2


@pytest.mark.parametrize(("lang", "said"), [("en", "Which model servers"), ("fr", "Quels serveurs de modèles")])
def test_the_command_lists_them_with_a_line_to_paste(server, monkeypatch, tmp_path, capsys, lang, said) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    server.models = [NAME, "red\x1b[31m"]
    with OpenAIServer(key=KEY) as guarded, OpenAIServer() as empty:
        empty.models = []
        monkeypatch.setattr(nearby, "USUAL", {one.port: "vLLM" for one in (server, guarded, empty)})
        monkeypatch.setattr(nearby, "SECONDS", LONG)
        assert run(["models", "--lang", lang]) == 0
        told = capsys.readouterr().out
        assert said in told and "4,096" in told.replace("\u202f", ",") and "CAPOT_API_KEY" in told
        assert f'"{server.url}#{NAME}"' in " ".join(told.split()) and "\x1b" not in told
        assert run(["models", "--json"]) == 0
        told = json.loads(capsys.readouterr().out)["servers"]
        assert [one["needs_key"] for one in told] == [False, True, False]
        server.models = [NAME]
        assert run(["models", "--lang", lang]) == 0
        assert f'"{server.url}"' in capsys.readouterr().out  # whose only model needs no name
    monkeypatch.setattr(nearby, "USUAL", {empty.port: "vLLM"})  # gone by now
    assert run(["models", "--lang", lang]) == 0
    assert said not in capsys.readouterr().out and capot.models.cached().servers == ()
