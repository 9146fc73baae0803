"""The chapter ``next``: the network as a classifier over its vocabulary.

One pass over the prompt gives a number for each token, its logit; the softmax of the
logits over a temperature gives the probability that this token comes next.
"""

from __future__ import annotations

import ast
import dataclasses
import itertools
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict

import numpy as np

from capot.chapters.next.result import Asked, Candidate, Drawn, Prediction
from capot.chapters.protocols import Opened
from capot.config import Sampling, Showing
from capot.engines.protocol import Want, check_ids
from capot.engines.scheduler import PassResult
from capot.errors import InputError
from capot.errors import shorten as cut_short
from capot.text import sampling
from capot.text.tokenizer import Tokenizer
from capot.view.event import ProgressEvent, prompt_progress

MOST_DIGITS = 18  # of an id
# One string and nothing else, with the escapes that Python knows: an expression may hold any work at all.
_LITERAL = re.compile(
    r"""(?P<mark>['"])(?:[^\\\n\r\0'"]|(?!(?P=mark))['"]|\\(?:[\\'"abfnrtv\n]|[0-3]?[0-7]{1,2}|x[0-9a-fA-F]{2}"""
    r"""|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|N\{[A-Z0-9 -]{1,100}\}))*+(?P=mark)"""
)


def predict(
    model: Opened,
    prompt: str,
    *,
    k: int = 10,
    temperature: float = 1.0,
    top_k: int = 0,
    top_p: float = 1.0,
    min_p: float = 0.0,
    rank: str | Iterable[str] = (),
    beside: Sequence[float] = (),
    ids: Sequence[int] | None = None,
    progress: Callable[[ProgressEvent], None] | None = None,
) -> Prediction:
    """Return the probability of each next token. Takes and raises: as ``Model.next``."""
    most = Showing(k, beside).k
    settings = Sampling(temperature=temperature, top_k=top_k, top_p=top_p, min_p=min_p)
    others = [dataclasses.replace(settings, temperature=each) for each in beside]
    tokenizer = model.tokenizer
    # All that may be refused is looked at before the pass.
    prompt_ids = tokenizer.encode_prompt(prompt) if ids is None else ids
    named = [resolve(tokenizer, each, prompt=prompt) for each in ([rank] if isinstance(rank, str) else rank)]
    ranks = tuple(entry.id for entries in named for entry in entries)
    # A server tells so many at most: what top_k keeps must be among them.
    want = Want(ranks=ranks, most=max(most, settings.top_k))
    found = model.scheduler.run(prompt_ids, want=want, owner=model.owner, progress=prompt_progress(progress))
    if found.output.top is not None:
        return _of_server(model, found, settings, named=named, shown=most, others=others, prompt=prompt)
    assert found.output.logits is not None  # a step gives them unless told not to
    table = _Table(tokenizer, found.output.logits, settings)
    shown = sampling.top_tokens(table.logits, most)
    return _prediction(
        table, found, settings, prompt=prompt, model=model.name, opening=tokenizer.before(prompt_ids),
        candidates=tuple(map(table.candidate, shown.tolist(), itertools.count(1))),
        beside=tuple(_drawn_at(each, table.logits, shown) for each in others),
        asked=tuple(token for entries in named for token in sorted(map(table.asked, entries), key=_likely)),
    )  # fmt: skip


def _of_server(
    model: Opened, found: PassResult, settings: Sampling, *, named: Sequence[Sequence[Named]], shown: int,
    others: Sequence[Sampling], prompt: str,
) -> Prediction:  # fmt: skip
    """Return what a server tells: its most probable tokens, and those asked for as far as it can say."""
    assert found.output.top is not None  # as the caller has seen
    from capot.chapters.next.partial import Partial  # for servers alone

    partial = Partial(model, found.output.top, settings)
    answers = [
        partial.asked(entries[0].asked, [(each.id, each.tokens) for each in entries], found.output.ranked)
        for entries in named
    ]
    asked = tuple(token for each in answers for token in sorted(each, key=_likely))
    return partial.prediction(found, prompt=prompt, asked=asked, shown=shown, beside=others)


def _drawn_at(settings: Sampling, logits: np.ndarray, shown: np.ndarray) -> Drawn:
    """Return the draw at another temperature: the probabilities of the tokens ``shown``. Shapes: (V,), (K,)."""
    probabilities = sampling.probabilities(logits, settings)
    kept = int(np.count_nonzero(probabilities)) if _filters(settings) else len(logits)
    bits = sampling.entropy_bits(probabilities)
    return Drawn(settings.temperature, kept, bits, tuple(probabilities[shown].tolist()))


def _likely(asked: Asked) -> tuple[int, int]:
    """Return of two spellings of one word the one that a writer meant: fewer tokens, then the better rank."""
    # Two spellings of one word are listed as one wish; sorted, the likely one is first.
    return asked.tokens, asked.rank


