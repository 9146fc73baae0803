"""Draw the READMEs' picture, docs/road.{en,fr}.svg: what one prompt becomes in the boxed model.

Every number in it is the model's: ids, rows of its embedding table, probabilities of what comes next.
"""

from __future__ import annotations

import tomllib
from html import escape
from pathlib import Path

import numpy as np
from typography import outside_code

import capot
from capot.chapters.next.result import Prediction
from capot.i18n import percent
from capot.view.graphemes import token_label
from capot.view.theme import DARK, LIGHT, STEPS

ROOT = Path(__file__).resolve().parent.parent
ACROSS, DOWN = 880, 236
COLUMN, LEFT = 78, 24  # of a token
SIDE, CELLS, DEEP = 9, 8, 4  # of a square of a vector, and how many stand in a row and one below another
STACK, BARS, SPAN = 516, 690, 125  # where the layers and the bars begin, and how long a whole bar is


def styles() -> str:
    """Return the house's colours, by the theme of the reader's system."""
    names = ["panel", "ink", "quiet", "line", "accent"]
    names += [f"{kind}{hue}" for kind in "tb" for hue in range(6)] + [f"w{step}" for step in range(STEPS)]
    light, dark = (";".join(f"--{name}:{theme[name]}" for name in names) for theme in (LIGHT, DARK))
    return (
        f"<style>svg{{{light}}}@media(prefers-color-scheme:dark){{svg{{{dark}}}}}"
        "text{font:13px system-ui,sans-serif;fill:var(--ink)}.q{font-size:12px;fill:var(--quiet)}"
        ".m{font:12px ui-monospace,Menlo,Consolas,monospace}.b{fill:var(--accent)}"
        ".l{fill:none;stroke:var(--quiet)}.p{fill:var(--panel);stroke:var(--line)}</style>"
    )


def word(x: float, y: float, text: str, *, kind: str = "", anchor: str = "start") -> str:
    return f'<text x="{x:g}" y="{y:g}" class="{kind}" text-anchor="{anchor}">{escape(text)}</text>'


def arrow(path: str) -> str:
    return f'<path class="l" d="{path}" marker-end="url(#a)"/>'


def box(x: float, text: str, number: str, hue: int | None) -> str:
    """Return a token in its box, its id below; without a hue, one that is about to come."""
    drawn = "fill:none;stroke:var(--quiet);stroke-dasharray:4 3"
    if hue is not None:
        drawn = f"fill:var(--t{hue});stroke:var(--b{hue})"
    middle = x + (COLUMN - 6) / 2
    return (
        f'<rect x="{x:g}" y="82" width="{COLUMN - 6}" height="26" rx="4" style="{drawn}"/>'
        + word(middle, 100, text, kind="m", anchor="middle")
        + word(middle, 124, number, kind="q", anchor="middle")
    )


def vector(x: float, numbers: np.ndarray) -> str:
    """Return the first numbers of a row of the table, by lightness."""
    squares = ""
    for place, share in enumerate(numbers):
        down, across = divmod(place, CELLS)
        step = min(int(share * STEPS), STEPS - 1)
        at = f'x="{x + across * SIDE:g}" y="{160 + down * SIDE}"'
        squares += f'<rect {at} width="{SIDE - 1}" height="{SIDE - 1}" fill="var(--w{step})"/>'
    return squares


def layers(count: int, name: str) -> str:
    """One sheet for each layer, the last in front, and the way out of it."""
    drawn = ""
    for sheet in range(min(count, 8)):
        drawn += f'<rect class="p" x="{STACK + 5 * sheet}" y="{150 + 4 * sheet}" width="56" height="38" rx="3"/>'
    last = STACK + 5 * min(count, 8) + 56
    return drawn + word(STACK, 140, name, kind="q") + arrow(f"M{last} 178H{last + 18}")


def bars(found: Prediction, lang: str) -> str:
    """Return the five most probable tokens, the first one marked."""
    drawn = ""
    for place, candidate in enumerate(found.candidates):
        y = 96 + 26 * place
        length = max(1.5, SPAN * candidate.probability)
        drawn += word(BARS - 8, y, candidate.label, kind="m", anchor="end")
        drawn += f'<rect class="b" x="{BARS}" y="{y - 12}" width="{length:.1f}" height="15" rx="2"/>'
        drawn += word(BARS + length + 8, y, percent(candidate.probability, lang), kind="q")
    return drawn


def picture(lang: str, words: dict[str, str]) -> str:
    """Return the whole drawing in one language."""
    with capot.open() as model:
        cut = model.tokens(words["prompt"])
        found = model.next(words["prompt"], k=5)
        shape = model.card()
        rows = model.checkpoint.rows("model.embed_tokens.weight", [token.id for token in cut.tokens])
    shown = rows[:, : CELLS * DEEP]
    # One scale for all vectors of the picture: lightness compares them.
    shares = (shown - shown.min()) / (shown.max() - shown.min())
    parts = [word(LEFT, 24, words["text"], kind="q"), word(LEFT, 46, words["prompt"])]
    parts.append(word(LEFT, 74, words["tokens"], kind="q"))
    for place, token in enumerate(cut.tokens):
        x = LEFT + COLUMN * place
        parts.append(box(x, token_label(token.text), str(token.id), place % 6) + vector(x, shares[place]))
        parts.append(arrow(f"M{x + 36} 130V154"))
    parts.append(word(LEFT, 216, words["vectors"].format(shown=CELLS * DEEP, width=shape.width), kind="q"))
    end = LEFT + COLUMN * len(cut.tokens)
    parts += [arrow(f"M{end - 2} 178H{STACK - 6}"), layers(shape.layers, words["layers"].format(layers=shape.layers))]
    parts += [word(BARS, 74, words["next"], kind="q"), bars(found, lang)]
    best = found.candidates[0].label
    parts.append(box(end, best, str(found.candidates[0].id), None) + word(end, 46, words["loop"], kind="q"))
    parts.append(arrow(f"M{BARS - 14 - 7.4 * len(best)} 95H{end + COLUMN}"))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {ACROSS} {DOWN}" width="{ACROSS}" role="img" '
        f'aria-label="{escape(words["alt"])}">{styles()}<defs><marker id="a" viewBox="0 0 8 8" refX="7" refY="4" '
        'markerWidth="7" markerHeight="7" orient="auto"><path d="M0 0L8 4L0 8z" fill="var(--quiet)"/></marker></defs>'
        + "\n".join(parts)
        + "</svg>\n"
    )


def main() -> None:
    words = tomllib.loads((ROOT / "tools" / "picture.toml").read_text(encoding="utf-8"))
    for lang, told in words.items():
        told = {key: outside_code(text) if lang == "fr" else text for key, text in told.items()}
        path = ROOT / "docs" / f"road.{lang}.svg"
        path.write_text(picture(lang, told), encoding="utf-8", newline="\n")
        print(path.relative_to(ROOT), f"{path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
