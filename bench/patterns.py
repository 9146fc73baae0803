"""Whether the expressions that ``capot.text.tokenizer.remote`` knows cut in a time that grows as the text does.

    python bench/patterns.py

Each cuts a text of one shape, and one four times as long. What is linear takes four times as long, or up to six
where memory does not keep up; what looks on to the end of a text from each letter takes sixteen times as long, as
the last line shows, which is there to compare.
"""

from __future__ import annotations

import sys
import time

from tokenizers import Regex, Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Split

from capot.text.tokenizer.remote import LINEAR_PATTERNS

LETTERS = 200_000
MOST = 10  # times as long, for four times the text
SHAPES = (
    "a", "A", "Aa", "aA", "A" * 50 + "a", " ", " \n", " " * 1000 + "\n", " " * 1000 + "x", "\n", "\r", "\t", "1", "1a",
    "漢", "e\u0301", "\u0301", "🤗", "ab c", "!", "!!\n", "a!", "'", "'s", "qu'", "jusqu", "«", "\u00a0", "/", "ʰ",
    "Aʰ漢", "\u200b", "\x0b", "_", "(", "ぁ", "#a",
)  # fmt: skip


def seconds(pattern: str, text: str) -> float:
    cutter = Tokenizer(WordLevel({"": 0}, unk_token=""))
    cutter.pre_tokenizer = Split(Regex(pattern), "isolated")
    begin = time.thread_time()
    cutter.encode(text)
    return time.thread_time() - begin


def times(pattern: str, shape: str, letters: int) -> tuple[float, float]:
    """How many times as long four times the text takes, the quickest of three; and the seconds of the longer one."""
    text = (shape * letters)[:letters]
    short = min(seconds(pattern, text[: letters // 4]) for _ in range(3))
    long = min(seconds(pattern, text) for _ in range(3))
    return long / short, long


def main() -> None:
    wrong = 0
    for pattern in sorted(LINEAR_PATTERNS):
        found = {shape: times(pattern, shape, LETTERS) for shape in SHAPES}
        shape = max(found, key=lambda shape: found[shape][0])
        wrong += found[shape][0] > MOST
        longest = max(taken for _, taken in found.values())
        print(f"{found[shape][0]:5.1f} times at {shape[:4]!r:10} {longest:6.2f} s  {pattern[:70]}")
    print(f"{times('a(?=.*z)', 'a', 8000)[0]:5.1f} times, of an expression that is not known: a(?=.*z)")
    sys.exit(wrong)


if __name__ == "__main__":
    main()
