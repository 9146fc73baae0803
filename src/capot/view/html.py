"""Blocks as HTML: a page that opens by double click, or a fragment for a notebook.

The page carries its styles, its data and, where it has pictures, Plotly's script:
nothing is fetched, and its own policy forbids it. The fragment has no script at
all; its pictures are drawn in SVG and its bars in CSS. Every text is escaped.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from html import escape
from importlib import resources
from typing import Any

from capot import i18n
from capot.view import blocks as b
from capot.view.figure import Picture, plotly_script, to_spec
from capot.view.scales import coordinates_text, is_drawable, tick_text
from capot.view.svg import curves_svg, legend_html, scatter_svg
from capot.view.text_table import alignment
from capot.view.theme import DARK, HUES, LIGHT, STEPS, css, lightness_step
from capot.view.visible import visible

FOCUSABLE = 120  # a longer strip would be a trap for the Tab key; its table has the same hints
_TOOLS = {  # Plotly's own words, and the key of ours
    "Download plot as a PNG": "picture",
    "Zoom": "zoom",
    "Pan": "pan",
    "Zoom in": "zoom_in",
    "Zoom out": "zoom_out",
    "Autoscale": "autoscale",
    "Reset axes": "reset",
    "Orbital rotation": "orbit",
    "Turntable rotation": "turntable",
    "Reset camera to default": "camera",
    "Taking snapshot - this may take a few seconds": "saving",
    "Snapshot succeeded": "saved",
    "Double-click to zoom back out": "double_click",
}


@dataclass
class _Renderer:
    """What a rendering knows: its language, whether it is a page, and the figures met so far."""

    lang: str
    page: bool
    figures: list[dict[str, Any]] = field(default_factory=list)

    def render(self, blocks: Iterable[b.Block]) -> str:
        return "\n".join(_DRAW[type(block)](block, self) for block in blocks)

    def tr(self, key: str, **params: object) -> str:
        return escape(i18n.tr(f"view.{key}", self.lang, **params))


def to_html(blocks: Sequence[b.Block], *, lang: str, title: str | None = None) -> str:
    """Return one self-contained page: no request, light and dark, Plotly's script only where a picture needs it."""
    face = _Renderer(i18n.language(lang), page=True)
    body = face.render(blocks)
    headings = (block.text for block in blocks if isinstance(block, b.Heading))
    name = escape(visible(title or next(headings, "capot")))
    scripts = _scripts(face) if face.figures else ""
    policy = _security_policy(bool(face.figures))
    return (
        f'<!doctype html>\n<html lang="{face.lang}">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n<meta name="referrer" content="no-referrer">\n'
        f"<title>{name}</title>\n<style>\n{style_sheet()}</style>\n</head>\n"
        f'<body class="capot">\n<main>\n{body}\n</main>\n{scripts}</body>\n</html>\n'
    )


def to_fragment(blocks: Sequence[b.Block], *, lang: str) -> str:
    """Return the blocks for a notebook cell: scoped styles, drawings in SVG, no script."""
    face = _Renderer(i18n.language(lang), page=False)
    body = face.render(blocks)
    return f'<div class="capot fragment" lang="{face.lang}">\n<style>\n{style_sheet()}</style>\n{body}\n</div>\n'


@functools.cache
def style_sheet() -> str:
    """Return every rule of a page of blocks, under ``.capot``: the colours of ``theme``, then ``style.css``."""
    hues = [f".capot .t{i}{{background:var(--t{i});border-color:var(--b{i})}}" for i in range(HUES)]
    hues += [f".capot .s{i}{{color:var(--s{i})}}" for i in range(HUES)]
    steps = [f".capot .w{i}{{background:var(--w{i});color:var(--v{i})}}" for i in range(STEPS)]
    return "\n".join([css(), *hues, *steps, _asset("style.css")])


@functools.cache
def _asset(name: str) -> str:
    return resources.files("capot.view").joinpath(name).read_text(encoding="utf-8")


def _scripts(face: _Renderer) -> str:
    """Return the figures as data, Plotly, and the few lines that draw the first with the second."""
    words = {plotly: i18n.tr(f"view.tools.{key}", face.lang) for plotly, key in _TOOLS.items()}
    data = {"lang": face.lang, "dictionary": words, "figures": face.figures}
    # ``</script>`` in somebody's text would end the element: "<" is written as its escape.
    text = json.dumps(data, ensure_ascii=False, allow_nan=False).replace("<", "\\u003c")
    return (
        f'<script type="application/json" id="capot-figures">{text}</script>\n'
        f"<script>{plotly_script()}</script>\n<script>{_asset('figure.js')}</script>\n"
    )


