"""The verb ``context``: one word in several sentences, layer by layer."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from capot.chapters.embeddings.context_result import Angles, Context, Occurrence, PlanePoint, Sentence
from capot.chapters.embeddings.geometry import cosines, principal, rounded, unit
from capot.chapters.embeddings.spelling import spellings, vectors
from capot.chapters.embeddings.table import open_table
from capot.config import within
from capot.engines.cancellation import check_cancelled
from capot.engines.protocol import Capability, Want, require
from capot.errors import InputError, UnsupportedError, shorten
from capot.view.event import ProgressCallback, ProgressEvent, prompt_progress

if TYPE_CHECKING:
    from capot.chapters.protocols import Opened

MOST = 200  # occurrences in all
MOST_CHARACTERS = 200  # of the word: looking for it compares it with every place of a sentence
MOST_ANGLES = 1_000_000  # of all pairs of occurrences, in all layers
MOST_READ = 20_000  # tokens of all sentences
MOST_TOKENS = 2000  # of one sentence: its vectors of all layers are held at once
WANT = Want(logits="none", hidden=True)
_MARKS = "\u0300-\u036f"  # accents that stand alone: not letters for ``re``, but part of one


@dataclass(frozen=True)
class Read:
    """What the network made of one sentence.

    Shapes: ``found`` (N, L + 1, D), the mean over each occurrence's tokens; ``others_mean``
    (L + 1, D), the mean direction of the tokens around them, None where there are none
    """

    sentence: Sentence
    occurrences: list[Occurrence]
    found: np.ndarray
    others_mean: np.ndarray | None


def context(
    model: Opened,
    word: str,
    *,
    sentences: Sequence[str],
    layer: int | None = None,
    progress: Callable[[ProgressEvent], None] | None = None,
) -> Context:
    """Compare one word in several sentences. Takes and raises: as ``Model.context``."""
    sentences = (sentences,) if isinstance(sentences, str) else tuple(sentences)
    word = _word(word)
    if not sentences:
        raise InputError("no_sentences")
    # All sentences are looked through before anything is computed: a word that is missing in the last one is told
    # first.
    located = [_located(model, word, text, place=place) for place, text in enumerate(sentences)]
    _check(model, layer, located)
    ((static, _, _),) = spellings(model, [word])
    row = vectors(open_table(model), [static.ids])
    reads = _reads(model, located, progress)
    found = np.concatenate([read.found for read in reads])  # (N, L + 1, D)
    if row.shape[1] != found.shape[2]:
        raise UnsupportedError("table_apart", table=row.shape[1], width=found.shape[2])
    between = [_angles(found[:, depth]) for depth in range(found.shape[1])]
    # The layer after which the occurrences differ most shows best that context makes the vector.
    chosen = _farthest(between) if layer is None else layer
    plane = principal(found[:, chosen])
    return Context(
        word=word,
        sentences=tuple(read.sentence for read in reads),
        occurrences=tuple(occurrence for read in reads for occurrence in read.occurrences),
        static=static,
        layers=tuple(
            Angles(depth, rounded(angles), rounded(cosines(found[:, depth], row)[:, 0]), _company(reads, depth))
            for depth, angles in enumerate(between)
        ),
        layer=chosen,
        explained_variance=tuple(plane.shares.tolist()),
        points=tuple(PlanePoint(x, y) for x, y in plane.points.tolist()),
    )


def _word(word: str) -> str:
    if not isinstance(word, str) or not word.strip():
        raise InputError("empty_word", place=1)
    word = word.strip()
    if len(word) > MOST_CHARACTERS:
        raise InputError("word_too_long", length=len(word), limit=MOST_CHARACTERS)
    return word


def _angles(vectors: np.ndarray) -> np.ndarray:
    check_cancelled()
    return cosines(vectors)


def _check(model: Opened, layer: int | None, located: Sequence[tuple[Sentence, list[Occurrence]]]) -> None:
    read = sum(len(sentence.ids) for sentence, _ in located)
    count = sum(len(found) for _, found in located)
    if read > MOST_READ:
        raise InputError("too_many_tokens_in_all", tokens=read, most=MOST_READ)
    engine = model.scheduler.engine
    # Angles are all pairs in all layers: N² (L + 1) of them are written and shown.
    most = min(MOST, math.isqrt(MOST_ANGLES // (engine.info.layers + 1)))
    if count > most:
        raise InputError("too_many", count=count, most=most)
    require(engine, WANT.capabilities | Capability.EMBEDDINGS)
    if layer is None:
        return
    if not isinstance(layer, int) or isinstance(layer, bool):
        raise InputError("not_a_number", name="layer", value=shorten(layer))
    within("layer", layer, 0, engine.info.layers)


def places(word: str, sentence: str) -> list[tuple[int, int]]:
    """Return where ``word`` stands in ``sentence``, in characters: as written, else whatever its capitals.

    A word of a script with capitals must stand whole (``art`` is not in ``start``); in
    others, where no space parts words, anywhere. An accent may be part of its letter or
    a character after it, in the word as in the sentence.

    >>> places("cœur", "Le cœur a ses raisons."), places("art", "Start!"), places("猫", "黒猫だ")
    ([(3, 7)], [], [(1, 2)])
    """
    # As typed, then composed, then decomposed: "é" may be one character or two, in either text.
    forms = dict.fromkeys([word, unicodedata.normalize("NFC", word), unicodedata.normalize("NFD", word)])
    whole = any(char.lower() != char.upper() for char in word)
    for flags in (re.NOFLAG, re.IGNORECASE):
        for form in forms:
            pattern = re.escape(form)
            # ``\b`` would take an apostrophe's neighbour for whole, and an accent that stands alone for an end.
            pattern = rf"(?<!\w){pattern}(?![\w{_MARKS}])" if whole else pattern
            if found := [match.span() for match in re.finditer(pattern, sentence, flags)]:
                return found
    return []


def _located(model: Opened, word: str, text: str, *, place: int) -> tuple[Sentence, list[Occurrence]]:
    """Return the sentence's tokens, and the occurrences as the tokens that share a byte with the word.

    Raises: InputError ``empty_sentence``, ``word_not_in_sentence``, ``too_many_tokens``.
    """
    check_cancelled()
    if not text.strip():
        raise InputError("empty_sentence", place=place + 1)
    spans = model.tokenizer.spans(text)
    if len(spans) > MOST_TOKENS:
        raise InputError("too_many_tokens", text=text.strip()[:40], tokens=len(spans), most=MOST_TOKENS)
    tokens = tuple(model.tokenizer.display(token) for token, *_ in spans)
    sentence = Sentence(text, tuple(token for token, *_ in spans), tokens)
    occurrences = []
    for start, end in places(word, text):
        # By bytes, as a token may begin or end inside of the word's first or last character.
        first, last = len(text[:start].encode()), len(text[:end].encode())
        held = tuple(n for n, (_, _, begin, stop) in enumerate(spans) if begin < last and stop > first)
        if held:
            ids = tuple(spans[n][0] for n in held)
            occurrences.append(Occurrence(place, start, end, held, ids, tuple(tokens[n] for n in held)))
    if not occurrences:
        raise InputError("word_not_in_sentence", word=word, place=place + 1, sentence=text[:200])
    return sentence, occurrences


def _reads(
    model: Opened, located: Sequence[tuple[Sentence, list[Occurrence]]], progress: ProgressCallback | None
) -> list[Read]:
    """Read each sentence in turn; ``progress`` counts the tokens of all."""
    prompts = [model.tokenizer.encode_prompt(sentence.text) for sentence, _ in located]
    total = sum(map(len, prompts))
    before = 0
    reads = []
    for ids, (sentence, found) in zip(prompts, located, strict=True):
        report = prompt_progress(progress, before=before, total=total, what=sentence.text)
        reads.append(_read(model, sentence, found, ids=ids, report=report))
        before += len(ids)
    return reads


def _read(
    model: Opened,
    sentence: Sentence,
    occurrences: list[Occurrence],
    *,
    ids: list[int],
    report: Callable[[int, int], None] | None,
) -> Read:
    """Run the network over a sentence once, after whatever the model puts before a text."""
    lead = len(ids) - len(sentence.ids)
    hidden = model.scheduler.run(ids, want=WANT, owner=model.owner, progress=report).output.hidden
    assert hidden is not None  # WANT asks for them; (L + 1, T, D)
    found = [hidden[:, [lead + n for n in occurrence.positions]].mean(axis=1) for occurrence in occurrences]
    # The first position of a text is left out: networks use it as a place to rest their
    # attention on, and its vector resembles no other.
    word = {lead + n for occurrence in occurrences for n in occurrence.positions}
    others = [t for t in range(max(lead, 1), len(ids)) if t not in word]
    others_mean = np.stack([unit(layer[others]).mean(axis=0) for layer in hidden]) if others else None
    return Read(sentence, occurrences, np.stack(found), others_mean)


def _company(reads: Sequence[Read], depth: int) -> float | None:
    """Return the mean cosine of two other tokens, one from each of two sentences: the baseline for any cosine here.

    The mean of all products of two lists of unit vectors is the product of their means.
    """
    means = [read.others_mean[depth] for read in reads if read.others_mean is not None]
    products = [float(a @ b) for n, a in enumerate(means) for b in means[:n]]
    return rounded(float(np.mean(products))) if products else None


def _farthest(between: Sequence[np.ndarray]) -> int:
    """Return the layer after which the occurrences point least alike; the last where there is only one."""
    count = len(between[0])
    means = [angles[np.triu_indices(count, 1)].mean() if count > 1 else 0.0 for angles in between]
    # Level 0 is the table's own row, the same for every occurrence: it cannot differ.
    return len(means) - 1 if count == 1 else 1 + int(np.argmin(means[1:]))
