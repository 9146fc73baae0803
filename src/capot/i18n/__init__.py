"""Words in French and in English, and numbers as each language writes them.

The catalogues are ``words/<lang>/<topic>.toml``, beside this file or in the folder of a chapter; the first
part of a key names the topic, so a command reads only the files it needs. Both languages hold the
same keys and the same named placeholders; a test says so.

    >>> tr("cli.written", "en", path="page.html"), number(1234.5, "en")
    ('Written to page.html', '1,234.5')
"""

from __future__ import annotations

import contextlib
import contextvars
import functools
import math
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Self

LANGUAGES = ("fr", "en")
VARIABLE = "CAPOT_LANG"
_SPACE = "\u202f"  # narrow no-break space: thousands in French
_UNREADABLE = 10**24
_NBSP = "\u00a0"  # no-break space: before a unit or a percent sign

_current: contextvars.ContextVar[str | None] = contextvars.ContextVar("capot_lang", default=None)


def language(explicit: str | None = None) -> str:
    """Return the language to use: ``explicit``, else the one in use, ``CAPOT_LANG``, the locale, English."""
    # In POSIX's own order, after what a user of capot said.
    names = (VARIABLE, "LC_ALL", "LC_MESSAGES", "LANG")
    for candidate in (explicit, _current.get(), *(os.environ.get(name) for name in names)):
        if candidate and candidate[:2].lower() in LANGUAGES:
            return candidate[:2].lower()
    return "en"


def unsupported_language() -> str | None:
    """Return ``CAPOT_LANG`` if no catalogue has it, so that who set it learns why nothing changes."""
    asked = os.environ.get(VARIABLE, "")
    return asked if asked and asked[:2].lower() not in LANGUAGES else None


@contextlib.contextmanager
def use_language(lang: str | None) -> Iterator[str]:
    """Use ``lang`` inside a ``with`` block, on this thread or task alone."""
    # A context variable: a lab answers in two languages at once, on threads and tasks.
    mark = _current.set(language(lang))
    try:
        yield language()
    finally:
        _current.reset(mark)


@functools.cache
def catalogue(lang: str, topic: str) -> Mapping[str, Any]:
    """Return one topic of one language, as nested tables of sentences."""
    path = next((path for path in _catalogue_paths(lang, topic) if path.is_file()), None)
    return {} if path is None else tomllib.loads(path.read_text(encoding="utf-8"))


def _catalogue_paths(lang: str, topic: str) -> Iterator[Path]:
    """Return where a topic may be: among the words of the package, else in a chapter's folder.

    ``importlib.resources`` would find the same, and takes 7 ms to import: a tenth of ``capot --help``.
    """
    house = Path(__file__).parents[1]
    yield house / "i18n" / "words" / lang / f"{topic}.toml"
    yield from house.glob(f"chapters/*/words/{lang}/{topic}.toml")


def find(key: str, lang: str | None = None) -> str | Mapping[str, str] | None:
    """Return the raw entry of ``key``: a sentence, a table of ``one`` and ``other``, or None."""
    topic, *path = key.split(".")
    entry: Any = catalogue(language(lang), topic)
    for part in path:
        if not isinstance(entry, Mapping) or part not in entry:
            return None
        entry = entry[part]
    # Cached tables are handed out as they are: nobody writes into them.
    found: str | Mapping[str, str] = entry
    return found


def tr(key: str, lang: str | None = None, **params: Any) -> str:
    """Return the sentence of ``key`` with its placeholders filled.

    Where the entry is a table of ``one`` and ``other``, ``count`` chooses, as ``is_singular`` says.
    Numbers are written in the language.

    Raises: KeyError where no catalogue has the key (our bug, never a user's).
    """
    entry = find(key, lang)
    if isinstance(entry, Mapping) and "other" in entry:
        entry = entry["one" if is_singular(params["count"], lang) else "other"]
    if not isinstance(entry, str):
        raise KeyError(f"no sentence {key!r} in {language(lang)!r}")
    return fill(entry, lang, params)


class Bytes(int):
    """A number of bytes, which ``fill`` formats with ``size``."""


