"""Which vector stands for a token, which are near, and what the layers above add to it.

    embed     rows of the embedding table: where they lie, which are near
    context   one word in several sentences: what one vector per word cannot say
    lens      the next-token guess after every layer
    vectors   rows of the table as an array, in Python alone
    hidden    what the layers make of a text as an array, in Python alone

``embed`` and ``vectors`` read the table from the model's file and never open an engine.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from capot.chapters.chapter import Chapter, ModelVerb
from capot.config import WordPlane

if TYPE_CHECKING:
    from capot.chapters.embeddings.arrays import Vectors
    from capot.chapters.embeddings.context_result import Context
    from capot.chapters.embeddings.embed_result import Embedding
    from capot.chapters.embeddings.lens_result import Lens
    from capot.chapters.protocols import Opened
    from capot.view.event import ProgressEvent

SENTENCES = ["Le pilote commence son vol", "Il est en prison pour vol"]
CHAPTER = Chapter(
    "embeddings",
    {
        "embed": ModelVerb(
            "embeddings.embed:embed",
            {"words": ["cat", "dog", "green", "blue", "house", "room"], "near": 3},
            (WordPlane,),
        ),
        "context": ModelVerb("embeddings.context:context", {"word": "vol", "sentences": SENTENCES}),
        "lens": ModelVerb("embeddings.lens:lens", {"prompt": "The capital of Australia is"}),
        "vectors": ModelVerb("embeddings.arrays:vectors", {"tokens": "The capital"}),
        "hidden": ModelVerb("embeddings.arrays:hidden", {"prompt": "The capital of Australia is"}),
    },
    ("embed", "context", "lens"),
)


class EmbeddingsVerbs:
    """The verbs of the chapter ``embeddings``."""

    def embed(
        self: Opened,
        words: Sequence[str] = ("cat", "dog", "green", "blue", "house", "room"),
        *,
        dimensions: int = 2,
        near: int = 5,
        space: str = "auto",
    ) -> Embedding:
        """Show the vectors of ``words``, in the order given, as the model's own table has them.

        A word of several tokens is their mean.
        ``dimensions``: of the picture, 2 to 3.
        ``near``: neighbours to find for each word, 0 to 100; 0 finds none, and the table is not walked through.
        ``space``: ``auto``, ``space`` (the word as inside a sentence) or ``bare`` (as at its start).

        Units: ``cosine`` from -1 to 1, ``explained_variance`` as shares of 1.
        Raises: InputError ``no_words``, ``empty_word``, ``too_many``, ``out_of_range``, ``bad_choice``;
        ModelError ``no_table``; CapabilityError ``capability``.

        >>> import capot
        >>> [near.text for near in capot.open("boxed").embed(["Paris", "dog"], near=1).neighbours[0].near]
        [' London']
        """
        from capot.chapters.embeddings.embed import embed

        return embed(self, words, dimensions=dimensions, near=near, space=space)

    def context(
        self: Opened,
        word: str,
        *,
        sentences: Sequence[str],
        layer: int | None = None,
        progress: Callable[[ProgressEvent], None] | None = None,
    ) -> Context:
        """Follow ``word`` through the layers in each of ``sentences``, every occurrence of it.

        A word of several tokens is the mean of their vectors.
        ``layer``: the one to draw, 0 the embeddings themselves; None takes the one where the occurrences
        are farthest apart.
        ``progress``: hears how far the sentences have been read, as :class:`capot.ProgressEvent`.

        Units: cosines from -1 to 1.
        Raises: InputError ``no_sentences``, ``empty_word``, ``word_too_long``, ``empty_sentence``,
        ``word_not_in_sentence``, ``too_many_tokens``, ``too_many_tokens_in_all``, ``too_many``, ``out_of_range``;
        CapabilityError ``capability``; ContextError ``prompt_too_long``; UnsupportedError ``table_apart``.

        >>> import capot
        >>> len(capot.open("scripted").context("bank", sentences=["A river bank.", "My bank."]).layers)
        5
        """
        from capot.chapters.embeddings.context import context

        return context(self, word, sentences=sentences, layer=layer, progress=progress)

    def lens(self: Opened, prompt: str, *, progress: Callable[[ProgressEvent], None] | None = None) -> Lens:
        """Guess the next token after every layer, by the final norm and the head of the model itself.

        Layer 0 is the embedding of the last token of ``prompt``, before any layer. Source: nostalgebraist,
        "interpreting GPT: the logit lens" (2020).
        ``progress``: hears how far the prompt has been read, as :class:`capot.ProgressEvent`.

        Units: probabilities as shares of 1, ``entropy_bits`` in bits.
        Raises: InputError ``empty_prompt``; CapabilityError ``capability``; ContextError ``prompt_too_long``.

        >>> import capot
        >>> capot.open("scripted").lens("The capital of France is").final.text
        ' '
        """
        from capot.chapters.embeddings.lens import lens

        return lens(self, prompt, progress=progress)

    def vectors(self: Opened, tokens: str | Sequence[int]) -> Vectors:
        """Give rows of the embedding table as a NumPy array: those of a text's tokens, or of ids.

        ``tokens``: a text, cut as it stands, without what the model puts before a prompt; or ids.

        Shapes: (T, D) float32, a row a token; the array is the caller's own.
        Units: none; the numbers are those of the file, widened to float32.
        Raises: InputError ``no_such_id``; ModelError ``no_table``; UnsupportedError ``table_dtype``; CapabilityError
        ``capability``.

        >>> import capot
        >>> capot.open("scripted").vectors("abc").shape
        (3, 16)
        """
        from capot.chapters.embeddings.arrays import vectors

        return vectors(self, tokens)

    def hidden(
        self: Opened,
        prompt: str,
        *,
        layer: int | None = None,
        position: int | None = None,
        ids: Sequence[int] | None = None,
        progress: Callable[[ProgressEvent], None] | None = None,
    ) -> Vectors:
        """Give the vectors of ``prompt`` after the layers (hidden states) as a NumPy array.

        ``layer``: one of them, 0 what enters the first, L what leaves the last, before the final norm; counted
        from the end where it is negative; None gives all.
        ``position``: of one token, counted from the end where it is negative; None gives all.
        ``ids``: the exact ids to read, instead of the prompt's.
        ``progress``: hears how far the prompt has been read, as :class:`capot.ProgressEvent`.

        Shapes: (L + 1, T, D) float32, with ``layer`` (T, D), with ``position`` (L + 1, D), with both (D,). T counts
        what the model puts before a prompt; the array is the caller's own.
        Units: none; the numbers are those that the engine computed, as float32.
        Raises: InputError ``empty_prompt``, ``no_such_id``, ``out_of_range``, ``not_whole``; ContextError
        ``prompt_too_long``; CapabilityError ``capability``; ResourceError ``memory_short``.

        >>> import capot
        >>> model = capot.open("scripted")
        >>> model.hidden("abc").shape, model.hidden("abc", layer=-1, position=-1).shape
        ((5, 3, 16), (16,))
        """
        from capot.chapters.embeddings.arrays import hidden

        return hidden(self, prompt, layer=layer, position=position, ids=ids, progress=progress)
