"""Pack a rank file (`token in base64, rank` per line) into src/capot/text/ranks, or check a packed one.

python tools/pack_ranks.py o200k_base o200k_base.tiktoken
python tools/pack_ranks.py gpt2 p50k_base.tiktoken --first 50256
"""

from __future__ import annotations

import argparse
import base64
import zlib
from pathlib import Path

RANKS = Path(__file__).resolve().parent.parent / "src" / "capot" / "text" / "ranks"


def read(path: Path, *, first: int | None) -> list[bytes]:
    """Return the tokens of a rank file in order; ranks must be 0, 1, 2... without a hole."""
    pairs = (line.split() for line in path.read_bytes().splitlines() if line)
    by_rank = {int(rank): base64.b64decode(token) for token, rank in pairs}
    count = len(by_rank) if first is None else first
    return [by_rank[rank] for rank in range(count)]


def pack(tokens: list[bytes]) -> bytes:
    """Return a count on four bytes, one byte of length per token, the tokens end to end; compressed."""
    lengths = bytes(len(token) for token in tokens)
    return zlib.compress(len(tokens).to_bytes(4, "big") + lengths + b"".join(tokens), 9)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name")
    parser.add_argument("file", type=Path)
    parser.add_argument("--first", type=int, help="keep only the first N ranks")
    given = parser.parse_args()
    packed = pack(read(given.file, first=given.first))
    (RANKS / f"{given.name}.ranks").write_bytes(packed)
    print(f"{given.name}: {len(packed):,} bytes")


if __name__ == "__main__":
    main()
