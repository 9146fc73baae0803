"""Tales made by program: one hero from the first sentence to the last, and the first words that tales have."""

import random
import re
import tomllib
from collections.abc import Iterator
from functools import cache
from typing import Any

from training.facts.tables import PLACE, capital


@cache
def _table(lang: str) -> dict[str, Any]:
    return tomllib.loads((PLACE / f"tales_{lang}.toml").read_text("utf-8"))


def tales(rng: random.Random, lang: str) -> Iterator[str]:
    """Yield tales without end. What is drawn for a tale (hero, friend, place, thing) stays to its end."""
    while True:
        yield tale(rng, lang)


def tale(rng: random.Random, lang: str) -> str:
    """Return a tale: an opening, an arc of sentences, an ending; now and then a title or a line break."""
    table = _table(lang)
    words = _cast(rng, table)
    arc = rng.choice(table["arcs"])["sentences"]
    said = [_fill(rng.choice(choices), words) for choices in (table["openings"], *arc, table["endings"])]
    # Half of them in two paragraphs, as a printed tale has them.
    if rng.random() < 0.5:
        at = rng.randint(1, len(said) - 1)
        said = [" ".join(said[:at]), " ".join(said[at:])]
        return "\n\n".join(said)
    return " ".join(said)


def _cast(rng: random.Random, table: dict[str, Any]) -> dict[str, str]:
    """Return what fills a tale's places. The friend is another than the hero."""
    hero = rng.choice(table["heroes"])
    noun = hero[1].split()[-1].split("'")[-1]
    friend = rng.choice([f for f in table["friends"] if noun not in f[1]])
    thing = rng.choice(table["things"])
    words = {
        "a_hero": hero[0], "the_hero": hero[1], "he": hero[2], "a_friend": friend[0], "the_friend": friend[1],
        "place": rng.choice(table["places"]), "food": rng.choice(table["foods"]), "sight": rng.choice(table["sights"]),
    }  # fmt: skip
    # English says whose by the owner, French by the thing.
    if isinstance(thing, str):
        return words | {"his": hero[3], "thing": thing}
    return words | {"thing": thing[0], "my_thing": thing[1]}


def _fill(sentence: str, words: dict[str, str]) -> str:
    """Return a sentence with its places filled; a place with a capital letter begins a sentence.

    >>> _fill("{The_hero} saw {a_friend}.", {"the_hero": "the fox", "a_friend": "an owl"})
    'The fox saw an owl.'
    """

    def word(found: re.Match[str]) -> str:
        name = found[1]
        return capital(words[name.lower()]) if name[0].isupper() else words[name]

    return re.sub(r"\{(\w+)\}", word, sentence)
