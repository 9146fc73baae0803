"""A small model hub on loopback, over real HTTP: what the tests download from, and what breaks on purpose.

Two servers, as the real one has: the hub, which answers questions and hands out small files,
and on another port a store of large files, to which the hub redirects. The store refuses a
request that carries a token, as the real one does, so that a token that leaks is seen.

Headers and statuses are those of huggingface.co as ``huggingface_hub`` reads them:
https://github.com/huggingface/huggingface_hub (file_download.py, utils/_http.py).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import struct
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import numpy as np
import pytest

GOOD, OUTSIDER, SCOPED = "hf_goodTokenOfTheTests", "hf_tokenOfSomeoneElse", "hf_tokenOfLittleScope"
LARGE = (".safetensors", ".bin")  # what the real hub keeps in large storage
_PIECE = 16_384

# What may speak of another hub, and of a way to it.
NAMES = (
    "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_TOKEN_PATH", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HUB_OFFLINE",
    "TRANSFORMERS_OFFLINE", "NO_PROXY", "no_proxy", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE",
    "CAPOT_DISK", "CAPOT_RAM", "XDG_CACHE_HOME", "HF_HUB_DISABLE_SYMLINKS",
)  # fmt: skip
PROXIES = ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")
NOWHERE = "http://127.0.0.1:9"  # the port where nobody listens


def only(hub: Hub, monkeypatch: pytest.MonkeyPatch, *, home: Path) -> None:
    """From now on ``hub`` is the only one there is, for this process and those it starts; its cache is in ``home``."""
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    for name in PROXIES:
        monkeypatch.setenv(name, NOWHERE)
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    monkeypatch.setenv("HF_HOME", str(home))
    monkeypatch.setenv("CAPOT_HUB_PAUSE", "0.01")


# --- Models -----------------------------------------------------------------------------------------------


def tokenizer_json() -> bytes:
    """One token for each byte, as a tokenizer.json."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    built = Tokenizer(models.BPE(vocab={letter: place for place, letter in enumerate(letters)}, merges=[]))
    built.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    built.decoder = decoders.ByteLevel()
    return built.to_str().encode()


CONFIG = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "vocab_size": 256,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 16,
    "max_position_embeddings": 256,
    "rms_norm_eps": 1e-5,
    "hidden_act": "silu",
    "tie_word_embeddings": True,
    "torch_dtype": "float32",
}


