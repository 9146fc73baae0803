"""Parts of the network switched off: what the model answers without them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

from capot.chapters.network.bounds import Comparing
from capot.chapters.network.edited import BothSides, layer_within, network_of, states
from capot.chapters.network.edited_result import Ablation, PartOff
from capot.chapters.network.verb import head_named
from capot.chapters.protocols import Opened
from capot.engines.edits import Edit, Place
from capot.engines.protocol import EngineInfo, check_prompt, require, touching
from capot.errors import InputError, shorten


def ablate(
    model: Opened,
    prompt: str,
    *,
    heads: Sequence[str] = (),
    mlps: Sequence[int] = (),
    layers: Sequence[int] = (),
    by: Literal["zero", "mean"] = "zero",
    k: int = 10,
    max_new_tokens: int = 12,
) -> Ablation:
    """Compute the answer before and after. Takes and raises: as ``Model.ablate``."""
    showing = Comparing(k, max_new_tokens)
    ids = model.tokenizer.encode_prompt(prompt)
    if by not in ("zero", "mean"):
        raise InputError("bad_choice", name="by", value=shorten(by), known="zero, mean")
    info = network_of(model)
    check_prompt(ids, context=info.context_length)
    named = (heads,) if isinstance(heads, str) else heads
    places = list(dict.fromkeys(_places(named, mlps, layers, info=info)))
    if not places:
        raise InputError("nothing_to_edit")
    require(model.scheduler.engine, touching(places))
    edits = [Edit(place) for place in places]
    if by == "mean":
        # The mean over this text's own positions: zero is a state that the later layers never see.
        edits = [Edit(place, each.mean(0)) for place, each in zip(places, states(model, ids, places), strict=True)]
    answers = BothSides(model, ids, edits=edits, showing=showing)
    return Ablation(
        **answers.compared(prompt),
        by=by,
        off=tuple(PartOff(place.part, place.layer, place.head) for place in places),
    )


def _places(heads: Sequence[str], mlps: Sequence[int], layers: Sequence[int], *, info: EngineInfo) -> Iterator[Place]:
    """Yield places, whole layers as their two parts. Raises: InputError ``not_a_head``, ``out_of_range``."""
    for each in heads:
        layer, head = head_named(each, info=info)
        yield Place("head", layer, head)
    for layer in mlps:
        yield Place("mlp", layer_within("mlps", layer, low=1, layers=info.layers))
    for layer in layers:
        layer_within("layers", layer, low=1, layers=info.layers)
        yield Place("attention", layer)
        yield Place("mlp", layer)
