"""What a reader sees as one character, and characters made visible.

A token often ends inside a character, and a character as read (a *grapheme*) is
often several code points: ``é`` may be two, a family emoji is seven. A view shows
whole graphemes or the bytes themselves, never the replacement character.

The rules are the ones of Unicode Standard Annex 29, section 3.1.1, that matter to
text people type: marks, joiners, variation selectors, flags, skin tones, Hangul.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

from capot.view.visible import visible

_JOINER = 0x200D
_EXTENDING = frozenset({0x200C, _JOINER, 0xFF9E, 0xFF9F, 0x0E33, 0x0EB3})
_WRITTEN_OUT = re.compile("[⟨◌\u2400-\u2421]")
_MARKS = str.maketrans({" ": "·", "\u00a0": "⍽", "\u202f": "⍽", "\ufffd": "⟨U+FFFD⟩"})


def graphemes(text: str) -> Iterator[str]:
    """Cut ``text`` into what a reader sees as characters.

    >>> [len(shape) for shape in graphemes("e\\u0301🇫🇷a")]
    [2, 2, 1]
    """
    start = flags = 0
    # One pass over pairs of code points; only runs of flags need to know more than the last one.
    for place in range(1, len(text)):
        left = ord(text[place - 1])
        right = ord(text[place])
        flags = flags + 1 if _is_regional(left) else 0
        if not _joins(left, right, flags=flags):
            yield text[start:place]
            start = place
    if text:
        yield text[start:]


def _joins(left: int, right: int, *, flags: int) -> bool:
    # Below U+0300 nothing joins but a line end of two characters: most text ends here.
    if right < 0x300:
        return left == 0x0D and right == 0x0A
    if left < 0x20:
        return False
    if _extends(right):
        return True
    if left == _JOINER:
        return unicodedata.category(chr(right))[0] in "LS"
    if _is_regional(left) and _is_regional(right):
        # Two regional indicators make a flag, and a third begins the next one.
        return flags % 2 == 1
    return _hangul(left, right)


def _extends(code: int) -> bool:
    if code in _EXTENDING or 0x1F3FB <= code <= 0x1F3FF or 0xE0020 <= code <= 0xE007F:
        return True
    return unicodedata.category(chr(code))[0] == "M"


def _is_regional(code: int) -> bool:
    return 0x1F1E6 <= code <= 0x1F1FF


def _hangul(left: int, right: int) -> bool:
    """Return whether two Hangul parts make one syllable: leading, vowel, trailing."""
    syllable = 0xAC00 <= left <= 0xD7A3
    if 0x1100 <= left <= 0x115F:
        return 0x1100 <= right <= 0x11A7 or 0xAC00 <= right <= 0xD7A3
    # A syllable without a trailing consonant is a multiple of 28 from U+AC00, and takes one more part.
    if 0x1160 <= left <= 0x11A7 or (syllable and (left - 0xAC00) % 28 == 0):
        return 0x1160 <= right <= 0x11FF
    return (syllable or 0x11A8 <= left <= 0x11FF) and 0x11A8 <= right <= 0x11FF


def token_label(text: str) -> str:
    """Return ``text`` as a token shows it: spaces, line ends and hidden characters drawn.

    >>> token_label(" le\\n"), token_label("\\u0301")
    ('·le⏎', '◌́')
    """
    alone = bool(text) and unicodedata.category(text[0])[0] == "M"
    return ("◌" if alone else "") + visible(text).translate(_MARKS)


def is_written_out(label: str) -> bool:
    """Return whether a token's label is more than its text with spaces and line ends drawn.

    >>> [is_written_out(label) for label in ("·le⏎", "⟨F0 9F⟩", "◌́", "␛[0m")]
    [False, True, True, True]
    """
    return _WRITTEN_OUT.search(label) is not None


def hex_bytes(raw: bytes) -> str:
    """Write bytes that are no whole character as this project does: ``⟨F0 9F⟩``."""
    return f"⟨{raw.hex(' ').upper()}⟩"
