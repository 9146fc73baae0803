"""What pages draw: an answer's blocks with their figures, and a prompt cut into its tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from capot.chapters.assistant.ways import cut
from capot.leaving import look
from capot.model import Model
from capot.view.blocks import Curves, Scatter
from capot.view.data import to_data
from capot.view.figure import to_spec
from capot.view.result import Result, plain
from capot.view.theme import DARK, LIGHT


def answer_body(result: Result, lang: str, *, shown: bool) -> dict[str, Any]:
    """``{ok, result}`` to be written; with ``shown`` also ``view``, see :func:`view_of`."""
    body: dict[str, Any] = {"ok": True, "result": result}
    if shown:
        look()
        body["view"] = view_of(result, lang)
    return body


def view_of(result: Result, lang: str) -> list[dict[str, Any]]:
    """The answer's blocks as data, with a Plotly figure in both themes where there is one to draw."""
    blocks = result.view(lang)
    view = to_data(blocks)
    for block, data in zip(blocks, view, strict=True):
        if isinstance(block, (Scatter, Curves)):
            data["figure"] = {
                name: to_spec(block, theme=theme, lang=lang) for name, theme in (("light", LIGHT), ("dark", DARK))
            }
    return view


def cut_prompt(model: Model, ids: Sequence[int]) -> list[Any]:
    """The very ids that were sent, as tokens."""
    return list(plain(cut(ids, model.tokenizer)))
