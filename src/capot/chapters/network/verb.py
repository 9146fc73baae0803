"""The chapter ``network``: one pass, and what it tells of its inside."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from capot.chapters.network import heads
from capot.chapters.network.bounds import Guessing, Places, position_within
from capot.chapters.network.result import (  # fmt: skip
    Contribution,
    HeadMeasured,
    HeadReads,
    HeadScores,
    HeadWeights,
    LayerInside,
    LayerToken,
    NetworkInside,
    PlaceGuess,
    TargetToken,
    TokenReads,
)
from capot.chapters.next.verb import Named, resolve
from capot.chapters.token_texts import TokenShare, TokenTexts
from capot.engines.cancellation import check_cancelled
from capot.engines.inside import Inside, InsideFound, LogitParts
from capot.engines.protocol import Capability, EngineInfo, Want, check_ids, check_prompt
from capot.errors import InputError, shorten

if TYPE_CHECKING:
    from capot.chapters.protocols import Opened

_HEAD = re.compile(r"(\d{1,6})\.(\d{1,6})", re.ASCII)


def network(
    model: Opened,
    prompt: str,
    *,
    k: int = 3,
    layers: Sequence[int] | None = None,
    positions: Sequence[int] | None = None,
    attention: str | None = None,
    reader: int | None = None,
    target: str | None = None,
) -> NetworkInside:
    """Read what each layer makes of a prompt. Takes and raises: as ``Model.network``."""
    k, ids = Guessing(k).k, model.tokenizer.encode_prompt(prompt)
    info = model.scheduler.engine.info
    named = None if target is None else token_named(model, target, prompt=prompt, option="target")
    check_prompt(ids, context=info.context_length)
    head = None if attention is None else head_named(attention, info=info)
    places = Places.within(layers, positions, most=info.layers, tokens=len(ids))
    reads = None if reader is None else position_within("reader", reader, tokens=len(ids))
    weights = len(ids) ** 2 if head is not None else 0
    weights += 0 if reads is None else (reads + 1) * info.layers * info.heads
    # What is held is bounded before the pass: attention of one head is T x T numbers.
    price = places.price(k, weights)
    token, count = (None, 1) if named is None else (named.id, named.tokens)
    asked = Inside(k=k, levels=places.levels, positions=places.positions, head=head, reader=reads, target=token)
    with model.scheduler.holding(price):
        return _result(model, prompt, ids, asked=_declared(model, asked), of=count)


def token_named(model: Opened, asked: str, *, prompt: str, option: str) -> Named:
    """Return a token as ``rank`` of ``next`` names it, the one after a space where it may be.

    ``option`` asked for it.

    Raises: InputError ``empty_rank``, ``not_an_id``, ``no_such_id``.
    """
    # The last spelling is the one after a space, which a word inside of a text has.
    found = resolve(model.tokenizer, asked, prompt=prompt, option=option)[-1]
    check_ids([found.id], size=model.scheduler.engine.info.vocabulary_size, option=option)
    return found


def head_named(written: str, *, info: EngineInfo) -> tuple[int, int]:
    """Return the layer and the head that ``"2.3"`` names: 2 and 3. Raises: InputError ``not_a_head``."""
    found = _HEAD.fullmatch(written.strip())
    layer, head = (0, 0) if found is None else (int(found[1]), int(found[2]))
    if not (0 < layer <= info.layers and 0 < head <= info.heads):
        raise InputError("not_a_head", value=shorten(written), layers=info.layers, heads=info.heads)
    return layer, head


def _declared(model: Opened, asked: Inside) -> Inside:
    """Add the rest of what an engine declares; what was asked for by name is asked for, and refused where it is not."""
    able = model.scheduler.engine.capabilities
    return dataclasses.replace(
        asked,
        moved=Capability.ADDITIONS in able,
        marks=heads.ON_PROMPT if Capability.ATTENTION in able else (),
        parts=Capability.PARTS in able or asked.target is not None,
    )


def _result(model: Opened, prompt: str, ids: list[int], *, asked: Inside, of: int) -> NetworkInside:
    found = model.scheduler.run(ids, want=Want(inside=asked), owner=model.owner).output.inside
    assert found is not None and asked.levels is not None and asked.positions is not None  # it was asked for
    text = TokenTexts(model.tokenizer)
    parts = found.parts
    target = None if parts is None else TargetToken(parts.target, text(parts.target), parts.logit, of)
    contributions = () if parts is None else tuple(_contributions(parts))
    # Biases, rounding and a cap on logits are in no part: what is left is told as it is.
    remainder = None if parts is None else parts.logit - sum(each.logit for each in contributions)
    levels = []
    for place, level in enumerate(asked.levels):
        check_cancelled()
        levels.append(_layer(found, place, level, asked.positions, text))
    return NetworkInside(
        prompt=prompt,
        tokens=tuple(LayerToken(token, text(token)) for token in ids),
        layers=tuple(levels),
        heads=_heads(model, found, len(ids)) if asked.marks else (),
        target=target,
        contributions=contributions,
        remainder=remainder,
        attention=None if asked.head is None else _weights(found, asked.head),
        reads=None if asked.reader is None else _reads(found, asked.reader),
        labels=text.labels,
        model=model.name,
    )


def _layer(found: InsideFound, place: int, level: int, positions: Sequence[int], text: TokenTexts) -> LayerInside:
    assert found.ids is not None and found.probabilities is not None
    guesses = []
    for ids, shares, position in zip(
        found.ids[place].tolist(), found.probabilities[place].tolist(), positions, strict=True
    ):
        each = tuple(TokenShare(token, text(token), share) for token, share in zip(ids, shares, strict=True))
        guesses.append(PlaceGuess(position, each[0].id, each[0].text, each[0].probability, each))
    moved = None if found.moved is None or level == 0 else found.moved[place].tolist()
    attention, attention_cosine, mlp, mlp_cosine = moved or (None,) * 4
    return LayerInside(level, tuple(guesses), attention, mlp, attention_cosine, mlp_cosine)


def _contributions(parts: LogitParts) -> list[Contribution]:
    """Yield what the embedding gives, then layer by layer its heads, or its attention where heads are not known apart,
    and its MLP.
    """
    found = [Contribution(0, "embedding", None, parts.embedding)]
    for layer, (whole, mlp) in enumerate(zip(parts.attention.tolist(), parts.mlp.tolist(), strict=True), start=1):
        if parts.heads is None:
            found.append(Contribution(layer, "attention", None, whole))
        else:
            each = parts.heads[layer - 1].tolist()
            found += [Contribution(layer, "attention", head, logit) for head, logit in enumerate(each, start=1)]
        found.append(Contribution(layer, "mlp", None, mlp))
    return found


def _heads(model: Opened, found: InsideFound, tokens: int) -> tuple[HeadMeasured, ...]:
    repeated = heads.induction(model)  # (L, H)
    shares = heads.on_prompt(found.marks, tokens)
    measured = []
    for layer, head in np.ndindex(*repeated.shape):
        here = [None] * 3 if shares is None else shares[layer, head].tolist()
        scores = [*here, float(repeated[layer, head])]
        measured.append(HeadMeasured(layer + 1, head + 1, heads.kind(scores), HeadScores(*scores)))
    return tuple(measured)


def _reads(found: InsideFound, reader: int) -> TokenReads:
    assert found.reads is not None
    heads = [
        HeadReads(layer, head, tuple(row.tolist()))
        for layer, rows in enumerate(found.reads, start=1)
        for head, row in enumerate(rows, start=1)
    ]
    return TokenReads(reader, tuple(heads))


def _weights(found: InsideFound, head: tuple[int, int]) -> HeadWeights:
    assert found.weights is not None
    return HeadWeights(*head, tuple(found.weights.tolist()))