@functools.cache
def _security_policy(drawn: bool) -> str:
    """Return the page's own Content-Security-Policy: nothing is fetched, no script runs but these two."""
    # By hash, since a file has no server to set a nonce; the data element runs nothing.
    scripts = [_hash(text) for text in (plotly_script(), _asset("figure.js"))] if drawn else ["'none'"]
    return (
        "default-src 'none'; base-uri 'none'; form-action 'none'; style-src 'unsafe-inline'; "
        f"img-src data: blob:; script-src {' '.join(scripts)}"
    )


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _escaped(text: str, *, lines: bool = False) -> str:
    return escape(visible(text, lines=lines))


def _heading(block: b.Heading, face: _Renderer) -> str:
    level = 1 if block.level == 1 else 2
    if face.page:
        return f"<h{level}>{_escaped(block.text)}</h{level}>"
    return f'<h{level + 2} class="h{level} block">{_escaped(block.text)}</h{level + 2}>'


def _text(block: b.Text, face: _Renderer) -> str:
    kind = "" if block.tone == "plain" else f' class="{block.tone}"'
    return f"<p{kind}>{_escaped(block.text, lines=True)}</p>"


def _facts(block: b.Facts, face: _Renderer) -> str:
    rows = (f"<dt>{_escaped(name)}</dt><dd>{_escaped(value, lines=True)}</dd>" for name, value in block.rows)
    return f'<dl class="facts">{"".join(rows)}</dl>'


def _picture(block: b.Captioned, body: str, *, after: str = "") -> str:
    """Return a picture between its title and its caption, and what is folded under it."""
    title = getattr(block, "title", "") or getattr(block, "label", "")
    above = f'<p class="title">{_escaped(title)}</p>\n' if title else ""
    caption = f"<figcaption>{_escaped(block.caption, lines=True)}</figcaption>\n" if block.caption else ""
    return f'<section class="picture">\n{above}<figure>\n{body}\n{caption}</figure>\n{after}</section>'


def _strip(block: b.Strip, face: _Renderer) -> str:
    # Hints open on focus too: each piece is in the tab order, unless there are too many.
    reach = ' tabindex="0"' if len(block.pieces) <= FOCUSABLE else ""
    items = "".join(_piece(piece, reach) for piece in block.pieces)
    label = f' aria-label="{_escaped(block.label)}"' if block.label else ""
    return _picture(block, f'<ol class="strip"{label}>{items}</ol>')


def _piece(piece: b.Piece, reach: str) -> str:
    look = f"w{lightness_step(piece.weight)}" if piece.weight is not None else f"t{piece.tone % HUES}"
    kind = "" if piece.kind == "token" else f" {piece.kind}"
    hint = f'{reach} data-hint="{_escaped(piece.hint)}"' if piece.hint else ""
    return f'<li class="{look}{kind}"{hint}>{_escaped(piece.text) or "∅"}</li>'


def _bars(block: b.Bars, face: _Renderer) -> str:
    drawn = f'<table class="bars"><tbody>{"".join(map(_bar, block.rows))}</tbody></table>'
    above = f'<p class="quiet">{_escaped(block.x_label)}</p>' if block.x_label and not face.page else ""
    if not face.page:
        return _picture(block, above + drawn)
    rows = [[bar.label, bar.text or tick_text(bar.value, "number", lang=face.lang)] for bar in block.rows]
    table = b.Table([i18n.tr("view.label", face.lang), block.x_label or i18n.tr("view.value", face.lang)], rows)
    return _figure_with_table(block, drawn, table, face)


def _bar(bar: b.Bar) -> str:
    share = 100 * min(max(bar.value, 0.0), 1.0) if is_drawable(bar.value) else 0.0
    marked = ' class="marked"' if bar.marked else ""
    track = f'<i style="width:{share:.2f}%"></i>' if share > 0 else ""
    return (
        f'<tr{marked}><th scope="row">{_escaped(bar.label)}</th><td class="r">{_escaped(bar.text)}</td>'
        f'<td class="track">{track}</td></tr>'
    )


def _figure_with_table(block: Picture, drawn: str, table: b.Table, face: _Renderer, *, legend: str = "") -> str:
    """Return the drawing, the place where Plotly draws over it in a page, and the folded table."""
    place = ""
    if face.page:
        themes = {"light": LIGHT, "dark": DARK}
        face.figures.append({name: to_spec(block, theme=theme, lang=face.lang) for name, theme in themes.items()})
        name = f' role="group" aria-label="{_escaped(block.title)}"' if block.title else ""
        place = f'\n<div class="plot" data-figure="{len(face.figures) - 1}"{name} hidden></div>'
    body = f'<div class="drawn">{drawn}{legend}</div>{place}'
    # Whoever cannot see a picture reads its numbers: the table is always there, folded.
    folded = f"<details><summary>{face.tr('table')}</summary>{_plain_table(table, face)}</details>\n"
    return _picture(block, body, after=folded)


