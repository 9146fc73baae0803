"""How long does `capot memory` take to 8,192 tokens, and how far is the formula from what is measured?

    python bench/memory_chapter.py [--on boxed] [--repeats 3] [--tokens 1,...,8192] [--mode last]

Each repetition is a new process, its opening included. Two deviations are reported, each the
largest of its rows: from the engine's own allocations at 512 tokens and above, and from the
growth of the process's anonymous memory at 4,096 and above.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time

from _common import ROOT, arguments, report

FROM_ENGINE, FROM_PROCESS = 512, 4096  # tokens from which each agreement is asked for


def once(model: str, *, tokens: str | None, mode: str) -> tuple[float, dict]:
    """Wall seconds and the answer of one run."""
    command = [sys.executable, "-m", "capot", "memory", "--model", model, "--mode", mode, "--json"]
    began = time.perf_counter()
    done = subprocess.run(
        command + (["--tokens", tokens] if tokens else []),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
        check=True,
    )
    return time.perf_counter() - began, json.loads(done.stdout)


def deviation(answers: list[dict], *, measured: str, shortest: int) -> float | None:
    """The largest |computed / measured - 1|, in percent, of the rows of at least ``shortest`` tokens."""
    rows = [row for answer in answers for row in answer["rows"] if row["tokens"] >= shortest and row[measured]]
    return max((100 * abs(sum(row["computed"].values()) / row[measured] - 1) for row in rows), default=None)


def main() -> None:
    def more(parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--on", default="boxed", help="a model's name or folder")
        parser.add_argument("--tokens")
        parser.add_argument("--mode", default="last")

    given = arguments(__doc__, repeats=3, more=more)
    once(given.on, tokens="1", mode=given.mode)  # kernels are compiled, files are read
    runs = [once(given.on, tokens=given.tokens, mode=given.mode) for _ in range(given.repeats)]
    answers = [answer for _, answer in runs]
    longest = answers[-1]["rows"][-1]["tokens"]

    def last(name: str) -> float:
        return statistics.median(answer["rows"][-1][name] for answer in answers)

    from_engine = deviation(answers, measured="measured_bytes", shortest=FROM_ENGINE)
    from_process = deviation(answers, measured="process_bytes", shortest=FROM_PROCESS)
    rows = [
        ("capot memory, every length (asked: at most)", statistics.median(s for s, _ in runs), "s", 60),
        (f"one pass of {longest:,} tokens", last("seconds"), "s", None),
        ("one token more, cached", 1000 * last("next_token_s"), "ms", None),
        ("formula against the engine's bytes (asked: at most)", from_engine, "%", 5),
        ("formula against the process's (asked: at most)", from_process, "%", 10),
    ]
    report(f"memory by length of prompt, {answers[-1]['model']}, logits kept: {given.mode}", rows)


if __name__ == "__main__":
    main()
