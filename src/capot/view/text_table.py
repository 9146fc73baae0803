"""A table in a terminal: aligned columns that give way where the page is narrow."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from capot.view.blocks import Table
from capot.view.pen import Pen
from capot.view.visible import chunks, pad, visible, width, wrap

SHADES = " ░▒▓█"
GAP = "  "
SMALLEST = 4
MOST_COLUMNS = 24  # of a grid, the last ones: a terminal does not scroll sideways, and a text may be long
LEFT_OUT = "…"


def table_lines(table: Table, cells: int, pen: Pen) -> list[str]:
    """Return header, rule and rows; a heat table carries a shade (or a colour) in each cell."""
    if not table.columns:
        return []
    shaded = bool(table.heat) and not pen.color
    rows = [[visible(cell) for cell in row] for row in table.rows]
    if shaded:
        rows = [_with_shades(row, heat) for row, heat in zip(rows, table.heat, strict=True)]
    whole = replace(table, columns=[visible(name) for name in table.columns], rows=rows)
    lines: list[str] = []
    for part in _parts(whole, cells) if table.grid else [whole]:
        lines.extend([""] if lines else [])
        lines.extend(_lines(part, cells, pen))
    return lines


def _parts(table: Table, cells: int) -> Iterator[Table]:
    """Yield the last columns of a grid, as many beside the first one as there is room for.

    The name of the first column says where others before them are left out.
    """
    count = len(table.columns)
    start = max(1, count - MOST_COLUMNS)
    first = f"{table.columns[0]} {LEFT_OUT}".strip() if start > 1 else table.columns[0]
    table = replace(table, columns=[first, *table.columns[1:]])
    sizes = [max(width(row[column]) for row in [table.columns, *table.rows]) for column in range(count)]
    while start < count:
        stop = start + 1
        room = cells - sizes[0] - len(GAP) - sizes[start]
        while stop < count and room >= len(GAP) + sizes[stop]:
            room -= len(GAP) + sizes[stop]
            stop += 1
        yield _columns(table, [0, *range(start, stop)])
        start = stop


def _columns(table: Table, chosen: Sequence[int]) -> Table:
    align = alignment(table)
    return replace(
        table,
        columns=[table.columns[column] for column in chosen],
        rows=[[row[column] for column in chosen] for row in table.rows],
        align="".join(align[column] for column in chosen),
        heat=[[levels[column] for column in chosen] for levels in table.heat],
    )


def _lines(table: Table, cells: int, pen: Pen) -> list[str]:
    """Return the lines of a table whose texts are made visible."""
    header = table.columns
    rows = table.rows
    align = alignment(table)
    sizes = _fit([header, *rows], cells)
    lines = [pen.bold(line) for line in _row(header, sizes, align, pen=pen)]
    lines.append(pen.quiet("─" * (sum(sizes) + len(GAP) * (len(sizes) - 1))))
    for index, row in enumerate(rows):
        heat = table.heat[index] if table.heat and pen.color else ()
        lines.extend(_row(row, sizes, align, heat=heat, pen=pen))
    return lines


def alignment(table: Table) -> str:
    """Return one of ``l`` and ``r`` per column: as asked, else the first left and the others right."""
    default = "l" + "r" * len(table.columns)
    return (table.align + default[len(table.align) :])[: len(table.columns)]


def _with_shades(row: Sequence[str], heat: Sequence[float | None]) -> list[str]:
    """Return each heated cell with its shade in front of it."""
    filled = [*heat, *[None] * (len(row) - len(heat))]
    return [cell if level is None else f"{_shade(level)} {cell}" for cell, level in zip(row, filled, strict=False)]


def _shade(level: float) -> str:
    return SHADES[min(int(max(level, 0.0) * len(SHADES)), len(SHADES) - 1)]


def _fit(rows: Sequence[Sequence[str]], cells: int) -> list[int]:
    """Return column sizes: as wide as needed, the widest giving way until the page holds them."""
    count = len(rows[0])
    sizes = [max((width(row[c]) for row in rows if c < len(row)), default=0) for c in range(count)]
    room = cells - len(GAP) * (count - 1)
    # The widest column gives way first, down to the second widest: then both, and so on.
    while sum(sizes) > room and max(sizes) > SMALLEST:
        widest = sizes.index(max(sizes))
        others = sum(sizes) - sizes[widest]
        second = max([size for size in sizes if size < sizes[widest]], default=SMALLEST)
        sizes[widest] = max(SMALLEST, room - others, min(second, sizes[widest] - 1))
    return sizes


def _row(
    cells: Sequence[str], sizes: Sequence[int], align: str, *, pen: Pen, heat: Sequence[float | None] = ()
) -> list[str]:
    """Return one row as one or more lines, since a long cell wraps."""
    filled = [*cells, *[""] * (len(sizes) - len(cells))]
    wrapped = [_cell(text, size) for text, size in zip(filled, sizes, strict=False)]
    lines = []
    for depth in range(max(map(len, wrapped))):
        parts = []
        for column, size in enumerate(sizes):
            text = wrapped[column][depth] if depth < len(wrapped[column]) else ""
            text = pad(text, size, align[column])
            level = heat[column] if column < len(heat) else None
            parts.append(pen.weight(text, min(max(level, 0.0), 1.0)) if level is not None else text)
        lines.append(GAP.join(parts))
    return lines


def _cell(text: str, size: int) -> list[str]:
    if width(text) <= size:
        return [text]
    return wrap(text, size) if " " in text else _by_parts(text, size)


def _by_parts(text: str, size: int) -> list[str]:
    """Return a name without spaces over several lines, cut after its own / and - where its parts are short enough."""
    # File and model names break where a reader would break them.
    parts = re.split(r"(?<=[/-])", text)
    lines = [""]
    if any(width(part) > size for part in parts):
        return chunks(text, size)
    for part in parts:
        if width(lines[-1] + part) > size:
            lines.append("")
        lines[-1] += part
    return lines
