"""How does one token after the other become a text?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from capot.chapters.chapter import Chapter, ModelVerb
from capot.config import Plan, Sampling

if TYPE_CHECKING:
    from capot.chapters.generate.result import Generation
    from capot.chapters.generate.verb import Stream
    from capot.chapters.protocols import Opened
    from capot.view.event import ProgressEvent

EXAMPLE = {"prompt": "Once upon a time", "max_new_tokens": 12, "seed": 1}
CHAPTER = Chapter(
    "generate",
    {
        "generate": ModelVerb("generate.verb:generate", EXAMPLE, (Sampling, Plan), start="generate.verb:start"),
        "stream": ModelVerb("generate.verb:stream", EXAMPLE, (Sampling, Plan)),
    },
    ("generate",),
)


class GenerateVerbs:
    """The verbs of the chapter ``generate``."""

    def generate(
        self: Opened, prompt: str, *, max_new_tokens: int = 100, temperature: float = 0.7, top_k: int = 0,
        top_p: float = 1.0, min_p: float = 0.0, seed: int | None = None, stop: Sequence[str] = (),
        sampling: Sampling | None = None, ids: Sequence[int] | None = None, first_draw: int = 0,
        alternatives: int = 5, after_stop: int = 0, progress: Callable[[ProgressEvent], None] | None = None,
    ) -> Generation:  # fmt: skip
        """Make a text that goes on from ``prompt``; Ctrl-C ends it with what there is.

        ``max_new_tokens``: tokens to make at most, 1 to 1,000,000.
        ``temperature``: what the logits are divided by, 0 to 100; 0 is argmax.
        ``top_k``: draw from so many tokens alone, 0 to 1,000,000; 0 filters nothing.
        ``top_p``: draw from the likeliest tokens, just enough to reach this probability, 0 to 1.
        ``min_p``: draw from tokens at least so likely beside the first, 0 to 1.
        ``seed``: makes the same text again, 0 to 18,446,744,073,709,551,615; None draws one and tells it.
        ``stop``: texts at which the generation ends.
        ``sampling``: all of these in one :class:`capot.Sampling`, in their place.
        ``ids``: the exact ids to go on from, instead of the prompt's.
        ``first_draw``: how many of the last ids were made before, 0 to 4,611,686,018,427,387,904; the first draw has
        that number: a text is taken up again at any token as if it had never been cut, or branches there.
        ``alternatives``: tokens to keep for each step beside the one chosen, 0 to 100.
        ``after_stop``: tokens to make after a stop text, kept apart, 0 to 10,000.
        ``progress``: hears how far the prompt has been read, then each token, as :class:`capot.ProgressEvent`.

        Units: probabilities as shares of 1, ``prefill_s`` and ``decode_s`` in seconds.
        Raises: InputError ``empty_prompt``, ``no_such_id``, ``out_of_range``, ``empty_stop``; ContextError
        ``prompt_too_long``; CapabilityError ``capability``; the engine's errors.

        >>> import capot
        >>> capot.open("scripted").generate("The capital of Japan is", temperature=0).text
        ' Tokyo.'
        """
        from capot.chapters.generate.verb import generate

        chosen = sampling or Sampling(
            temperature=temperature, max_new_tokens=max_new_tokens, top_k=top_k, top_p=top_p, min_p=min_p,
            seed=seed, stop=stop,
        )  # fmt: skip
        more: dict[str, Any] = {"alternatives": alternatives, "after_stop": after_stop, "progress": progress}
        return generate(self, prompt, sampling=chosen, ids=ids, first_draw=first_draw, **more)

    def stream(
        self: Opened, prompt: str, *, max_new_tokens: int = 100, temperature: float = 0.7, top_k: int = 0,
        top_p: float = 1.0, min_p: float = 0.0, seed: int | None = None, stop: Sequence[str] = (),
        sampling: Sampling | None = None, ids: Sequence[int] | None = None, first_draw: int = 0,
        alternatives: int = 5, after_stop: int = 0,
    ) -> Stream:  # fmt: skip
        """Make a text as :meth:`generate` does, and give its events as they come.

        The settings are those of :meth:`generate`. Closing the stream, or letting it go, ends the generation;
        its ``result`` is the whole once the last event has come.

        Units: as in :meth:`generate`.
        Raises: as :meth:`generate`; the engine's errors come while the stream is read.

        >>> import capot
        >>> events = capot.open("scripted").stream("le gestionnaire du r", temperature=0, max_new_tokens=3)
        >>> [event.text for event in events if event.kind == "step"]
        ['', 'é', 's']
        """
        from capot.chapters.generate.verb import stream

        chosen = sampling or Sampling(
            temperature=temperature, max_new_tokens=max_new_tokens, top_k=top_k, top_p=top_p, min_p=min_p,
            seed=seed, stop=stop,
        )  # fmt: skip
        return stream(
            self, prompt, sampling=chosen, ids=ids, first_draw=first_draw, alternatives=alternatives,
            after_stop=after_stop,
        )  # fmt: skip
