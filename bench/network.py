"""How many plain passes does a look inside the network cost?

    python bench/network.py [--model FOLDER] [--repeats 5]

All that ``capot network`` shows of 32 tokens, over one pass over the same tokens that answers the last logits; the two
in turn, neither from a cache. The head alone runs over 192 rows of the model in the box and 544 of one of a billion
weights: 7.6 and 5.5 passes of products. What the chapter makes of it, records included, counts.
"""

from __future__ import annotations

import statistics
import time
from pathlib import Path

from _common import BOXED, arguments, model_folder, report, with_tokenizer

import capot
from capot.engines.protocol import LAST, Feed

TOKENS = 32
WORDS = "The river runs past the old town and the mill, where a man who sells green apples waits for the boat. "


def main() -> None:
    given = arguments(__doc__, repeats=5)
    rows, missing = [], []
    for name, folder, least in (("boxed", BOXED, 12.0), ("1B", with_tokenizer(model_folder(given)), 7.0)):
        inside, plain = measured(folder, given.repeats)
        ratio = statistics.median(a / b for a, b in zip(inside, plain, strict=True))
        rows += [
            (f"{name}, a plain pass", statistics.median(plain), "s", None),
            (f"{name}, network", statistics.median(inside), "s", None),
            (f"{name}, network over a plain pass (asked: at most)", ratio, "x", least),
        ]
    report(f"the inside of {TOKENS} tokens, native engine", rows, missing=missing)


def measured(folder: Path, repeats: int) -> tuple[list[float], list[float]]:
    """Seconds of both, by turn; the first turn, in which kernels are read and heads measured, does not count."""
    found: tuple[list[float], list[float]] = ([], [])
    with capot.open(folder, engine="native") as model:
        prompt, ids = text(model)
        for turn in range(repeats + 1):
            for seconds, work in zip(found, (lambda: model.network(prompt), lambda: plain(model, ids)), strict=True):
                began = time.perf_counter()
                work()
                if turn:
                    seconds.append(time.perf_counter() - began)
    return found


def text(model: capot.Model) -> tuple[str, list[int]]:
    """The longest beginning of the words that is no more than ``TOKENS`` tokens, and its tokens."""
    words = (WORDS * 2).split(" ")
    prompts = [" ".join(words[:count]) for count in range(1, len(words))]
    fitting = [each for each in prompts if len(model.tokenizer.encode_prompt(each)) <= TOKENS]
    return fitting[-1], model.tokenizer.encode_prompt(fitting[-1])


def plain(model: capot.Model, ids: list[int]) -> None:
    """One pass from nothing, on the thread that computes."""
    engine = model.scheduler.engine

    def work() -> None:
        sequence = engine.open_sequence()
        engine.step([Feed(sequence, ids, LAST)])
        sequence.close()

    model.scheduler.call(work)


if __name__ == "__main__":
    main()
