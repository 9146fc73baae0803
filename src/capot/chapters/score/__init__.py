"""How probable is your own text?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from capot.chapters.chapter import Chapter, ModelVerb

if TYPE_CHECKING:
    from capot.chapters.protocols import Opened
    from capot.chapters.score.result import Score

EXAMPLE = {"text": "The capital of France is London."}
CHAPTER = Chapter("score", {"score": ModelVerb("score.verb:score", EXAMPLE)}, ("score",))


class ScoreVerbs:
    """The verb of the chapter ``score``."""

    def score(self: Opened, text: str) -> Score:
        """Give the probability of each token of ``text`` after those before it.

        The first token has one only where the model's files put a BOS before it.

        Units: probabilities as shares of 1, ``bits`` and ``entropy_bits`` in bits; ``bits_per_byte`` counts the bytes
        of the tokens that have a probability, in UTF-8.
        Raises: InputError ``empty_prompt``; ContextError ``prompt_too_long``; CapabilityError ``capability``;
        ModelError ``not_finite``.

        >>> import capot
        >>> [token.rank for token in capot.open("scripted").score("The capital").tokens][-3:]
        [1, 1, 1]
        """
        from capot.chapters.score.verb import score

        return score(self, text)
