"""The answer where a server tells its most probable tokens alone: what they have together, and what is not known."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from capot.chapters.next.result import Asked, Candidate, Drawn, Prediction
from capot.chapters.protocols import Opened
from capot.chapters.sampling_from_top import sampled_probabilities
from capot.chapters.token_texts import face
from capot.config import Sampling
from capot.engines.scheduler import PassResult
from capot.engines.seen import ChosenToken, Top, TopToken
from capot.errors import CapabilityError
from capot.text import sampling as choosing


class Partial:
    """A distribution of which the first tokens are told. Its logits are the log-probabilities at temperature 1."""

    def __init__(self, model: Opened, top: Top, settings: Sampling) -> None:
        self.model = model
        self.top = top
        self.settings = settings
        self.probabilities = self._drawn(settings)

    def _drawn(self, settings: Sampling) -> tuple[float, ...]:
        """Return the probabilities of the draw. Raises: CapabilityError ``server_filter``."""
        found = sampled_probabilities(self.top, settings)
        if found is None:
            info = self.model.scheduler.engine.info
            raise CapabilityError("server_filter", host=info.device, count=len(self.top.tokens))
        return found

    def prediction(
        self, found: PassResult, *, prompt: str, asked: tuple[Asked, ...], shown: int, beside: Sequence[Sampling]
    ) -> Prediction:
        """Return the answer, as far as it is known."""
        settings = self.settings
        kept = [share for share in self.probabilities if share > 0]
        plain = settings.temperature == 1 and len(kept) == len(self.probabilities)
        # At temperature 1 without a filter the tokens left out still count: only a lower bound of the entropy is known.
        bits = choosing.entropy_bits(np.array(kept))
        return Prediction(
            prompt=prompt,
            model=self.model.name,
            temperature=settings.temperature,
            top_k=settings.top_k,
            top_p=settings.top_p,
            min_p=settings.min_p,
            kept=len(kept),
            vocabulary_size=self.model.scheduler.engine.info.vocabulary_size,
            entropy_bits=self.top.least_entropy_bits if plain else bits,
            model_entropy_bits=self.top.least_entropy_bits,
            exact=False,
            seen=self.top.mass,
            candidates=self._candidates[:shown],
            asked=asked,
            prompt_tokens=found.reused_tokens + found.computed_tokens,
            reused_tokens=None,  # a server's answer to one question does not tell
            prefill_s=found.seconds,
            logits=np.zeros(0, np.float32),
            beside=tuple(self._beside(each, shown) for each in beside),
        )

    @functools.cached_property
    def _candidates(self) -> tuple[Candidate, ...]:
        pairs = zip(self.top.tokens, self.probabilities, strict=True)
        return tuple(
            Candidate(**self._figures(token), rank=place, probability=share)
            for place, (token, share) in enumerate(pairs, start=1)
        )

    def _beside(self, settings: Sampling, shown: int) -> Drawn:
        shares = self._drawn(settings)
        kept = [share for share in shares if share > 0]
        bits = choosing.entropy_bits(np.array(kept))
        return Drawn(settings.temperature, len(kept), bits, shares[:shown])

    def _figures(self, token: TopToken | ChosenToken) -> dict[str, Any]:
        shown = zip(("id", "text", "label"), face(self.model.tokenizer, token.id, token.text), strict=True)
        return {**dict(shown), "logit": token.logprob}

    def asked(self, name: str, tokens: Iterable[tuple[int, int]], ranked: Sequence[ChosenToken]) -> list[Asked]:
        """Return what is known of each spelling of an asked token, given by its first id and how many tokens it takes.

        Raises: CapabilityError ``server_rank`` where of none of them.
        """
        found = [self._asked(name, token, count, ranked) for token, count in tokens]
        known = [each for each in found if each is not None]
        if not known:
            info = self.model.scheduler.engine.info
            raise CapabilityError("server_rank", host=info.device, count=len(self.top.tokens), asked=name)
        return known

    def _asked(self, name: str, token: int, count: int, ranked: Sequence[ChosenToken]) -> Asked | None:
        text = self.model.tokenizer.token_text(token)
        rank = self.top.rank_of(token, text)
        if rank is not None:
            return Asked(**dataclasses.asdict(self._candidates[rank - 1]), asked=name, tokens=count)
        # A server that tells ranks tells those asked for beside its most probable ones.
        one = next((each for each in ranked if each.id == token and each.rank is not None), None)
        if one is None:
            return None
        plain = self.settings.temperature == 1 and all(self.probabilities)
        assert one.rank is not None
        share = one.probability if plain else 0.0  # what a filter leaves is among the first
        return Asked(**self._figures(one), rank=one.rank, probability=share, asked=name, tokens=count)
