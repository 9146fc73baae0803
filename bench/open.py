"""How long from a folder's name to a model that can decode, and in how much memory?

    python bench/open.py [--model FOLDER] [--repeats 5]

Each repetition is a new process, in which torch is not imported; files are in the page
cache and kernels on disk. Opening counts from the imports done to the first step ready:
weights mapped, kernels loaded. The first step itself (one token) is a row of its own, as
is the tokenizer. Memory is anonymous (RssAnon), its peak with 512 tokens of context less
its value after importing the engine.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys

from _common import BOXED, ROOT, arguments, model_folder, report

PROGRAM = """
import json, sys, threading, time
from pathlib import Path

def anonymous():
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("RssAnon"))

began = time.perf_counter()
from capot.sources.checkpoint import Checkpoint
from capot.engines.protocol import Feed
from capot.engines.native import llama, open_native
imported, before, highest, over = time.perf_counter(), anonymous(), [0], threading.Event()

def watch():
    while not over.wait(0.005):
        highest[0] = max(highest[0], anonymous())

engine = open_native(Checkpoint.open(sys.argv[1]))
opened = time.perf_counter()
engine.step([Feed(engine.open_sequence(), [5])])
first = time.perf_counter()
watcher = threading.Thread(target=watch); watcher.start()
sequence = engine.open_sequence()
for _ in range(2):
    engine.step([Feed(sequence, list(range(5, 261)))])
engine.step([Feed(sequence, [5])])
over.set(); watcher.join()
assert "torch" not in sys.modules
print(json.dumps({"import": imported - began, "open": opened - imported, "first": first - opened,
                  "bytes": max(highest[0], anonymous()) - before}))
"""
TOKENIZER = """
import json, sys, time
from capot.text.tokenizer import Tokenizer
began = time.perf_counter()
Tokenizer.from_file(sys.argv[1])
print(json.dumps({"tokenizer": time.perf_counter() - began}))
"""


def once(program: str, folder) -> dict:
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    command = [sys.executable, "-c", program, str(folder)]
    return json.loads(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)


def main() -> None:
    given = arguments(__doc__, repeats=5)
    folder = model_folder(given)
    once(PROGRAM, folder)  # compiles what must be, and fills the page cache
    found = [once(PROGRAM, folder) for _ in range(given.repeats)]
    tokenizers = [once(TOKENIZER, BOXED)["tokenizer"] for _ in range(given.repeats)]

    def middle(name: str) -> float:
        return statistics.median(one[name] for one in found)

    rows = [
        ("imports", middle("import"), "s", None),
        ("open, to a step ready (asked: at most)", middle("open"), "s", 0.5),
        ("the first step, one token", middle("first"), "s", None),
        ("the boxed model's tokenizer, apart", statistics.median(tokenizers), "s", None),
        ("peak memory, 512 tokens of context (asked: at most)", middle("bytes") / 1e6, "MB", 300),
    ]
    report("opening, random weights in the shape of Llama 3.2 1B", rows)


if __name__ == "__main__":
    main()
