"""What happens between the vectors and the probabilities?

network   what each layer makes of a text, and what makes it
ablate    what the model answers without some of its parts
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from capot.chapters.chapter import Chapter, ModelVerb
from capot.chapters.network.bounds import Comparing, Guessing

if TYPE_CHECKING:
    from capot.chapters.network.edited_result import Ablation
    from capot.chapters.network.result import NetworkInside
    from capot.chapters.protocols import Opened

EXAMPLE = {"prompt": "The capital of Australia is", "k": 2}
ABLATED = {"prompt": "The capital of Australia is", "layers": [2], "max_new_tokens": 4}
CHAPTER = Chapter(
    "network",
    {
        "network": ModelVerb("network.verb:network", EXAMPLE, (Guessing,)),
        "ablate": ModelVerb("network.ablate:ablate", ABLATED, (Comparing,)),
    },
    ("network", "ablate"),
    sees=("generate", "next"),
)


class NetworkVerbs:
    """The verbs of the chapter ``network``."""

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

    def ablate(
        self: Opened,
        prompt: str,
        *,
        heads: Sequence[str] = (),
        mlps: Sequence[int] = (),
        layers: Sequence[int] = (),
        by: Literal["zero", "mean"] = "zero",
        k: int = 10,
        max_new_tokens: int = 12,
    ) -> Ablation:
        """Answer ``prompt`` as ``next`` does, then once more with parts of the network switched off.

        Layers and heads are counted from 1.
        ``heads``: heads to switch off, each as ``"LAYER.HEAD"``. ``mlps``: layers whose MLP is switched off.
        ``layers``: layers of which attention and MLP are, so that a layer hands on what it is given.
        ``by``: what a part then gives, ``zero``, or the mean of what it gives over the tokens of ``prompt``.
        ``k``: candidates to show, 1 to 100. ``max_new_tokens``: tokens of the text that follows, the most probable
        one each time, 0 to 200.

        Units: probabilities as shares of 1, ``changed`` too: the probability that is another token's afterwards.
        Raises: InputError ``nothing_to_edit``, ``not_a_head``, ``out_of_range``, ``bad_choice``, ``empty_prompt``;
        CapabilityError ``capability``; ContextError ``prompt_too_long``.

        >>> import capot
        >>> with capot.open() as model:
        ...     found = model.ablate("The capital of France is", heads=["5.1"], max_new_tokens=0)
        >>> found.before.candidates[0].text
        ' Paris'
        """
        from capot.chapters.network.ablate import ablate

        return ablate(self, prompt, heads=heads, mlps=mlps, layers=layers, by=by, k=k, max_new_tokens=max_new_tokens)
