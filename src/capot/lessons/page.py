"""What the Markdown of a lesson may hold: no raw HTML, images of its own folder, no link out of it."""

from __future__ import annotations

import functools
import re
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

from capot.i18n import Bytes
from capot.lessons.fields import Faults

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.token import Token

PICTURES = (".png", ".jpg", ".jpeg", ".webp")  # an SVG may hold a script
PICTURE_BYTES = 1_000_000
_SCHEME = re.compile(r"[A-Za-z][\w+.-]*:")


@functools.cache
def markdown(*, raw: bool = False) -> MarkdownIt:
    """Return the parser of lessons: CommonMark with tables. ``raw`` tells raw HTML, and any link, apart from text."""
    from markdown_it import MarkdownIt

    class Checked(MarkdownIt):
        def validateLink(self, url: str) -> bool:  # the library's name
            """Take every link: one that would be shown as text is one that its author meant."""
            return True

    return (Checked if raw else MarkdownIt)("commonmark", {"html": raw}).enable("table")


def to_html(text: str) -> str:
    """Return Markdown as HTML, in which raw HTML is text.

    >>> to_html("*a* <b>")
    '<p><em>a</em> &lt;b&gt;</p>\\n'
    """
    found: str = markdown().render(text)
    return found


def check_page(text: str, *, first: int, folder: Path, faults: Faults) -> list[Token]:
    """Return the parts of a text, and note what it may not hold. ``first`` is its first line in the file."""
    parts = markdown(raw=True).parse(text)
    line = first
    for part in parts:
        line = line if part.map is None else first + part.map[0]
        if part.type == "html_block":
            faults.add(line, "html", found=part.content.strip())
        within = line
        for child in part.children or ():
            _check_child(child, line=within, folder=folder, faults=faults)
            within += child.type in ("softbreak", "hardbreak")
    return parts


def _check_child(child: Token, *, line: int, folder: Path, faults: Faults) -> None:
    if child.type == "html_inline":
        faults.add(line, "html", found=child.content)
    elif child.type == "link_open":
        target = str(child.attrs.get("href", ""))
        if not target.startswith("#") and _inside(target.partition("#")[0], folder) is None:
            faults.add(line, "link", found=target)
    elif child.type == "image":
        _check_picture(str(child.attrs.get("src", "")), line=line, folder=folder, faults=faults)
        if not child.content.strip():
            faults.add(line, "picture_silent", found=str(child.attrs.get("src", "")))


def _check_picture(target: str, *, line: int, folder: Path, faults: Faults) -> None:
    path = _inside(target, folder)
    if path is None:
        faults.add(line, "picture_outside", found=target)
    elif path.suffix.lower() not in PICTURES:
        faults.add(line, "picture_kind", found=target, known=", ".join(PICTURES))
    elif not path.is_file():
        faults.add(line, "picture_missing", found=target)
    elif path.stat().st_size > PICTURE_BYTES:
        faults.add(line, "picture_long", found=target, most=Bytes(PICTURE_BYTES))


def _inside(target: str, folder: Path) -> Path | None:
    """Return the file of the folder that an address names, or None where it leads out of it."""
    named = unquote(target)
    if not named or _SCHEME.match(named) or named[0] in "/?" or any(mark in named for mark in "\\\0?"):
        return None
    try:
        path = (folder / named).resolve()
    except (OSError, RuntimeError):  # links in a circle, before Python 3.13
        return None
    return path if path.is_relative_to(folder.resolve()) else None
