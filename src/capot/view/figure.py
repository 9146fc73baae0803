"""Pictures as Plotly figures: a plain JSON description, and the object where Python wants one.

``to_spec`` imports nothing: the pages hand its answer to Plotly's script. Only
``to_figure`` and ``plotly_script`` touch the plotly package.
"""

from __future__ import annotations

import functools
import html
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from capot import i18n
from capot.view.blocks import Bars, Curves, Point, Scatter, Series
from capot.view.labels import label_sides
from capot.view.scales import Scale, coordinates_text, is_drawable, series_scales, stack_areas, tick_text
from capot.view.theme import HUES, LIGHT, Theme, series_color
from capot.view.visible import truncate, visible, width

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

Picture = Bars | Scatter | Curves
SANS = 'system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif'
MONO = 'ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace'
SYMBOLS = ("circle", "diamond", "square", "triangle-up", "cross", "diamond-open")
SPACE_SYMBOLS = ("circle", "diamond", "square", "diamond-open", "cross", "circle-open")
_POSITIONS = {"right": "middle right", "left": "middle left", "above": "top center", "below": "bottom center"} | {
    f"{ours} {side}": f"{theirs} {side}"
    for ours, theirs in (("above", "top"), ("below", "bottom"))
    for side in ("right", "left")
}
NAMED = 80  # more points than this are named on hover only
FEW = 24  # points that are named as for a narrow plane, half a page or a phone: no name is cut at its edge


def to_spec(block: Picture, *, theme: Theme = LIGHT, lang: str | None = None) -> dict[str, Any]:
    """Return ``{data, layout}`` of a picture for Plotly's script: plain values that JSON can hold.

    User text is escaped, since Plotly reads a few HTML tags in labels.
    """
    if isinstance(block, Bars):
        return _bars(block, theme, lang)
    return _scatter(block, theme, lang) if isinstance(block, Scatter) else _curves(block, theme, lang)


def to_figure(block: Picture, *, theme: Theme = LIGHT, lang: str | None = None) -> Figure:
    """Return a picture as a ``plotly.graph_objects.Figure`` with its title, checked by Plotly's own rules."""
    from plotly.graph_objects import Figure

    spec = to_spec(block, theme=theme, lang=lang)
    if block.title:
        spec["layout"]["title"] = {"text": escape_label(block.title), "x": 0, "xref": "paper"}
        spec["layout"]["margin"]["t"] = 64
    return Figure(spec)


@functools.cache
def plotly_script() -> str:
    """Return Plotly's script as the installed package ships it (about 4.8 MB)."""
    from importlib import resources

    return resources.files("plotly").joinpath("package_data", "plotly.min.js").read_text(encoding="utf-8")


def escape_label(text: str, cells: int | None = None) -> str:
    """Return ``text`` as Plotly shows it literally."""
    shown = visible(text)
    # Plotly takes <b>, <a href> and a few more in labels for markup, whoever wrote them.
    return html.escape(shown if cells is None else truncate(shown, cells), quote=False)


def _layout(theme: Theme, lang: str | None, **more: Any) -> dict[str, Any]:
    french = i18n.language(lang) == "fr"
    return {
        "font": {"family": SANS, "size": 14, "color": theme["ink"]},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "margin": {"l": 8, "r": 16, "t": 12, "b": 8},
        # Decimal sign, then the separator of thousands: the words of a picture are ours, its hover numbers Plotly's.
        "separators": ",\u202f" if french else ".,",
        "hoverlabel": {"bgcolor": theme["ink"], "font": {"color": theme["paper"], "family": SANS}, "align": "left"},
        "modebar": {"bgcolor": "rgba(0,0,0,0)", "color": theme["quiet"], "activecolor": theme["accent"]},
        "showlegend": False,
        "dragmode": False,  # a finger that scrolls the page must not drag the picture
        **more,
    }


