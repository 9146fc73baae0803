"""How fast is this version, against another one?

    git worktree add ../before COMMIT
    python bench/versions.py ../before [--model FOLDER] [--repeats 5]

Both on the same weights, in turn, in processes of their own: decoding a token at a time, a prompt of 512 tokens, eight
texts at once (random weights in the shape of Llama 3.2 1B), and the boxed model. Above 1, this version is the faster.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from _common import BOXED, Contestant, arguments, duel, model_folder, ratios, report

QUESTIONS = {"decode": ("decode", 24), "prompt of 512 tokens": ("prefill", 512), "8 texts at once": ("streams", 12)}
LEAST = {"decode": 0.97, "prompt of 512 tokens": 0.9, "8 texts at once": 0.97, "boxed model, decode": 0.95}
Found = dict[str, dict[str, list[float]]]


def both(model: Path, given: argparse.Namespace, questions: dict[str, tuple[str, int]]) -> Found:
    """Seconds of each turn, by question and version."""
    here, there = Contestant("native", given, model), Contestant("native", given, model, source=given.before / "src")
    there.peer = "before"
    found = {
        name: duel([here, there], given.repeats, lambda one, asked=asked: one.ask(*asked))
        for name, asked in questions.items()
    }
    for one in (here, there):
        one.close()
    return found


def main() -> None:
    given = arguments(__doc__.splitlines()[0], repeats=5, more=lambda parser: parser.add_argument("before", type=Path))
    if not (given.before / "src" / "capot").is_dir():
        sys.exit(f"{given.before} is no checkout of capot; make one: git worktree add {given.before} COMMIT")
    found = both(model_folder(given), given, QUESTIONS)
    found |= both(BOXED, given, {"boxed model, decode": ("decode", 136)})
    rows = [(f"{name}, over before", ratios(each)["before"], "x", LEAST[name]) for name, each in found.items()]
    one, eight = min(found["decode"]["native"]) / 24, min(found["8 texts at once"]["native"]) / 12
    rows.append(("8 texts at once, tokens a second over 1", 8 * one / eight, "x", 3.5))
    report(f"this version against {given.before.name}", rows)


if __name__ == "__main__":
    main()
