"""Numbers as NumPy has them: rows of the embedding table, and what the layers make of a text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from capot.chapters.embeddings.table import open_table
from capot.config import within
from capot.engines.protocol import Want, check_ids, check_prompt, require
from capot.errors import ResourceError
from capot.sources.machine import ram
from capot.view.event import ProgressEvent, prompt_progress

if TYPE_CHECKING:
    from capot.chapters.protocols import Opened

Vectors = npt.NDArray[np.float32]
WANT = Want(logits="none", hidden=True)


def vectors(model: Opened, tokens: str | Sequence[int]) -> Vectors:
    """Return rows of the table. Takes and raises: as ``Model.vectors``."""
    ids = model.tokenizer.encode(tokens) if isinstance(tokens, str) else list(tokens)
    table = open_table(model)
    check_ids(ids, size=table.shape[0])
    if not ids:
        return np.zeros((0, table.shape[1]), np.float32)
    return np.array(table.rows(ids), np.float32)  # the caller's own


def hidden(
    model: Opened,
    prompt: str,
    *,
    layer: int | None = None,
    position: int | None = None,
    ids: Sequence[int] | None = None,
    progress: Callable[[ProgressEvent], None] | None = None,
) -> Vectors:
    """Return the vectors after the layers. Takes and raises: as ``Model.hidden``."""
    read = model.tokenizer.encode_prompt(prompt) if ids is None else list(ids)
    engine = model.scheduler.engine
    require(engine, WANT.capabilities)
    check_prompt(read, context=engine.info.context_length)  # before its memory: a longer one is never read
    places = (_place("layer", layer, engine.info.layers + 1), _place("position", position, len(read)))
    _check_room(4 * (engine.info.layers + 1) * len(read) * engine.info.width, tokens=len(read))
    found = model.scheduler.run(read, want=WANT, owner=model.owner, progress=prompt_progress(progress)).output.hidden
    assert found is not None  # WANT asks for them; (L + 1, T, D)
    return np.array(found[places], np.float32)


def _place(name: str, value: int | None, count: int) -> Any:
    """Return where one looks along an axis of ``count``, as Python counts, from the end where it is negative."""
    if value is None:
        return slice(None)
    within(name, value, -count, count - 1)
    return value


def _check_room(needed: int, *, tokens: int) -> None:
    """Raises: ResourceError ``memory_short`` where the vectors of all layers would not fit beside what is there."""
    available = ram().available
    if available is not None and needed > available:
        raise ResourceError("memory_short", tokens=tokens, needed=needed, available=available)