def _axis(theme: Theme, title: str = "", **more: Any) -> dict[str, Any]:
    return {
        "title": {"text": escape_label(title), "font": {"color": theme["quiet"]}},
        "tickfont": {"color": theme["quiet"]},
        "gridcolor": theme["line"],
        "zerolinecolor": theme["quiet"],
        "linecolor": theme["line"],
        "automargin": True,
        **more,
    }


def _bars(block: Bars, theme: Theme, lang: str | None) -> dict[str, Any]:
    rows = block.rows
    places = list(range(len(block.rows)))
    values = [bar.value if is_drawable(bar.value) else None for bar in rows]
    names = [escape_label(bar.label) for bar in rows]
    texts = [escape_label(bar.text) for bar in rows]
    trace = {
        "type": "bar",
        "orientation": "h",
        "x": values,
        "y": places,
        "text": texts,
        "textposition": "outside",
        "textfont": {"size": 14, "color": theme["ink"]},
        "cliponaxis": False,
        "marker": {"color": [theme["mark" if bar.marked else "accent"] for bar in rows], "cornerradius": 3},
        "hovertext": [f"{name}  {text}" for name, text in zip(names, texts, strict=True)],
        "hoverinfo": "text",
    }
    ticks = [f"▸ {escape_label(bar.label, 24)}" if bar.marked else escape_label(bar.label, 26) for bar in rows]
    down = _axis(theme, tickvals=places, ticktext=ticks, autorange="reversed", showgrid=False, zeroline=False)
    down["tickfont"] = {"family": MONO, "color": theme["ink"], "size": 14}
    down["ticks"], down["ticklen"], down["tickcolor"] = "outside", 6, "rgba(0,0,0,0)"
    # Room for the number beside the longest bar; without bars of any length, one unit.
    top = max((value for value in values if value is not None), default=0) or 1.0
    across = _axis(theme, block.x_label, range=[0, top * 1.22], showticklabels=False, showgrid=False)
    across |= {"fixedrange": True, "showline": False, "zerolinecolor": theme["line"]}
    height = 26 + 30 * max(len(rows), 1) + (30 if block.x_label else 0)
    layout = _layout(theme, lang, height=height, bargap=0.28, xaxis=across, yaxis=down | {"fixedrange": True})
    return {"data": [trace], "layout": layout}


def _scatter(block: Scatter, theme: Theme, lang: str | None) -> dict[str, Any]:
    if any(len(point.xyz) > 2 for point in block.points):
        return _space(block, theme, lang)
    shown = _label_positions(block)
    traces = [_point_trace(points, shown, theme=theme, lang=lang) for points in _groups(block.points)]
    axes = [*block.axes, "", ""]
    # Angles between arrows are true only where both axes have one unit.
    one_unit = {"scaleanchor": "x", "scaleratio": 1} if block.arrows else {}
    layout = _layout(theme, lang, height=460, xaxis=_axis(theme, axes[0]), yaxis=_axis(theme, axes[1]) | one_unit)
    if block.arrows:
        layout["annotations"] = [_arrow(point, theme) for point in block.points]
        for trace in traces:
            trace["marker"]["opacity"] = 0  # the arrow's head is the mark; the point still answers on hover
    return {"data": traces, "layout": layout}


def _label_positions(block: Scatter) -> dict[int, str]:
    """Return the side of each point's label that covers nothing, by the point's identity, for a plane of usual size.

    Many points are named as for a wide one: in a narrow plane most of them would lose their names.
    """
    points = block.points if len(block.points) <= NAMED else ()
    flat = [(_coordinate(point, 0) or 0.0, _coordinate(point, 1) or 0.0) for point in points]
    if not flat:
        return {}
    # Arrows begin at the origin, which belongs to what is drawn.
    ends = [(min(values), max(values)) for values in zip(*flat, (0.0, 0.0) if block.arrows else flat[0], strict=True)]
    (left, right), (low, high) = ends
    span = 320 if len(points) <= FEW else 680
    # The plane that Plotly will draw, in pixels: it is not known before, so that of a usual page is taken.
    spots = [(40 + span * (x - left) / (right - left or 1), 370 - 340 * (y - low) / (high - low or 1)) for x, y in flat]
    sizes = [width(truncate(visible(point.label), 28)) * 7.9 for point in points]
    sides = label_sides(spots, sizes, area=(0, 0, span + 76, 400), rays=block.arrows)
    return {id(point): _POSITIONS[side] for point, side in zip(points, sides, strict=True) if side}


