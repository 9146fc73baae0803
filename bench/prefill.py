"""How long until the first token of a prompt of 6 tokens, and of one of 512?

    python bench/prefill.py [--model FOLDER] [--repeats 5]

From the ids to the logits of what follows, against llama.cpp and transformers. The engine
has one path, with or without torch beside it, so one figure answers for both. A matrix unit (AMX)
computes prompts several times as fast; more is asked where there is one. transformers uses it too, and a llama.cpp
built for this processor's own instructions may end at its own use of it: build it with -DGGML_NATIVE=OFF and the
AVX-512 options by name there.
"""

from __future__ import annotations

import statistics

from _common import arguments, contestants, duel, ratios, report

from capot.engines.native.products import HAS_TILES

# Tokens, and the least asked for over llama.cpp and over transformers.
LENGTHS = {6: (1.0, None), 512: (2.5, 0.7) if HAS_TILES else (1.0, None)}


def main() -> None:
    given = arguments(__doc__, repeats=5)
    present, missing = contestants(("native", "llama.cpp", "transformers"), given)
    rows = []
    for tokens, (over_llama, over_transformers) in LENGTHS.items():
        found = duel(present, given.repeats, lambda one, tokens=tokens: one.ask("prefill", tokens))
        beside = ratios(found)
        for peer, seconds in found.items():
            middle = statistics.median(seconds)
            value, unit = (1000 * middle, "ms") if tokens < 100 else (tokens / middle, "tokens/s")
            rows.append((f"prompt of {tokens} tokens, {peer}", value, unit, None))
        rows.append((f"prompt of {tokens} tokens, over llama.cpp in BF16", beside.get("llama.cpp"), "x", over_llama))
        beside_torch = beside.get("transformers")
        rows.append((f"prompt of {tokens} tokens, over transformers", beside_torch, "x", over_transformers))
    report("from a prompt to its first token, random weights in the shape of Llama 3.2 1B", rows, missing=missing)
    for one in present:
        one.close()


if __name__ == "__main__":
    main()
