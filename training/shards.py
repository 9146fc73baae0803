"""Turn the corpus and the generated text into files of token ids.

Run: python -m training.shards --corpus FOLDER --out SHARDS

Each source gives NAME.bin (uint16 ids; each document begins with the document mark) and
NAME.starts.npy (where documents begin). SHARDS/index.json says tokens, bytes and weights.
A shard stops at `--most` million tokens and a new one starts, so that no file is large.
"""

import argparse
import json
import random
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from training import corpus
from training.facts import stream
from training.language import language
from training.typography import set_text

BATCH = 512  # documents encoded at once
GENERATED = "generated"
SHARES = ("weight_cpu", "weight_gpu", "weight_long")


def source_texts(folder: Path, record: dict[str, Any], shared: set[str]) -> Iterator[str]:
    """Yield the training documents of a source; a third of the French set typographically."""
    # By the file's name: the choice of documents is the same in each run.
    rng = random.Random(record["file"])
    for text in corpus.training_documents(folder, record, shared):
        yield set_text(text) if record.get("typography") and rng.random() < 1 / 3 else text


def encode_documents(texts: Iterable[str], tokenizer: Tokenizer) -> Iterator[tuple[np.ndarray, int]]:
    """Yield (ids, bytes) of each document; ids begin with the document mark."""
    coming = iter(texts)
    # In batches, so that the library encodes on all cores.
    while batch := list(islice(coming, BATCH)):
        for text, coded in zip(batch, tokenizer.encode_batch(batch), strict=True):
            yield np.array(coded.ids, dtype=np.uint16), len(text.encode())


def write(name: str, texts: Iterable[str], tokenizer: Tokenizer, *, out: Path, most: float) -> dict[str, Any]:
    """Write the shards of one source; return its row of the index."""
    row: dict[str, Any] = {"name": name, "shards": [], "tokens": 0, "bytes": 0, "documents": 0}
    held: list[np.ndarray] = []
    count = 0
    for ids, size in encode_documents(texts, tokenizer):
        held.append(ids)
        count += len(ids)
        row["tokens"], row["bytes"] = row["tokens"] + len(ids), row["bytes"] + size
        row["documents"] += 1
        # 8 million ids are 16 MB: a shard that is damaged, or moved, costs little.
        if count >= most * 1e6:
            _flush(row, held, out)
            count = 0
    _flush(row, held, out)
    return row


def _flush(row: dict[str, Any], held: list[np.ndarray], out: Path) -> None:
    if not held:
        return
    name = f"{row['name']}.{len(row['shards']):02d}"
    starts = np.cumsum([0] + [len(ids) for ids in held[:-1]])
    np.concatenate(held).tofile(out / f"{name}.bin")
    np.save(out / f"{name}.starts.npy", starts.astype(np.int64))
    row["shards"].append(name)
    held.clear()


def limit_characters(texts: Iterator[str], characters: float) -> Iterator[str]:
    """Yield texts until so many characters have passed."""
    for text in texts:
        yield text
        characters -= len(text)
        if characters < 0:
            return


def by_language(texts: Iterator[str]) -> dict[str, list[str]]:
    """Part the documents of a source of two languages, so that a sequence keeps to one."""
    parts: dict[str, list[str]] = {"_en": [], "_fr": []}
    for text in texts:
        parts["_" + language(text)].append(text)
    return parts


def main() -> None:
    """Write every source that may be used, then the generated text."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--corpus")
    parser.add_argument("--tokenizer", type=Path, default=Path("src/capot/boxed/tokenizer.json"))
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--cap", type=float, default=1e9, help="million characters a source, at most")
    parser.add_argument("--generated", type=float, default=20, help="million characters")
    parser.add_argument("--end", type=float, metavar="SHARE", help="for the end of a run: generated text, in per cent")
    parser.add_argument("--most", type=float, default=8, help="million tokens a shard")
    args = parser.parse_args()
    folder = corpus.corpus_folder(args.corpus)
    tokenizer = Tokenizer.from_file(str(args.tokenizer))
    args.out.mkdir(parents=True, exist_ok=True)
    shared = corpus.heldout_sentences(folder)
    manifest = json.loads(corpus.SOURCES.read_text("utf-8"))
    rows = []
    for record in corpus.sources():
        texts = limit_characters(source_texts(folder, record, shared), args.cap * 1e6)
        parts: Mapping[str, Iterable[str]] = by_language(texts) if record.get("split") else {"": texts}
        for end, part in parts.items():
            row = write(Path(record["file"]).stem + end, part, tokenizer, out=args.out, most=args.most)
            rows.append(row | {k: record[k] / len(parts) for k in SHARES})
            print(row["name"], row["tokens"], row["bytes"], flush=True)
    trivia = stream.corpus_questions(folder, shared)
    # Other seeds for the end of a run: it is not to see again what the run has seen.
    for seed, lang in ((9, "en"), (10, "fr")) if args.end else ((7, "en"), (8, "fr")):
        made = stream.documents(folder, seed, trivia, only=lang, at_end=bool(args.end))
        texts = limit_characters(made, args.generated * 5e5)
        row = write(f"{GENERATED}_{lang}", texts, tokenizer, out=args.out, most=args.most)
        rows.append(row | {k: (args.end or manifest[f"generated_{k}"]) / 2 for k in SHARES})
        print(row["name"], row["tokens"], row["bytes"], flush=True)
    (args.out / "index.json").write_text(json.dumps(rows, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
