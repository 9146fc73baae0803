"""Points and curves as small inline drawings: no script, the colours of the page around them.

They stand in notebooks, under Plotly's figures until these are drawn, and on paper.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from html import escape

from capot.view.blocks import Curves, Point, Scatter, Series
from capot.view.labels import label_box, label_sides
from capot.view.scales import Scale, coordinates_text, is_drawable, make_scale, project, series_scales, stack_areas
from capot.view.theme import HUES
from capot.view.visible import truncate, visible, width

ACROSS, DOWN = 620, 380
_LETTER = 7.6  # width of a monospace cell at the drawings' size
_MARKS = (  # one shape per group: colour is never the only sign
    "M-4.6 0a4.6 4.6 0 1 0 9.2 0a4.6 4.6 0 1 0 -9.2 0z",
    "M0 -5.8L5.8 0L0 5.8L-5.8 0z",
    "M-4.4 -4.4H4.4V4.4H-4.4z",
    "M0 -5.4L5.4 4.4H-5.4z",
    "M-1.8 -5.4H1.8V-1.8H5.4V1.8H1.8V5.4H-1.8V1.8H-5.4V-1.8H-1.8z",
    "M-5.4 -4.4H5.4L0 5.4z",
)


class Frame:
    """Where values fall in the drawing, between margins that leave room for the ticks' words."""

    def __init__(self, x: Scale, y: Scale, *, left: float, bottom: float = 46) -> None:
        self.x = x
        self.y = y
        self.left = left
        self.right = ACROSS - 18
        self.top = 12
        self.bottom = DOWN - bottom

    def across(self, value: float) -> float:
        return round(self.left + (self.x.place(value) or 0.0) * (self.right - self.left), 1)

    def down(self, value: float) -> float:
        return round(self.bottom - (self.y.place(value) or 0.0) * (self.bottom - self.top), 1)


def drawing(parts: Iterable[str], label: str) -> str:
    """Return the parts in one picture that a screen reader names by ``label``."""
    return (
        f'<svg class="drawing" viewBox="0 0 {ACROSS} {DOWN}" role="img" aria-label="{escape(visible(label))}">'
        f"{''.join(parts)}</svg>"
    )


def _word(x: float, y: float, text: str, *, anchor: str = "middle", kind: str = "") -> str:
    named = f' class="{kind}"' if kind else ""
    return f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}"{named}>{escape(visible(text))}</text>'


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    return f'<path class="{kind}" d="M{x1:g} {y1:g}L{x2:g} {y2:g}"/>'


def _mark(x: float, y: float, index: int) -> str:
    return f'<path class="mark" d="{_MARKS[index % HUES]}" transform="translate({x:g} {y:g})"/>'


def _arrow(frame: Frame, x: float, y: float) -> str:
    """Return a line from the origin with a head at its end."""
    start = (frame.across(0), frame.down(0))
    turn = math.degrees(math.atan2(y - start[1], x - start[0]))
    head = f'<path class="head" d="M0 0L-12 -5V5z" transform="translate({x:g} {y:g}) rotate({turn:.1f})"/>'
    length = math.hypot(x - start[0], y - start[1]) or 1.0
    # A line that went to the very tip would show beside a pointed head.
    back = max(0.0, 1 - 6 / length)
    return _line(*start, start[0] + (x - start[0]) * back, start[1] + (y - start[1]) * back, "curve") + head


def _grid(frame: Frame, x_name: str, y_name: str) -> list[str]:
    """Draw grid lines with their ticks, and the names of both axes."""
    parts = []
    for value, text in frame.y.ticks:
        down = frame.down(value)
        parts += [_line(frame.left, down, frame.right, down, "grid")]
        parts += [_word(frame.left - 8, down + 4, text, anchor="end")]
    # Words of ticks may touch where the axis is logarithmic: one that would cover the last is left out.
    free = 0.0
    for value, text in frame.x.ticks:
        across = frame.across(value)
        half = width(text) * 3.4
        parts.append(_line(across, frame.top, across, frame.bottom, "grid"))
        if across - half > free:
            parts.append(_word(across, frame.bottom + 18, text))
            free = across + half + 6
    parts.append(_word((frame.left + frame.right) / 2, DOWN - 6, x_name))
    middle = (frame.top + frame.bottom) / 2
    turned = f'<text transform="translate(14 {middle:g}) rotate(-90)" text-anchor="middle">'
    return [*parts, f"{turned}{escape(visible(y_name))}</text>"]


def curves_svg(block: Curves, *, lang: str | None = None) -> str:
    """Return the curves of a block between their axes."""
    x, y = series_scales(block, lang=lang)
    left = 34 + 7.0 * max((width(text) for _, text in y.ticks), default=0)
    frame = Frame(x, y, left=left)
    parts = _grid(frame, block.x_label, block.y_label)
    layers = {id(area): (bottom, top) for area, bottom, top in stack_areas(block.series)}
    for index, line in enumerate(block.series):
        body = _area(frame, line, *layers[id(line)]) if line.area else _curve(frame, line, index)
        parts.append(f'<g class="s{index % HUES}">{body}</g>')
    return drawing(parts, block.title or block.y_label)


def _curve(frame: Frame, line: Series, index: int) -> str:
    """Draw unbroken runs of drawable points, and their marks where these do not crowd."""
    runs: list[list[tuple[float, float]]] = [[]]
    for x, y in zip(line.x, line.y, strict=True):
        if is_drawable(x, frame.x.log) and is_drawable(y, frame.y.log):
            runs[-1].append((frame.across(x), frame.down(y)))
        elif runs[-1]:
            runs.append([])
    kind = "curve dashed" if line.dashed else "curve"
    paths = [f'<path class="{kind}" d="M{_path(run)}"/>' for run in runs if run]
    few = len(line.x) <= 40 and not line.dashed
    return "".join([*paths, *(_mark(x, y, index) for run in runs for x, y in run if few)])


