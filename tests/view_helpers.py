"""One page with every block, hostile text in each place that takes text, and eyes of several kinds."""

from __future__ import annotations

import math

from capot.view import blocks as b
from capot.view.theme import _channels as channels

HOSTILE = "<script>alert('x')</script> & \"q\" \x1b[31m\u202e مرحبا 👩\u200d🚀 \x9b\x00 \ud800"


def every_block(words: str = "words") -> list[b.Block]:
    """Each kind of block at least once, with ``words`` in every place for text."""
    w = words
    pieces = [b.Piece(w, hint=w, tone=n, kind=kind) for n, kind in enumerate(("token", "bytes", "special", "prompt"))]
    pieces += [b.Piece(w, weight=0.4), b.Piece("", weight=1.0), b.Piece(w, kind="after")]
    plane = [b.Point(w, (1.0, 2.0)), b.Point(w, (-1.0, 0.5), 1), b.Point(w, (-1.0, 0.5), 7)]
    space = [b.Point(w, (1.0, 2.0, 3.0)), b.Point(w, (0.0, -1.0, 0.5), 2)]
    lines = [b.Series(w, (1, 10, 100), (1.0, None, 3.0)), b.Series(w, (1, 100), (2.0, 2.0), dashed=True)]
    areas = [b.Series(w, (1, 2, 3), (1e9, 1e9, 1e9), area=True), b.Series(w, (1, 2, 3), (0.0, 1e9, 2e9), area=True)]
    inner = [b.Heading(w, 2), b.Bars([b.Bar(w, 0.5)])]
    return [
        b.Heading(w),
        b.Text(w),
        b.Text(w, "warning"),
        b.Text(w, "quiet"),
        b.Facts([(w, w)]),
        b.Strip(pieces, label=w, caption=w),
        b.Bars([b.Bar(w, 0.75, w, marked=True), b.Bar(w, math.nan), b.Bar(w, 2.0, w)], title=w, caption=w, x_label=w),
        b.Table((w, w), ((w, w), (w, w)), title=w, caption=w),
        b.Table((w, w), ((w, w), (w, w)), title=w, heat=((None, 0.2), (None, 1.0))),
        b.Scatter(plane, (w, w), title=w, caption=w),
        b.Scatter(plane, (w, w), arrows=True, title=w),
        b.Scatter(space, (w, w, w), arrows=True, caption=w),
        b.Curves(lines, w, w, log_x=True, log_y=True, title=w, caption=w),
        b.Curves(areas, w, w, y_kind="bytes"),
        b.Chat([b.Turn(w, w, after=w, note=w), b.Turn(w, w)], title=w, caption=w),
        b.Columns([[*inner], [b.Text(w)]]),
    ]


def empty_blocks() -> list[b.Block]:
    """Blocks with nothing in them: no chapter should send them, no face may fall over them."""
    return [
        *(b.Heading(""), b.Text(""), b.Facts(()), b.Strip(()), b.Bars(()), b.Table((), ()), b.Chat(()), b.Columns(())),
        *(b.Scatter((), ()), b.Scatter((), ("x", "y"), arrows=True), b.Curves((), "", "")),
        b.Curves([b.Series("", (), ())], "", "", log_x=True, log_y=True, y_kind="seconds"),
        b.Curves([b.Series("", (1, 2), (None, math.nan), area=True)], "", "", y_kind="percent"),
        b.Scatter([b.Point("", (0.0, 0.0))], ("", ""), arrows=True),
    ]


# Machado, Oliveira and Fernandes 2009, table 1, severity 1: linear RGB as seen without one kind of cone.
EYES = {
    "all cones": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "no red": ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)),
    "no green": ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.011820, 0.042940, 0.968881)),
    "no blue": ((1.255528, -0.076749, -0.178779), (-0.078411, 0.930809, 0.147602), (0.004733, 0.691367, 0.303900)),
}


def difference(one: str, other: str, eye: str) -> float:
    """CIE 1976 colour difference of two colours as ``eye`` sees them; 2.3 is just noticeable."""
    return math.dist(_lab(one, EYES[eye]), _lab(other, EYES[eye]))


def _lab(color: str, eye: tuple) -> tuple[float, float, float]:
    linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in (c / 255 for c in channels(color))]
    red, green, blue = (min(max(sum(a * v for a, v in zip(row, linear)), 0), 1) for row in eye)
    x = (0.4124 * red + 0.3576 * green + 0.1805 * blue) / 0.95047
    y = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    z = (0.0193 * red + 0.1192 * green + 0.9505 * blue) / 1.08883
    f = [t ** (1 / 3) if t > 0.008856 else 7.787 * t + 16 / 116 for t in (x, y, z)]
    return 116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])
