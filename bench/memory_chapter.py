"""How long does `capot memory` take to 8,192 tokens, and how far is the formula from what is measured?

    python bench/memory_chapter.py [MODEL_FOLDER] [--repeats 3] [--tokens 1,...,8192] [--mode last]

Each repetition is a new process, its opening included. Two deviations are reported, each the
largest of its rows: from the engine's own allocations at 512 tokens and above, and from the
growth of the process's anonymous memory at 4,096 and above.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time

FROM_ENGINE, FROM_PROCESS = 512, 4096  # tokens from which each agreement is asked for


def once(model: str, *, tokens: str | None, mode: str) -> tuple[float, dict]:
    """Wall seconds and the answer of one run."""
    command = [sys.executable, "-m", "capot", "memory", "--model", model, "--mode", mode, "--json"]
    began = time.perf_counter()
    done = subprocess.run(
        command + (["--tokens", tokens] if tokens else []),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        check=True,
    )
    return time.perf_counter() - began, json.loads(done.stdout)


def deviation(answer: dict, *, measured: str, shortest: int) -> float:
    """The largest |computed / measured - 1| of the rows of at least ``shortest`` tokens."""
    rows = [row for row in answer["rows"] if row["tokens"] >= shortest and row[measured]]
    return max((abs(sum(row["computed"].values()) / row[measured] - 1) for row in rows), default=float("nan"))


def summary(model: str, *, repeats: int, tokens: str | None, mode: str) -> dict:
    runs = [once(model, tokens=tokens, mode=mode) for _ in range(repeats)]
    answers = [answer for _, answer in runs]
    last = answers[-1]["rows"][-1]
    return {
        "bench": "memory_chapter",
        "model": answers[-1]["model"],
        "mode": mode,
        "longest": last["tokens"],
        "wall_s": statistics.median(seconds for seconds, _ in runs),
        "from_engine": max(deviation(a, measured="measured_bytes", shortest=FROM_ENGINE) for a in answers),
        "from_process": max(deviation(a, measured="process_bytes", shortest=FROM_PROCESS) for a in answers),
        "pass_s": statistics.median(answer["rows"][-1]["seconds"] for answer in answers),
        "next_token_s": statistics.median(answer["rows"][-1]["next_token_s"] for answer in answers),
        "repeats": repeats,
        "processors": os.cpu_count(),
        "machine": platform.machine(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", default="boxed")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--tokens")
    parser.add_argument("--mode", default="last")
    given = parser.parse_args()
    found = summary(given.model, repeats=given.repeats, tokens=given.tokens, mode=given.mode)
    print(f"{'wall':<28}{found['wall_s']:10.2f} s")
    print(f"{'pass of ' + str(found['longest']) + ' tokens':<28}{found['pass_s']:10.3f} s")
    print(f"{'one token more, cached':<28}{1000 * found['next_token_s']:10.3f} ms")
    print(f"{'formula against engine':<28}{100 * found['from_engine']:10.2f} %")
    print(f"{'formula against process':<28}{100 * found['from_process']:10.2f} %")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
