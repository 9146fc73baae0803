"""Learners without a browser, for ``bench/web.py``: a server of its own process, and clients that count as they read.

The load is made on the same cores as the server's, so it must cost little: bytes are searched
for the names of events, and JSON is read only where a figure in it is wanted.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from _common import ROOT

CODE = "bench-code"
STEP, ERROR = b"event: step\n", b"event: error\n"
SERVE = (
    "import sys, capot; from capot.config import Serving; from capot.web.serve import serve\n"
    "own = {'host': '0.0.0.0', 'port': 0, 'open_browser': False, 'access_code': sys.argv[2]}\n"
    "serving = Serving(idle_s=float(sys.argv[3]), **own)\n"
    "say = lambda key, **params: print(key, *params.values(), flush=True)\n"
    "with capot.open(sys.argv[1]) as model: serve(model, serving, say=say)"
)


class Server:
    """The lab for a class, in a process of its own, warm; where a server has the model, it is warm or not by itself."""

    def __init__(self, model: str | Path, *, idle_s: float = 300.0, remote: bool = False) -> None:
        command = [sys.executable, "-c", SERVE, str(model), CODE, str(idle_s)]
        environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
        self.process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True, cwd=ROOT)
        first = self.process.stdout.readline()
        self.port = int(re.search(r":(\d+)/", first)[1])
        while not (remote or self.status()["scheduler"].get("steps")):  # weights are read, a first token computed
            time.sleep(0.1)

    def status(self) -> dict[str, Any]:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/api/status", timeout=60) as answer:
            return json.load(answer)["result"]

    def memory(self) -> int:
        """Bytes of the process that are in memory (Linux)."""
        text = Path(f"/proc/{self.process.pid}/status").read_text(encoding="utf-8")
        return 1024 * int(re.search(r"VmRSS:\s+(\d+)", text)[1])

    def close(self) -> None:
        self.process.terminate()
        self.process.wait()
        self.process.stdout.close()


@dataclass
class Learner:
    """One person with a cookie of their own, and what they have seen. Units: seconds since the clock's own zero."""

    port: int
    cookie: str = ""
    tokens: int = 0
    texts: int = 0
    errors: list[str] = field(default_factory=list)
    times: list[float] = field(default_factory=list)  # of each token, where ``timed``

    async def enter(self) -> Learner:
        """Come in by the link with the code."""
        head, _, writer = await self._ask("GET", f"/?code={CODE}")
        writer.close()
        self.cookie = re.search(rb"set-cookie: ([^;\r]+)", head, re.I)[1].decode()
        return self

    async def _ask(
        self, method: str, path: str, body: Any = None
    ) -> tuple[bytes, asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, limit=1 << 22)
        data = b"" if body is None else json.dumps(body).encode()
        lines = [f"{method} {path} HTTP/1.1", f"Host: 127.0.0.1:{self.port}", "Connection: close"]
        lines += [f"Cookie: {self.cookie}"] if self.cookie else []
        lines += ["Content-Type: application/json", f"Content-Length: {len(data)}"] if data else []
        writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + data)
        await writer.drain()
        return await reader.readuntil(b"\r\n\r\n"), reader, writer

    async def stream(self, *, verb: str = "generate", until: int | None = None, **arguments: Any) -> None:
        """Read one text to its end, or close the connection after ``until`` tokens."""
        body = {"name": f"bench-{self.texts:06}", "streams": [{"tag": "a", "verb": verb, "arguments": arguments}]}
        self.texts += 1
        head, reader, writer = await self._ask("POST", "/api/stream", body)
        try:
            if b" 200 " not in head.split(b"\r\n")[0] + b" ":
                self.errors.append((await reader.read(500)).decode("utf-8", "replace"))
                return
            async for chunk in _chunks(reader):
                found = chunk.count(STEP)
                self.tokens += found
                self.times += [time.perf_counter()] * found
                if ERROR in chunk:
                    self.errors.append(chunk.decode("utf-8", "replace")[:500])
                if until is not None and self.tokens >= until:
                    return
        finally:
            writer.close()


async def _chunks(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    """The body's chunks; the server sends whole events in each."""
    while True:
        size = await reader.readline()
        if not size.strip():
            return
        length = int(size, 16)
        data = await reader.readexactly(length + 2)
        if length == 0:
            return
        yield data
