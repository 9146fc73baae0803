"""Blocks as a terminal page: words, facts, tokens, bars, conversations.

Tables are in ``text_table``, points and curves in ``text_plot``. Every string of
a block goes through ``visible`` before it is measured or printed, so that nothing
in a user's text can move the cursor, change a colour or reverse the line.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

from capot.view import blocks as b
from capot.view.pen import ACCENT, WARNING, Pen
from capot.view.text_table import table_lines
from capot.view.visible import chunks, pad, truncate, visible, width, wrap

EIGHTHS = " ▏▎▍▌▋▊▉█"
LEVELS = "▁▂▃▄▅▆▇█"
NARROW = 32  # columns thinner than this go one under the other
LONGEST_BAR = 48


def to_text(blocks: Sequence[b.Block], *, width: int = 80, color: bool = False) -> str:
    """Return the blocks for a terminal of ``width`` cells, in colour where ``color`` is true.

    >>> print(to_text([b.Bars([b.Bar("a", 0.5, "50.0%"), b.Bar("b", 0.25, "25.0%")])], width=20))
    a  50.0%  █████
    b  25.0%  ██▌
    """
    lines = page_lines(blocks, cells=max(20, width), pen=Pen(color))
    return "\n".join(line.rstrip() for line in lines)


def page_lines(blocks: Iterable[b.Block], *, cells: int, pen: Pen) -> list[str]:
    """Return the blocks one under the other, a blank line between two of them."""
    lines: list[str] = []
    for block in blocks:
        drawn = _DRAW[type(block)](block, cells, pen)
        if drawn:
            lines.extend([""] if lines else [])
            lines.extend(drawn)
    return lines


def paragraph(text: str, cells: int, *, first: str = "", rest: str = "") -> list[str]:
    """Return ``text`` made visible and wrapped, each line after its prefix."""
    # Both prefixes have one width, in cells: a letter of East Asia takes two, an accent none.
    room = cells - max(width(first), width(rest))
    wrapped = wrap(visible(text, lines=True), room)
    return [(rest if index else first) + line for index, line in enumerate(wrapped)]


def _framed(block: b.Captioned, picture: list[str], cells: int, pen: Pen) -> list[str]:
    """Return a picture between its title and its caption."""
    title = getattr(block, "title", "") or getattr(block, "label", "")
    above = [pen.bold(line) for line in paragraph(title, cells)] if title else []
    caption = block.caption
    below = [pen.quiet(line) for line in paragraph(caption, cells)] if caption else []
    return [*above, *picture, *below]


def _heading(block: b.Heading, cells: int, pen: Pen) -> list[str]:
    lines = paragraph(block.text, cells)
    rule = ("━" if block.level == 1 else "─") * max(map(width, lines))
    codes = (1, 38, 5, ACCENT) if block.level == 1 else (1,)
    return [*(pen.style(line, *codes) for line in lines), pen.quiet(rule)]


def _text(block: b.Text, cells: int, pen: Pen) -> list[str]:
    if block.tone == "warning":
        lines = paragraph(block.text, cells, first="! ", rest="  ")
        return [pen.ink(line, WARNING) for line in lines]
    lines = paragraph(block.text, cells)
    return [pen.quiet(line) for line in lines] if block.tone == "quiet" else lines


def _facts(block: b.Facts, cells: int, pen: Pen) -> list[str]:
    rows = [(visible(name), value) for name, value in block.rows]
    names = min(max((width(name) for name, _ in rows), default=0), cells // 2)
    lines = []
    for name, value in rows:
        gap = pen.quiet(pad(truncate(name, names), names)) + "  "
        blank = " " * (names + 2)
        lines.extend(paragraph(value, cells, first=gap, rest=blank))
    return lines


def _bars(block: b.Bars, cells: int, pen: Pen) -> list[str]:
    rows = [(visible(bar.label), truncate(visible(bar.text), cells // 3), bar) for bar in block.rows]
    mark = 2 if any(bar.marked for bar in block.rows) else 0
    numbers = max((width(number) for _, number, _ in rows), default=0)
    # Names take a third at most, so that a bar of a few cells is left on any terminal.
    names = min(max((width(name) for name, _, _ in rows), default=0), cells // 3, cells - mark - numbers - 8)
    room = min(max(cells - mark - names - numbers - (4 if numbers else 2), 4), LONGEST_BAR)
    lines = [pen.quiet(line) for line in paragraph(block.x_label, cells)] if block.x_label else []
    for name, number, bar in rows:
        arrow = ("▸" if bar.marked else "").ljust(mark)
        name = pad(truncate(name, names), names)
        parts = [arrow + (pen.bold(name) if bar.marked else name)]
        parts += [pad(number, numbers, "r")] if numbers else []
        parts += [pen.ink(eighths(bar.value, room), WARNING if bar.marked else ACCENT)]
        lines.append("  ".join(parts))
    return _framed(block, lines, cells, pen)


def eighths(value: float, cells: int) -> str:
    """Return a bar of ``value`` (0..1) of ``cells``, to an eighth of a cell; never nothing for a positive value.

    >>> eighths(0.5, 3), eighths(1e-9, 3)
    ('█▌', '▏')
    """
    share = min(max(value, 0.0), 1.0) if math.isfinite(value) else 0.0
    # A probability that is not zero must not look like zero.
    parts = max(round(share * cells * 8), 1 if share > 0 else 0)
    return "█" * (parts // 8) + EIGHTHS[parts % 8].strip()


def _strip(block: b.Strip, cells: int, pen: Pen) -> list[str]:
    lines: list[str] = []
    for row in _strip_rows(block.pieces, cells, pen):
        lines.append("".join(shown for shown, _ in row))
        # Without colour the probability is a second line of small bars, cell under cell.
        if not pen.color and any(piece and piece.weight is not None for _, piece in row):
            lines.append("".join(_level(piece) * width(shown) for shown, piece in row))
    return _framed(block, lines, cells, pen)


def _strip_rows(pieces: Sequence[b.Piece], cells: int, pen: Pen) -> list[list[tuple[str, b.Piece | None]]]:
    """Return rows of (painted text, its piece, or None for a border), none wider than ``cells``."""
    rows: list[list[tuple[str, b.Piece | None]]] = [[]]
    used, before = 0, None
    for piece in pieces:
        border = _border(before, piece, pen)
        shown = _badge(visible(piece.text) or "∅", piece, pen)
        # Rows break between tokens; a token longer than a row is cut into several.
        if used and used + len(border) + width(shown) + 1 > cells:
            rows[-1].extend([("│", None)] if border else [])
            rows.append([])
            used = 0
        for index, chunk in enumerate(chunks(shown, cells - 2)):
            if index:
                rows.append([])
                used, border = 0, ""
            rows[-1].extend([(border, None)] if border else [])
            rows[-1].append((_painted(piece, chunk, pen), piece))
            used += len(border) + width(chunk)
        before = piece
    if pieces and not pen.color:
        rows[-1].append(("│", None))
    return rows if pieces else []


def _border(before: b.Piece | None, piece: b.Piece, pen: Pen) -> str:
    """Return what parts two tokens: nothing where their colours do, a double line where the text changes hands."""
    if before is None:
        return "" if pen.color else "│"
    if before.kind != piece.kind and {"prompt", "after"} & {before.kind, piece.kind}:
        return "║"
    # Two neighbours of one colour need a line between them; so does a weight, whose colour says something else.
    coloured = pen.color and before.weight is None and piece.weight is None and piece.kind != "prompt"
    return "" if coloured and before.tone % 6 != piece.tone % 6 else "│"


def _badge(text: str, piece: b.Piece, pen: Pen) -> str:
    """Return the text of a token; a special one stands out without colours as well."""
    return f"▐{text}▌" if piece.kind == "special" and not pen.color else text


def _painted(piece: b.Piece, text: str, pen: Pen) -> str:
    if piece.kind == "after":
        return pen.quiet(text)
    if piece.weight is not None:
        return pen.weight(text, min(max(piece.weight, 0.0), 1.0))
    if piece.kind == "prompt":
        return pen.quiet(text)
    if piece.kind == "special":
        return pen.style(text, 1, 7)
    return pen.token(text, piece.tone)


def _level(piece: b.Piece | None) -> str:
    if piece is None or piece.weight is None:
        return " "
    return LEVELS[min(int(max(piece.weight, 0.0) * len(LEVELS)), len(LEVELS) - 1)]


def _chat(block: b.Chat, cells: int, pen: Pen) -> list[str]:
    lines: list[str] = []
    for turn in block.turns:
        role = truncate(visible(turn.role), cells)
        note = visible(turn.note)
        beside = f"  {note}" if note and width(role) + 2 + width(note) <= cells else ""
        below = paragraph(note, cells) if note and not beside else []
        lines.extend([""] if lines else [])
        lines.append(pen.style(role, 1, 38, 5, ACCENT) + pen.quiet(beside))
        lines.extend(map(pen.quiet, below))
        lines.extend(paragraph(turn.text, cells, first="│ ", rest="│ "))
        if turn.after:
            dotted = paragraph(turn.after, cells, first="┊ ", rest="┊ ")
            lines.extend(pen.quiet(line) for line in ["├╌╌╌", *dotted])
    return _framed(block, lines, cells, pen)


def _columns(block: b.Columns, cells: int, pen: Pen) -> list[str]:
    """Return columns side by side where each has room, else one after the other."""
    count = len(block.columns)
    room = (cells - 3 * (count - 1)) // max(count, 1)
    if count < 2 or room < NARROW:
        return page_lines([part for column in block.columns for part in column], cells=cells, pen=pen)
    drawn = [page_lines(column, cells=room, pen=pen) for column in block.columns]
    height = max(map(len, drawn))
    filled = [column + [""] * (height - len(column)) for column in drawn]
    gap = pen.quiet(" │ ")
    return [gap.join(pad(line, room) for line in row) for row in zip(*filled, strict=True)]


def _plot(block: b.Scatter | b.Curves, cells: int, pen: Pen) -> list[str]:
    from capot.view import text_plot  # a tenth of a command's start, and most commands draw none

    if isinstance(block, b.Scatter):
        return _framed(block, text_plot.scatter_lines(block, cells, pen), cells, pen)
    return _framed(block, text_plot.curves_lines(block, cells, pen), cells, pen)


_DRAW: dict[type, Callable[..., list[str]]] = {
    b.Heading: _heading,
    b.Text: _text,
    b.Facts: _facts,
    b.Strip: _strip,
    b.Bars: _bars,
    b.Table: lambda block, cells, pen: _framed(block, table_lines(block, cells, pen), cells, pen),
    b.Scatter: _plot,
    b.Curves: _plot,
    b.Chat: _chat,
    b.Columns: _columns,
}