def _groups(points: Sequence[Point]) -> list[list[Point]]:
    found: dict[int, list[Point]] = {}
    for point in points:
        found.setdefault(point.group, []).append(point)
    return [found[group] for group in sorted(found)]


def _point_trace(points: Sequence[Point], shown: dict[int, str], *, theme: Theme, lang: str | None) -> dict[str, Any]:
    """Return one group of points; ``shown`` has the side of each label that is written beside its mark."""
    group = points[0].group
    names = [escape_label(point.label, 28) for point in points]
    return {
        "type": "scatter",
        "mode": "markers+text",
        "x": [_coordinate(point, 0) for point in points],
        "y": [_coordinate(point, 1) for point in points],
        "text": [name if id(point) in shown else "" for name, point in zip(names, points, strict=True)],
        "textposition": [shown.get(id(point), "top center") for point in points],
        "textfont": {"family": MONO, "color": theme["ink"], "size": 13},
        "marker": {"color": series_color(theme, group), "size": 10, "symbol": SYMBOLS[group % HUES]},
        "hovertext": [f"{name}<br>{coordinates_text(point, lang)}" for name, point in zip(names, points, strict=True)],
        "hoverinfo": "text",
        "cliponaxis": False,
    }


def _space_trace(points: Sequence[Point], *, theme: Theme, lang: str | None) -> dict[str, Any]:
    group = points[0].group
    trace = _point_trace(points, {}, theme=theme, lang=lang)
    # ``cliponaxis`` is unknown to traces in space, and Plotly's own check refuses it.
    del trace["cliponaxis"]
    few = len(points) <= NAMED
    return trace | {
        "type": "scatter3d",
        "z": [_coordinate(point, 2) for point in points],
        "text": [escape_label(point.label, 28) if few else "" for point in points],
        "textposition": "top center",
        "marker": {"color": series_color(theme, group), "size": 4.5, "symbol": SPACE_SYMBOLS[group % HUES]},
    }


def _coordinate(point: Point, index: int) -> float | None:
    value = float(point.xyz[index]) if index < len(point.xyz) else 0.0
    return value if math.isfinite(value) else None


def _arrow(point: Point, theme: Theme) -> dict[str, Any]:
    return {
        "x": _coordinate(point, 0),
        "y": _coordinate(point, 1),
        "ax": 0,
        "ay": 0,
        **{"xref": "x", "yref": "y", "axref": "x", "ayref": "y"},
        "text": "",
        "showarrow": True,
        "arrowhead": 2,
        "arrowsize": 1.1,
        "arrowwidth": 2,
        "arrowcolor": series_color(theme, point.group),
    }


def _space(block: Scatter, theme: Theme, lang: str | None) -> dict[str, Any]:
    traces = [_space_trace(points, theme=theme, lang=lang) for points in _groups(block.points)]
    if block.arrows:
        traces += [_ray(point, theme) for point in block.points]
    axes = [*block.axes, "", "", ""]
    names = ("xaxis", "yaxis", "zaxis")
    scene: dict[str, Any] = {name: _space_axis(theme, axes[index]) for index, name in enumerate(names)}
    scene |= {"bgcolor": "rgba(0,0,0,0)", "aspectmode": "cube", "dragmode": "turntable"}
    scene["camera"] = {"eye": {"x": 1.45, "y": 1.45, "z": 0.75}, "center": {"x": 0, "y": 0, "z": -0.12}}
    return {"data": traces, "layout": _layout(theme, lang, height=520, scene=scene, dragmode="turntable")}


