"""What happens between the vectors and the probabilities?

network   what each layer makes of a text, and what makes it
ablate    what the model answers without some of its parts
patch     what it answers with a state of another text in its place
steer     what it goes on with while a direction is added
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal

from capot.chapters.chapter import Chapter, ModelVerb
from capot.chapters.network.bounds import Comparing, Guessing, Steering

if TYPE_CHECKING:
    from capot.chapters.network.edited_result import Ablation
    from capot.chapters.network.patch_result import Patching
    from capot.chapters.network.result import NetworkInside
    from capot.chapters.network.steer_result import Steered
    from capot.chapters.protocols import Opened
    from capot.view.event import ProgressEvent

EXAMPLE = {"prompt": "The capital of Australia is", "k": 2}
ABLATED = {"prompt": "The capital of Australia is", "layers": [2], "max_new_tokens": 4}
PATCHED = {
    "prompt": "The capital of France is",
    "source": "The capital of Italy is",
    "layer": 1,
    "max_new_tokens": 4,
}
STEERED = {"prompt": "The weather is", "toward": "A happy day", "away": "A sad day", "max_new_tokens": 4}
ANSWERED = ("prompt", "by", "k", "max_new_tokens")  # these switch nothing off by themselves
CHAPTER = Chapter(
    "network",
    {
        "network": ModelVerb("network.verb:network", EXAMPLE, (Guessing,)),
        "ablate": ModelVerb("network.ablate:ablate", ABLATED, (Comparing,), beside=dict.fromkeys(ANSWERED, "heads")),
        "patch": ModelVerb("network.patch:patch", PATCHED, (Comparing,), beside={"head": "part"}),
        "steer": ModelVerb("network.steer:steer", STEERED, (Comparing, Steering)),
    },
    ("network", "ablate", "patch", "steer"),
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
        reader: int | None = None,
        target: str | None = None,
    ) -> NetworkInside:
        """Show what each layer makes of ``prompt``: guesses at every position, what moved them, what heads look at.

        Layers and heads are counted from 1; layer 0 is what enters the first one, the embeddings. Positions are
        counted from 0.
        ``k``: guesses at each place, 1 to 100.
        ``layers``, ``positions``: those to show, all of them where none is named; a position of -1 is the last.
        ``attention``: the head whose attention weights are wanted, as ``"LAYER.HEAD"``.
        ``reader``: the position of the token whose attention weights are wanted in every head, -1 the last.
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

        places = {"layers": layers, "positions": positions}
        return network(self, prompt, k=k, **places, attention=attention, reader=reader, target=target)

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

    def patch(
        self: Opened, prompt: str, *, source: str, part: Literal["residual", "attention", "mlp", "head"] = "residual",
        layer: int | None = None, head: int | None = None, position: int | None = None, every_position: bool = False,
        between: Sequence[str] = (), k: int = 10, max_new_tokens: int = 12,
        progress: Callable[[ProgressEvent], None] | None = None,
    ) -> Patching:  # fmt: skip
        """Answer ``prompt`` with a state of ``source`` in its place, and tell what each place changes.

        Layers and heads are counted from 1, positions of ``prompt`` from 0. The two texts' last tokens stand beside
        each other, and so on towards their beginnings.
        ``part``: what is put there: ``residual``, what leaves a layer (layer 0: what enters the first), what
        ``attention`` or ``mlp`` adds, or the numbers of a ``head``.
        ``layer``, ``head``, ``position``: the place; every one that is not named is tried, of heads at the last
        position, or at ``every_position``. ``before`` and ``after`` are for the place that changes most; a position
        of -1 is the last.
        ``between``: the two tokens whose logits are compared, written as in ``rank`` of ``next``; where none is
        named, the most probable token after ``prompt`` and the most probable other one after ``source``.
        ``k``: candidates to show, 1 to 100. ``max_new_tokens``: tokens of the text that follows, the most probable
        one each time, 0 to 200. ``progress``: hears of each place, as :class:`capot.ProgressEvent`.

        Units: probabilities as shares of 1; ``difference`` in logits, the first token's less the second's.
        Raises: InputError ``bad_choice``, ``out_of_range``, ``head_of_no_head``, ``no_token_beside``,
        ``not_two_tokens``, ``one_token_twice``, ``grid_too_large``, ``grid_too_long``, ``network_too_much``,
        ``empty_prompt``, ``empty_rank``, ``not_an_id``, ``no_such_id``; CapabilityError ``capability``; ContextError
        ``prompt_too_long``.

        >>> import capot
        >>> with capot.open() as model:
        ...     found = model.patch("The capital of France is", source="The capital of Italy is", max_new_tokens=0)
        >>> len(found.grid) % len(found.tokens), found.between[1].text
        (0, ' Rome')
        """
        from capot.chapters.network.patch import patch

        return patch(
            self, prompt, source=source, part=part, layer=layer, head=head, position=position,
            every_position=every_position, between=between, k=k, max_new_tokens=max_new_tokens, progress=progress,
        )  # fmt: skip

    def steer(
        self: Opened,
        prompt: str,
        *,
        toward: str,
        away: str,
        layer: int | None = None,
        strength: float = 1.0,
        k: int = 10,
        max_new_tokens: int = 20,
    ) -> Steered:
        """Answer ``prompt`` while the difference of two texts is added to what leaves a layer, at every token.

        ``toward``, ``away``: the texts; the state of the first one's last token less that of the other's is added.
        ``layer``: from 1; 0 is what enters the first; the one in the middle where None.
        ``strength``: by how much the difference is multiplied, -100 to 100; below 0 it is taken away.
        ``k``: candidates to show, 1 to 100. ``max_new_tokens``: tokens of the text that follows, the most probable
        one each time, 0 to 200.

        Units: probabilities as shares of 1; ``added_norm`` and ``stream_norm`` are lengths of vectors.
        Raises: InputError ``out_of_range``, ``not_a_number``, ``no_direction``, ``empty_prompt``; CapabilityError
        ``capability``; ContextError ``prompt_too_long``.

        >>> import capot
        >>> with capot.open() as model:
        ...     found = model.steer("The weather is", toward="A happy day", away="A sad day", strength=0)
        >>> found.before == found.after
        True
        """
        from capot.chapters.network.steer import steer

        return steer(
            self, prompt, toward=toward, away=away, layer=layer, strength=strength, k=k, max_new_tokens=max_new_tokens
        )
