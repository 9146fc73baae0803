"""A server of models on loopback that answers as vLLM does, token by token, and breaks on purpose.

Its model is the scripted engine: a token is a byte. It holds the same for every test: what it was asked for
(``seen``), how many answers are under way (``at_work``), and what goes wrong next (``faults``).
"""

from __future__ import annotations

import contextlib
import json
import math
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np

from capot.config import Sampling
from capot.engines.openai.address import parse_address
from capot.engines.openai.client import ServerClient, Timeouts
from capot.engines.protocol import MAX_CHUNK, Feed
from capot.engines.scripted import END, VOCABULARY, ScriptedEngine
from capot.text.sampling import Draws, sample_token
from capot.text.tokenizer import Tokenizer

NAME = "org/scripted"
CONTEXT = 4096
MOST = 20  # log-probabilities, as vLLM's --max-logprobs has it
KEY = "s3cret-t0ken"


@dataclass
class Fault:
    """What happens to one answer: a status instead of it; the connection ``dropped`` or ``held`` before it.

    In a stream, after ``after`` events: ``raw`` bytes sent there, then ``cut`` or ``held``, or it ``waits`` until the
    server's ``release`` lets it go on.
    """

    status: int = 0
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    dropped: bool = False
    after: int | None = None
    raw: bytes = b""
    cut: bool = False
    held: bool = False
    waits: bool = False


@dataclass
class Seen:
    """A request as it came."""

    method: str
    path: str
    headers: dict[str, str]
    body: Any


class _Listening(ThreadingHTTPServer):
    request_queue_size = 1024  # as many may come at once


class OpenAIServer:
    """The server, for a ``with`` block. ``key`` is the one that it asks for, if any."""

    def __init__(self, *, key: str = "") -> None:
        self.key = key
        self.without: set[str] = set()  # what it does not know: fields of a request, "tokenize", "prompt ids"
        self.models = [NAME]
        self.joined = 1  # tokens in one event, as vLLM joins them under load
        self.faults: list[Fault] = []
        self.seen: list[Seen] = []
        self.release = threading.Event()  # lets go of what is held
        self.holding = threading.Event()  # set once an answer is held
        self.left = threading.Event()  # set once a stream's client has gone
        self.sent = 0  # events of streams, counted before they leave
        self.at_work = 0  # streams under way: the slots of the server
        self._http = _Listening(("127.0.0.1", 0), type("Answering", (_Answering,), {"served": self}))
        self._http.handle_error = lambda *_: None  # a client that goes away in the middle of an answer, as it may
        self._http.daemon_threads, self._http.block_on_close = True, False
        self.port = self._http.server_port
        self.url = f"http://127.0.0.1:{self.port}/v1"

    def paths(self) -> list[str]:
        return [seen.path for seen in self.seen]

    def __enter__(self) -> OpenAIServer:
        threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.release.set()
        self._http.shutdown()
        self._http.server_close()


