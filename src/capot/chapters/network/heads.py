"""What heads do, by measurement: how much of their attention goes where.

On the prompt: to the token itself, to the one before, to the first. On random tokens, read twice in a row: to the
token that came after this one the first time, which is what continuing a repetition needs (Olsson et al. 2022,
"In-context Learning and Induction Heads"). A head is called by the first of ``KINDS`` whose measure is ``ENOUGH``:
many rest on the first token where they find nothing to do, so that is asked last.
"""

from __future__ import annotations

import threading
import weakref
from typing import TYPE_CHECKING, Any

import numpy as np

from capot.chapters.network.bounds import ENOUGH
from capot.engines.inside import Inside, Mark
from capot.engines.protocol import Engine, Want

if TYPE_CHECKING:
    from capot.chapters.protocols import Opened

FIRST_FAIR = 2  # the first position whose token, the one before it and the first one are three
ON_PROMPT = (Mark(0, since=FIRST_FAIR), Mark(1, since=FIRST_FAIR), Mark(None, since=FIRST_FAIR))
NAMES = ("itself", "previous", "first", "induction")
KINDS = ("induction", "previous", "itself", "first")
REPEATED, SEED = 24, 0  # random tokens that are read twice

_known: weakref.WeakKeyDictionary[Engine, np.ndarray] = weakref.WeakKeyDictionary()  # of a model, whoever asks
_lock = threading.Lock()


def on_prompt(marks: np.ndarray | None, tokens: int) -> np.ndarray | None:
    """Return means over the positions that are fair; None where there is none. Shapes: marks and answer (L, H, 3)."""
    if marks is None or tokens <= FIRST_FAIR:
        return None
    shares: np.ndarray = marks / (tokens - FIRST_FAIR)
    return shares


def induction(model: Opened) -> np.ndarray:
    """Return the mean attention to the token after the first copy of this one. Shapes: (L, H)."""
    engine = model.scheduler.engine
    # Not held while the model computes: two learners may measure twice, none waits for another's pass.
    with _lock:
        known = _known.get(engine)
    if known is None:
        known = _measured(model, engine)
        with _lock:
            _known[engine] = known
    return known


def _measured(model: Opened, engine: Engine) -> np.ndarray:
    # Tokens drawn at random have no meaning to continue: attention to the copy is then induction and nothing else.
    begun = model.tokenizer.encode_prompt(" ")[:1]
    drawn = _drawn(model, engine)
    count = len(drawn)
    # The query at position p of the second copy sees its token at p - count; the one after that is at p - count + 1.
    mark = Mark(count - 1, since=len(begun) + count)
    found = model.scheduler.run(
        [*begun, *drawn, *drawn], want=Want("none", inside=Inside(marks=(mark,))), owner=model.owner
    )
    assert found.output.inside is not None and found.output.inside.marks is not None
    shares: np.ndarray = found.output.inside.marks[..., 0] / count
    return shares


def _drawn(model: Opened, engine: Engine) -> list[int]:
    """Draw tokens without a name of their own, no two alike; the same for a model every time."""
    special = model.tokenizer.special_ids
    size = engine.info.vocabulary_size
    room = (engine.info.context_length - 1) // 2
    # A permutation of a part of the vocabulary: no two alike, and quick for vocabularies of 200,000.
    drawn = np.random.default_rng(SEED).permutation(min(size, 100_000)).tolist()
    return [token for token in drawn if token not in special][: max(2, min(REPEATED, room))]


def kind(scores: Any) -> str | None:
    """Return what a head is called by its measures, in the order of ``NAMES``; None where they are not all known.

    >>> kind([0.0, 0.0, 0.9, 0.5]), kind([0.1, 0.7, 0.5, 0.1]), kind([0.3, 0.1, 0.2, 0.1])
    ('induction', 'previous', 'mixed')
    >>> kind([None, None, None, 0.5]), kind([None, None, None, 0.1])
    ('induction', None)
    """
    known = {name: score for name, score in zip(NAMES, scores, strict=True) if score is not None}
    # Not "mixed" of a text too short to measure: a head may well read one place of it.
    other = "mixed" if len(known) == len(NAMES) else None
    return next((name for name in KINDS if known.get(name, 0.0) >= ENOUGH), other)