class Reason(str):
    """The message of an error that another library or the system raised.

    In a sentence it is written as the catalogues have it under ``key``, with ``params``, where they have it.
    """

    key: str
    params: Mapping[str, Any]

    def __new__(cls, text: str = "", /, *, key: str = "", **params: Any) -> Self:
        reason = super().__new__(cls, text)
        reason.key = key
        reason.params = params
        return reason

    def sentence(self, lang: str | None) -> str:
        sentence = find(self.key, lang) if self.key else None
        return fill(sentence, lang, self.params) if isinstance(sentence, str) else str(self)


def fill(sentence: str, lang: str | None, params: Mapping[str, Any]) -> str:
    """Put ``params`` into a sentence; numbers are written in the language first.

    ``{tokens:token|tokens}`` is a number and the word that agrees with it.

    >>> fill("{n:token|tokens}", "en", {"n": 0}), fill("{n:token|tokens}", "fr", {"n": 0})
    ('0 tokens', '0 token')
    """
    written = {name: _formatted(value, lang) for name, value in params.items()}
    return _AGREEING.sub(lambda found: _plural_form(found, params, lang), sentence).format_map(written)


_AGREEING = re.compile(r"\{(\w+):([^{}|]*)\|([^{}|]*)\}")


def _plural_form(found: re.Match[str], params: Mapping[str, Any], lang: str | None) -> str:
    name, one, other = found.groups()
    return f"{{{name}}} {one if is_singular(params[name], lang) else other}"


def is_singular(count: float | str, lang: str | None = None) -> bool:
    """Return whether a word after this number is in the singular: 0 and 1.5 in French, 1 alone in English.

    A number that is written already is read again.

    >>> is_singular("1,50", "fr"), tuple(is_singular(count, "en") for count in ("1.50", 1, 0, "1,000"))
    (True, (False, True, False, False))
    """
    # French has the singular below 2 (1,5 litre), English for 1 alone.
    spoken = language(lang)
    if isinstance(count, str):
        plain = count.replace(_SPACE, "").replace("\u2212", "-")
        plain = plain.replace(",", ".") if spoken == "fr" else plain.replace(",", "")
        try:
            count = float(plain)
        except ValueError:  # a number in words, a power of ten
            return False
    return abs(count) < 2 if spoken == "fr" else abs(count) == 1


def _formatted(value: Any, lang: str | None) -> Any:
    if isinstance(value, Bytes):
        return size(value, lang)
    if isinstance(value, Reason):
        return value.sentence(lang)
    return number(value, lang) if type(value) in (int, float) else value


def number(value: float, lang: str | None = None, digits: int | None = None) -> str:
    """Return ``value`` with its thousands parted; ``digits`` after the point, else as many as it needs.

    A number of more than 24 digits, which nobody reads, is written as a power of ten.

    >>> number(128256, "en"), number(0.5, "fr", 2), number(3 * 10**400, "fr")
    ('128,256', '0,50', '3,0 × 10⁴⁰⁰')
    """
    # Python writes all digits of a whole number, thousands of them if it has so many.
    if abs(value) >= _UNREADABLE and value not in (math.inf, -math.inf):
        return _power(value, lang)
    if digits is None:
        digits = 0 if isinstance(value, int) or float(value).is_integer() else 4
        text = f"{value:,}" if isinstance(value, int) else f"{value:,.{digits}f}"
        text = text.rstrip("0").rstrip(".") if digits else text
    else:
        text = f"{value:,.{digits}f}"
    # -0.00 is a small number rounded, and a reader's question.
    text = text if any(digit in text for digit in "123456789") else text.lstrip("-")
    if language(lang) == "fr":
        text = text.translate({ord(","): _SPACE, ord("."): ","})
    return text.replace("-", "\u2212")


