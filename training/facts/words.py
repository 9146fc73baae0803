"""Small facts about words: opposites, kinds, colours of things, young, cries, translations.

The English words of the evaluation's groups stay out of the table of kinds: what the embedding
knows of them it learnt elsewhere.
"""

import random
from collections.abc import Iterator

from training.facts.fact import Fact
from training.facts.tables import capital, pairs, table

BARE_KINDS = {"metal", "language", "sport", "planet", "country"}  # "gold", not "a gold"
BARE = {"spinach", "lettuce"}
ONE_WAY = {"long", "court", "short"}  # "short" is the opposite of "long" and of "tall"


def a(noun: str) -> str:
    """Return an English noun with "a" or "an".

    >>> a("apple"), a("pear")
    ('an apple', 'a pear')
    """
    return ("an " if noun[0] in "aeio" else "a ") + noun


def opposites(rng: random.Random, lang: str) -> Iterator[Fact]:
    """Yield opposites, both ways round."""
    while True:
        x, y = rng.choice(pairs(table(lang)["opposites"]))
        if rng.random() < 0.5 and x not in ONE_WAY:
            x, y = y, x
        if lang == "en":
            yield Fact(f"What is the opposite of {x}?", y, f"The opposite of {x} is {y}.")
            yield Fact(f"Give the opposite of {x}.", y, f"{capital(x)} is the opposite of {y}.")
        else:
            yield Fact(f"Quel est le contraire de « {x} » ?", y, f"Le contraire de « {x} » est « {y} ».")
            yield Fact(table("fr")["frames"]["opposite"].format(x), y, f"{capital(y)} est le contraire de {x}.")


def kinds(rng: random.Random, lang: str) -> Iterator[Fact]:
    """Yield what kind of thing a word names, and lists of one kind."""
    while True:
        kind = rng.choice(list(table(lang)["kinds"]))
        words = table(lang)["kinds"][kind].split()
        yield from (_kind_en if lang == "en" else _kind_fr)(kind, rng.sample(words, 4))


def _kind_en(kind: str, words: list[str]) -> Iterator[Fact]:
    word, *more = words
    it = word if kind in BARE_KINDS or word in BARE else a(word)
    yield Fact(f"What is {it}?", a(kind), f"{capital(it)} is {a(kind)}.")
    plural = kind[:-1] + "ies" if kind.endswith("y") else kind + "s"
    yield Fact(f"Name three {plural}.", ", ".join(more), f"Some {plural}: {word}, {', '.join(more)}.")


def _kind_fr(kind: str, words: list[str]) -> Iterator[Fact]:
    word, *more = words
    frames = table("fr")["frames"]
    yield Fact(frames["kind_question"].format(word), kind, frames["kind"].format(word, kind))
    yield Fact(f"Cite {kind}.", word, frames["kind_list"].format(capital(kind), word, ", ".join(more)))


def qualities(rng: random.Random, lang: str) -> Iterator[Fact]:
    """Yield colours of things, young of animals, their cries."""
    words = table(lang)
    while True:
        thing, colour = rng.choice(pairs(words["colours_of"]))
        beast, young = rng.choice(pairs(words["young"]))
        caller, cry = rng.choice(pairs(words["sounds"]))
        yield _colour(thing, colour, lang)
        yield _young(beast, young, lang)
        if lang == "en":
            yield Fact(f"Which animal {cry}?", f"the {caller}", f"{capital(a(caller))} {cry}.")
        else:
            yield Fact(f"Quel animal {cry} ?", caller, f"{capital(caller)} {cry}.")


def _colour(thing: str, colour: str, lang: str) -> Fact:
    if lang == "en":
        return Fact(f"What colour is {thing}?", colour, f"{capital(thing)} is {colour}.")
    return Fact(f"De quelle couleur est {thing} ?", colour, f"{capital(thing)} est {colour}.")


def _young(beast: str, young: str, lang: str) -> Fact:
    if lang == "en":
        sentence = f"The young of a {beast} is called a {young}."
        return Fact(f"What do you call the young of a {beast}?", f"a {young}", sentence)
    of = ("du " + beast[3:]) if beast.startswith("le ") else "de " + beast
    return Fact(f"Comment appelle-t-on le petit {of} ?", f"le {young}", f"Le petit {of} est le {young}.")


def translations(rng: random.Random, lang: str) -> Iterator[Fact]:
    """Yield words in the other language."""
    while True:
        english, french = rng.choice(pairs(table("both")["translations"]))
        if lang == "en":
            question = f'How do you say "{english}" in French?'
            yield Fact(question, french, f'The French word for "{english}" is "{french}".')
            yield Fact(f'What does "{french}" mean?', english, f'"{capital(french)}" means "{english}" in French.')
        else:
            question = f"Comment dit-on « {french} » en anglais ?"
            yield Fact(question, english, f"En anglais, « {french} » se dit « {english} ».")
            yield Fact(f"Que veut dire « {english} » ?", french, f"« {capital(english)} » veut dire « {french} ».")
