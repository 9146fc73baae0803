"""All questions about the engine and the chapters, one table, a file of JSON and a row of RESULTS.md.

    make bench          (or: python bench/run.py [any option of the scripts])

Each script runs by itself too. Results go to bench/out/results.json; the row is appended.
"""

from __future__ import annotations

import json
import subprocess
import sys

from _common import HERE, OUT
from _results import append

SCRIPTS = (
    "decode",
    "prefill",
    "open",
    "boxed",
    "cold",
    "embed",
    "memory_chapter",
    "network",
    "patch",
    "score",
    "conversation",
    "hf",
    "web_page",
    "web",
)
HEADING = "Results of `make bench`"
COLUMNS = {
    "decode, tokens/s": "decode",
    "over llama.cpp": "decode, over llama.cpp in BF16",
    "over transformers": "decode, over transformers in bfloat16",
    "of bandwidth": "decode, share of the bandwidth",
    "6 tokens, over llama.cpp": "prompt of 6 tokens, over llama.cpp in BF16",
    "512 tokens, over llama.cpp": "prompt of 512 tokens, over llama.cpp in BF16",
    "open, s": "open, to a step ready (asked: at most)",
    "memory, MB": "peak memory, 512 tokens of context (asked: at most)",
    "boxed, over transformers": "decode, over transformers",
    "tokens, s": "capot tokens (asked: at most)",
    "next, s": "capot next (asked: at most)",
    "embed, s": "embed: picture and cosines (asked: at most)",
    "neighbours, s": "embed: neighbours (asked: at most)",
    "embed, MB": "embed: memory, at its peak (asked: at most)",
    "memory, s": "capot memory, every length (asked: at most)",
    "formula, %": "formula against the engine's bytes (asked: at most)",
    "network over a pass, boxed": "boxed, network over a plain pass (asked: at most)",
    "network over a pass": "1B, network over a plain pass (asked: at most)",
    "grid over its passes": "1B, grid over separate passes (asked: at most)",
    "grid, boxed, s": "boxed, a grid of as many patches (asked: at most)",
    "score over a reading": "1B, score over reading once (asked: at most)",
    "turn 10, without over with": "first token of turn 10, without over with",
    "hf, over generate": "decode, over model.generate",
    "hf, edit over scratch": "first token after an edit, over from scratch",
    "first paint, s": "first paint of the lab, server warm (asked: at most)",
    "first page, kB": "first page, without Plotly (asked: at most)",
    "with Plotly, kB": "first page that draws with Plotly (asked: at most)",
    "slider, ms": "slider to bars, 128,256 logits, median (asked: at most)",
    "click to arcs, ms": "click to arcs, 64 tokens, 16 layers, 32 heads (asked: at most)",
    "first guess, s": "first guess of the network page, nothing in the cache (asked: at most)",
    "30 learners, slowest, tokens/s": "class, slowest learner",
    "slowest over median": "class, slowest over median",
    "left by 1,000 conversations, MB": "memory after, less before (asked: at most)",
    "8 streams over 1": "8 streams over one, total",
}


def main() -> None:
    answers, failed = [], []
    for script in SCRIPTS:
        command = [sys.executable, HERE / f"{script}.py", *sys.argv[1:]]
        done = subprocess.run([str(part) for part in command], stdout=subprocess.PIPE, text=True, check=False)
        *table, last = done.stdout.strip().splitlines() or [""]
        print("\n".join(table), end="\n\n", flush=True)
        if last.startswith("{"):
            answers.append(json.loads(last))
        if done.returncode:
            failed.append(script)
    OUT.mkdir(exist_ok=True)
    (OUT / "results.json").write_text(json.dumps({"answers": answers, "failed": failed}, indent=1) + "\n")
    append(HEADING, COLUMNS, answers)
    if failed:
        sys.exit("failed: " + ", ".join(failed))


if __name__ == "__main__":
    main()
