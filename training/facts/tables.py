"""The tables that facts are made from: `tables/en.json`, `fr.json` and `both.json`."""

import json
from functools import cache
from pathlib import Path
from typing import Any

PLACE = Path(__file__).parent / "tables"


@cache
def table(name: str) -> dict[str, Any]:
    """Return a table file: "en", "fr" or "both"."""
    content: dict[str, Any] = json.loads((PLACE / f"{name}.json").read_text("utf-8"))
    return content


def pairs(text: str) -> list[tuple[str, str]]:
    """Split "a b,c d" into pairs at the last space of each; an underscore stands for a space.

    >>> pairs("hot cold,thank_you merci")
    [('hot', 'cold'), ('thank you', 'merci')]
    """
    split = (item.strip().rsplit(" ", 1) for item in text.split(","))
    return [(a.replace("_", " "), b.replace("_", " ")) for a, b in split]


def capital(text: str) -> str:
    """Return a text with its first letter in upper case and the rest as it is."""
    return text[:1].upper() + text[1:]
