"""Tokens as answers write them: their text in a record, and how a view labels them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from capot.view.graphemes import token_label

if TYPE_CHECKING:
    from capot.text.tokenizer import Tokenizer

UNTOLD = -1  # the id of a token of which an engine tells the text alone


@dataclass(frozen=True)
class TokenShare:
    """A token and its probability. ``text`` is empty where its bytes are no whole character."""

    id: int
    text: str
    probability: float


class TokenTexts:
    """The texts of tokens by id; ``labels`` has how a view writes each of those that were asked for."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self.labels: dict[int, str] = {}

    def __call__(self, token: int) -> str:
        text, self.labels[token] = self._tokenizer.face(token)
        return text


def label_of(labels: Mapping[int, str], token: int) -> str:
    """Return how a token is shown, its id where nobody has told."""
    return labels.get(token, f"⟨{token}⟩")


Face = tuple[int, str, str]  # id, text and label of a token


def face(tokenizer: Tokenizer, token: int | None, text: str) -> Face:
    """Return the id, text and label of a token that a server tells: by its id where there is one, else by its text."""
    if token is None:
        return UNTOLD, text, token_label(text) or "–"
    return token, *tokenizer.face(token)


def id_text(token: int) -> str:
    """Return an id as a view shows it: a dash where a server does not tell it."""
    return "–" if token < 0 else str(token)
