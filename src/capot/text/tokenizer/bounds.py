"""What a tokenizer.json may hold, looked at before the library that reads it.

The library trusts its file: one named token of 5 million letters takes it 400 MB, a word of any length is tried
against the vocabulary piece by piece, a template may write a text a thousand times. Where memory ends, it ends the
process. So the numbers that its cost grows with are held to bounds far above any vocabulary that was published.

How much longer a text becomes is another matter, which depends on the text: see ``growth``. What a decoder would
make of tokens costs little here: none is run but those that write a space for a mark, or between two tokens.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from capot.errors import ModelError
from capot.i18n import Reason

MAX_ADDED = 200_000  # tokens with a name; of the largest known, some tens of thousands
MAX_NAME_CHARS = 500  # of one name
MAX_NAMES_CHARS = 4_000_000  # of all names: the library takes some 75 bytes for each
MAX_STEPS = 100  # of a normalizer, a pre-tokenizer and a post-processor together
MAX_WIDENING = 2  # pre-tokenizers of one kind that may write a letter as several: each doubles what the last one made
MAX_TEMPLATE_TOKENS = 100  # tokens that a template puts around a text
MAX_WORD = 256  # letters of a word that WordPiece tries: the cost of one grows with the cube
MAX_AFFIX = 64  # letters written before or after each piece of a word
MAX_PIECE = 1_000  # letters of a token, for Unigram, which follows each from every letter of a text

PARTS = ("added_tokens", "normalizer", "pre_tokenizer", "post_processor")
_MEMBER = re.compile(r'\s*,?\s*"((?:[^"\\]|\\.)*)"\s*:\s*')
# What would be one more of ``PARTS`` after the vocabulary, written in letters or in their numbers.
_LATER = re.compile(rf'"(?:{"|".join(PARTS)})"\s*:\s*[^\d\s]|\\u00(?:5f|6|7)', re.I)


def components(part: Any) -> Iterator[Mapping[str, Any]]:
    """Yield a component and everything inside it, whatever its list is called."""
    if isinstance(part, Mapping):
        yield part
        for listed in ("normalizers", "pretokenizers", "decoders", "processors"):
            inner = part.get(listed)
            for each in inner if isinstance(inner, list) else ():
                yield from components(each)


def check_file(text: str, *, model: str) -> None:
    """Hold the text of a tokenizer.json to the bounds; what is no JSON at all the library refuses.

    Raises: ModelError ``tokenizer_bound``.
    """
    try:
        parts = _parts_before_vocabulary(text)
    # The library's own message about bad JSON is better than one of ours.
    except (ValueError, RecursionError):
        return
    if isinstance(parts, dict):
        _check_names(parts.get("added_tokens"), model)
        _check_components([list(components(parts.get(name))) for name in PARTS[1:]], model)


def _parts_before_vocabulary(text: str) -> Any:
    """Return the members of a tokenizer.json that stand before its vocabulary, which is most of it.

    All, where they may not.

    Raises: ValueError or RecursionError where it cannot be read.
    """
    found: dict[str, Any] = {}
    place = text.find("{") + 1
    decode = json.JSONDecoder().raw_decode
    # Member by member: the vocabulary, which is most of the file, is read by the library once and not by us as well.
    while member := _MEMBER.match(text, place):
        name = json.loads(f'"{member[1]}"')
        if name == "model":
            # JSON allows a member twice, and the last one counts: a second ``normalizer`` behind the vocabulary would
            # escape.
            return json.loads(text) if _LATER.search(text, member.end()) else found
        if name in found:
            break
        found[name], place = decode(text, member.end())
    return json.loads(text)


def _check_bound(what: str, value: int, most: int, model: str) -> None:
    if value > most:
        reason = Reason(what, key=f"tokens.bound.{what}")
        raise ModelError("tokenizer_bound", model=model, what=reason, count=value, most=most)


def _check_names(added: Any, model: str) -> None:
    listed = added if isinstance(added, list) else []
    names = [each.get("content") for each in listed if isinstance(each, dict)]
    lengths = [len(name) for name in names if isinstance(name, str)]
    _check_bound("added", len(listed), MAX_ADDED, model)
    _check_bound("name", max(lengths, default=0), MAX_NAME_CHARS, model)
    _check_bound("names", sum(lengths), MAX_NAMES_CHARS, model)


def _check_components(chains: list[list[Mapping[str, Any]]], model: str) -> None:
    """Check the steps of the normalizer, the pre-tokenizer and the post-processor."""
    # The cost of a text is steps times letters.
    _check_bound("steps", sum(map(len, chains)), MAX_STEPS, model)
    _, cutting, after = chains
    for kind in ("ByteLevel", "Metaspace"):
        _check_bound("widening", sum(step.get("type") == kind for step in cutting), MAX_WIDENING, model)
    around = 0
    for step in after:
        if step.get("type") == "TemplateProcessing":
            around += _template_tokens(step, model)
    _check_bound("around", around, MAX_TEMPLATE_TOKENS, model)


def _template_tokens(step: Mapping[str, Any], model: str) -> int:
    """Return how many tokens a template puts around a text, which it may write once."""
    pieces = step.get("single")
    pieces = [piece for piece in pieces if isinstance(piece, dict)] if isinstance(pieces, list) else []
    named = step.get("special_tokens")
    named = named if isinstance(named, dict) else {}
    # A template may write the text again and again, each time as long as it is.
    _check_bound("texts", sum("Sequence" in piece for piece in pieces), 1, model)
    return sum(max(1, _id_count(named, piece["SpecialToken"])) for piece in pieces if "SpecialToken" in piece)


def _id_count(named: Mapping[str, Any], special: Any) -> int:
    name = special.get("id") if isinstance(special, dict) else None
    entry = named.get(name) if isinstance(name, str) else None
    listed = entry.get("ids") if isinstance(entry, dict) else None
    return len(listed) if isinstance(listed, list) else 0


def check_model(backend: Any, *, model: str) -> None:
    """Hold what the library read of a vocabulary to the bounds. Raises: ModelError ``tokenizer_bound``."""
    kind = type(backend.model).__name__
    for name in ("continuing_subword_prefix", "end_of_word_suffix"):
        _check_bound("affix", len(getattr(backend.model, name, None) or ""), MAX_AFFIX, model)
    if kind == "WordPiece":
        _check_bound("word", backend.model.max_input_chars_per_word, MAX_WORD, model)
    if kind == "Unigram":
        _check_bound("piece", max(map(len, backend.get_vocab(with_added_tokens=False)), default=0), MAX_PIECE, model)
