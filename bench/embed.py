"""How long do the picture and the neighbours of six words take, and in how much memory?

    python bench/embed.py [--model FOLDER] [--repeats 5]

Each repetition is a new process, ours and the peer's in turn: the peer is the usual way,
safetensors' own reader, torch and scikit-learn. Times begin where the tokenizer is ready,
and the neighbours' where the picture is there; memory is anonymous memory (RssAnon), the
tokenizer's own included. A folder without a tokenizer is given the boxed one.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from _common import ROOT, arguments, installed, model_folder, report, with_tokenizer

WORDS = ("cat", "dog", "green", "blue", "house", "room")
NEAR = 5


def anonymous() -> int:
    """Bytes of anonymous memory of this process (Linux)."""
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("RssAnon"))


class Peak:
    """The highest anonymous memory inside a ``with`` block, looked at every 2 ms."""

    def __enter__(self) -> Peak:
        self.highest = anonymous()
        self._over = threading.Event()
        self._watch = threading.Thread(target=self._look, daemon=True)
        self._watch.start()
        return self

    def _look(self) -> None:
        while not self._over.wait(0.002):
            self.highest = max(self.highest, anonymous())

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._watch.join()
        self.highest = max(self.highest, anonymous())


def capot(folder: str) -> tuple[Callable[[], object], Callable[[], object], Callable[[], object]]:
    """Steps of ours: the tokenizer, the picture with its cosines, the same with neighbours."""
    import capot

    model = capot.open(folder)
    return lambda: model.tokenizer, lambda: model.embed(WORDS, near=0), lambda: model.embed(WORDS, near=NEAR)


def peer(folder: str) -> tuple[Callable[[], object], Callable[[], object], Callable[[], object]]:
    """Steps of the usual way; what a step keeps, the next finds."""
    import tokenizers

    kept: dict = {}

    def read() -> None:
        kept["tokenizer"] = tokenizers.Tokenizer.from_file(f"{folder}/tokenizer.json")

    def picture() -> None:
        import torch
        from safetensors import safe_open
        from sklearn.decomposition import PCA

        ids = [kept["tokenizer"].encode(f" {word}", add_special_tokens=False).ids for word in WORDS]
        with safe_open(f"{folder}/model.safetensors", "pt") as file:
            name = next(key for key in file.keys() if key.endswith("embed_tokens.weight"))  # noqa: SIM118
            kept["table"] = file.get_tensor(name)
        kept["words"] = torch.stack([kept["table"][word].float().mean(0) for word in ids])
        unit = torch.nn.functional.normalize(kept["words"])
        PCA(2).fit_transform(kept["words"].numpy()), unit @ unit.T

    def neighbours() -> None:
        import torch

        picture()
        table = torch.nn.functional.normalize(kept["table"].float())
        (torch.nn.functional.normalize(kept["words"]) @ table.T).topk(NEAR + 1)

    return read, picture, neighbours


def measure(who: str, folder: str) -> dict[str, float]:
    """One repetition, in this process."""
    tokenizer, picture, neighbours = {"capot": capot, "peer": peer}[who](folder)
    seconds = []
    with Peak() as peak:
        for step in (tokenizer, picture, neighbours):
            began = time.perf_counter()
            step()
            seconds.append(time.perf_counter() - began)
            if step is tokenizer:
                before = anonymous()
    return {
        "tokenizer_s": seconds[0],
        "picture_s": seconds[1],
        "neighbours_s": seconds[2],
        "tokenizer_bytes": before,
        "peak_bytes": peak.highest,
    }


def once(who: str, folder: Path) -> dict[str, float]:
    """One repetition in a new process."""
    command = [sys.executable, __file__, "--only", who, "--model", str(folder)]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    hidden = {"choices": ("capot", "peer"), "help": argparse.SUPPRESS}
    given = arguments(__doc__, repeats=5, more=lambda parser: parser.add_argument("--only", **hidden))
    if given.only:
        print(json.dumps(measure(given.only, given.model)))
        return
    folder = with_tokenizer(model_folder(given))
    have_peer = installed("torch", "sklearn", "safetensors")
    runs: dict[str, list[dict[str, float]]] = {"capot": [], **({"peer": []} if have_peer else {})}
    for _ in range(given.repeats + 1):  # the first warms the page cache
        for who, found in runs.items():
            found.append(once(who, folder))
    medians = {
        who: {key: statistics.median(run[key] for run in found[1:]) for key in found[0]} for who, found in runs.items()
    }
    missing = [] if have_peer else ["the usual way: torch, scikit-learn or safetensors is not installed here"]
    rows = [row for who, found in medians.items() for row in said(who, found)]
    report("six words as points, random weights in the shape of Llama 3.2 1B", rows, missing=missing)


def said(who: str, found: dict[str, float]) -> list[tuple[str, float, str, float | None]]:
    """The rows of one contestant; only ours are held to something."""
    asked = {"picture_s": 0.3, "neighbours_s": 0.5, "peak_bytes": 200}
    names = {"tokenizer_s": "tokenizer", "picture_s": "picture and cosines", "neighbours_s": "neighbours"}
    names |= {"tokenizer_bytes": "memory, the tokenizer's", "peak_bytes": "memory, at its peak"}
    rows = []
    for key, name in names.items():
        least = asked.get(key) if who == "capot" else None
        value, unit = (found[key] / 1e6, "MB") if key.endswith("bytes") else (found[key], "s")
        told = name if who == "capot" else f"{name}, the usual way"
        rows.append((f"embed: {told}{'' if least is None else ' (asked: at most)'}", value, unit, least))
    return rows


if __name__ == "__main__":
    main()