def _power(value: float, lang: str | None) -> str:
    """Return a number as a power of ten; a whole one may be beyond what a float holds."""
    magnitude = math.log10(abs(value))
    # Not by ``float``: 10 ** 400 is a whole number that no float holds.
    power = math.floor(magnitude)
    raised = str(power).translate(str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹"))
    mantissa = 10 ** (magnitude - power) * (1 if value > 0 else -1)
    return f"{number(mantissa, lang, 1)} × 10{raised}"


def percent(share: float, lang: str | None = None, digits: int | None = None) -> str:
    """Return a share of one as a percentage, in three significant digits or with ``digits`` after the point.

    Without ``digits``, what is not 0 is never written as 0, nor what is not the whole as the whole.

    >>> [percent(share, "en") for share in (0.41234, 0.0961, 0.000031, 1e-9, 0.99996)]
    ['41.2%', '9.61%', '0.00310%', '< 0.0001%', '99.996%']
    """
    if digits is None and 0 < share < _TINY:
        return "< " + percent(_TINY, lang, 4)
    gap = _NBSP if language(lang) == "fr" else ""
    return f"{number(100 * share, lang, _decimals(share) if digits is None else digits)}{gap}%"


def points(change: float, lang: str | None = None) -> str:
    """Return the difference of two shares of one in percentage points, signed, in three significant digits.

    One that is less than can be written has no sign.

    >>> points(-0.0366, "en"), points(0.00664, "fr"), points(0.01, "en"), points(1e-9, "en"), points(0.0, "en")
    ('−3.66 points', '+0,664 point', '+1.00 point', '< 0.0001 points', '0.0 points')
    """
    size = abs(change)
    if 0 < size < _TINY:
        return tr("view.points", lang, value="< " + number(100 * _TINY, lang, 4), count=2)
    written = number(100 * size, lang, _decimals(size))
    sign = {-1: "\u2212", 0: "", 1: "+"}[(change > 0) - (change < 0)]
    return tr("view.points", lang, value=sign + written, count=written)


_TINY, _NEARLY = 1e-6, 0.9995  # shares: less is told as less; from here on three digits would say 100


def _decimals(share: float) -> int:
    """Return how many decimals give three significant digits, or else the first one that is no 9; one at least."""
    if _NEARLY <= share <= 1 - _TINY:
        return math.ceil(-math.log10(100 * (1 - share)))
    return max(1, _digits_after(100 * share))


def three_digits(value: float, lang: str | None = None) -> str:
    """Return a number in three significant digits.

    >>> [three_digits(value, "en") for value in (11.637, 283024.22, 1.0, 9.996, math.inf)]
    ['11.6', '283,000', '1.00', '10.0', '∞']
    """
    return "∞" if value == math.inf else number(float(f"{value:.2e}"), lang, max(0, _digits_after(value)))


def _digits_after(value: float) -> int:
    """Return how many digits after the point make three significant ones; less than 0 where fewer before it would."""
    rounded = abs(float(f"{value:.2e}"))
    return 2 - math.floor(math.log10(rounded)) if 0 < rounded < math.inf else 0


def size(count: float, lang: str | None = None) -> str:
    """Return a number of bytes with a decimal unit: ``2.47 GB`` or ``2,47 Go`` (GB = 10^9 bytes)."""
    letter = "o" if language(lang) == "fr" else "B"
    for power, prefix in ((4, "T"), (3, "G"), (2, "M"), (1, "k")):
        if abs(count) >= 1000**power:
            # Integers are divided as integers: a float would be infinite beyond 1e308.
            scaled = count / 1000**power if abs(count) < _UNREADABLE else count // 1000**power
            digits = 1 if abs(scaled) < 100 else 0
            digits = 2 if abs(scaled) < 10 else digits
            return f"{number(scaled, lang, digits)}{_NBSP}{prefix}{letter}"
    return f"{number(count, lang, 0)}{_NBSP}{letter}"


def bits(value: float, lang: str | None = None, digits: int = 2) -> str:
    """Return an amount of information with its unit in the language.

    >>> bits(0.93, "en"), bits(0.93, "fr") == f"0,93{_NBSP}bit", bits(5.4142, "en", 1)
    ('0.93 bits', True, '5.4 bits')
    """
    return tr("view.bits", lang, count=round(value, digits), value=number(value, lang, digits))


def duration(seconds: float, lang: str | None = None) -> str:
    """Return a time in the unit that suits it: ``340 µs``, ``12.0 ms``, ``1.50 s``, ``2 min 05 s``."""
    if seconds >= 120:
        return f"{int(seconds) // 60}{_NBSP}min{_NBSP}{int(seconds) % 60:02d}{_NBSP}s"
    for scale, unit, digits in ((1, "s", 2), (1e-3, "ms", 1), (1e-6, "µs", 0)):
        if seconds >= scale or unit == "µs":
            return f"{number(seconds / scale, lang, digits)}{_NBSP}{unit}"
    raise AssertionError("the last unit takes everything")
