"""How long does a command take from a cold process?

    python bench/cold.py [--repeats 9]

Wall time of the whole process, kernels already on disk: `capot tokens` and `capot next` on
the boxed model.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time

from _common import ROOT, arguments, report

SENTENCE = "RTE est le gestionnaire du réseau de transport d'électricité."
COMMANDS = {"tokens": 0.4, "next": 1.5}  # and the most asked for, in seconds


def once(command: str) -> float:
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    began = time.perf_counter()
    line = [sys.executable, "-m", "capot", command, SENTENCE]
    subprocess.run(line, env=environment, capture_output=True, check=True)
    return time.perf_counter() - began


def main() -> None:
    given = arguments(__doc__, repeats=9)
    rows = []
    for command, asked in COMMANDS.items():
        once(command)
        times = [once(command) for _ in range(given.repeats)]
        rows.append((f"capot {command} (asked: at most)", statistics.median(times), "s", asked))
    report("a command from a cold process, the boxed model", rows)


if __name__ == "__main__":
    main()
