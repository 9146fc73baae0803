"""Points and curves in a terminal: dots of braille for lines, characters for marks and words."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

from capot.view.blocks import Curves, Point, Scatter, Series
from capot.view.pen import Pen
from capot.view.scales import Scale, coordinates_text, project, series_scales, stack_areas
from capot.view.visible import clusters, pad, truncate, visible, width

MARKS = "●◆■▲✚◇"
FILLS = "░▒▓█"
_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))  # Unicode 2800: rows of two dots
_LONGEST_LABEL = 20


class Canvas:
    """A plane of character cells, each of 2 x 4 braille dots, under marks and words."""

    def __init__(self, cells: int, height: int) -> None:
        self.cells = cells
        self.height = height
        self._dots: dict[tuple[int, int], tuple[int, int | None]] = {}
        self._words: dict[tuple[int, int], tuple[str, int | None]] = {}
        self._shades: dict[tuple[int, int], tuple[str, int | None]] = {}

    def spot(self, x: float, y: float) -> tuple[int, int]:
        """Return the dot of a place: (0, 0) is the bottom left of the plane, (1, 1) its top right."""
        return round(x * (2 * self.cells - 1)), round((1 - y) * (4 * self.height - 1))

    def dot(self, across: int, down: int, color: int | None) -> None:
        column, row = across // 2, down // 4
        if 0 <= column < self.cells and 0 <= row < self.height:
            before = self._dots.get((column, row), (0, None))[0]
            # A braille cell has one colour: the last line that passes through it.
            self._dots[column, row] = (before | _DOTS[down % 4][across % 2], color)

    def line(self, start: tuple[int, int], end: tuple[int, int], color: int | None, *, dashed: bool = False) -> None:
        steps = max(abs(end[0] - start[0]), abs(end[1] - start[1]), 1)
        for step in range(steps + 1):
            # Bresenham's line by rounding: a cell has eight dots, and nobody sees the difference.
            across = round(start[0] + (end[0] - start[0]) * step / steps)
            down = round(start[1] + (end[1] - start[1]) * step / steps)
            if not dashed or across % 4 < 2:
                self.dot(across, down, color)

    def shade(self, column: int, row: int, char: str, color: int | None) -> None:
        """Fill a cell, under dots and words."""
        self._shades[column, row] = (char, color)

    def put(self, column: int, row: int, text: str, color: int | None = None, *, force: bool = False) -> bool:
        """Write ``text`` from a cell on, if it fits and covers no other word."""
        taken = [(column + offset, row) for offset in range(width(text))]
        inside = 0 <= row < self.height and column >= 0 and column + len(taken) <= self.cells
        if not force and (not inside or any(cell in self._words for cell in taken)):
            return False
        for cluster in clusters(text):
            self._words[column, row] = (cluster, color)
            column += width(cluster)
            if width(cluster) == 2:
                self._words[column - 1, row] = ("", color)
        return True

    def rows(self, pen: Pen) -> list[str]:
        return ["".join(self._cell(column, row, pen) for column in range(self.cells)) for row in range(self.height)]

    def _cell(self, column: int, row: int, pen: Pen) -> str:
        if (column, row) in self._words:
            text, color = self._words[column, row]
        elif (column, row) in self._dots:
            bits, color = self._dots[column, row]
            text = chr(0x2800 + bits)
        else:
            text, color = self._shades.get((column, row), (" ", None))
        if text in ("", " "):
            return text
        return pen.quiet(text) if color is None else pen.series(text, color)


def scatter_lines(block: Scatter, cells: int, pen: Pen) -> list[str]:
    """Return the points in their plane (space is seen from above), each with its label where there is room."""
    flat = [project(point.xyz) for point in block.points]
    deep = any(len(point.xyz) > 2 for point in block.points)
    canvas = Canvas(min(cells - 2, 76), 18)
    x, y = _plane(flat, block, canvas, from_origin=block.arrows or deep)
    spots = [canvas.spot(x.at(across), y.at(up)) for across, up in flat]
    origin = canvas.spot(x.at(0.0), y.at(0.0))
    axes = [truncate(visible(name), canvas.cells // 2) for name in block.axes]
    if deep:
        _space_axes(canvas, flat_axes=_unit_axes(block), x=x, y=y, names=axes)
    else:
        _cross(canvas, origin if _contains_zero(x, y) else None)
    for point, spot in zip(block.points, spots, strict=True):
        if block.arrows:
            canvas.line(origin, spot, point.group)
        canvas.put(spot[0] // 2, spot[1] // 4, MARKS[point.group % len(MARKS)], point.group, force=True)
    left = [point for point, spot in zip(block.points, spots, strict=True) if not _label(canvas, point, spot)]
    lines = _framed(canvas, pen, names=[] if deep else axes)
    return lines + [_legend_line(point, cells, pen) for point in left]


def _plane(
    flat: Sequence[tuple[float, float]], block: Scatter, canvas: Canvas, *, from_origin: bool
) -> tuple[Scale, Scale]:
    """Return scales with a margin; directions keep their angle, so both axes then share one unit."""
    wide = [0.0, 1.0] if not flat else [across for across, _ in flat]
    tall = [0.0, 1.0] if not flat else [up for _, up in flat]
    if from_origin:
        wide, tall = [*wide, 0.0], [*tall, 0.0]
    ends = [[min(values), max(values)] for values in (wide, tall)]
    if from_origin:
        dots = (2 * canvas.cells, 4 * canvas.height)
        # Dots are square enough: one unit of data is as many dots across as down, so that angles are true.
        unit = max((high - low) / count for (low, high), count in zip(ends, dots, strict=True))
        ends = [_widened(end, unit * count) for end, count in zip(ends, dots, strict=True)]
    x, y = ((low - (high - low or 1) * 0.06, high + (high - low or 1) * 0.06) for low, high in ends)
    return Scale(*x, False, ()), Scale(*y, False, ())


def _widened(end: list[float], span: float) -> list[float]:
    middle = (end[0] + end[1]) / 2
    return [middle - span / 2, middle + span / 2]


def _contains_zero(*scales: Scale) -> bool:
    return all(0 <= axis.at(0.0) <= 1 for axis in scales)


def _cross(canvas: Canvas, origin: tuple[int, int] | None) -> None:
    """Draw two faint lines through the origin."""
    if origin is not None:
        canvas.line((0, origin[1]), (2 * canvas.cells - 1, origin[1]), None, dashed=True)
        for down in range(0, 4 * canvas.height, 2):
            canvas.dot(origin[0], down, None)


def _unit_axes(block: Scatter) -> list[tuple[float, float]]:
    longest = max((abs(value) for point in block.points for value in point.xyz), default=1.0) or 1.0
    units = [(longest, 0.0, 0.0), (0.0, longest, 0.0), (0.0, 0.0, longest)]
    return [project(unit) for unit in units]


def _space_axes(
    canvas: Canvas, *, flat_axes: Sequence[tuple[float, float]], x: Scale, y: Scale, names: Sequence[str]
) -> None:
    origin = canvas.spot(x.at(0.0), y.at(0.0))
    for (across, up), name in zip(flat_axes, names, strict=False):
        tip = canvas.spot(min(max(x.at(across), 0), 1), min(max(y.at(up), 0), 1))
        canvas.line(origin, tip, None, dashed=True)
        canvas.put(min(tip[0] // 2, canvas.cells - width(name)), tip[1] // 4, name)


def _label(canvas: Canvas, point: Point, spot: tuple[int, int]) -> bool:
    """Write the label beside its mark: right, left, above, below; False where nothing is free."""
    text = truncate(visible(point.label), _LONGEST_LABEL)
    column, row = spot[0] // 2, spot[1] // 4
    size = width(text)
    beside = [(column + 1, row, f" {text}"), (column - size - 1, row, f"{text} ")]
    places = beside + [(column - size // 2, row + side, text) for side in (-1, 1)]
    return any(canvas.put(left, line, words, point.group) for left, line, words in places)


def _legend_line(point: Point, cells: int, pen: Pen) -> str:
    mark = MARKS[point.group % len(MARKS)]
    numbers = f"({coordinates_text(point)})"
    label = truncate(visible(point.label), max(cells - width(numbers) - 3, 4))
    return f"{pen.series(mark, point.group)} {truncate(f'{label} {numbers}', cells - 2)}"


def _framed(canvas: Canvas, pen: Pen, *, names: Sequence[str]) -> list[str]:
    """Return the plane in a thin frame, the vertical axis named above it and the horizontal one below."""
    rule = "─" * canvas.cells
    up = names[1] if len(names) > 1 else ""
    across = names[0] if names else ""
    lines = [pen.quiet(up)] if up else []
    lines.append(pen.quiet(f"┌{rule}┐"))
    lines.extend(pen.quiet("│") + row + pen.quiet("│") for row in canvas.rows(pen))
    lines.append(pen.quiet(f"└{rule}┘"))
    return lines + ([pen.quiet(pad(across, canvas.cells + 2, "r"))] if across else [])


def curves_lines(block: Curves, cells: int, pen: Pen) -> list[str]:
    """Return the curves between their axes, then one legend line per curve."""
    x, y = series_scales(block, x_count=max(3, min(6, cells // 14)))
    margin = max((width(text) for _, text in y.ticks), default=0)
    canvas = Canvas(min(cells - margin - 3, 72), 16)
    for index, layer in enumerate(stack_areas(block.series)):
        _fill(canvas, layer, x=x, y=y, index=_position(block, layer[0]), char=FILLS[index % 4])
    for index, line in enumerate(block.series):
        if not line.area:
            _curve(canvas, line, x=x, y=y, index=index)
    lines = [pen.quiet(truncate(visible(block.y_label), cells))] if block.y_label else []
    lines += _with_axes(canvas, x, y, margin=margin, pen=pen)
    if block.x_label:
        lines.append(pen.quiet(pad(truncate(visible(block.x_label), cells), margin + canvas.cells + 2, "r")))
    return lines + _legend(block, cells, pen)


def _position(block: Curves, area: Series) -> int:
    return next(index for index, series in enumerate(block.series) if series is area)


def _curve(canvas: Canvas, line: Series, *, x: Scale, y: Scale, index: int) -> None:
    """Draw segments between drawable neighbours, and this curve's mark on some of its points."""
    before = None
    spots = []
    for across, up in zip(line.x, line.y, strict=True):
        left, height = x.place(across), y.place(up)
        spot = None if left is None or height is None else canvas.spot(left, height)
        if spot and before:
            canvas.line(before, spot, index, dashed=line.dashed)
        spots += [spot] if spot else []
        before = spot
    # About eight marks a curve: they tell curves apart without colour, and hide little of them.
    for spot in spots[:: max(1, math.ceil(len(spots) / 8))]:
        canvas.put(spot[0] // 2, spot[1] // 4, MARKS[index % len(MARKS)], index)


def _fill(
    canvas: Canvas, layer: tuple[Series, list[float], list[float]], *, x: Scale, y: Scale, index: int, char: str
) -> None:
    """Fill the cells between the bottom and the top of one stacked layer."""
    area, bottom, top = layer
    places = [x.place(value) for value in area.x]
    known = sorted((p, low, high) for p, low, high in zip(places, bottom, top, strict=True) if p is not None)
    for column in range(canvas.cells):
        span = _interpolate(known, column / max(canvas.cells - 1, 1))
        if span is None:
            continue
        low, high = (0.0 if value <= 0 else min(y.at(value), 1.0) for value in span)
        for row in range(canvas.height):
            if low <= 1 - (row + 0.5) / canvas.height < high:
                canvas.shade(column, row, char, index)


def _interpolate(known: Sequence[tuple[float, float, float]], place: float) -> tuple[float, float] | None:
    """Return bottom and top of a layer at ``place``, between its two nearest points."""
    for (p, low, high), (q, next_low, next_high) in itertools.pairwise(known):
        if p - 1e-9 <= place <= q + 1e-9:
            share = (place - p) / (q - p) if q > p else 0.0
            return low + (next_low - low) * share, high + (next_high - high) * share
    return None


def _with_axes(canvas: Canvas, x: Scale, y: Scale, *, margin: int, pen: Pen) -> list[str]:
    marks = {canvas.spot(0, y.at(value))[1] // 4: text for value, text in y.ticks}
    lines = []
    for row, drawn in enumerate(canvas.rows(pen)):
        edge = "┤" if row in marks else "│"
        lines.append(pen.quiet(f"{pad(marks.get(row, ''), margin, 'r')} {edge}") + drawn)
    rule = ["─"] * canvas.cells
    words = Canvas(margin + 2 + canvas.cells, 1)
    for value, text in x.ticks:
        column = canvas.spot(x.at(value), 0)[0] // 2
        # The first and the last word stay inside of the page.
        start = min(max(margin + 2 + column - width(text) // 2, 0), words.cells - width(text))
        if words.put(start, 0, text):
            rule[column] = "┬"
    lines.append(pen.quiet(f"{' ' * margin} └{''.join(rule)}"))
    return [*lines, pen.quiet(words.rows(Pen())[0])]


def _legend(block: Curves, cells: int, pen: Pen) -> list[str]:
    """Return a mark and a label per curve, on one line where they fit."""
    lines = []
    areas = 0
    for index, series in enumerate(block.series):
        mark = FILLS[areas % 4] * 2 if series.area else f"{MARKS[index % len(MARKS)]}{'╌' if series.dashed else '─'}"
        areas += series.area
        lines.append(f"{pen.series(mark, index)} {truncate(visible(series.label), cells - 3)}")
    joined = "   ".join(lines)
    return [joined] if lines and width(joined) <= cells else lines
