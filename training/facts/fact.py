"""The one record of generated text, and the guard that keeps evaluation out of it."""

import json
import re
from dataclasses import dataclass
from typing import Any

from training import corpus


@dataclass(frozen=True)
class Fact:
    """A question, its short answer, and the sentence that says the same."""

    question: str
    answer: str
    sentence: str


def normal(text: str) -> str:
    """Return the words of a text in lower case, to compare questions.

    >>> normal("Quel jour vient avant dimanche ?")
    'quel jour vient avant dimanche'
    """
    return " ".join(re.findall(r"\w+", text.lower()))


class Guard:
    """Say whether a generated text repeats what evaluation asks."""

    def __init__(self, held: dict[str, Any] | None = None):
        held = held or corpus.heldout()
        everyday = json.loads(corpus.EVERYDAY.read_text("utf-8"))
        self.questions = {normal(q) for qs in held["few_shot"].values() for q in qs}
        self.questions |= {normal(row["question"]) for row in everyday["seen"] + everyday["never"]}
        self.never = [marks(key) for key in everyday["facts"]]
        self.phrases = [p for ps in held["capital_phrasings"].values() for p in map(fixed, ps)]
        self.countries = corpus.CountryFilter(held["countries"]).pattern

    def allows(self, fact: Fact) -> bool:
        """True where nothing of the fact is held out."""
        if normal(fact.question) in self.questions:
            return False
        text = f"{fact.question} {fact.answer} {fact.sentence}"
        if self.countries.search(text):
            return False
        plain = f" {normal(text)}"
        if any(all(f" {mark}" in plain for mark in fact) for fact in self.never):
            return False
        return not any(phrase in plain for phrase in self.phrases)


def marks(key: str) -> list[str]:
    """Return what gives a hidden fact away: the last word of each of its fields.

    >>> marks("en|makes|silkworm|silkworms|fine silk"), marks("en|python|sort a list|items.sort()")
    (['silkworm', 'silkworms', 'silk'], ['list', 'items sort'])
    """
    _, name, *parts = key.split("|")
    if name == "python":
        return [normal(parts[0]).split()[-1], normal(parts[1])]
    return [normal(part).split()[-1] for part in parts]


def fixed(phrasing: str) -> str:
    """Return the longest run of fixed words of a phrasing, in lower case.

    >>> fixed("The city that serves as the capital of {c} is called")
    'the city that serves as the capital of'
    """
    return max((normal(part) for part in re.split(r"\{\w+\}", phrasing)), key=len)
