"""The verb ``embed``: words as points, their angles, and what lies near them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from capot.chapters.embeddings.embed_result import Embedding, Near, Neighbours, Spelling, Word
from capot.chapters.embeddings.geometry import cosines, principal, rounded, unit
from capot.chapters.embeddings.spelling import spellings, vectors
from capot.chapters.embeddings.table import VectorTable, nearest, open_table
from capot.config import WordPlane, limits, within
from capot.errors import InputError, shorten

if TYPE_CHECKING:
    from capot.chapters.protocols import Opened

WORDS = ("cat", "dog", "green", "blue", "house", "room")
MOST_WORDS = 1000  # the cosine matrix grows with the square


def embed(
    model: Opened, words: Sequence[str] = WORDS, *, dimensions: int = 2, near: int = 5, space: str = "auto"
) -> Embedding:
    """Place words as points. Takes and raises: as ``Model.embed``."""
    words = (words,) if isinstance(words, str) else tuple(words)
    _check(words, dimensions, near)
    spelled = spellings(model, words, space=space)
    table = open_table(model)
    table_rows = vectors(table, [used.ids for used, _, _ in spelled])
    plane = principal(table_rows, dimensions=dimensions)
    between = _between_spellings(table, spelled)
    records = [_word(*each) for each in zip(words, spelled, between, plane.points.tolist(), strict=True)]
    return Embedding(
        shape=table.shape,
        dtype=table.dtype,
        table_bytes=table.nbytes,
        words=tuple(records),
        explained_variance=tuple(plane.shares.tolist()),
        cosine=rounded(cosines(table_rows)),
        neighbours=_neighbours(model, table, records, table_rows, count=near) if near and table.whole else (),
        whole=table.whole,
    )


def _check(words: tuple[str, ...], dimensions: int, near: int) -> None:
    if not words:
        raise InputError("no_words")
    if len(words) > MOST_WORDS:
        raise InputError("too_many", count=len(words), most=MOST_WORDS)
    for name, value in (("dimensions", dimensions), ("near", near)):
        low, high = limits(WordPlane, name)
        if not isinstance(value, int) or isinstance(value, bool):
            raise InputError("not_a_number", name=name, value=shorten(value))
        within(name, value, low, high)


def _between_spellings(table: VectorTable, spelled: Sequence[tuple[Spelling, ...]]) -> Sequence[float | None]:
    """Return for each word the cosine between its vector with a leading space and the one without."""
    spaced = unit(vectors(table, [spaced.ids for _, spaced, _ in spelled]))
    bare = unit(vectors(table, [bare.ids for _, _, bare in spelled]))
    angles: Sequence[float | None] = rounded(np.clip(np.vecdot(spaced, bare), -1.0, 1.0))
    return angles


def _word(word: str, forms: tuple[Spelling, ...], between: float | None, place: Sequence[float]) -> Word:
    used, spaced, bare = forms
    x, y, *z = place
    return Word(
        word=word, ids=used.ids, x=x, y=y, z=z[0] if z else None, tokens=used.tokens, used=used.text,
        spaced=spaced, bare=bare, spellings_cosine=between,
    )  # fmt: skip


def _neighbours(
    model: Opened, table: VectorTable, words: Sequence[Word], rows: np.ndarray, *, count: int
) -> tuple[Neighbours, ...]:
    """Return the nearest rows of the whole table; a word's own tokens are left out."""
    tokenizer = model.tokenizer
    found = nearest(table, rows, count=count, without=[word.ids for word in words])
    return tuple(
        Neighbours(
            word.word,
            tuple(
                Near(token, tokenizer.token_text(token), rounded(value), tokenizer.display(token))
                for token, value in near
            ),
        )
        for word, near in zip(words, found, strict=True)
    )