def _prediction(table: _Table, found: PassResult, settings: Sampling, **shown: Any) -> Prediction:
    """Return the answer; ``shown`` are the fields that hold tokens and texts."""
    return Prediction(
        temperature=settings.temperature,
        top_k=settings.top_k,
        top_p=settings.top_p,
        min_p=settings.min_p,
        kept=int(np.count_nonzero(table.probabilities)) if _filters(settings) else len(table.logits),
        vocabulary_size=len(table.logits),
        entropy_bits=sampling.entropy_bits(table.probabilities),
        model_entropy_bits=sampling.entropy_bits(sampling.softmax(table.logits)),
        exact=True,
        prompt_tokens=found.reused_tokens + found.computed_tokens,
        reused_tokens=found.reused_tokens,
        prefill_s=found.seconds,
        logits=table.logits,
        **shown,
    )


def _filters(settings: Sampling) -> bool:
    """Return whether some tokens may not be drawn at all; those of a minute probability may."""
    return settings.temperature == 0 or settings.top_k > 0 or settings.top_p < 1 or settings.min_p > 0


def best(tokenizer: Tokenizer, logits: np.ndarray, *, k: int) -> tuple[Candidate, ...]:
    """Return the k most probable tokens, as ``next`` shows them at temperature 1. Shapes: (V,)."""
    table = _Table(tokenizer, logits, Sampling(temperature=1.0))
    return tuple(map(table.candidate, sampling.top_tokens(logits, k).tolist(), itertools.count(1)))


class _Figures(TypedDict):
    """What any token of the table shows, its rank apart."""

    id: int
    text: str
    label: str
    logit: float
    probability: float


class _Table:
    """Logits and probabilities, read by token. Shapes: both (V,)"""

    def __init__(self, tokenizer: Tokenizer, logits: np.ndarray, settings: Sampling) -> None:
        self.tokenizer = tokenizer
        self.logits = logits
        self.probabilities = sampling.probabilities(logits, settings)

    def _figures(self, token: int) -> _Figures:
        text, label = self.tokenizer.face(token)
        return {
            "id": token,
            "text": text,
            "label": label,
            "logit": float(self.logits[token]),
            "probability": float(self.probabilities[token]),
        }

    def candidate(self, token: int, rank: int) -> Candidate:
        """Return a token of the top, whose rank is its place there.

        Counting it for each would read the table k times.
        """
        return Candidate(**self._figures(token), rank=rank)

    def asked(self, entry: Named) -> Asked:
        check_ids([entry.id], size=len(self.logits), option="rank")
        rank = sampling.rank_of(self.logits, entry.id)
        return Asked(**self._figures(entry.id), rank=rank, asked=entry.asked, tokens=entry.tokens)


@dataclass(frozen=True)
class Named:
    """A token that was asked for, and into how many tokens the text as written is cut."""

    asked: str
    id: int
    tokens: int


def resolve(tokenizer: Tokenizer, asked: str, *, prompt: str = "", option: str = "rank") -> list[Named]:
    """Return the tokens that ``asked`` may mean after ``prompt``: as written, then after a space.

    ``option`` asked for it.

    Raises: InputError ``empty_rank``, ``not_an_id``.

    >>> [entry.id for entry in resolve(Tokenizer.bytes(), "é", prompt="caf")]
    [195, 32]
    """
    if asked.startswith("id:"):
        digits = asked[3:].strip()
        if not digits.isascii() or not digits.isdigit() or len(digits) > MOST_DIGITS:
            raise InputError("not_an_id", id=cut_short(digits), option=option)
        return [Named(asked, int(digits), 1)]
    text = _unquoted(asked)
    spellings = [text if text is not None else asked.replace("·", " ").replace("⏎", "\n")]
    # In most vocabularies a word inside of a text begins with its space: both tokens may be meant.
    if text is None and spellings[0][:1].isalnum() and prompt and not prompt[-1].isspace():
        spellings.append(" " + spellings[0])
    found: dict[int, Named] = {}
    for spelling in spellings:
        ids = tokenizer.encode(spelling, specials="allow")
        if not ids:
            raise InputError("empty_rank", option=option)
        found.setdefault(ids[0], Named(asked, ids[0], len(ids)))
    return list(found.values())


def _unquoted(asked: str) -> str | None:
    """Return the text of a Python string literal, None for anything else."""
    if not _LITERAL.fullmatch(asked):
        # A string literal alone, held to a pattern before: ``literal_eval`` of anything else may take any time.
        return None
    try:
        text: str = ast.literal_eval(asked)
    except (ValueError, SyntaxError):  # a name or a number that no character has
        return None
    return text