def _area(frame: Frame, area: Series, bottom: list[float], top: list[float]) -> str:
    floor = frame.y.low
    known = [index for index, x in enumerate(area.x) if is_drawable(x, frame.x.log)]
    edge = [(frame.across(area.x[i]), frame.down(max(top[i], floor))) for i in known]
    back = [(frame.across(area.x[i]), frame.down(max(bottom[i], floor))) for i in reversed(known)]
    return f'<path class="area" d="M{_path([*edge, *back])}z"/>' if edge else ""


def _path(run: Iterable[tuple[float, float]]) -> str:
    return "L".join(f"{x:g} {y:g}" for x, y in run)


def scatter_svg(block: Scatter, *, lang: str | None = None) -> str:
    """Return the points of a block, space seen from a little above; labels where they do not collide."""
    points = [point for point in block.points if all(map(is_drawable, point.xyz))]
    flat = [project(point.xyz) for point in points]
    deep = any(len(point.xyz) > 2 for point in points)
    frame = _plane(flat, from_origin=block.arrows or deep, ticks=not deep, lang=lang)
    names = [*block.axes, "", "", ""]
    parts = _space_axes(frame, points, names) if deep else _grid(frame, names[0], names[1])
    spots = [(frame.across(x), frame.down(y)) for x, y in flat]
    for point, (x, y) in zip(points, spots, strict=True):
        drawn = _arrow(frame, x, y) if block.arrows else _mark(x, y, point.group)
        body = f"<g>{drawn}<title>{_tooltip(point, lang)}</title></g>"
        parts.append(f'<g class="s{point.group % HUES}">{body}</g>')
    parts += _labels(points, spots, rays=block.arrows)
    return drawing(parts, block.title or " · ".join(block.axes))


def _tooltip(point: Point, lang: str | None) -> str:
    return escape(f"{visible(point.label)} ({coordinates_text(point, lang)})")


def _plane(flat: Sequence[tuple[float, float]], *, from_origin: bool, ticks: bool, lang: str | None) -> Frame:
    """Return scales with a margin; directions and space keep one unit for both axes."""
    x_values, y_values = [x for x, _ in flat] or [0.0, 1.0], [y for _, y in flat] or [0.0, 1.0]
    ends = [[min(values), max(values)] for values in (x_values, y_values)]
    if from_origin:
        ends = [[min(low, 0.0), max(high, 0.0)] for low, high in ends]
        unit = max((ends[0][1] - ends[0][0]) / 500, (ends[1][1] - ends[1][0]) / 300) or 0.004
        ends = [_widen(end, unit * pixels) for end, pixels in zip(ends, (500, 300), strict=True)]
    ends = [[low - (high - low or 1) * 0.07, high + (high - low or 1) * 0.07] for low, high in ends]
    x, y = (_exact_scale(*end, lang=lang, ticks=ticks) for end in ends)
    left = 34 + 7.0 * max((width(text) for _, text in y.ticks), default=0)
    return Frame(x, y, left=left if ticks else 18, bottom=46 if ticks else 18)


def _widen(end: list[float], span: float) -> list[float]:
    middle = (end[0] + end[1]) / 2
    return [middle - span / 2, middle + span / 2]


def _exact_scale(low: float, high: float, *, lang: str | None, ticks: bool) -> Scale:
    """Return a scale of exactly these ends; ticks only inside them."""
    wide = make_scale([low, high], lang=lang)
    return Scale(low, high, False, tuple(t for t in wide.ticks if ticks and low <= t[0] <= high))


def _space_axes(frame: Frame, points: list[Point], names: list[str]) -> list[str]:
    longest = max((abs(value) for point in points for value in point.xyz), default=1.0) or 1.0
    parts = []
    for index, name in enumerate(names[:3]):
        tip = project([longest if axis == index else 0.0 for axis in range(3)])
        x = min(max(frame.across(tip[0]), frame.left), frame.right)
        y = min(max(frame.down(tip[1]), frame.top + 10), frame.bottom)
        parts += [_line(frame.across(0), frame.down(0), x, y, "axis"), _word(x, y - 6, name, anchor="middle")]
    return parts


def _labels(points: list[Point], spots: list[tuple[float, float]], *, rays: bool) -> list[str]:
    """Return the labels that find a free side; the others are in the table and on hover."""
    texts = [truncate(visible(point.label), 24) for point in points]
    sizes = [width(text) * _LETTER for text in texts]
    sides = label_sides(spots, sizes, area=(0, 0, ACROSS, DOWN), rays=rays)
    placed = zip(texts, spots, sizes, sides, strict=True)
    boxes = [(text, label_box(spot, size, side)) for text, spot, size, side in placed if side]
    return [_word(round(box[0], 1), round(box[3] - 3.5, 1), text, anchor="start", kind="name") for text, box in boxes]


def legend_html(block: Curves) -> str:
    """Return one line per curve, beside a swatch drawn as the curve is."""
    items = []
    for index, line in enumerate(block.series):
        dashed = " dashed" if line.dashed else ""
        kind = " area" if line.area else dashed
        items.append(f'<li><i class="s{index % HUES}{kind}"></i>{escape(visible(line.label))}</li>')
    return f'<ul class="legend">{"".join(items)}</ul>' if items else ""
