"""Questions on Python with answers that are code, in both languages."""

import random
from collections.abc import Iterator

from training.facts.fact import Fact
from training.facts.tables import table


def python_tasks(rng: random.Random, lang: str) -> Iterator[Fact]:
    """Yield small tasks; the answer is code, alone or behind a few words."""
    words = table(lang)
    while True:
        english, french, code = rng.choice(table("both")["python_tasks"])
        task = english if lang == "en" else french
        question = rng.choice(words["python_ask"]).format(task)
        lead = "{}" if "\n" in code else rng.choice(words["python_lead"])
        yield Fact(question, lead.format(code), f"# {task}\n{code}")
