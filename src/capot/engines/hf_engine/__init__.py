"""The transformers engine: any causal language model of the Hugging Face hub, through PyTorch.

    place       on which device, in which precision, and whether the weights fit there
    opening     weights read, checked, refused in words
    engine      what the scheduler talks to: start here
    network     one pass of a model, whatever its family calls its parts
    inside      what leaves each layer, the head after each layer, attention
    cache       one sequence's keys and values, cropped and rebuilt
    batch       several sequences as the rows of one cache
    static      one sequence at a time in a cache that never moves, for compiled passes
    memory      bytes on a device: counted, and too few of them

Nothing here is imported, and PyTorch is not, before a model is opened with this engine.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from capot.errors import MissingExtraError

if TYPE_CHECKING:
    from capot.checkpoint import Checkpoint
    from capot.config import Loading
    from capot.engines.hf_engine.engine import TransformersEngine

PACKAGES = ("torch", "transformers", "accelerate")


def missing() -> tuple[str, ...]:
    """The packages of the extra that are not installed; nothing is imported to know."""
    return tuple(name for name in PACKAGES if importlib.util.find_spec(name) is None)


def accelerator() -> str | None:
    """The device that PyTorch would rather compute on than the processor, None where there is none."""
    if missing():
        return None
    from capot.engines.hf_engine import place

    found = place.preferred()
    return None if found.type == "cpu" else str(found)


def open_transformers(checkpoint: Checkpoint, loading: Loading, *, notice: Callable[..., Any]) -> TransformersEngine:
    """Read the weights onto a device. ``notice`` hears where and in which precision, before it takes time.

    Raises: MissingExtraError ``missing_extra``; what ``opening.read`` and ``place.choose`` raise.
    """
    if absent := missing():
        raise MissingExtraError("missing_extra", package=", ".join(absent), extra="transformers")
    from capot.engines.hf_engine.engine import TransformersEngine

    return TransformersEngine(checkpoint, loading, notice=notice)
