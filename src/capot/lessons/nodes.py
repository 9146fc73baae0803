"""Markdown of a lesson as nodes, for a face that builds its own elements: no markup reaches it, only names and texts.

A node is a text, or a list of a tag, its attributes and its children.

>>> to_nodes("*a* <b>", folder=Path())
[['p', {}, [['em', {}, ['a']], ' <b>']]]
"""

from __future__ import annotations

import base64
import mimetypes
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from capot.lessons.page import PICTURE_BYTES, PICTURES, markdown

if TYPE_CHECKING:
    from markdown_it.tree import SyntaxTreeNode

Node = str | list[Any]
TAGS = {
    "paragraph": "p", "bullet_list": "ul", "ordered_list": "ol", "list_item": "li", "blockquote": "blockquote",
    "hr": "hr", "table": "table", "thead": "thead", "tbody": "tbody", "tr": "tr", "th": "th", "td": "td",
    "em": "em", "strong": "strong",
}  # fmt: skip
TEXTS = {"text": None, "code_inline": "code", "code_block": "pre", "fence": "pre"}
BELOW = 1  # levels that a lesson's headings go down by: the page has a heading of its own


def to_nodes(text: str, *, folder: Path) -> list[Node]:
    """Return a text as nodes; its images are read from ``folder``."""
    from markdown_it.tree import SyntaxTreeNode

    return _children(SyntaxTreeNode(markdown().parse(text)), folder)


def _children(node: SyntaxTreeNode, folder: Path) -> list[Node]:
    found: list[Node] = []
    for child in node.children:
        for each in _nodes(child, folder):
            if isinstance(each, str) and found and isinstance(found[-1], str):
                found[-1] += each
            else:
                found.append(each)
    return found


def _nodes(node: SyntaxTreeNode, folder: Path) -> list[Node]:
    kind = node.type
    if kind in TEXTS:
        tag = TEXTS[kind]
        return [node.content if tag is None else [tag, {}, [node.content.rstrip("\n")]]]
    if kind in ("softbreak", "hardbreak"):
        return [" " if kind == "softbreak" else ["br", {}, []]]
    if kind == "image":
        return [["img", {"alt": node.content, "src": _picture(str(node.attrs.get("src", "")), folder)}, []]]
    inside = _children(node, folder)
    if kind == "heading":
        return [[f"h{min(6, int(node.tag[1]) + BELOW)}", {}, inside]]
    if kind == "paragraph" and node.hidden:  # of a list whose items stand close
        return inside
    if kind == "ordered_list":
        return [["ol", {"start": node.attrs.get("start", 1)}, inside]]
    return [[TAGS[kind], {}, inside]] if kind in TAGS else inside  # a link's words stand without it


def _picture(target: str, folder: Path) -> str:
    """Return an image of the folder as a data address, or an empty one where there is none (any more)."""
    path = (folder / unquote(target)).resolve()
    kind = mimetypes.guess_type(path.name)[0]
    inside = path.is_relative_to(folder.resolve()) and path.suffix.lower() in PICTURES
    if not inside or kind is None or not path.is_file() or path.stat().st_size > PICTURE_BYTES:
        return ""
    return f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"
