"""Train a small model on your own text, in one command: the last lesson of the lab.

Run: python -m training.own --text my_text.txt --out my_model --minutes 10

The text is UTF-8, 200 kB at least, several megabytes if you can. A line `<|endoftext|>` ends a
document; without one the whole file is a single document. The folder can be opened at once:
capot generate --model my_model "Once upon a time"
"""

import argparse
import json
from pathlib import Path

import torch

from training import corpus, export, shards, tokenizer
from training.model import SHAPES
from training.schedule import phase
from training.train import Settings, restore, start, train, warm_up

LEAST_BYTES = 200_000


def texts_of(path: Path) -> list[str]:
    """Return the documents of a text file.

    Raises: SystemExit where there is too little to learn from.
    """
    if path.stat().st_size < LEAST_BYTES:
        raise SystemExit(f"{path} has {path.stat().st_size:,} bytes; a model needs {LEAST_BYTES:,} at least.")
    return list(corpus.documents(path))


def prepare(texts: list[str], work: Path) -> None:
    """Train a tokenizer of 4,096 ids on the texts and write their shards."""
    work.mkdir(parents=True, exist_ok=True)
    made = tokenizer.train(iter(texts), size=SHAPES["laptop"].vocabulary)
    made.save(str(work / "tokenizer.json"))
    row = shards.write("own", iter(texts), made, out=work, most=8)
    index = [row | {"weight_cpu": 1, "weight_gpu": 1}]
    (work / "index.json").write_text(json.dumps(index), "utf-8")


def make(text: Path, out: Path, *, minutes: float, compiled: bool = True) -> None:
    """Tokenizer, shards, training, export: everything from a text file to a folder that opens."""
    work = out / "work"
    if not (work / "index.json").exists():
        prepare(texts_of(text), work)
    settings = Settings("laptop", minutes, compiled=compiled)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    run = start(settings, work, device)
    if (work / "checkpoint.pt").exists():
        restore(run, work / "checkpoint.pt")
    size = phase("laptop", 0)
    print(f"{run.model.count():,} parameters; {size.rows * size.length:,} tokens a step", flush=True)
    if compiled:
        warm_up(run)
    train(run, work)
    export.export(work / "checkpoint.pt", "laptop", out)
    (out / "tokenizer.json").write_bytes((work / "tokenizer.json").read_bytes())
    tokenizer.write_config(out)


def main() -> None:
    """Read the command line and make the model; run again with more minutes, it goes on."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--text", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--eager", action="store_true", help="do not compile (no C++ compiler here)")
    args = parser.parse_args()
    make(args.text, args.out, minutes=args.minutes, compiled=not args.eager)


if __name__ == "__main__":
    main()
