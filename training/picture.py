"""Draw the loss curve of a run as SVG, with nothing but text.

Run: python -m training.picture --csv RUN/loss.csv --out training/loss.svg
"""

import argparse
import csv
from collections.abc import Callable
from pathlib import Path

WIDTH, HEIGHT, LEFT, BOTTOM = 720, 360, 56, 44
INK, LINE, FAINT = "#444", "#1f6fb2", "#ddd"


def read(path: Path) -> list[tuple[float, float]]:
    """Return (million tokens, loss in nats a token) of every line of the CSV."""
    with path.open() as file:
        return [(int(r["tokens"]) / 1e6, float(r["loss_nats"])) for r in csv.DictReader(file)]


def smoothed(points: list[tuple[float, float]], weight: float = 0.8) -> list[tuple[float, float]]:
    """Return the points with an exponential mean of the loss.

    >>> smoothed([(0, 4.0), (1, 2.0)], 0.5)
    [(0, 4.0), (1, 3.0)]
    """
    kept = []
    mean = points[0][1]
    for x, y in points:
        mean = weight * mean + (1 - weight) * y
        kept.append((x, mean))
    return kept


def ticks(low: float, high: float, step: float) -> list[float]:
    """Return the multiples of `step` from low to high.

    >>> ticks(2.2, 4.1, 0.5)
    [2.5, 3.0, 3.5, 4.0]
    """
    first = -int(-low // step)
    return [n * step for n in range(first, int(high // step) + 1)]


def drawing(points: list[tuple[float, float]]) -> str:
    """Return the SVG: loss against tokens, from the point where it is below 8."""
    points = smoothed([p for p in points if p[1] < 8])
    right = points[-1][0]
    low = min(y for _, y in points) - 0.2
    high = max(y for _, y in points)

    def at(x: float, y: float) -> tuple[float, float]:
        across = LEFT + x / right * (WIDTH - LEFT - 16)
        return round(across, 1), round(16 + (high - y) / (high - low) * (HEIGHT - BOTTOM - 16), 1)

    marks = [_level(y, at) for y in ticks(low, high, 0.5)]
    step = max(1, round(right / 8))
    marks += [_label(at(x, low)[0], HEIGHT - BOTTOM + 18, f"{x:g}", "middle") for x in ticks(0, right, step)]
    marks.append(_label(WIDTH / 2, HEIGHT - 8, "million tokens · millions de tokens", "middle"))
    marks.append(_label(LEFT, 12, "loss (nats per token) · perte (nats par token)", "start"))
    path = " ".join(f"{x},{y}" for x, y in (at(*p) for p in points))
    marks.append(f'<polyline points="{path}" fill="none" stroke="{LINE}" stroke-width="1.6"/>')
    body = "\n".join(marks)
    return f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}">\n{body}\n</svg>\n'


def _level(y: float, at: Callable[[float, float], tuple[float, float]]) -> str:
    _, down = at(0, y)
    rule = f'<path d="M{LEFT} {down}H{WIDTH - 16}" stroke="{FAINT}"/>'
    return rule + _label(LEFT - 8, down + 4, f"{y:g}", "end")


def _label(x: float, y: float, text: str, anchor: str) -> str:
    style = f'font-family="sans-serif" font-size="12" fill="{INK}"'
    return f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}" {style}>{text}</text>'


def main() -> None:
    """Read the CSV, write the SVG."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--csv", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    args.out.write_text(drawing(read(args.csv)), "utf-8")


if __name__ == "__main__":
    main()
