"""The blocks themselves: frozen, plain, with every word given by the caller.

A picture carries ``caption``: the two sentences that say what it shows, with the
numbers of this very run. Pictures are drawn from raw numbers; where a number is
read rather than drawn, the result writes it (``i18n.number``) and passes a string.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal


@dataclass(frozen=True)
class Heading:
    kind: ClassVar[Literal["heading"]] = "heading"
    text: str
    level: int = 1  # 1 the chapter's question, 2 a part of it


@dataclass(frozen=True)
class Text:
    kind: ClassVar[Literal["text"]] = "text"
    text: str
    tone: Literal["plain", "quiet", "warning"] = "plain"


@dataclass(frozen=True)
class Facts:
    """Names and their values, one line each."""

    kind: ClassVar[Literal["facts"]] = "facts"
    rows: Sequence[tuple[str, str]]


PieceKind = Literal["token", "bytes", "special", "prompt", "after"]


@dataclass(frozen=True)
class Piece:
    """One token of a strip. ``text`` is visible (spaces as ``·``, line ends as ``⏎``)."""

    text: str
    hint: str = ""  # shown on hover and focus: id, bytes
    tone: int = 0  # which of the six soft hues; tokens of one grapheme share it
    weight: float | None = None  # 0..1, drawn by lightness: a probability
    kind: PieceKind = "token"


@dataclass(frozen=True)
class Strip:
    """Tokens in a row, wrapping."""

    kind: ClassVar[Literal["strip"]] = "strip"
    pieces: Sequence[Piece]
    label: str = ""
    caption: str = ""


@dataclass(frozen=True)
class Bar:
    label: str
    value: float  # 0..1 of the full width
    text: str = ""  # the number as read
    marked: bool = False  # the one asked for, or chosen


@dataclass(frozen=True)
class Bars:
    kind: ClassVar[Literal["bars"]] = "bars"
    rows: Sequence[Bar]
    title: str = ""
    caption: str = ""
    x_label: str = ""


@dataclass(frozen=True)
class Table:
    """Cells under names. A ``grid`` has as many columns as a text has tokens, the last ones telling most.

    A page scrolls it beside its first column; a terminal cuts it into parts, each with that column.
    """

    kind: ClassVar[Literal["table"]] = "table"
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    title: str = ""
    caption: str = ""
    align: str = ""  # one of l, r per column; empty: first left, others right
    heat: Sequence[Sequence[float | None]] = ()  # 0..1 per cell, drawn by lightness
    grid: bool = False


@dataclass(frozen=True)
class Point:
    label: str
    xyz: Sequence[float]  # 2 or 3 coordinates
    group: int = 0


@dataclass(frozen=True)
class Scatter:
    """Labelled points in the plane or in space; ``arrows`` draws each from the origin."""

    kind: ClassVar[Literal["scatter"]] = "scatter"
    points: Sequence[Point]
    axes: Sequence[str]
    arrows: bool = False
    title: str = ""
    caption: str = ""


@dataclass(frozen=True)
class Series:
    label: str
    x: Sequence[float]
    y: Sequence[float | None]
    dashed: bool = False
    area: bool = False  # stacked with the other areas, in order


@dataclass(frozen=True)
class Curves:
    kind: ClassVar[Literal["curves"]] = "curves"
    series: Sequence[Series]
    x_label: str
    y_label: str
    log_x: bool = False
    log_y: bool = False
    y_kind: Literal["number", "bytes", "seconds", "percent"] = "number"
    title: str = ""
    caption: str = ""


@dataclass(frozen=True)
class Turn:
    role: str
    text: str
    after: str = ""  # what would have followed a stop string, greyed
    note: str = ""


@dataclass(frozen=True)
class Chat:
    kind: ClassVar[Literal["chat"]] = "chat"
    turns: Sequence[Turn]
    title: str = ""
    caption: str = ""


@dataclass(frozen=True)
class Columns:
    """Things to compare, side by side where there is room, one after the other elsewhere."""

    kind: ClassVar[Literal["columns"]] = "columns"
    columns: Sequence[Sequence[Block]] = field(default_factory=tuple)


Captioned = Strip | Bars | Table | Scatter | Curves | Chat  # between a title and a caption
Block = Heading | Text | Facts | Strip | Bars | Table | Scatter | Curves | Chat | Columns
