"""What does the probability of a whole text cost, over reading it once?

    python bench/score.py [--model FOLDER] [--repeats 5] [--only boxed]

``capot score`` of 500 tokens, records included, over one reading of the same tokens that answers the last logits; the
two in turn, neither from a cache.
"""

from __future__ import annotations

import statistics
import time
from pathlib import Path

from _common import BOXED, arguments, model_folder, report, with_tokenizer
from network import WORDS

import capot
from capot.engines.protocol import LAST, MAX_CHUNK, Feed

TOKENS = 500


def main() -> None:
    given = arguments(__doc__, repeats=5, more=lambda parser: parser.add_argument("--only", choices=["boxed", "1B"]))
    rows = []
    for name in [given.only] if given.only else ["boxed", "1B"]:
        folder = BOXED if name == "boxed" else with_tokenizer(model_folder(given))
        scored, plain = measured(folder, given.repeats)
        ratio = statistics.median(a / b for a, b in zip(scored, plain, strict=True))
        rows += [
            (f"{name}, read once", statistics.median(plain), "s", None),
            (f"{name}, score", statistics.median(scored), "s", None),
            (f"{name}, score over reading once" + (" (asked: at most)" if name == "1B" else ""), ratio, "x",
             2.0 if name == "1B" else None),
        ]  # fmt: skip
    report(f"the probability of {TOKENS} tokens, native engine", rows, missing=[])


def measured(folder: Path, repeats: int) -> tuple[list[float], list[float]]:
    """Seconds of both, by turn; the first turn, in which kernels are read, does not count."""
    found: tuple[list[float], list[float]] = ([], [])
    with capot.open(folder, engine="native") as model:
        words = (WORDS * 60).split(" ")
        counts = range(1, len(words))
        prompt = next(
            each
            for each in (" ".join(words[:count]) for count in counts)
            if len(model.tokenizer.encode_prompt(each)) >= min(TOKENS, model.scheduler.engine.info.context_length - 8)
        )
        ids = model.tokenizer.encode_prompt(prompt)
        for turn in range(repeats + 1):
            for seconds, work in zip(found, (lambda: model.score(prompt), lambda: plain(model, ids)), strict=True):
                began = time.perf_counter()
                work()
                if turn:
                    seconds.append(time.perf_counter() - began)
    return found


def plain(model: capot.Model, ids: list[int]) -> None:
    """One reading from nothing, on the thread that computes."""
    engine = model.scheduler.engine

    def work() -> None:
        sequence = engine.open_sequence()
        for start in range(0, len(ids), MAX_CHUNK):
            engine.step([Feed(sequence, ids[start : start + MAX_CHUNK], LAST)])
        sequence.close()

    model.scheduler.call(work)


if __name__ == "__main__":
    main()
