"""How a word becomes ids: with the space that stands before it in a sentence, and without."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from capot.chapters.embeddings.embed_result import Spelling
from capot.chapters.embeddings.table import VectorTable
from capot.engines.cancellation import check_cancelled
from capot.engines.protocol import check_ids
from capot.errors import InputError

if TYPE_CHECKING:
    from capot.chapters.protocols import Opened

CHOICES = ("auto", "space", "bare")
MOST_TOKENS = 4000  # of one word: its rows are held at once


def spelling(model: Opened, text: str) -> Spelling:
    """Return the tokens of a text exactly as it is typed.

    Raises: InputError ``word_without_tokens``, ``too_many_tokens``.
    """
    tokenizer = model.tokenizer
    ids = tokenizer.encode(text)
    if not ids:
        raise InputError("word_without_tokens", word=text, tokenizer=tokenizer.name)
    if len(ids) > MOST_TOKENS:
        raise InputError("too_many_tokens", text=text.strip()[:40], tokens=len(ids), most=MOST_TOKENS)
    return Spelling(text=text, ids=tuple(ids), tokens=tuple(tokenizer.display(token) for token in ids))


def spellings(model: Opened, words: Sequence[str], *, space: str = "auto") -> list[tuple[Spelling, Spelling, Spelling]]:
    """Return for each word the spelling to use, the one with a leading space, and the one without.

    ``space`` and ``bare`` say which for all words. ``auto`` takes the one of a sentence,
    with its space, unless the word is shorter without (some tokenizers add the space by
    themselves; Chinese has none). A space typed before any word means that the user
    decides: every word is then taken as typed.

    Raises: InputError ``empty_word``, ``bad_choice``, ``word_without_tokens``.
    """
    if space not in CHOICES:
        raise InputError("bad_choice", name="space", value=str(space), known=", ".join(CHOICES))
    for place, word in enumerate(words, start=1):
        if not isinstance(word, str) or not word:
            raise InputError("empty_word", place=place)
    typed = space == "auto" and any(word[0].isspace() for word in words)
    return [_spelled(model, word, space="typed" if typed else space) for word in words]


def _spelled(model: Opened, word: str, *, space: str) -> tuple[Spelling, Spelling, Spelling]:
    check_cancelled()
    core = word.strip() or word  # nothing but spaces is a word as well: it has tokens
    spaced = spelling(model, f" {core}")
    bare = spelling(model, core)
    if space == "typed":
        return spelling(model, word), spaced, bare
    shorter = bare if len(bare.ids) < len(spaced.ids) else spaced
    return {"space": spaced, "bare": bare, "auto": shorter}[space], spaced, bare


def vectors(table: VectorTable, many: Sequence[Sequence[int]]) -> np.ndarray:
    """Return one vector for each list of ids: the mean of its rows.

    Shapes: (len(many), D) float32
    Raises: InputError ``no_such_id`` where the vocabulary has more ids than the table has rows.
    """
    for ids in many:
        check_ids(ids, size=table.shape[0])
    return np.stack([_mean(table, ids) for ids in many])


def _mean(table: VectorTable, ids: Sequence[int]) -> np.ndarray:
    check_cancelled()
    mean: np.ndarray = table.rows(ids).mean(axis=0)
    return mean
