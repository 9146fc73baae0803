"""How does text become ids; how do tokenizers differ; what does a text cost in each?"""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Iterable, Sequence
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING

from capot.chapters.tokens.result import Comparison, Cut, Missing, Token, Tokens
from capot.engines.cancellation import check_cancelled
from capot.errors import CapotError, InputError, InterruptedByUser, NetworkError, NotFoundError, shorten
from capot.i18n import Reason
from capot.sources.hub.events import Watch, drain
from capot.text.tokenizer import Specials, Tokenizer, decode_whole, recorded
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
    """Return a text cut by the model and by others. Takes and raises: as ``Model.tokens``."""
    tokenizer = model.tokenizer
    cut = to_tokens(tokenizer.spans(text, specials=specials), special_ids=tokenizer.special_ids)
    found = [_found(name, text, specials, model=model) for name in named_in(compare)]
    others = [each for each in found if isinstance(each, Comparison)]
    own = Comparison(model.name, tokenizer.vocabulary_size, len(cut), 1.0, cut)
    compared = [own, *(_relative_to(own, other) for other in others)] if found else []
    return _tokens(model, text, cut, comparisons=compared, missing=[one for one in found if isinstance(one, Missing)])


def of_ids(model: Opened, ids: Sequence[int]) -> Tokens:
    """Return the text that ids spell, and its tokens: not those that the text would be cut into, which may be others.

    Raises: InputError ``no_such_id``.
    """
    tokenizer = model.tokenizer
    size = tokenizer.vocabulary_size
    wrong = [token for token in ids if not 0 <= token < size]
    if wrong:
        raise InputError("no_such_id", id=wrong[0], size=size)
    # By bytes, not by texts: a token may end inside a character, whose bytes the next one completes.
    pieces = [tokenizer.token_bytes(token) for token in ids]
    stops = accumulate(map(len, pieces))
    spans = [(token, raw, stop - len(raw), stop) for token, raw, stop in zip(ids, pieces, stops)]
    return _tokens(model, tokenizer.decode(ids), to_tokens(spans, special_ids=tokenizer.special_ids), opening=False)


def _tokens(
    model: Opened, text: str, cut: Sequence[Token], *, opening: bool = True, comparisons: Sequence[Comparison] = (),
    missing: Sequence[Missing] = (),
) -> Tokens:  # fmt: skip
    """Return the answer for a text that is cut."""
    tokenizer = model.tokenizer
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
        # Seen on the text itself: a tokenizer that normalizes may still keep every byte of this one.
        lossless=b"".join(token.bytes for token in cut) == raw,
        tokens=cut,
        comparisons=comparisons,
        missing=missing,
        opening=tokenizer.before(tokenizer.opening) if opening else (),
    )


class UnknownName(str):
    """A name that is refused as unknown: for a learner, the server looks at no path and asks no hub."""


def named_in(compare: str | Iterable[str]) -> tuple[str, ...]:
    """Return the names in ``compare``, each once.

    >>> named_in("english, french,,english")
    ('english', 'french')
    """
    names = compare.split(",") if isinstance(compare, str) else compare
    bare = (name if isinstance(name, UnknownName) else name.strip() for name in names)
    return tuple(dict.fromkeys(filter(None, bare)))


def to_tokens(spans: Spans, *, special_ids: frozenset[int] = frozenset()) -> list[Token]:
    """Return spans as the result holds them."""
    return [Token(token, raw, decode_whole(raw), start, end, token in special_ids) for token, raw, start, end in spans]


def _found(name: str, text: str, specials: Specials, *, model: Opened) -> Comparison | Missing:
    """Return the text in one other tokenizer; one that cannot be had is a note beside those that can."""
    try:
        return _counted(name, text, specials, model=model)
    # Whoever has left wants no comparison any more; any other error is one column that is missing.
    except InterruptedByUser:
        raise
    except CapotError as error:
        return Missing(shorten(name), error.code, error.message())


def _counted(name: str, text: str, specials: Specials, *, model: Opened) -> Comparison:
    check_cancelled()
    known = ALIASES.get(name, name)
    # Recorded: its vocabulary is under a licence of its own, so only what it made of some sentences is packaged.
    if known in recorded.RECORDED:
        cut = Cut(recorded.spans(known, text), special_ids=frozenset())
        return Comparison(name, recorded.vocabulary_size(known), len(cut), 1.0, cut)
    tokenizer = named(name, watch=model.watch).with_remote_encoder(model.remote_encoder)
    cut = Cut(tokenizer.spans(text, specials=specials), special_ids=tokenizer.special_ids)
    return Comparison(name, tokenizer.vocabulary_size, len(cut), 1.0, cut)


def _relative_to(first: Comparison, other: Comparison) -> Comparison:
    # An empty text has no tokens in any tokenizer: they are then as long as each other.
    relative = other.count / first.count if first.count else 1.0
    return Comparison(other.tokenizer, other.vocabulary_size, other.count, relative, other.tokens)


def named(name: str, *, watch: Watch = drain) -> Tokenizer:
    """Return the tokenizer that a name or a path stands for; ``watch`` follows what comes from the hub.

    Raises: as ``tokenize``.
    """
    if isinstance(name, UnknownName):
        raise NotFoundError("unknown_tokenizer", name=shorten(name), known=known_names())
    known = ALIASES.get(name, name)
    # Packaged names first: a folder of the same name in the current directory must not stand in their place.
    if known in PACKAGED or known in ENCODINGS or known in NAMES:
        return _packaged(known)
    path = Path(name).expanduser()
    # A path that is not there but ends in .json was meant as one, and its error names the file.
    if os.path.exists(path) or path.suffix == ".json":  # pathlib's raises where a name is too long
        return Tokenizer.from_file(path, name=name)
    if _HUB_NAME.fullmatch(name):
        return from_hub(name, watch=watch)
    raise NotFoundError("unknown_tokenizer", name=name, known=known_names())


# Reading a vocabulary takes a tenth of a second, and a page asks for the same few again and again.
@functools.lru_cache(maxsize=8)
def _packaged(name: str) -> Tokenizer:
    return Tokenizer.from_file(PACKAGED[name], name=name) if name in PACKAGED else Tokenizer.from_tiktoken(name)


def from_hub(name: str, *, watch: Watch = drain) -> Tokenizer:
    """Return the tokenizer of a model of the hub: from the cache, else brought there, without its weights.

    Raises: NotFoundError ``tokenizer_hub`` where asking is forbidden; as ``HubCheckpoint.of``.
    """
    from capot.sources.hub.checkpoint import HubCheckpoint

    try:
        checkpoint = HubCheckpoint.of(name, watch=watch)
        checkpoint.fetch("tokenizer")
    except NetworkError as error:
        if error.code != "hub_offline":
            raise
        raise NotFoundError("tokenizer_hub", name=name, known=known_names()) from None
    return Tokenizer.from_file(checkpoint.path, name=name)


def known_names() -> Reason:
    """Return ``packaged_names`` in the reader's words: of some the sentences of the lessons alone are known."""
    # The names in the reader's words are for a sentence; the bare list is for who reads JSON.
    whole = ", ".join(name for name in packaged_names() if name not in recorded.RECORDED)
    recorded_names = ", ".join(recorded.RECORDED)
    return Reason(", ".join(packaged_names()), key="tokens.known", names=whole, recorded=recorded_names)


def packaged_names() -> list[str]:
    """Return the names that ``compare`` takes on any machine, offline."""
    return [*PACKAGED, *ENCODINGS, *recorded.RECORDED]
