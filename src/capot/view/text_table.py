"""A table in a terminal: aligned columns that give way where the page is narrow."""

from __future__ import annotations

import re
from collections.abc import Sequence

from capot.view.blocks import Table
from capot.view.pen import Pen
from capot.view.visible import chunks, pad, visible, width, wrap

SHADES = " ░▒▓█"
GAP = "  "
SMALLEST = 4


def table_lines(table: Table, cells: int, pen: Pen) -> list[str]:
    """Header, rule, rows; a heat table carries a shade (or a colour) in each cell."""
    if not table.columns:
        return []
    shaded = bool(table.heat) and not pen.color
    rows = [[visible(cell) for cell in row] for row in table.rows]
    if shaded:
        rows = [_with_shades(row, heat) for row, heat in zip(rows, table.heat, strict=True)]
    header = [visible(name) for name in table.columns]
    align = alignment(table)
    sizes = _fit([header, *rows], cells)
    lines = [pen.bold(line) for line in _row(header, sizes, align, pen=pen)]
    lines.append(pen.quiet("─" * (sum(sizes) + len(GAP) * (len(sizes) - 1))))
    for index, row in enumerate(rows):
        heat = table.heat[index] if table.heat and pen.color else ()
        lines.extend(_row(row, sizes, align, heat=heat, pen=pen))
    return lines


def alignment(table: Table) -> str:
    """One of ``l`` and ``r`` per column: as asked, else the first left and the others right."""
    default = "l" + "r" * len(table.columns)
    return (table.align + default[len(table.align) :])[: len(table.columns)]


def _with_shades(row: Sequence[str], heat: Sequence[float | None]) -> list[str]:
    """Each heated cell with its shade in front of it."""
    filled = [*heat, *[None] * (len(row) - len(heat))]
    return [cell if level is None else f"{_shade(level)} {cell}" for cell, level in zip(row, filled, strict=False)]


def _shade(level: float) -> str:
    return SHADES[min(int(max(level, 0.0) * len(SHADES)), len(SHADES) - 1)]


def _fit(rows: Sequence[Sequence[str]], cells: int) -> list[int]:
    """Column sizes: as wide as needed, the widest giving way until the page holds them."""
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
    """One row as one or more lines, since a long cell wraps."""
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
