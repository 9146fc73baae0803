"""Text made safe to show, and its width in terminal cells.

A token can hold anything: an escape sequence, a bidirectional override, half an
emoji. Nothing of that may act on the reader's screen; all of it must be seen.

    >>> visible("a\\x1b[31m\\u202eb")
    'a␛[31m⟨U+202E⟩b'
    >>> width("e\\u0301"), width("漢字"), width("👩\\u200d🚀")
    (1, 4, 2)
"""

from __future__ import annotations

import functools
import re
import unicodedata

JOINERS = "\u200c\u200d"  # they shape Persian words and emoji families: kept as they are
_ZWJ, _EMOJI_STYLE = "\u200d", "\ufe0f"
_SKIN_TONES = range(0x1F3FB, 0x1F400)
_JAMO_TAILS = range(0x1160, 0x1200)  # vowels and finals drawn inside a Hangul syllable
_FRAMES = range(0x2500, 0x25A0)  # our own borders and bars never become emoji, whatever follows them
_STYLE = re.compile(r"\x1b\[[0-9;]*m")


def visible(text: str, *, lines: bool = False) -> str:
    """Return ``text`` with controls, bidirectional marks and lone surrogates written out.

    ``lines`` keeps line ends (a paragraph); otherwise they are shown as ``⏎`` (a token).
    Letters of every script stay as they are, and no character is ever replaced by U+FFFD.
    """
    if text.isprintable():  # the common case: nothing to write out
        return text
    if lines:
        text = text.replace("\r\n", "\n").replace("\t", "    ")
        return "\n".join("".join(map(_escape, line)) for line in text.split("\n"))
    return "".join(map(_escape, text))


def paragraph(text: str) -> str:
    """Return ``text`` as a terminal may have it among our own lines: those after its first stand behind the margin.

    >>> paragraph("failed: a\\nWARNING: \\x1b[2J")
    'failed: a\\n    WARNING: ␛[2J'
    """
    return visible(text, lines=True).replace("\n", "\n    ")


@functools.lru_cache(maxsize=4096)
def _escape(char: str) -> str:
    code = ord(char)
    category = unicodedata.category(char)
    if char in "\n\t":
        return "⏎" if char == "\n" else "⇥"
    if code < 0x20 or code == 0x7F:
        return "␡" if code == 0x7F else chr(0x2400 + code)
    if category in ("Cc", "Cs", "Zl", "Zp") or (category == "Cf" and char not in JOINERS):
        return f"⟨U+{code:04X}⟩"
    return char


def width(text: str) -> int:
    """Return the cells that ``text`` takes in a terminal; colour sequences take none.

    Source: East_Asian_Width (UAX #11) for 2 cells; marks, joiners, and what a
    zero-width joiner or a skin tone attaches to an emoji take 0.
    """
    if "\x1b" in text:
        text = _STYLE.sub("", text)
    if text.isascii():
        return len(text)
    return sum(_cluster_width(cluster) for cluster in clusters(text))


def clusters(text: str) -> list[str]:
    """Return ``text`` cut where a terminal can cut it: a base character with what attaches to it."""
    found: list[str] = []
    for char in text:
        if found and (_cells(char) == 0 or _attaches(found[-1], char)):
            found[-1] += char
        else:
            found.append(char)
    return found


def _attaches(cluster: str, char: str) -> bool:
    wide = _cells(cluster[0]) == 2 or _EMOJI_STYLE in cluster
    return wide and (cluster[-1] == _ZWJ or ord(char) in _SKIN_TONES)


def _cluster_width(cluster: str) -> int:
    base = _cells(cluster[0])
    drawn = cluster[0] != " " and ord(cluster[0]) not in _FRAMES
    return 2 if base == 1 and drawn and _EMOJI_STYLE in cluster else base


@functools.lru_cache(maxsize=8192)
def _cells(char: str) -> int:
    if char.isascii():
        return 1
    if unicodedata.category(char) in ("Mn", "Me", "Cf") or ord(char) in _JAMO_TAILS:
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def pad(text: str, cells: int, align: str = "l") -> str:
    """Return ``text`` filled with spaces to ``cells``, on the left (``l``) or on the right (``r``)."""
    gap = " " * max(0, cells - width(text))
    return gap + text if align == "r" else text + gap


def truncate(text: str, cells: int) -> str:
    """Return ``text`` in at most ``cells``, its end replaced by ``…`` where it is longer."""
    if width(text) <= cells:
        return text
    kept, used = "", 0
    for cluster in clusters(text):
        used += _cluster_width(cluster)
        if used > cells - 1:
            break
        kept += cluster
    return kept + "…"


def wrap(text: str, cells: int) -> list[str]:
    """Return ``text`` in lines of at most ``cells``: broken at spaces, else between characters.

    >>> wrap("to be or not", 6)
    ['to be', 'or not']
    """
    cells = max(1, cells)
    wrapped: list[str] = []
    for paragraph in text.split("\n"):
        line = ""
        for word in paragraph.split(" "):
            joined = f"{line} {word}" if line else word
            if width(joined) <= cells:
                line = joined
                continue
            if line:
                wrapped.append(line)
            *full, line = chunks(word, cells)
            wrapped.extend(full)
        wrapped.append(line)
    return wrapped


def chunks(word: str, cells: int, first: int | None = None) -> list[str]:
    """Cut ``word`` into chunks of at most ``cells`` (``first``: room left on the first line)."""
    parts = [""]
    room = cells if first is None else first
    for cluster in clusters(word):
        taken = _cluster_width(cluster)
        if taken > room and (parts[-1] or first is not None):
            parts.append("")
            room = cells
            first = None
        parts[-1] += cluster
        room -= taken
    return parts
