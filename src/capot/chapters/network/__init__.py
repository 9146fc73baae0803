"""What happens between the vectors and the probabilities?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from capot.chapters.chapter import Chapter, ModelVerb
from capot.chapters.network.bounds import Guessing

if TYPE_CHECKING:
    from capot.chapters.network.result import NetworkInside
    from capot.chapters.protocols import Opened

EXAMPLE = {"prompt": "The capital of Australia is", "k": 2}
CHAPTER = Chapter(
    "network", {"network": ModelVerb("network.verb:network", EXAMPLE, (Guessing,))}, ("network",), sees=("next",)
)


class NetworkVerbs:
    """The verb of the chapter ``network``."""

    def network(
        self: Opened,
        prompt: str,
        *,
        k: int = 3,
        layers: Sequence[int] | None = None,
        positions: Sequence[int] | None = None,
        attention: str | None = None,
        target: str | None = None,
    ) -> NetworkInside:
        """Show what each layer makes of ``prompt``: guesses at every position, what moved them, what heads look at.

        Layers and heads are counted from 1; layer 0 is what enters the first one, the embeddings. Positions are
        counted from 0.
        ``k``: guesses at each place, 1 to 100.
        ``layers``, ``positions``: those to show, all of them where none is named; a position of -1 is the last.
        ``attention``: the head whose attention weights are wanted, as ``"LAYER.HEAD"``.
        ``target``: the token whose logit is taken apart, as in ``rank`` of ``next``; where it may be written after a
        space, that is meant. The most probable token where None.

        Units: probabilities as shares of 1; ``logit`` and contributions in logits.
        Raises: InputError ``empty_prompt``, ``out_of_range``, ``not_a_head``, ``network_too_much``, ``empty_rank``,
        ``not_an_id``, ``no_such_id``; CapabilityError ``capability``; ContextError ``prompt_too_long``.

        >>> import capot
        >>> found = capot.open("scripted").network("The capital of Australia is", k=1)
        >>> [layer.guesses[-1].text for layer in found.layers]
        [' ', ' ', ' ', ' ', ' ']
        """
        from capot.chapters.network.verb import network

        return network(self, prompt, k=k, layers=layers, positions=positions, attention=attention, target=target)
