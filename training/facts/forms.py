"""Set facts as documents: prose, questions and answers, few-shot dialogues with an end mark."""

import random
from dataclasses import dataclass

from training.facts.fact import Fact


@dataclass(frozen=True)
class Roles:
    """Names before a question and before an answer, and the line that ends an exchange."""

    asks: str
    answers: str
    end: str


# the form of the assistant chapter comes most often; the others keep the idea general
CHAPTER = Roles("USER: ", "ASSISTANT: ", "FIN")
OTHERS = [
    Roles("USER: ", "ASSISTANT: ", "END"),
    Roles("User: ", "Assistant: ", "END"),
    Roles("Question : ", "Réponse : ", "FIN"),
    Roles("Question: ", "Answer: ", "END"),
    Roles("Q: ", "A: ", "###"),
    Roles("UTILISATEUR : ", "ASSISTANT : ", "FIN"),
    Roles("HUMAN: ", "BOT: ", "STOP"),
    Roles("User: ", "Assistant: ", "FIN"),
]
PLAIN = {"en": [("Question: ", "Answer: "), ("Q: ", "A: ")], "fr": [("Question : ", "Réponse : "), ("Q : ", "R : ")]}


def dialogue(facts: list[Fact], roles: Roles) -> str:
    """Return exchanges, each ended by the end mark alone on its line.

    >>> print(dialogue([Fact("2 + 2?", "4", "")], CHAPTER))
    USER: 2 + 2?
    ASSISTANT: 4
    FIN
    """
    return "\n".join(f"{roles.asks}{f.question}\n{roles.answers}{f.answer}\n{roles.end}" for f in facts)


def few_shot(facts: list[Fact], rng: random.Random) -> str:
    """Return a dialogue of all facts: 60 % in the chapter's form."""
    return dialogue(facts, CHAPTER if rng.random() < 0.6 else rng.choice(OTHERS))


def questions(facts: list[Fact], rng: random.Random, lang: str) -> str:
    """Return question and answer blocks parted by empty lines."""
    asks, answers = rng.choice(PLAIN[lang])
    return "\n\n".join(f"{asks}{f.question}\n{answers}{f.answer}" for f in facts)


def prose(facts: list[Fact], rng: random.Random) -> str:
    """Return the sentences, in a paragraph or a line each."""
    code = any("\n" in f.sentence or f.sentence.startswith("#") for f in facts)
    between = "\n\n" if code else rng.choice([" ", " ", "\n"])
    return between.join(f.sentence for f in facts)
