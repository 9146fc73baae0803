"""How does text become ids; how do tokenizers differ; what does a text cost in each?"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from capot.chapters.tokens.result import Comparison, Cut, Token, Tokens
from capot.errors import NetworkError, NotFoundError
from capot.leaving import look
from capot.sources.hub.events import Watch, quietly
from capot.text.tokenizer import Specials, Tokenizer, recorded, whole
from capot.text.tokenizer.encodings import NAMES
from capot.text.tokenizer.ranks import ENCODINGS

if TYPE_CHECKING:
    from capot.chapters.protocols import Opened

BOXED = Path(__file__).parents[2] / "boxed"
PACKAGED = {
    "bilingual": BOXED,
    "english": BOXED / "tokenizers" / "english",
    "french": BOXED / "tokenizers" / "french",
}
ALIASES = {"boxed": "bilingual", "gpt-2": "gpt2", "gpt-4": "cl100k_base", "gpt-4o": "o200k_base", "llama-3": "llama3"}
_HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")

Spans = Sequence[tuple[int, bytes, int, int]]


def tokenize(model: Opened, text: str, *, compare: str | Iterable[str] = (), specials: Specials = "text") -> Tokens:
    """A text cut by the model and by others. Takes and raises: as ``Model.tokens``."""
    tokenizer = model.tokenizer
    cut = to_tokens(tokenizer.spans(text, specials=specials), special_ids=tokenizer.special_ids)
    others = [_counted(name, text, specials, model=model) for name in named_in(compare)]
    own = Comparison(model.name, tokenizer.vocabulary_size, len(cut), 1.0, cut)
    raw = text.encode()
    return Tokens(
        text=text,
        tokenizer=model.name,
        vocabulary_size=tokenizer.vocabulary_size,
        vocabulary_base=tokenizer.vocabulary_base,
        count=len(cut),
        characters=len(text),
        bytes=len(raw),
        characters_per_token=len(text) / len(cut) if cut else None,
        lossless=b"".join(token.bytes for token in cut) == raw,
        tokens=cut,
        comparisons=[own, *(_relative_to(own, other) for other in others)] if others else [],
    )


def named_in(compare: str | Iterable[str]) -> tuple[str, ...]:
    """The names in ``compare``, each once.

    >>> named_in("english, french,,english")
    ('english', 'french')
    """
    names = compare.split(",") if isinstance(compare, str) else compare
    return tuple(dict.fromkeys(name.strip() for name in names if name.strip()))


def to_tokens(spans: Spans, *, special_ids: frozenset[int] = frozenset()) -> list[Token]:
    """Spans as the result holds them."""
    return [Token(token, raw, whole(raw), start, end, token in special_ids) for token, raw, start, end in spans]


def _counted(name: str, text: str, specials: Specials, *, model: Opened) -> Comparison:
    look()
    known = ALIASES.get(name, name)
    if known in recorded.RECORDED:
        told = Cut(recorded.spans(known, text), special_ids=frozenset())
        return Comparison(name, recorded.vocabulary_size(known), len(told), 1.0, told)
    tokenizer = named(name, watch=model.watch).apart(model.cutter)
    cut = Cut(tokenizer.spans(text, specials=specials), special_ids=tokenizer.special_ids)
    return Comparison(name, tokenizer.vocabulary_size, len(cut), 1.0, cut)


def _relative_to(first: Comparison, other: Comparison) -> Comparison:
    relative = other.count / first.count if first.count else 1.0
    return Comparison(other.tokenizer, other.vocabulary_size, other.count, relative, other.tokens)


def named(name: str, *, watch: Watch = quietly) -> Tokenizer:
    """The tokenizer that a name or a path stands for; ``watch`` follows what comes from the hub.

    Raises: as ``tokenize``.
    """
    known = ALIASES.get(name, name)
    if known in PACKAGED or known in ENCODINGS or known in NAMES:
        return _packaged(known)
    path = Path(name).expanduser()
    if path.exists() or path.suffix == ".json":
        return Tokenizer.from_file(path, name=name)
    if _HUB_NAME.fullmatch(name):
        return from_hub(name, watch=watch)
    raise NotFoundError("unknown_tokenizer", name=name, known=", ".join(packaged_names()))


@functools.lru_cache(maxsize=8)
def _packaged(name: str) -> Tokenizer:
    return Tokenizer.from_file(PACKAGED[name], name=name) if name in PACKAGED else Tokenizer.from_tiktoken(name)


def from_hub(name: str, *, watch: Watch = quietly) -> Tokenizer:
    """The tokenizer of a model of the hub: from the cache, else brought there, without its weights.

    Raises: NotFoundError ``tokenizer_hub`` where asking is forbidden; as ``HubCheckpoint.of``.
    """
    from capot.sources.hub.checkpoint import HubCheckpoint

    try:
        checkpoint = HubCheckpoint.of(name, watch=watch)
        checkpoint.fetch("tokenizer")
    except NetworkError as error:
        if error.code != "hub_offline":
            raise
        raise NotFoundError("tokenizer_hub", name=name, known=", ".join(packaged_names())) from None
    return Tokenizer.from_file(checkpoint.path, name=name)


def packaged_names() -> list[str]:
    """The names that ``compare`` takes on any machine, offline."""
    return [*PACKAGED, *ENCODINGS, *recorded.RECORDED]
