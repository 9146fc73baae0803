"""What does a grid of patches cost, over as many separate passes?

    python bench/patch.py [--model FOLDER] [--repeats 5] [--only boxed]

``capot patch`` of 12 tokens, every layer and position, as the chapter answers it; beside it passes over the whole text
with one edit each, none from a cache, in turn with the grid. A few of them stand for as many as the grid has places.
"""

from __future__ import annotations

import statistics
import time
from pathlib import Path

import numpy as np
from _common import BOXED, arguments, model_folder, report, with_tokenizer
from network import WORDS

import capot
from capot.engines.edits import Edit, Place
from capot.engines.protocol import LAST, Feed

TOKENS, SAMPLE = 12, 6


def main() -> None:
    given = arguments(__doc__, repeats=5, more=lambda parser: parser.add_argument("--only", choices=["boxed", "1B"]))
    rows = []
    for name in [given.only] if given.only else ["boxed", "1B"]:
        folder = BOXED if name == "boxed" else with_tokenizer(model_folder(given))
        grids, separate, places = measured(folder, given.repeats)
        ratio = statistics.median(a / b for a, b in zip(grids, separate, strict=True))
        rows += [
            (f"{name}, {places} separate passes", statistics.median(separate), "s", None),
            (f"{name}, a grid of as many patches (asked: at most)", statistics.median(grids), "s", 1.0)
            if name == "boxed"
            else (f"{name}, a grid of as many patches", statistics.median(grids), "s", None),
            (f"{name}, grid over separate passes (asked: at most)", ratio, "x", 0.5),
        ]
    report(f"a grid of patches in {TOKENS} tokens, native engine", rows, missing=[])


def measured(folder: Path, repeats: int) -> tuple[list[float], list[float], int]:
    """Seconds of both, by turn, and the places of a grid; the first turn, in which kernels are read, does not count."""
    grids, separate = list[float](), list[float]()
    with capot.open(folder, engine="native") as model:
        prompt, source = (text(model, start) for start in ("The capital of France ", "The capital of Italy "))
        places = 0
        for turn in range(repeats + 1):
            began = time.perf_counter()
            places = len(model.patch(prompt, source=source, max_new_tokens=0, k=1).grid)
            grid = time.perf_counter() - began
            each = one_by_one(model, model.tokenizer.encode_prompt(prompt))
            if turn:
                grids.append(grid)
                separate.append(each * places)
    return grids, separate, places


def text(model: capot.Model, start: str) -> str:
    """The longest beginning of the words that is no more than ``TOKENS`` tokens."""
    words = (start + WORDS).split(" ")
    prompts = [" ".join(words[:count]) for count in range(1, len(words))]
    return [each for each in prompts if len(model.tokenizer.encode_prompt(each)) <= TOKENS][-1]


def one_by_one(model: capot.Model, ids: list[int]) -> float:
    """Seconds of one pass over the whole text with one edit, on the thread that computes: the mean of a few."""
    engine = model.scheduler.engine
    state = np.zeros((1, engine.info.width), np.float32)

    def work(layer: int) -> None:
        sequence = engine.open_sequence()
        engine.step([Feed(sequence, ids, LAST, (Edit(Place("residual", layer), state, (len(ids) // 2,)),))])
        sequence.close()

    began = time.perf_counter()
    for turn in range(SAMPLE):
        layer = 1 + turn % engine.info.layers
        model.scheduler.call(lambda layer=layer: work(layer))
    return (time.perf_counter() - began) / SAMPLE


if __name__ == "__main__":
    main()
