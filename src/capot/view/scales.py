"""The scales of a picture: where a value falls, which ticks to write, how stacks add up.

Shared by the character plots, the drawings and the Plotly figures, so that the
three faces of one picture agree.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeGuard

from capot import i18n
from capot.view.blocks import Curves, Point, Series

_SMALLEST = 1e-290  # anything nearer to zero is drawn as zero: steps and ratios must stay numbers
_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


@dataclass(frozen=True)
class Scale:
    """One axis: its ends, whether it is logarithmic, and its ticks as (value, text)."""

    low: float
    high: float
    log: bool
    ticks: tuple[tuple[float, str], ...]

    def place(self, value: float | None) -> float | None:
        """Return where ``value`` falls, 0 at the low end and 1 at the high one; None where it cannot be drawn.

        >>> Scale(1, 100, True, ()).place(10)
        0.5
        """
        return self.at(value) if is_drawable(value, self.log) else None

    def at(self, value: float) -> float:
        """Return where a drawable ``value`` falls: 0 at the low end, 1 at the high one."""
        if self.log:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)


def is_drawable(value: float | None, log: bool = False) -> TypeGuard[float]:
    """Return whether a value is a finite number, and positive where the axis is logarithmic."""
    return value is not None and math.isfinite(value) and (value > _SMALLEST or not log)


def make_scale(
    values: Iterable[float | None],
    *,
    log: bool = False,
    kind: str = "number",
    count: int = 5,
    tight: bool = False,
    lang: str | None = None,
) -> Scale:
    """Return the scale that holds ``values``, with about ``count`` ticks written in the language.

    ``tight`` ends at the last value instead of the next tick. A logarithmic axis without
    a positive value falls back to 1..10. Things that are counted (turns, layers: Python's
    ints) have no tick between two of them.
    """
    given = list(values)
    kept = [float(value) for value in given if is_drawable(value, log)]
    empty = (1.0, 10.0) if log else (0.0, 1.0)
    low, high = (min(kept), max(kept)) if kept else empty
    if log:
        return _log_scale(low, high, kind=kind, count=count, lang=lang)
    # Unless it would press all values into the upper half of the picture.
    if low >= 0 and low < 0.5 * high:
        low = 0.0  # lengths are compared from zero
    # One value, or values that differ by rounding alone: an axis around them.
    if high - low < max(_SMALLEST, 1e-12 * abs(high)):
        low, high = low - _round_half(low), high + _round_half(high)
    step = _nice_step((high - low) / count, whole=all(isinstance(value, int | None) for value in given))
    # Rounding of a quotient must not add a tick: 0.3 / 0.1 is 2.9999999999999996.
    first = math.floor(low / step + 1e-9)
    last = math.ceil(high / step - 1e-9)
    marks = [index * step for index in range(first, last + 1)]
    ends = (low, high) if tight else (marks[0], marks[-1])
    inside = [mark for mark in marks if ends[0] - step * 1e-6 <= mark <= ends[1] + step * 1e-6]
    return Scale(*ends, False, tuple((mark, tick_text(mark, kind, step=step, lang=lang)) for mark in inside))


def _round_half(value: float) -> float:
    return abs(value) / 2 if abs(value) > _SMALLEST else 0.5


def _log_scale(low: float, high: float, *, kind: str, count: int, lang: str | None) -> Scale:
    if high / low < 1 + 1e-9:
        low, high = low / 2, high * 2
    bottom = math.floor(math.log10(low))
    top = math.ceil(math.log10(high))
    every = max(1, round((top - bottom) / (count + 2)))
    # 1, 10, 100 where the range is wide; 1 and 3, or 1, 2 and 5, in each power where it is narrow.
    for leaves in ((1,), (1, 3), (1, 2, 5)):
        marks = [leaf * 10.0**power for power in range(bottom, top + 1, every) for leaf in leaves]
        inside = [mark for mark in marks if low * 0.999 <= mark <= high * 1.001]
        if len(inside) >= 3:
            break
    inside = inside or [low, high]
    return Scale(low, high, True, tuple((mark, tick_text(mark, kind, lang=lang)) for mark in inside))


def _nice_step(rough: float, *, whole: bool = False) -> float:
    rough = max(rough, 1.0) if whole else rough
    power = 10.0 ** math.floor(math.log10(rough))
    steps = [leaf * power for leaf in (1, 2, 2.5, 5, 10)]
    # 2.5 is a step of percentages and not of layers.
    return next(step for step in steps if step >= rough * 0.999 and (step == int(step) or not whole))


def tick_text(value: float, kind: str, *, step: float | None = None, lang: str | None = None) -> str:
    """Return a tick or a point as read: ``500 MB``, ``1.5 s``, ``25%``, ``10⁻⁶``."""
    if kind == "bytes":
        return _short(i18n.size(value, lang), lang)
    if kind == "seconds" and value >= 0:
        return _short(i18n.duration(value, lang), lang) if value else f"0{chr(160)}s"
    if kind == "percent":
        return _short(i18n.percent(value, lang, 2), lang)
    if value and (abs(value) < 1e-3 or abs(value) >= 1e9):
        return _scientific(value, lang)
    return _short(i18n.number(value, lang, None if step is None else _digits(step)), lang)


def _digits(step: float) -> int:
    """Return the decimals that tell two ticks apart and round neither: two for steps of 0.25."""
    least = max(0, -math.floor(math.log10(step) + 1e-9))
    return min(least + (abs(round(step, least) - step) > 1e-6 * step), 4)


def _short(text: str, lang: str | None) -> str:
    """Return ``text`` without the zeros that end its decimals: ``1.50 GB`` is ``1.5 GB``."""
    point = "," if i18n.language(lang) == "fr" else r"\."
    return re.sub(rf"{point}0+(?!\d)|({point}\d*?[1-9])0+(?!\d)", r"\1", text)


def _scientific(value: float, lang: str | None) -> str:
    power = math.floor(math.log10(abs(value)))
    leaf = i18n.number(round(value / 10.0**power, 2), lang)
    tens = "10" + str(power).translate(_SUPERSCRIPTS)
    return tens if leaf == "1" else f"{leaf}×{tens}"


def series_scales(block: Curves, *, lang: str | None = None, x_count: int = 6, y_count: int = 5) -> tuple[Scale, Scale]:
    """Return the two scales of a block of curves, its stacks included."""
    tops = [value for _, _, top in stack_areas(block.series) for value in top]
    lines = [value for line in block.series if not line.area for value in line.y]
    floor = [0.0] if tops and not block.log_y else []
    across = (value for line in block.series for value in line.x)
    x = make_scale(across, log=block.log_x, count=x_count, tight=True, lang=lang)
    y = make_scale([*tops, *lines, *floor], log=block.log_y, kind=block.y_kind, count=y_count, lang=lang)
    return x, y


def stack_areas(series: Sequence[Series]) -> list[tuple[Series, list[float], list[float]]]:
    """Return each area with the bottom and the top of its layer at each of its points.

    An area rests on those before it; where an earlier one has no value at a point, it adds nothing there.
    """
    heights: dict[float, float] = {}
    # By x: series may have different points.
    layers = []
    for area in series:
        if not area.area:
            continue
        bottom = [heights.get(x, 0.0) for x in area.x]
        top = [low + (y if is_drawable(y) else 0.0) for low, y in zip(bottom, area.y, strict=True)]
        heights.update(zip(area.x, top, strict=True))
        layers.append((area, bottom, top))
    return layers


def project(xyz: Sequence[float]) -> tuple[float, float]:
    """Return a point of space on the page, seen from a little above and a little to the side.

    A point of the plane stays where it is.
    """
    if len(xyz) < 3:
        return float(xyz[0]), float(xyz[1]) if len(xyz) > 1 else 0.0
    x, y, z = xyz[:3]
    # A fixed view from above and the side, as three axes on paper are usually drawn.
    turn, tilt = math.radians(35), math.radians(22)
    across = x * math.cos(turn) - y * math.sin(turn)
    depth = x * math.sin(turn) + y * math.cos(turn)
    return across, z * math.cos(tilt) + depth * math.sin(tilt)


def coordinates_text(point: Point, lang: str | None = None) -> str:
    """Return the coordinates as read, parted so that a decimal comma is not taken for a separator."""
    return "; ".join(i18n.number(value, lang, 2) if is_drawable(value) else "–" for value in point.xyz)
