"""How many tokens a second, against llama.cpp and transformers, and against the memory itself?

    python bench/decode.py [--model FOLDER] [--repeats 5]
    python bench/decode.py --profile        where the time of a step goes, and a row of RESULTS.md

The time of 72 tokens less that of 8, so that what a start costs does not count. The
bandwidth is the best of five repeats of the fastest of three readers of the same mapped
bytes with the same threads; a share above 1 would mean that the readers are bad, and fails.

With ``--profile`` the engine runs alone. Turns that are watched follow turns that are not, and the quickest watched
turn is told, part by part. "Python and others" is the rest, so the parts are the whole of the step.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
from pathlib import Path

from _common import HERE, ROOT, Contestant, Missing, arguments, contestants, duel, model_folder, ratios, report
from _profile import PARTS
from _results import append

LONG, SHORT = 72, 8
HEADING = "Results of `bench/decode.py --profile`"
COLUMNS = {"tokens/s": "decode", "watched over not": "a watched step over one that is not", "step, ms": "step"}
COLUMNS |= {f"{part}, %": f"{part}, of the step" for part in PARTS}
COLUMNS |= {"read, GB/s": "products and head, weights read", "load": "programs that wanted a core, in the last minute"}


def main() -> None:
    given = arguments(__doc__, repeats=3, more=options)
    if given.profile:
        profile(given)
    else:
        compare(given)


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--profile", action="store_true", help="split a step into its parts")
    parser.add_argument("--no-row", action="store_true", help="leave RESULTS.md as it is")


def compare(given: argparse.Namespace) -> None:
    """Ask all contestants in turn."""
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


def profile(given: argparse.Namespace) -> None:
    """Split a step into its parts, and leave a row."""
    folder = model_folder(given)
    try:
        engine = Contestant("native", given)
    except Missing as reason:
        sys.exit(str(reason))
    engine.ask("decode", SHORT)  # does not count
    found = [(engine.ask("decode", LONG), engine.tell("profile", LONG)) for _ in range(given.repeats)]
    engine.close()
    rows = split(found, weights=sum(file.stat().st_size for file in folder.glob("*.safetensors")))
    rows.append(("programs that wanted a core, in the last minute", os.getloadavg()[0], "", None))
    report(f"where the time of a step goes, {folder.resolve().name}", rows)
    if not given.no_row:
        append(HEADING, COLUMNS, [{"rows": [{"name": name, "value": value} for name, value, _, _ in rows]}])


def split(found: list[tuple[float, dict]], *, weights: int) -> list[tuple[str, float, str, None]]:
    """Return the rows of a profile: of turns (seconds unwatched, the watched one's answer), the quickest watched one.

    ``weights``: bytes that a step reads.
    """
    quickest = min((watched for _, watched in found), key=lambda watched: watched["seconds"])
    seconds, parts = quickest["seconds"], quickest["parts"]
    alone = statistics.median(watched["seconds"] / plain for plain, watched in found)
    rows = [
        ("decode", LONG / min(plain for plain, _ in found), "tokens/s", None),
        ("a watched step over one that is not", alone, "x", None),
        ("step", 1e3 * seconds / LONG, "ms", None),
    ]
    rows += [(f"{part}, of the step", 100 * parts[part] / seconds, "%", None) for part in PARTS]
    read = weights * LONG / (parts["products"] + parts["head"])
    return [*rows, ("products and head, weights read", read / 1e9, "GB/s", None)]


def bandwidth(folder: Path, threads: int) -> float:
    """Bytes a second of the best reader, in a process of its own."""
    command = [sys.executable, HERE / "_readers.py", str(folder / "model.safetensors"), str(threads)]
    surroundings = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(command, cwd=ROOT, env=surroundings, capture_output=True, text=True, check=True)
    return float(done.stdout.split()[-1])


if __name__ == "__main__":
    main()