class _Answering(BaseHTTPRequestHandler):
    served: OpenAIServer
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # a head and its body are two packets, and each answer would wait for 40 ms

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        self._handle(None)

    def do_POST(self) -> None:
        self._handle(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

    def _handle(self, body: Any) -> None:
        served = self.served
        served.seen.append(Seen(self.command, self.path, dict(self.headers), body))
        waiting = served.faults and (served.faults[0].after is None or bool(body and body.get("stream")))
        fault = served.faults.pop(0) if waiting else Fault()
        if fault.dropped:
            self.close_connection = True
        elif fault.held and fault.after is None:
            with contextlib.suppress(OSError):
                self._go_wrong(fault)
        elif fault.status:
            self._send(fault.body, fault.status, fault.headers)
        elif served.key and self.headers.get("Authorization") != f"Bearer {served.key}":
            self._refuse(401, "Unauthorized")
        else:
            self._answer(body, fault)

    def _answer(self, body: Any, fault: Fault) -> None:
        routes = {
            ("GET", "/v1/models"): self._models, ("GET", "/version"): lambda _: self._json({"version": "0.32.0"}),
            ("POST", "/tokenize"): self._tokenize, ("POST", "/detokenize"): self._detokenize,
        }  # fmt: skip
        if (self.command, self.path) == ("POST", "/v1/completions"):
            self._complete(body, fault)
        elif (self.command, self.path) in routes and self.path.strip("/") not in self.served.without:
            routes[self.command, self.path](body)
        else:
            self._send(b'{"detail":"Not Found"}', 404)

    def _send(self, body: bytes, status: int = 200, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        with contextlib.suppress(OSError):
            self.wfile.write(body)

    def _json(self, told: Any) -> None:
        self._send(json.dumps(told).encode())

    def _refuse(self, status: int, message: str) -> None:
        self._send(
            json.dumps({"error": {"message": message, "type": "BadRequestError", "code": status}}).encode(), status
        )

    def _models(self, _: Any) -> None:
        told = {"object": "model", "owned_by": "vllm", "root": NAME, "max_model_len": CONTEXT}
        told = {name: value for name, value in told.items() if name not in self.served.without}
        self._json({"object": "list", "data": [{"id": name, **told} for name in self.served.models]})

    def _tokenize(self, body: Any) -> None:
        ids = Tokenizer.bytes().encode(body["prompt"])
        self._json({"count": len(ids), "max_model_len": CONTEXT, "tokens": ids, "token_strs": None})

    def _detokenize(self, body: Any) -> None:
        """A text as vLLM spells it: a part of a character is a mark of replacement."""
        self._json({"prompt": Tokenizer.bytes().bytes_of(body["tokens"]).decode(errors="replace")})

    def _complete(self, body: Any, fault: Fault) -> None:
        body = {name: value for name, value in body.items() if name not in self.served.without}
        prompt = body["prompt"]
        if "prompt ids" in self.served.without:
            prompt = str(prompt)
        ids = prompt if isinstance(prompt, list) else Tokenizer.bytes().encode(prompt)
        for name in ("logprobs", "prompt_logprobs"):
            if (body.get(name) or 0) > MOST:
                kind = "prompt" if name == "prompt_logprobs" else "sample"
                self._refuse(
                    400, f"Requested {kind} logprobs of {body[name]}, which is greater than max allowed: {MOST}"
                )
                return
        if body["model"] != NAME:
            self._refuse(404, f"The model `{body['model']}` does not exist.")
        elif len(ids) + body.get("max_tokens", 16) > CONTEXT:
            self._refuse(400, f"This model's maximum context length is {CONTEXT} tokens. However, you requested more.")
        elif body.get("stream"):
            self._stream(joined(list(texts(ids, body)), self.served.joined), fault)
        else:
            repeats = body.get("echo") and body.get("logprobs") is not None
            self._json(echoed(ids, body) if repeats else whole(ids, body))

    def _stream(self, events: list[dict[str, Any]], fault: Fault) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream; charset=utf-8")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        self.served.at_work += 1
        try:
            for place, event in enumerate([*events, None]):
                if fault.after == place:
                    self._go_wrong(fault)
                    if fault.cut:
                        return
                told = "[DONE]" if event is None else json.dumps(event)
                self.served.sent += 1
                self.wfile.write(f"data: {told}\n\n".encode())
        except OSError:
            self.served.left.set()
        finally:
            self.served.at_work -= 1

    def _go_wrong(self, fault: Fault) -> None:
        self.wfile.write(fault.raw)
        if fault.waits:
            self.served.release.wait()
        if fault.held:
            self.served.holding.set()
            self.connection.settimeout(60)
            if not self.connection.recv(1):  # the client closes, or the test does
                raise OSError("left")


# The model.


def _logprobs(ids: list[int]) -> Iterator[np.ndarray]:
    """The log-probabilities after ``ids``, then after each id that is sent in."""
    engine = ScriptedEngine()
    sequence = engine.open_sequence()
    fresh = ids
    while True:
        for at in range(0, len(fresh), MAX_CHUNK):
            (output,) = engine.step([Feed(sequence, fresh[at : at + MAX_CHUNK])])
        assert output is not None and output.logits is not None
        wide = output.logits.astype(np.float64)
        fresh = [(yield wide - wide.max() - math.log(np.exp(wide - wide.max()).sum()))]


def steps(ids: list[int], count: int, settings: dict[str, Any] | None = None) -> Iterator[tuple[int, np.ndarray]]:
    """The tokens that follow ``ids``, at temperature 0 or drawn; each with the log-probabilities it was chosen from."""
    rows = _logprobs(ids)
    row = next(rows)
    asked = {name: settings[name] for name in ("temperature", "top_k", "top_p", "min_p") if name in (settings or {})}
    sampling, draws = Sampling(**({"temperature": 0.0} | asked)), Draws((settings or {}).get("seed") or 0)
    for place in range(count):
        token, _ = sample_token(row.astype(np.float32), sampling, uniform=draws.uniform(place))
        yield token, row
        row = rows.send(token)


def told_logprobs(token: int, row: np.ndarray, count: int, *, as_ids: bool) -> dict[str, Any]:
    """A step in the form of the completions protocol."""

    def name(each: int) -> str:
        return f"token_id:{each}" if as_ids else Tokenizer.bytes().token_text(each)

    top = np.argsort(-row, kind="stable")[:count].tolist()
    return {
        "text_offset": [0], "token_logprobs": [float(row[token])], "tokens": [name(token)],
        "top_logprobs": [{name(each): float(row[each]) for each in dict.fromkeys([token, *top])}],
    }  # fmt: skip


def texts(ids: list[int], body: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The events of a stream, the usage last. A character leaves with the token that completes it."""
    held, told, made, count = b"", "", 0, body.get("max_tokens", 16)
    for token, row in steps(ids, count, body):
        held, made = held + (bytes([token]) if token < 256 else b""), made + 1
        text = ""
        with contextlib.suppress(UnicodeDecodeError):
            text, held = held.decode(), b""
        told += text
        stop = next((stop for stop in body.get("stop", ()) if stop in told), None)
        stopped = stop is not None or token == END
        text = "" if stop is not None and not body.get("include_stop_str_in_output") else text
        finish = "stop" if stopped else "length" if made == count else None
        choice: dict[str, Any] = {"index": 0, "text": text, "finish_reason": finish, "stop_reason": stop}
        if body.get("logprobs") is not None:
            as_ids = bool(body.get("return_tokens_as_token_ids"))
            choice["logprobs"] = told_logprobs(token, row, body["logprobs"], as_ids=as_ids)
        if body.get("return_token_ids"):
            choice |= {"token_ids": [token]} | ({"prompt_token_ids": ids} if made == 1 else {})
        yield {"id": "cmpl-1", "object": "text_completion", "model": NAME, "choices": [choice]}
        if stopped:
            break
    if (body.get("stream_options") or {}).get("include_usage"):
        usage = {"prompt_tokens": len(ids), "completion_tokens": made, "total_tokens": len(ids) + made}
        usage |= {"prompt_tokens_details": {"cached_tokens": len(ids) // 16 * 16}}
        yield {"id": "cmpl-1", "object": "text_completion", "choices": [], "usage": usage}


def joined(events: list[dict[str, Any]], count: int) -> list[dict[str, Any]]:
    """Several events of tokens as one; what is in the last of them, such as why the text ends, is kept."""
    told = [event for event in events if event["choices"]]
    return [_one([event["choices"][0] for event in told[at : at + count]]) for at in range(0, len(told), count)] + [
        event for event in events if not event["choices"]
    ]


def _one(choices: list[dict[str, Any]]) -> dict[str, Any]:
    choice = choices[0] | choices[-1] | {"text": "".join(each["text"] for each in choices)}
    if "logprobs" in choice:
        rows = [each["logprobs"] for each in choices]
        choice["logprobs"] = {name: [value for row in rows for value in row[name]] for name in rows[0]}
    if "token_ids" in choice:
        choice["token_ids"] = [token for each in choices for token in each["token_ids"]]
    return {"id": "cmpl-1", "object": "text_completion", "model": NAME, "choices": [choice]}


def whole(ids: list[int], body: dict[str, Any]) -> dict[str, Any]:
    """The answer that is not streamed."""
    events = list(texts(ids, body))
    choices = [event["choices"][0] for event in events if event["choices"]]
    choice = choices[-1] | {"text": "".join(each["text"] for each in choices), "index": 0}
    if body.get("return_token_ids"):
        choice |= {"token_ids": [each["token_ids"][0] for each in choices], "prompt_token_ids": ids}
    if body.get("prompt_logprobs") is not None:
        choice["prompt_logprobs"] = [None, *_scored(ids, body["prompt_logprobs"])]
    usage = {"prompt_tokens": len(ids), "completion_tokens": len(choices), "total_tokens": len(ids) + len(choices)}
    return {"id": "cmpl-1", "object": "text_completion", "model": NAME, "choices": [choice], "usage": usage}


def echoed(ids: list[int], body: dict[str, Any]) -> dict[str, Any]:
    """The prompt repeated with the log-probabilities of its tokens by their texts, and one token more."""
    rows = _logprobs(ids[:1])
    row, known = next(rows), []
    for token in ids[1:]:
        known.append(told_logprobs(token, row, body["logprobs"], as_ids=False))
        row = rows.send(token)
    known.append(told_logprobs(int(row.argmax()), row, body["logprobs"], as_ids=False))
    first = {"tokens": [Tokenizer.bytes().token_text(ids[0])], "token_logprobs": [None], "top_logprobs": [None]}
    logprobs = {name: [value for each in (first, *known) for value in each[name]] for name in first}
    choice = {"index": 0, "text": "", "finish_reason": "length", "logprobs": logprobs}
    return {"id": "cmpl-1", "object": "text_completion", "model": NAME, "choices": [choice]}


def _scored(ids: list[int], count: int) -> Iterator[dict[str, Any]]:
    rows = _logprobs(ids[:1])
    row = next(rows)
    for token in ids[1:]:
        top = np.argsort(-row, kind="stable").tolist()
        yield {
            str(each): {"logprob": float(row[each]), "rank": top.index(each) + 1, "decoded_token": ""}
            for each in dict.fromkeys([token, *top[:count]])
        }
        row = rows.send(token)


assert VOCABULARY > 256


# Fixtures, of the scope that each file gives them: ``server = pytest.fixture(serving)``, ``client`` from ``connected``.


def serving() -> Iterator[OpenAIServer]:
    with OpenAIServer() as running:
        yield running


def connected(server: OpenAIServer, **settings: Any) -> Iterator[ServerClient]:
    found = client_of(server.url, **settings)
    yield found
    found.close()


def client_of(url: str, **settings: Any) -> ServerClient:
    """A client of the model at an address. It asks once, unless its ``timeouts`` is another."""
    return ServerClient(parse_address(f"{url}#{NAME}"), **{"timeouts": Timeouts(retry_delays=()), **settings})
