"""Turn answers into what pages draw: blocks with their figures, and prompts as tokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from capot.chapters.assistant.ways import cut
from capot.engines.cancellation import check_cancelled
from capot.model import Model
from capot.view.blocks import Curves, Scatter
from capot.view.data import to_data
from capot.view.figure import to_spec
from capot.view.graphemes import is_written_out
from capot.view.result import Result, to_jsonable
from capot.view.theme import DARK, LIGHT


def answer_body(result: Result, lang: str, *, shown: bool) -> dict[str, Any]:
    """Return ``{ok, result}``; with ``shown`` also ``view``, see :func:`view_of`.

    ``labels`` is there where the text of a token does not tell how it is shown, by id.
    """
    body: dict[str, Any] = {"ok": True, "result": result}
    labels: Mapping[int, str] = getattr(result, "labels", {})
    if told := {str(token): label for token, label in labels.items() if is_written_out(label)}:
        body["labels"] = told
    if shown:
        check_cancelled()
        body["view"] = view_of(result, lang)
    return body


def view_of(result: Result, lang: str) -> list[dict[str, Any]]:
    """Return the answer's blocks as data, with a Plotly figure in both themes where there is one to draw."""
    blocks = result.view(lang)
    view = to_data(blocks)
    for block, data in zip(blocks, view, strict=True):
        if isinstance(block, (Scatter, Curves)):
            data["figure"] = {
                name: to_spec(block, theme=theme, lang=lang) for name, theme in (("light", LIGHT), ("dark", DARK))
            }
    return view


def prompt_tokens(model: Model, ids: Sequence[int]) -> list[Any]:
    """Return the very ids that were sent, as tokens."""
    return list(to_jsonable(cut(ids, model.tokenizer)))
