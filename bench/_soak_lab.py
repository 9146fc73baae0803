"""A lab of its own process for ``bench/soak.py``, begun by the public command, and what a person can do to it."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from _common import ROOT

CODE = "soak-code-2345"
STEP = b"event: step\n"


class Lab:
    """``with Lab() as lab``: a class's lab on loopback, warm. ``lab.said()`` is what its owner's terminal got."""

    def __init__(self, model: str = "boxed", *options: str) -> None:
        self.model = model
        self.options = options

    def __enter__(self) -> Lab:
        self.output = tempfile.TemporaryFile("w+b")
        command = [sys.executable, "-m", "capot", "serve", "--model", self.model, "--host", "0.0.0.0", "--port", "0"]
        environment = os.environ | {"PYTHONPATH": str(ROOT / "src"), "HF_HUB_OFFLINE": "1", "PYTHONUNBUFFERED": "1"}
        self.process = subprocess.Popen(
            [*command, "--no-open", "--access-code", CODE, "--lang", "en", *self.options],
            env=environment,
            stdout=self.output,
            stderr=subprocess.STDOUT,
        )
        while not (found := re.search(r"127\.0\.0\.1:(\d+)/\?code=([\w-]+)", self.said())):
            if self.process.poll() is not None:
                raise SystemExit("the lab ended: " + self.said())
            time.sleep(0.1)
        self.port = int(found[1])
        self.owner_key = found[2]
        self.cookie = self.enter()
        self.ask("POST", "/api/next", {"prompt": "a"})  # the weights are read and a first token computed
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(10)
        self.process.kill()
        self.process.wait()
        self.output.close()

    def said(self) -> str:
        return os.pread(self.output.fileno(), 1 << 22, 0).decode("utf-8", "replace")

    # ---------------------------------------------------------------- people

    def enter(self, *, owner: bool = False) -> str:
        """The cookie of a newcomer who follows the link of the class, or the owner's own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        connection.request("GET", f"/?code={self.owner_key if owner else CODE}")
        answer = connection.getresponse()
        answer.read()
        connection.close()
        return (answer.getheader("set-cookie") or "").partition(";")[0]

    def ask(
        self, method: str, path: str, body: Any = None, *, cookie: str | None = None, timeout: float = 60
    ) -> tuple[int, bytes]:
        """Status and body of one answer. ``body`` is JSON to be, or the bytes themselves."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            data = body if isinstance(body, bytes | None) else json.dumps(body).encode("utf-8", "surrogatepass")
            headers = {"cookie": cookie or self.cookie} | ({"content-type": "application/json"} if data else {})
            connection.request(method, path, data, headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def begin(self, name: str, *, cookie: str, parts: int = 1, receive: int | None = None, **arguments: Any):
        """A socket on which texts have been asked for; nothing of the answer is read."""
        streams = [{"tag": f"t{i}", "verb": "generate", "arguments": arguments | {"seed": i}} for i in range(parts)]
        body = json.dumps({"name": name, "streams": streams}).encode()
        head = f"POST /api/stream HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\nCookie: {cookie}\r\n"
        head += f"Content-Type: application/json\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
        connection = socket.socket()
        if receive is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive)
        connection.connect(("127.0.0.1", self.port))
        connection.sendall(head.encode() + body)
        return connection

    # ---------------------------------------------------------------- the process

    def memory(self, kind: str = "VmRSS") -> int:
        """Bytes of the process that are in memory (Linux), or of the ``kind`` named there."""
        text = Path(f"/proc/{self.process.pid}/status").read_text(encoding="utf-8")
        return 1024 * int(re.search(rf"{kind}:\s+(\d+)", text)[1])

    def load(self) -> dict[str, int]:
        """The scheduler's own account."""
        return json.loads(self.ask("GET", "/api/status")[1])["result"]["scheduler"]

    def caches(self) -> int:
        """Bytes of the caches that are kept for learners."""
        return self.load()["cache_bytes"]

    def files(self) -> int:
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def maps(self) -> int:
        """How often weights are mapped."""
        return Path(f"/proc/{self.process.pid}/maps").read_text(encoding="utf-8").count(".safetensors")


class Reader:
    """A learner who asks for one text after another, and notes when each token came. Units: seconds."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.cookie = lab.enter()
        self.times = []
        self.faults = []
        self.gaps: list[float] = []
        self.first: list[float] = []  # until the first token of each text
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._read, daemon=True)

    def __enter__(self) -> Reader:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self.thread.join(60)

    def _read(self) -> None:
        number = 0
        while not self.over.is_set():
            number += 1
            last = time.perf_counter()
            with contextlib.suppress(OSError):
                sent = self.lab.begin(f"reader-{number:06}", cookie=self.cookie, prompt="Once upon", max_new_tokens=300)
                with sent:
                    sent.settimeout(60)
                    answered = begun = False
                    while piece := sent.recv(1 << 16):
                        if not answered and b" 200 " not in piece[:20]:
                            self.faults.append(piece[-300:].decode("utf-8", "replace"))
                        answered = True
                        if STEP in piece:
                            now = time.perf_counter()
                            (self.gaps if begun else self.first).append(now - last)
                            begun = True
                            last = now

    def worst(self, seconds: float, *, until: threading.Thread | None = None) -> tuple[float, float]:
        """The longest waits for a first and for a next token in so many ``seconds``, or until ``until`` has ended."""
        self.gaps.clear()
        self.first.clear()
        if until is None:
            time.sleep(seconds)
        else:
            until.join(seconds)
            time.sleep(0.5)
        return max(self.first, default=0.0), max(self.gaps, default=seconds)
