"""How does text become ids, and what does it cost in each language?"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Literal

from capot.chapters.chapter import Chapter, ModelVerb

if TYPE_CHECKING:
    from capot.chapters.protocols import Opened
    from capot.chapters.tokens.result import Tokens

EXAMPLE = {"text": "RTE est le gestionnaire du réseau.", "compare": ["english", "french"]}
CHAPTER = Chapter("tokens", {"tokens": ModelVerb("tokens.verb:tokenize", EXAMPLE)}, ("tokens",))


class TokensVerbs:
    """The verb of the chapter ``tokens``."""

    def tokens(
        self: Opened,
        text: str,
        *,
        compare: str | Iterable[str] = (),
        specials: Literal["text", "strict", "allow"] = "text",
    ) -> Tokens:
        """Cut ``text`` as the model does, and as each tokenizer of ``compare`` does.

        ``compare``: names (``english``, ``french``, ``bilingual``, ``gpt2``, ``cl100k_base``, ``o200k_base``,
        ``llama3`` for the sentences of the lessons, any encoding of tiktoken's), paths of a tokenizer.json or
        of its folder, or models of the hub (``org/name``); one text with commas, or several.
        ``specials``: special tokens in the text are text, unless it is ``allow``; ``strict`` refuses them.

        A tokenizer that cannot be had or does not take the text is told in ``missing``, with its error's code.

        Units: ``start`` and ``end`` in bytes of the UTF-8 text; ``relative`` in counts of the first tokenizer.
        Raises: InputError ``not_unicode``, ``specials_mode``.

        >>> import capot
        >>> capot.open("boxed").tokens("Bonjour").count
        3
        """
        from capot.chapters.tokens.verb import tokenize

        return tokenize(self, text, compare=compare, specials=specials)