def _scatter(block: b.Scatter, face: _Renderer) -> str:
    table = points_table(block, lang=face.lang)
    return _figure_with_table(block, scatter_svg(block, lang=face.lang), table, face)


def points_table(block: b.Scatter, *, lang: str | None = None) -> b.Table:
    """Return the points of a picture as rows: name, then one column per axis."""
    count = max((len(point.xyz) for point in block.points), default=len(block.axes))
    names = [*block.axes, *(i18n.tr("view.axis", lang, n=n + 1) for n in range(len(block.axes), count))]
    rows = [[point.label, *coordinates_text(point, lang).split("; ")] for point in block.points]
    return b.Table([i18n.tr("view.label", lang), *names[:count]], rows)


def _curves(block: b.Curves, face: _Renderer) -> str:
    table = curves_table(block, lang=face.lang)
    return _figure_with_table(block, curves_svg(block, lang=face.lang), table, face, legend=legend_html(block))


def curves_table(block: b.Curves, *, lang: str | None = None) -> b.Table:
    """Return the curves of a picture as rows: one per x, one column per curve."""
    across = sorted({x for line in block.series for x in line.x if is_drawable(x)})
    known = [dict(zip(line.x, line.y, strict=True)) for line in block.series]
    rows = [
        [tick_text(x, "number", lang=lang), *(_read_value(heights.get(x), block.y_kind, lang) for heights in known)]
        for x in across
    ]
    return b.Table([block.x_label, *(line.label for line in block.series)], rows, align="r" * (len(known) + 1))


def _read_value(value: float | None, kind: str, lang: str | None) -> str:
    return tick_text(value, kind, lang=lang) if is_drawable(value) else ""


def _table(block: b.Table, face: _Renderer) -> str:
    return _picture(block, _plain_table(block, face))


def _plain_table(block: b.Table, face: _Renderer) -> str:
    """Return the table alone, in a frame that scrolls sideways where the page is narrow."""
    align = alignment(block)
    head = "".join(_header(name, _side(align, column)) for column, name in enumerate(block.columns))
    named = block.grid or align[:1] == "l"
    rows = "".join(_row(row, index, align=align, heat=block.heat, named=named) for index, row in enumerate(block.rows))
    kinds = [name for name, there in (("heat", block.heat), ("grid", block.grid)) if there]
    kind = f' class="{" ".join(kinds)}"' if kinds else ""
    label = _escaped(block.title) or face.tr("scroll")
    return (
        f'<div class="scroll" role="group" tabindex="0" aria-label="{label}"><table{kind}>'
        f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def _header(name: str, side: str) -> str:
    return f'<th scope="col"{side}>{_escaped(name)}</th>' if name else "<td></td>"


def _row(row: Sequence[str], index: int, *, align: str, heat: Sequence[Sequence[float | None]], named: bool) -> str:
    """Return a row, its first cell its name where it is ``named``."""
    levels = heat[index] if index < len(heat) else ()
    cells = []
    for column, text in enumerate(row):
        level = levels[column] if column < len(levels) else None
        side = _side(align, column) if level is None else f' class="w{lightness_step(level)}"'
        cells.append(_cell(text, side, named=named and column == 0))
    return f"<tr>{''.join(cells)}</tr>"


def _cell(text: str, side: str, *, named: bool) -> str:
    if named:
        return f'<th scope="row"{side}>{_escaped(text)}</th>'
    return f"<td{side}>{_escaped(text)}</td>"


def _side(align: str, column: int) -> str:
    return ' class="r"' if align[column : column + 1] == "r" else ""


def _chat(block: b.Chat, face: _Renderer) -> str:
    roles = list(dict.fromkeys(turn.role for turn in block.turns))
    items = "".join(_turn(turn, roles.index(turn.role)) for turn in block.turns)
    return _picture(block, f'<ol class="chat">{items}</ol>')


def _turn(turn: b.Turn, place: int) -> str:
    note = f' <span class="note">{_escaped(turn.note)}</span>' if turn.note else ""
    after = f'<p class="after">{_escaped(turn.after, lines=True)}</p>' if turn.after else ""
    return (
        f'<li class="{"odd" if place % 2 else "even"}"><p class="role">{_escaped(turn.role)}{note}</p>'
        f"<p>{_escaped(turn.text, lines=True)}</p>{after}</li>"
    )


def _columns(block: b.Columns, face: _Renderer) -> str:
    columns = (f'<div class="column">{face.render(column)}</div>' for column in block.columns)
    return f'<div class="columns">{"".join(columns)}</div>'


_DRAW: dict[type, Callable[..., str]] = {
    b.Heading: _heading,
    b.Text: _text,
    b.Facts: _facts,
    b.Strip: _strip,
    b.Bars: _bars,
    b.Table: _table,
    b.Scatter: _scatter,
    b.Curves: _curves,
    b.Chat: _chat,
    b.Columns: _columns,
}
