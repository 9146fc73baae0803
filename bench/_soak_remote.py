"""A thousand texts at once through a lab, at the tests' own server of models, for ``bench/soak.py``."""

from __future__ import annotations

import argparse
import os
import selectors
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from _common import ROOT
from _soak_lab import STEP, Lab

TOKENS = 20
SERVER = (
    "import sys; from openai_server import Fault, OpenAIServer\n"
    "with OpenAIServer() as server:\n"
    "    server.faults += [Fault(after=3, waits=True) for _ in range(int(sys.argv[1]))]\n"
    "    print(server.url, flush=True); sys.stdin.readline(); server.release.set(); sys.stdin.readline()\n"
)
PATIENCE_S = 600


@contextmanager
def served(count: int) -> Iterator[subprocess.Popen[str]]:
    """The server, whose texts wait after three tokens each until a line is sent."""
    paths = os.pathsep.join(str(ROOT / name) for name in ("src", "tests"))
    process = subprocess.Popen(
        [sys.executable, "-c", SERVER, str(count)], env=os.environ | {"PYTHONPATH": paths},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def of_streams(given: argparse.Namespace) -> list[tuple[str, float | None, str, float | None]]:
    count = given.streams
    twice = ("texts", "learners", "connections", "connections-of-address", "learners-of-address")
    most = [f"--max-{name}={2 * count}" for name in twice]
    with served(count) as server, Lab(server.stdout.readline().strip(), "--max-served-texts", str(count), *most) as lab:
        before = lab.memory()
        # A client waits for 300 s at most without a byte, and the server is silent while it waits for the last of them.
        with ThreadPoolExecutor(16) as pool:
            opened = list(pool.map(lambda number: begun(lab, number), range(count)))
        together = wait_for(lambda: lab.load()["at_work"], count)
        held = lab.memory()
        server.stdin.write("go on\n")
        server.stdin.flush()
        ended, tokens = read_all(opened)
        after = lab.memory()
    return [
        ("streams at once at a server (asked: all)", together, "", count),
        ("streams at once, ended whole (asked: all)", ended, "", count),
        ("streams at once, tokens", tokens, "", None),
        ("streams at once, memory while held, less before (asked: at most)", (held - before) / 1e6, "MB", 200),
        (
            "streams at once, memory when all have ended at once, less before (asked: at most)",
            (after - before) / 1e6,
            "MB",
            200,
        ),
    ]


def begun(lab: Lab, number: int) -> Any:
    return lab.begin(f"stream-{number:05}", cookie=lab.enter(), prompt="The capital of", max_new_tokens=TOKENS)


def wait_for(told: Callable[[], int], wanted: int) -> int:
    """The figure once it is what is wanted, or what it is when patience ends."""
    until = time.monotonic() + PATIENCE_S
    while (found := told()) < wanted and time.monotonic() < until:
        time.sleep(0.5)
    return found


def read_all(opened: list[Any]) -> tuple[int, int]:
    """Read every answer to its end: how many are whole, and their tokens."""
    ended = tokens = 0
    with selectors.DefaultSelector() as ready:
        for connection in opened:
            ready.register(connection, selectors.EVENT_READ, bytearray())
        while ready.get_map():
            for key, _ in ready.select(PATIENCE_S):
                piece = key.fileobj.recv(1 << 16)  # type: ignore[union-attr]
                key.data.extend(piece)
                if not piece:
                    ready.unregister(key.fileobj)
                    key.fileobj.close()  # type: ignore[union-attr]
                    ended += b"event: finished" in key.data and b"event: error" not in key.data
                    tokens += key.data.count(STEP)
    return ended, tokens
