"""A direction added to the residual stream while a text is generated.

The direction is the difference of two texts' states at their last token (Turner et al. 2023, arXiv:2308.10248).
"""

from __future__ import annotations

import numpy as np

from capot.chapters.network.bounds import Comparing, Steering
from capot.chapters.network.edited import BothSides, layer_within, network_of, read_texts, states
from capot.chapters.network.steer_result import Steered
from capot.chapters.protocols import Opened
from capot.engines.edits import Edit, Place
from capot.engines.protocol import require, touching
from capot.errors import InputError


def steer(
    model: Opened,
    prompt: str,
    *,
    toward: str,
    away: str,
    layer: int | None = None,
    strength: float = 1.0,
    k: int = 10,
    max_new_tokens: int = 20,
) -> Steered:
    """Compute the answer before and after. Takes and raises: as ``Model.steer``."""
    showing, strength = Comparing(k, max_new_tokens), Steering(strength).strength
    info = network_of(model)
    chosen = max(1, info.layers // 2) if layer is None else layer_within("layer", layer, low=0, layers=info.layers)
    texts = list(read_texts(model, prompt, toward=toward, away=away))
    place = Place("residual", chosen)
    require(model.scheduler.engine, touching([place]))
    held, one, other = (states(model, ids, [place], positions=(len(ids) - 1,))[0][0] for ids in texts)
    direction = one - other
    if not direction.any():
        raise InputError("no_direction")
    answers = BothSides(model, texts[0], edits=[Edit(place, strength * direction, adds=True)], showing=showing)
    return Steered(
        **answers.compared(prompt),
        toward=toward,
        away=away,
        layer=chosen,
        strength=strength,
        added_norm=float(np.linalg.norm(strength * direction)),
        stream_norm=float(np.linalg.norm(held)),
    )
