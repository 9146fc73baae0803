"""Sizes and precisions as people write them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from capot.errors import InputError, shorten

# Bytes of one number. Quantised files add a few per cent of scales, which depend on the
# method and are not counted here.
PRECISIONS = {"fp32": 4.0, "bf16": 2.0, "fp16": 2.0, "fp8": 1.0, "int8": 1.0, "int4": 0.5}
_ALIASES = {"float32": "fp32", "bfloat16": "bf16", "float16": "fp16", "float8": "fp8"}
_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}
_SIZE = re.compile(r"(\d+(?:[.,]\d+)?)\s*([kmgt]?)(i?)[bo]?", re.IGNORECASE)
LARGEST = 10**15  # bytes
LONGEST = 40  # characters of a size or of a length: no number of use has more
MAX_TOKENS = 2**40


def parse_size(text: str | int) -> int:
    """Return the bytes meant by ``24GB``, ``24 Go``, ``1,5 To`` (powers of 1000) or ``80GiB`` (powers of 1024).

    Raises: InputError ``bad_size``.

    >>> parse_size("24GB"), parse_size("24 Go"), parse_size("80GiB"), parse_size("1,5 To")
    (24000000000, 24000000000, 85899345920, 1500000000000)
    """
    found = _SIZE.fullmatch(_written(text))
    if found is None or (found[3] and not found[2]):
        raise InputError("bad_size", value=shorten(text))
    unit = 1024 if found[3] else 1000
    size = int(float(found[1].replace(",", ".")) * unit ** _POWERS[found[2].lower()])
    if not 10**6 <= size <= LARGEST:
        raise InputError("bad_size", value=shorten(text))
    return size


def _written(value: Any) -> str:
    """Return a number as it was typed; nothing where it is longer than any of use, which not even ``str`` may write."""
    if isinstance(value, int) and abs(value) > LARGEST:
        return ""
    text = str(value).strip()
    return text if len(text) <= LONGEST else ""


def parse_sizes(given: str | int | Sequence[str | int]) -> tuple[int, ...]:
    """Return sizes in the order given, each once; ``24GB,80GB`` is two, and a comma after a digit is a decimal one.

    >>> parse_sizes("24GB,80GB"), parse_sizes("1,5 To, 24 Go")
    ((24000000000, 80000000000), (1500000000000, 24000000000))
    """
    given = re.split(r"(?<=[a-zA-Z])\s*[,;]|[,;]\s+", given) if isinstance(given, str) else given
    return tuple(dict.fromkeys(parse_size(part) for part in _parts(given) or [given]))


def precision_name(name: str) -> str:
    """Return the name in ``PRECISIONS`` that is meant. Raises: InputError ``unknown_precision``."""
    name = str(name).strip().lower()
    name = _ALIASES.get(name, name)
    if name not in PRECISIONS:
        raise InputError("unknown_precision", value=shorten(name), known=", ".join(PRECISIONS))
    return name


def precision_names(given: str | Sequence[str]) -> tuple[str, ...]:
    """Return precisions in the order given, each once."""
    return tuple(dict.fromkeys(precision_name(part) for part in _parts(given) or [given]))


def lengths(given: str | int | Sequence[Any]) -> tuple[int, ...]:
    """Return the numbers of tokens in ascending order, each once. Raises: InputError ``bad_length``.

    >>> lengths("512, 1,64")
    (1, 64, 512)
    """
    found = set()
    for part in _parts(given) or [given]:
        try:
            count = int(_written(part))
        except ValueError:
            raise InputError("bad_length", value=shorten(part), most=MAX_TOKENS) from None
        if not 1 <= count <= MAX_TOKENS:
            raise InputError("bad_length", value=shorten(part), most=MAX_TOKENS)
        found.add(count)
    return tuple(sorted(found))


def _parts(given: Any) -> list[Any]:
    """Return the parts of a list, or of ``A,B``; in a list a comma may be a decimal one."""
    if isinstance(given, str):
        return [part for part in re.split(r"[;,]\s*", given) if part.strip()]
    return list(given) if isinstance(given, Iterable) else [given]
