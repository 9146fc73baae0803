"""How fast is the boxed model, against transformers on the same files?

    python bench/boxed.py [--repeats 9]

One token at a time; the time of 136 tokens less that of 8.
"""

from __future__ import annotations

import statistics

from _common import BOXED, arguments, contestants, duel, ratios, report

LONG, SHORT = 136, 8


def main() -> None:
    given = arguments(__doc__, repeats=9)
    present, missing = contestants(("native", "transformers"), given, BOXED)

    def once(one) -> float:
        return (one.ask("decode", LONG) - one.ask("decode", SHORT)) / (LONG - SHORT)

    found = duel(present, given.repeats, once)
    rows = [(f"decode, {peer}", 1 / statistics.median(times), "tokens/s", None) for peer, times in found.items()]
    rows.append(("decode, over transformers", ratios(found).get("transformers"), "x", 4.0))
    report("the boxed model, decoding one token at a time", rows, missing=missing)
    for one in present:
        one.close()


if __name__ == "__main__":
    main()