def shapes(config: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    """The tensors of a Llama of that configuration."""
    width, inner, dim = config["hidden_size"], config["intermediate_size"], config["head_dim"]
    query, key = config["num_attention_heads"] * dim, config["num_key_value_heads"] * dim
    layer = {
        "self_attn.q_proj": (query, width), "self_attn.k_proj": (key, width), "self_attn.v_proj": (key, width),
        "self_attn.o_proj": (width, query), "mlp.gate_proj": (inner, width), "mlp.up_proj": (inner, width),
        "mlp.down_proj": (width, inner), "input_layernorm": (width,), "post_attention_layernorm": (width,),
    }  # fmt: skip
    found = {"model.embed_tokens.weight": (config["vocab_size"], width), "model.norm.weight": (width,)}
    for place in range(config["num_hidden_layers"]):
        found |= {f"model.layers.{place}.{name}.weight": shape for name, shape in layer.items()}
    return found


def safetensors(tensors: dict[str, tuple[int, ...]], *, seed: int = 0) -> bytes:
    """Random weights in float32, in the format that the hub keeps them."""
    random = np.random.default_rng(seed)
    header, data = {}, b""
    for name, shape in tensors.items():
        raw = (random.standard_normal(shape) * 0.2).astype("<f4").tobytes()
        header[name] = {"dtype": "F32", "shape": list(shape), "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def tiny(
    *, shards: int = 1, readme: str = "---\nlicense: mit\n---\n# A tiny model\n", **changes: Any
) -> dict[str, bytes]:
    """The files of a tiny Llama, as a repository holds them."""
    config = CONFIG | changes
    files = {
        "config.json": json.dumps(config).encode(),
        "generation_config.json": b'{"eos_token_id": 0}',
        "tokenizer.json": tokenizer_json(),
        "tokenizer_config.json": b'{"tokenizer_class": "PreTrainedTokenizerFast"}',
        "README.md": readme.encode(),
        ".gitattributes": b"*.safetensors filter=lfs\n",
    }
    tensors = shapes(config)
    if shards == 1:
        return files | {"model.safetensors": safetensors(tensors)}
    weight_map = {}
    for place in range(shards):
        name = f"model-{place + 1:05}-of-{shards:05}.safetensors"
        part = dict(list(tensors.items())[place::shards])
        files[name] = safetensors(part, seed=place)
        weight_map |= dict.fromkeys(part, name)
    return files | {"model.safetensors.index.json": json.dumps({"weight_map": weight_map}).encode()}


# --- The hub ----------------------------------------------------------------------------------------------


@dataclass
class Fault:
    """What happens to one answer: a status instead of it, or a body that is ``cut`` after so many bytes,
    ``held`` there until the test lets go, ``slow`` (seconds a piece), ``wrong`` in its first byte,
    ``whole`` although a range was asked for, or the range that begins so many bytes later (``shifted``)."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    cut: int | None = None
    held: int | None = None
    slow: float = 0.0
    wrong: bool = False
    whole: bool = False
    shifted: int = 0
    always: bool = False


@dataclass
class Seen:
    """A request as it came."""

    server: str  # hub, store
    method: str
    path: str
    headers: dict[str, str]


@dataclass
class Model:
    """A repository. ``tags`` and ``downloads`` are what a search shows."""

    files: dict[str, bytes]
    gated: str | bool = False
    private: bool = False
    downloads: int = 7
    tags: tuple[str, ...] = ("safetensors", "text-generation", "license:mit")
    bare: bool = False  # a mirror whose list says neither sizes nor hashes
    pipeline: str = "text-generation"
    parameters: int | None = None  # that the hub claims, where they are not those of the files
    branches: dict[str, str] = field(default_factory=dict)
    published: dict[str, str] = field(default_factory=dict)  # hashes that the hub claims, where they are not the files'

    @property
    def commit(self) -> str:
        told = hashlib.sha1(usedforsecurity=False)
        for name, raw in sorted(self.files.items()):
            told.update(name.encode() + raw)
        return told.hexdigest()

    def etag(self, name: str) -> str:
        raw = self.files[name]
        git = hashlib.sha1(b"blob %d\0" % len(raw) + raw, usedforsecurity=False).hexdigest()
        return self.published.get(name) or (hashlib.sha256(raw).hexdigest() if name.endswith(LARGE) else git)


class Hub:
    """Both servers, for a ``with`` block."""

    def __init__(self) -> None:
        self.models: dict[str, Model] = {}
        self.faults: dict[str, list[Fault]] = {}  # by file name, or "api" for questions
        self.seen: list[Seen] = []
        self.release = threading.Event()  # lets go of what is held
        self.holding = threading.Event()  # set once an answer is held
        self._servers = [_server(self, kind) for kind in (_Asked, _Stored)]
        self.url, self.store_url = (f"http://127.0.0.1:{server.server_port}" for server in self._servers)

    def add(self, name: str, files: dict[str, bytes] | None = None, **facts: Any) -> Model:
        self.models[name] = Model(tiny() if files is None else files, **facts)
        return self.models[name]

    def fault(self, name: str, *faults: Fault) -> None:
        self.faults.setdefault(name, []).extend(faults)

    def next_fault(self, name: str) -> Fault | None:
        waiting = self.faults.get(name)
        if not waiting:
            return None
        return waiting[0] if waiting[0].always else waiting.pop(0)

    def paths(self, *, server: str = "", containing: str = "") -> list[str]:
        """The addresses asked for, in order."""
        return [seen.path for seen in self.seen if server in ("", seen.server) and containing in seen.path]

    def __enter__(self) -> Hub:
        for server in self._servers:
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.release.set()
        for server in self._servers:
            server.shutdown()
            server.server_close()


def _server(hub: Hub, kind: type[_Answering]) -> ThreadingHTTPServer:
    server = ThreadingHTTPServer(("127.0.0.1", 0), type(kind.__name__, (kind,), {"hub": hub}))
    server.daemon_threads, server.block_on_close = True, False
    return server


class _Answering(BaseHTTPRequestHandler):
    """What both servers share: bodies, ranges, faults."""

    hub: Hub
    server_name = ""
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        self.hub.seen.append(Seen(self.server_name, self.command, self.path, dict(self.headers)))
        with contextlib.suppress(OSError):  # the other side went away, as it may
            self.reply()

    def reply(self) -> None:
        raise NotImplementedError

    def refuse(self, status: int, code: str = "", message: str = "", **headers: str) -> None:
        told = {"X-Error-Code": code, "X-Error-Message": message} | headers
        self.send(
            json.dumps({"error": message}).encode(), status, {name: value for name, value in told.items() if value}
        )

    def send(self, body: bytes, status: int = 200, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def send_file(self, name: str, body: bytes, headers: dict[str, str]) -> None:
        """A file or the range of it that was asked for, with whatever is to go wrong."""
        fault = self.hub.next_fault(name) if self.command != "HEAD" else None
        if fault and fault.status:
            self.send(fault.body, fault.status, fault.headers)
            return
        start, stop, status = self._range(len(body), whole=bool(fault and fault.whole))
        start += fault.shifted if fault else 0
        body = bytes([body[0] ^ 255]) + body[1:] if fault and fault.wrong else body
        self.send_response(status)
        told = {"Content-Length": str(stop - start), "Accept-Ranges": "bytes"} | headers
        if status == 206:
            told["Content-Range"] = f"bytes {start}-{stop - 1}/{len(body)}"
        for header, value in told.items():
            self.send_header(header, value)
        self.end_headers()
        if self.command != "HEAD":
            self._write(body[start:stop], fault or Fault())

    def _range(self, size: int, *, whole: bool) -> tuple[int, int, int]:
        asked = self.headers.get("Range", "")
        if not asked or whole:
            return 0, size, 200
        first, _, last = asked.removeprefix("bytes=").partition("-")
        return int(first), min(size, int(last) + 1) if last else size, 206

    def _write(self, body: bytes, fault: Fault) -> None:
        stop = min(len(body), *(limit for limit in (fault.cut, fault.held, len(body)) if limit is not None))
        for start in range(0, stop, _PIECE):
            self.wfile.write(body[start : min(stop, start + _PIECE)])
            time.sleep(fault.slow)
        if fault.held is not None:
            self.hub.holding.set()
            self.hub.release.wait(60)
            self.wfile.write(body[stop:])
        if fault.cut is not None:
            self.close_connection = True


class _Asked(_Answering):
    """The hub: questions, small files, redirects to the large ones."""

    server_name = "hub"

    def reply(self) -> None:
        parts = urlsplit(self.path)
        path = [unquote(part) for part in parts.path.strip("/").split("/")]
        fault = self.hub.next_fault("api") if path[0] == "api" else None
        if fault:
            self.send(fault.body, fault.status or 200, fault.headers)
        elif self._token() not in (None, GOOD, OUTSIDER, SCOPED):
            self.refuse(401, message="Invalid credentials in Authorization header")
        elif path == ["api", "models"]:
            self._search(parse_qs(parts.query))
        elif path[:2] == ["api", "models"]:
            self._describe("/".join(path[2:4]), path[5] if len(path) > 5 else "main")
        elif path[:2] == ["api", "resolve-cache"]:
            self._small("/".join(path[3:5]), path[5], "/".join(path[6:]))
        elif len(path) > 4 and path[2] == "resolve":
            self._resolve("/".join(path[:2]), path[3], "/".join(path[4:]))
        else:
            self.refuse(404)

    def _token(self) -> str | None:
        said = self.headers.get("Authorization")
        return said.removeprefix("Bearer ") if said else None

    def _model(self, name: str, revision: str) -> Model | None:
        """The model, or None once the refusal is sent."""
        model = self.hub.models.get(name)
        if model is None or (model.private and self._token() != GOOD):
            self.refuse(404 if self._token() else 401, "RepoNotFound", "Repository not found")
            return None
        if revision not in ("main", model.commit, *model.branches):
            self.refuse(404, "RevisionNotFound", f"Invalid rev id: {revision}")
            return None
        return model

    def _describe(self, name: str, revision: str) -> None:
        if model := self._model(name, revision):
            self.send(json.dumps(_told(name, model)).encode(), headers={"Content-Type": "application/json"})

    def _search(self, asked: dict[str, list[str]]) -> None:
        words = asked.get("search", [""])[0].lower().split()
        found = [
            _told(name, model)
            for name, model in self.hub.models.items()
            if all(word in name.lower() for word in words)
            and asked.get("pipeline_tag", [model.pipeline])[0] == model.pipeline
            and set(asked.get("filter", [])) <= set(model.tags)
        ]
        found.sort(key=lambda entry: -entry["downloads"])
        self.send(json.dumps(found[: int(asked.get("limit", ["1000"])[0])]).encode())

    def _resolve(self, name: str, revision: str, file: str) -> None:
        model = self._model(name, revision)
        if model is None or not self._allowed(model, name):
            return
        headers = {"X-Repo-Commit": model.commit}
        if file not in model.files:
            self.refuse(404, "EntryNotFound", "Entry not found", **headers)
            return
        if file.endswith(LARGE):
            headers |= {"X-Linked-Etag": f'"{model.etag(file)}"', "X-Linked-Size": str(len(model.files[file]))}
            where = f"{self.hub.store_url}/{name}/{file}?Signature=abc"
        else:
            headers["ETag"] = f'"{model.etag(file)}"'
            headers["X-Linked-Size"] = str(len(model.files[file]))
            where = f"/api/resolve-cache/models/{name}/{model.commit}/{file}"
        self.send(b"Redirecting", 302 if file.endswith(LARGE) else 307, headers | {"Location": where})

    def _allowed(self, model: Model, name: str) -> bool:
        if not model.gated or self._token() == GOOD:
            return True
        if self._token() == SCOPED:
            said = "Please enable access to public gated repositories in your fine-grained token settings"
            self.refuse(403, "GatedRepo", said)
        else:
            status = 403 if self._token() else 401
            self.refuse(status, "GatedRepo", f"Access to model {name} is restricted.")
        return False

    def _small(self, name: str, commit: str, file: str) -> None:
        model = self.hub.models[name]
        self.send_file(file, model.files[file], {"ETag": f'"{model.etag(file)}"', "X-Repo-Commit": commit})


class _Stored(_Answering):
    """The store of large files."""

    server_name = "store"

    def reply(self) -> None:
        if self.headers.get("Authorization"):
            self.refuse(400, message="Only one auth mechanism allowed")
            return
        org, name, *file = urlsplit(self.path).path.strip("/").split("/")
        model = self.hub.models[f"{org}/{name}"]
        self.send_file("/".join(file), model.files["/".join(file)], {"ETag": '"of-the-store"'})


def _told(name: str, model: Model) -> dict[str, Any]:
    """What the hub says of a model, in a description as in a search."""
    try:
        config = json.loads(model.files.get("config.json", b"{}"))
    except ValueError:
        config = {}
    siblings = []
    for file, raw in model.files.items():
        entry: dict[str, Any] = {"rfilename": file, "size": len(raw), "blobId": model.etag(file)[:40]}
        if file.endswith(LARGE):
            entry["lfs"] = {"sha256": model.etag(file), "size": len(raw), "pointerSize": 130}
        siblings.append({"rfilename": file} if model.bare else entry)
    weights = [len(raw) for file, raw in model.files.items() if file.endswith(".safetensors")]
    counts = model.parameters or sum(weights) // 4
    return {
        "id": name,
        "sha": model.commit,
        "gated": model.gated,
        "private": model.private,
        "downloads": model.downloads,
        "tags": list(model.tags),
        "pipeline_tag": model.pipeline,
        "siblings": siblings,
        "config": {key: config[key] for key in ("architectures", "model_type") if key in config},
        "safetensors": {"parameters": {"F32": counts}, "total": counts} if counts else None,
        "cardData": {"license": "mit"},
    }


@contextlib.contextmanager
def hub() -> Iterator[Hub]:
    with Hub() as running:
        yield running
