"""How fast is this version, against another one?

    git worktree add ../before COMMIT
    python bench/versions.py ../before [--model FOLDER] [--repeats 5]

Both on the same weights, in turn, in processes of their own: decoding a token at a time, a prompt of 512 tokens, eight
texts at once (random weights in the shape of Llama 3.2 1B), and the boxed model. Above 1, this version is the faster.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from _common import BOXED, Contestant, arguments, duel, model_folder, ratios, report
from _results import append

QUESTIONS = {"decode": ("decode", 24), "prompt of 512 tokens": ("prefill", 512), "8 texts at once": ("streams", 12)}
LEAST = {"decode": 0.97, "prompt of 512 tokens": 0.9, "8 texts at once": 0.97, "boxed model, decode": 0.95}
HEADING = "Results of `bench/versions.py`, this version over one before"
COLUMNS = {name: f"{name}, over before" for name in LEAST} | {
    "8 texts over 1": "8 texts at once, tokens a second over 1"
}
Found = dict[str, dict[str, list[float]]]


def both(model: Path, given: argparse.Namespace, questions: dict[str, tuple[str, int]]) -> Found:
    """Seconds of each turn, by question and version."""
    here = Contestant("native", given, model)
    there = Contestant("native", given, model, source=given.before / "src")
    there.peer = "before"
    found = {
        name: duel([here, there], given.repeats, lambda one, asked=asked: one.ask(*asked))
        for name, asked in questions.items()
    }
    for one in (here, there):
        one.close()
    return found


def main() -> None:
    given = arguments(__doc__.splitlines()[0], repeats=5, more=options)
    if not (given.before / "src" / "capot").is_dir():
        sys.exit(f"{given.before} is no checkout of capot; make one: git worktree add {given.before} COMMIT")
    found = both(model_folder(given), given, QUESTIONS)
    found |= both(BOXED, given, {"boxed model, decode": ("decode", 136)})
    rows = [(f"{name}, over before", ratios(each)["before"], "x", LEAST[name]) for name, each in found.items()]
    one, eight = min(found["decode"]["native"]) / 24, min(found["8 texts at once"]["native"]) / 12
    rows.append(("8 texts at once, tokens a second over 1", 8 * one / eight, "x", 3.5))
    report(f"this version against {commit_of(given.before)}", rows)
    if not given.no_row:
        append(HEADING, COLUMNS, [{"rows": [{"name": name, "value": value} for name, value, _, _ in rows]}])


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("before", type=Path)
    parser.add_argument("--no-row", action="store_true", help="leave RESULTS.md as it is")


def commit_of(checkout: Path) -> str:
    command = ["git", "-C", str(checkout), "rev-parse", "--short", "HEAD"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip() or checkout.name


if __name__ == "__main__":
    main()
