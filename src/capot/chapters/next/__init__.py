"""What could come next?"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from capot.chapters.chapter import Chapter, ModelVerb
from capot.config import Sampling, Showing

if TYPE_CHECKING:
    from capot.chapters.next.result import Prediction
    from capot.chapters.protocols import Opened
    from capot.view.event import ProgressEvent

EXAMPLE = {"prompt": "The capital of Australia is", "k": 5, "rank": [" Canberra"]}
CHAPTER = Chapter("next", {"next": ModelVerb("next.verb:predict", EXAMPLE, (Showing, Sampling))}, ("next",))


class NextVerbs:
    """The verb of the chapter ``next``."""

    def next(
        self: Opened, prompt: str, *, k: int = 10, temperature: float = 1.0, top_k: int = 0, top_p: float = 1.0,
        min_p: float = 0.0, rank: str | Iterable[str] = (), beside: Sequence[float] = (),
        ids: Sequence[int] | None = None, progress: Callable[[ProgressEvent], None] | None = None,
    ) -> Prediction:  # fmt: skip
        """Give the probability of each next token after ``prompt``.

        ``k``: candidates to show, 1 to 1,000,000.
        ``temperature``: what the logits are divided by, 0 to 100; 0 is argmax, 1 the model as it is.
        ``top_k``, ``top_p``, ``min_p``: filters, as in :class:`capot.Sampling`. A token that they leave out
        keeps its logit and its rank, without a probability.
        ``rank``: tokens to look up, by text (``" Paris"``; ``"·Paris"`` as the views show it, quoted as Python
        would, or ``"id:123"``). Where a word is several tokens the first is meant; a word that begins with a
        letter is looked up with a space before it as well.
        ``beside``: up to 7 other temperatures, whose probabilities of the same candidates are told beside the first's.
        ``ids``: the exact ids to go on from, instead of the prompt's.
        ``progress``: hears how far the prompt has been read, a :class:`capot.ProgressEvent` a chunk of 256 tokens.

        Units: probabilities as shares of 1, ``entropy_bits`` in bits, ``prefill_s`` in seconds.
        Raises: InputError ``empty_prompt``, ``empty_rank``, ``not_an_id``, ``no_such_id``, ``out_of_range``,
        ``too_many_temperatures``; ContextError ``prompt_too_long``.

        >>> import capot
        >>> capot.open("scripted").next("The capital of Australia is Canb", k=1).candidates[0].text
        'e'
        """
        from capot.chapters.next.verb import predict

        return predict(
            self, prompt, k=k, temperature=temperature, top_k=top_k, top_p=top_p, min_p=min_p, rank=rank,
            beside=beside, ids=ids, progress=progress,
        )  # fmt: skip