def _space_axis(theme: Theme, title: str) -> dict[str, Any]:
    axis = _axis(theme, title)
    del axis["automargin"]
    return axis | {"showbackground": False, "nticks": 5}


def _ray(point: Point, theme: Theme) -> dict[str, Any]:
    ends = {axis: [0, _coordinate(point, index)] for index, axis in enumerate("xyz")}
    line = {"color": series_color(theme, point.group), "width": 4}
    return {"type": "scatter3d", "mode": "lines", **ends, "line": line, "hoverinfo": "skip"}


def _curves(block: Curves, theme: Theme, lang: str | None) -> dict[str, Any]:
    x, y = series_scales(block, lang=lang)
    tops = {id(area): top for area, _, top in stack_areas(block.series)}
    # Areas first: "tonexty" fills down to the trace before, which must be an area.
    order = sorted(enumerate(block.series), key=lambda item: not item[1].area)
    traces = [_curve(line, index, block=block, theme=theme, lang=lang, top=tops.get(id(line))) for index, line in order]
    across = _ticked_axis(theme, block.x_label, x)
    up = _ticked_axis(theme, block.y_label, y)
    legend = {"orientation": "h", "x": 0, "xanchor": "left", "y": 1.02, "yanchor": "bottom", "traceorder": "normal"}
    shown = {"showlegend": True, "legend": legend, "hovermode": "closest"}
    return {"data": traces, "layout": _layout(theme, lang, height=440, xaxis=across, yaxis=up) | shown}


def _ticked_axis(theme: Theme, title: str, ticks: Scale) -> dict[str, Any]:
    """Return an axis with the ticks of a scale, written in the language."""
    ends = [ticks.low, ticks.high]
    if ticks.log:
        # A logarithmic axis has no zero; a little room on both sides keeps the ends off the frame.
        ends = [math.log10(ticks.low) - 0.03, math.log10(ticks.high) + 0.06]
    marks = {"tickvals": [value for value, _ in ticks.ticks], "ticktext": [text for _, text in ticks.ticks]}
    return _axis(theme, title, type="log" if ticks.log else "linear", range=ends, **marks)


def _curve(
    line: Series, index: int, *, block: Curves, theme: Theme, lang: str | None, top: list[float] | None
) -> dict[str, Any]:
    """Return one trace. Areas are drawn at their stacked height, since a logarithmic axis cannot add them up."""
    label = escape_label(line.label)
    color = series_color(theme, index)
    # JSON has no NaN: None leaves a gap in the line.
    heights = [value if is_drawable(value, block.log_y) else None for value in (top or line.y)]
    read = [tick_text(value, block.y_kind, lang=lang) if is_drawable(value) else "–" for value in line.y]
    across = [tick_text(value, "number", lang=lang) if is_drawable(value) else "–" for value in line.x]
    hover = [f"{label}<br>{escape_label(block.x_label)} {a}<br>{r}" for a, r in zip(across, read, strict=True)]
    trace: dict[str, Any] = {
        "type": "scatter",
        "mode": "lines" if line.area or line.dashed or len(line.x) > 40 else "lines+markers",
        "name": label,
        "x": [float(value) if is_drawable(value, block.log_x) else None for value in line.x],
        "y": heights,
        "line": {"color": color, "width": 2.5, "dash": "dash" if line.dashed else "solid"},
        "marker": {"symbol": SYMBOLS[index % HUES], "size": 8},
        "hovertext": hover,
        "hoverinfo": "text",
    }
    if "markers" in trace["mode"]:
        trace["cliponaxis"] = False  # else the first and the last mark are cut in half
    if line.area:
        first = next(series for series in block.series if series.area) is line
        red, green, blue = (int(color[place : place + 2], 16) for place in (1, 3, 5))
        trace |= {"fill": "tozeroy" if first else "tonexty", "fillcolor": f"rgba({red},{green},{blue},0.42)"}
    return trace
