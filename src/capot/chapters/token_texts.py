"""Tokens as answers write them: their text in a record, and how a view labels them."""

from __future__ import annotations

from dataclasses import dataclass

from capot.text.tokenizer import Tokenizer


@dataclass(frozen=True)
class TokenShare:
    """A token and its probability. ``text`` is empty where its bytes are no whole character."""

    id: int
    text: str
    probability: float


class TokenTexts:
    """Give the texts of tokens by id; ``labels`` keeps how a view writes each of those that were asked for."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self.labels: dict[int, str] = {}

    def __call__(self, token: int) -> str:
        if token not in self.labels:
            self.labels[token] = self._tokenizer.display(token)
        return self._tokenizer.token_text(token)
