"""What a learner types of a run, as pages write it: a number with its unit and its rounding, a text between marks.

>>> typed_number("328 ko par token", "fr").within("ko")
[(328.0, 0.5)]
>>> same_text("« ·chambre »", " chambre"), same_text("room", " chambre")
(True, False)
"""

from __future__ import annotations

import math
import re
import unicodedata
from dataclasses import dataclass

from capot.errors import InputError
from capot.i18n import language, tr

_NUMBER = re.compile(r"([≈~<])?\s*([-+]?\d[\d\s.,]*)\s*(%|[^\W\d_]+)?([^\d]*)")
_MINUTES = re.compile(r"(\d+)\s*min\s*(\d{1,2})\s*s")
_THOUSANDS = re.compile(r"[-+]?\d{1,3}(?:,\d{3})+(?:\.\d+)?")
_DASHES = str.maketrans("\u2212\u2013", "--")
_MARKS = {"·": " ", "⍽": " ", "⏎": "\n", "⇥": "\t", "\u2019": "'", "\u2018": "'"}
_QUOTES = "«»\"'\u201c\u201d\u2018\u2019`"
# Fewer digits round too much away: a cosine of 0.6 is no 1.
_DIGITS = 2
# Pages write sizes and large counts with three: whoever multiplies 328 kB out types 328,000.
_ROUND_DIGITS = 3


def _bytes() -> dict[str, float]:
    """Return what a unit of bytes is worth, by its name in small letters, in both languages."""
    found: dict[str, float] = {"octet": 1, "octets": 1, "byte": 1, "bytes": 1}
    for letter in "ob":
        for power, prefix in enumerate(("", "k", "m", "g", "t")):
            found |= {prefix + letter: 1000.0**power}
            found |= {f"{prefix}i{letter}": 1024.0**power} if prefix else {}
    prefixes = {"kilo": 1e3, "méga": 1e6, "mega": 1e6, "giga": 1e9, "téra": 1e12, "tera": 1e12}
    for prefix, worth in prefixes.items():
        found |= {prefix + name: worth for name in ("octet", "octets", "byte", "bytes")}
    return found


UNITS: dict[str, dict[str, float]] = {
    "count": {
        "millier": 1e3, "milliers": 1e3, "thousand": 1e3, "k": 1e3, "million": 1e6, "millions": 1e6, "m": 1e6,
        "milliard": 1e9, "milliards": 1e9, "md": 1e9, "billion": 1e9, "billions": 1e9, "b": 1e9,
    },
    "bytes": _bytes(),
    "time": {
        "s": 1, "seconde": 1, "secondes": 1, "second": 1, "seconds": 1, "ms": 1e-3, "milliseconde": 1e-3,
        "millisecondes": 1e-3, "millisecond": 1e-3, "milliseconds": 1e-3, "μs": 1e-6, "us": 1e-6,
    },
    "share": {"%": 1},
}  # fmt: skip


@dataclass(frozen=True)
class TypedNumber:
    """A number as it was typed. ``step`` is what its last digit counts, ``digits`` how many there are."""

    value: float
    step: float
    digits: int
    unit: str

    def within(self, unit: str) -> list[tuple[float, float]]:
        """Return what the number may be in ``unit``, each time with what its rounding may have taken.

        None where the unit typed is of another kind. A word that is no unit is read over.
        """
        slack = self.step / 2 if self.digits >= _DIGITS else 0.0
        return [(self.value * factor, slack * factor) for factor in self._factors(unit.casefold())]

    def _factors(self, unit: str) -> list[float]:
        worths = [(kind, units[self.unit]) for kind, units in UNITS.items() if self.unit in units]
        asked = [(kind, units[unit]) for kind, units in UNITS.items() if unit in units]
        if not worths:
            return [1.0]
        if not asked:  # a count of tokens, of bytes: what is read has no unit of its own
            return [worth for _, worth in worths]
        return [worth / base for kind, worth in worths for other, base in asked if kind == other]


def typed_number(typed: str | float, lang: str | None = None) -> TypedNumber:
    """Return a number as a learner types it in a language, with the unit that follows it, if any.

    Raises: InputError ``not_a_number``.

    >>> [typed_number(typed, lang).value for typed, lang in (("0,5", "fr"), ("1\u202f024", "fr"), ("1,024 B", "en"))]
    [0.5, 1024.0, 1024.0]
    """
    if not isinstance(typed, str):
        return TypedNumber(float(typed), 0.0, 0, "")
    text = unicodedata.normalize("NFKC", typed).translate(_DASHES).strip()
    if minutes := _MINUTES.fullmatch(text):
        return TypedNumber(60.0 * int(minutes[1]) + int(minutes[2]), 1.0, _DIGITS, "s")
    found = _NUMBER.fullmatch(text)
    plain = "".join(found[2].split()) if found else ""
    # "1,024" is one thousand in English, and 1.024 for who types a French comma in an English lab.
    if language(lang) == "en" and _THOUSANDS.fullmatch(plain):
        plain = plain.replace(",", "")
    plain = plain.replace(",", ".")
    try:
        value = float(plain)
        if found is None or not math.isfinite(value):
            raise ValueError(plain)
    except ValueError:
        raise InputError("not_a_number", name=tr("lesson.seen", lang), value=typed[:80]) from None
    unit = (found[3] or "").casefold()
    if found[1] == "<":  # as pages write what is too small for their digits: anything from 0 up to it
        return TypedNumber(value / 2, value, _DIGITS, unit)
    step, digits = _rounding(plain.lstrip("+-"))
    return TypedNumber(value, step, digits, unit)


def _rounding(plain: str) -> tuple[float, int]:
    """Return what the last digit of a number counts, and how many digits there are."""
    whole, _, part = plain.partition(".")
    kept = whole.rstrip("0")
    if not part and len(kept) >= _ROUND_DIGITS:
        return 10.0 ** (len(whole) - len(kept)), len(kept)
    return 10.0 ** -len(part), len(whole + part)


def same_text(typed: str, text: str, *, cased: bool = False) -> bool:
    """Return whether ``typed`` is ``text`` as a page shows it: with its spaces drawn, between quotes, or bare."""
    wanted = _bare(text, cased=cased)
    return bool(wanted) and wanted in (_bare(typed, cased=cased), _bare(_unquoted(typed), cased=cased))


def _unquoted(typed: str) -> str:
    """Return a text without the quotes around it, which may stand in one another."""
    return typed.strip().strip(_QUOTES + "\u00a0\u202f ")


def _bare(text: str, *, cased: bool) -> str:
    """Return a text with its spaces as they are and none around it; of one that is nothing else, all of them."""
    plain = unicodedata.normalize("NFC", "".join(_MARKS.get(char, char) for char in text))
    plain = " ".join(plain.split()) or plain
    return plain if cased else plain.casefold()
