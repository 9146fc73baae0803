"""The verb ``lens``: what the network would say if it stopped after each layer."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from capot.chapters.embeddings.lens_result import Depth, Guess, Lens
from capot.engines.cancellation import check_cancelled
from capot.engines.protocol import Want
from capot.errors import CapotError
from capot.text.sampling import softmax
from capot.view.event import ProgressEvent, prompt_progress

if TYPE_CHECKING:
    from capot.chapters.protocols import Opened

WANT = Want(logits="none", layer_logits=True)


def lens(model: Opened, prompt: str, *, progress: Callable[[ProgressEvent], None] | None = None) -> Lens:
    """Return the guess after every layer. Takes and raises: as ``Model.lens``."""
    ids = model.tokenizer.encode_prompt(prompt)
    logits = model.scheduler.run(
        ids, want=WANT, owner=model.owner, progress=prompt_progress(progress)
    ).output.layer_logits
    assert logits is not None  # WANT asks for them; (L + 1, V)
    final = int(np.argmax(logits[-1]))
    layers = tuple(_depth(model, layer, row, final=final) for layer, row in enumerate(logits))
    settled = _settled(layers, final)
    return Lens(prompt, tuple(ids), final=layers[-1].top, layers=layers, settled=settled, tied=_tied(model))


def _tied(model: Opened) -> bool:
    """Return whether the head is the embedding table itself; False where no config.json says so."""
    try:
        return model.checkpoint.config.tied
    except CapotError:
        return False


def _depth(model: Opened, layer: int, logits: np.ndarray, *, final: int) -> Depth:
    """Return what one layer makes likely. Shapes: ``logits`` (V,)"""
    check_cancelled()
    shares = softmax(logits)
    top = int(np.argmax(logits))
    tokenizer = model.tokenizer
    return Depth(
        layer=layer,
        top=Guess(top, tokenizer.token_text(top), float(shares[top]), tokenizer.display(top)),
        # Ties count in favour: the rank of the final guess after the last layer is 1.
        final_rank=1 + int(np.count_nonzero(logits > logits[final])),
        final_probability=float(shares[final]),
        # log2 of 1 for shares of 0, which then add 0.
        entropy_bits=float(-np.sum(shares * np.log2(np.where(shares > 0, shares, 1.0)))),
    )


def _settled(layers: tuple[Depth, ...], final: int) -> int:
    """Return the first layer from which on the guess is the final one."""
    settled = len(layers) - 1
    while settled and layers[settled - 1].top.id == final:
        settled -= 1
    return settled
