"""Common knowledge in plain questions, and small talk, from the tables."""

import random
from collections.abc import Iterator

from training.facts.fact import Fact
from training.facts.tables import table


def everyday(rng: random.Random, lang: str) -> Iterator[Fact]:
    """Yield the table over and over, in a new order each time."""
    facts = [Fact(*row) for row in table(lang)["everyday"]]
    while True:
        yield from rng.sample(facts, len(facts))
