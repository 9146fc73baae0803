"""How many tokens a second, against llama.cpp and transformers, and against the memory itself?

    python bench/decode.py [--model FOLDER] [--repeats 5]

The time of 72 tokens less that of 8, so that what a start costs does not count. The
bandwidth is the best of five repeats of the fastest of three readers of the same mapped
bytes with the same threads; a share above 1 would mean that the readers are bad, and fails.
"""

from __future__ import annotations

import statistics
import subprocess
import sys

from _common import HERE, ROOT, arguments, contestants, duel, model_folder, ratios, report

LONG, SHORT = 72, 8


def main() -> None:
    given = arguments(__doc__, repeats=3)
    folder = model_folder(given)
    present, missing = contestants(("native", "llama.cpp", "transformers"), given)
    bandwidths = []

    def once(one) -> float:
        if one.peer == "native":  # the readers read in the same minute as ours
            bandwidths.append(bandwidth(folder, given.threads))
        return (one.ask("decode", LONG) - one.ask("decode", SHORT)) / (LONG - SHORT)

    found = duel(present, given.repeats, once)
    mine = statistics.median(found["native"])
    beside = ratios(found)
    weights = (folder / "model.safetensors").stat().st_size
    share = weights / min(found["native"]) / max(bandwidths)
    rows = [("decode", 1 / mine, "tokens/s", None)]
    rows += [(f"{peer}", 1 / statistics.median(seconds), "tokens/s", None) for peer, seconds in list(found.items())[1:]]
    rows += [
        ("decode, over llama.cpp in BF16", beside.get("llama.cpp"), "x", 1.0),
        ("decode, over transformers in bfloat16", beside.get("transformers"), "x", 2.5),
        ("memory bandwidth, best reader", max(bandwidths) / 1e9, "GB/s", None),
        ("decode, share of the bandwidth", share, "", 0.9),
    ]
    report("decoding one token at a time, random weights in the shape of Llama 3.2 1B", rows, missing=missing)
    for one in present:
        one.close()
    if share > 1:
        sys.exit("the readers were slower than the engine: measure them better")


def bandwidth(folder, threads: int) -> float:
    """Bytes a second of the best reader, in a process of its own."""
    command = [sys.executable, HERE / "_readers.py", str(folder / "model.safetensors"), str(threads)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return float(done.stdout.split()[-1])


if __name__ == "__main__":
    main()
