"""Days, months, and what follows what."""

import random
from collections.abc import Iterator

from training.facts.fact import Fact
from training.facts.tables import capital, table

LENGTHS = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]


def calendar(rng: random.Random, lang: str) -> Iterator[Fact]:
    """Yield what comes before and after, ranks and lengths of months."""
    while True:
        unit = rng.choice(["days", "months"])
        names = table(lang)[unit].split()
        i = rng.randrange(len(names))
        here = names[i]
        after = names[(i + 1) % len(names)]
        yield from (_english if lang == "en" else _french)(here, after, unit == "days")
        yield (_english_month if lang == "en" else _french_month)(rng.randrange(12))


def _english(here: str, after: str, day: bool) -> Iterator[Fact]:
    what = "day" if day else "month"
    yield Fact(f"Which {what} comes after {here}?", after, f"The {what} after {here} is {after}.")
    yield Fact(f"What {what} comes before {after}?", here, f"{here} comes just before {after}.")
    if day:
        sentence = f"Today is {here}; tomorrow will be {after}."
        yield Fact(f"If today is {here}, what is tomorrow?", after, sentence)


def _french(here: str, after: str, day: bool) -> Iterator[Fact]:
    what = "jour" if day else "mois"
    yield Fact(f"Quel {what} vient après {here} ?", after, f"Le {what} qui suit {here} est {after}.")
    yield Fact(f"Quel {what} précède {after} ?", here, f"{capital(here)} vient juste avant {after}.")
    if day:
        sentence = f"Aujourd'hui, c'est {here} ; demain, ce sera {after}."
        yield Fact(f"Si nous sommes {here}, quel jour serons-nous demain ?", after, sentence)


def _named(lang: str, i: int) -> tuple[str, int, str]:
    words = table(lang)
    return words["months"].split()[i], LENGTHS[i], words["ordinals"].split()[i]


def _english_month(i: int) -> Fact:
    name, days, rank = _named("en", i)
    if i % 2:
        return Fact(f"How many days are there in {name}?", str(days), f"There are {days} days in {name}.")
    return Fact(f"What is the {rank} month of the year?", name, f"{name} is the {rank} month of the year.")


def _french_month(i: int) -> Fact:
    name, days, rank = _named("fr", i)
    if i % 2:
        of = "d'" if name[0] in "ao" else "de "
        question = f"Combien de jours compte le mois {of}{name} ?"
        return Fact(question, str(days), f"Le mois {of}{name} compte {days} jours.")
    sentence = f"{capital(name)} est le {rank} mois de l'année."
    return Fact(f"Quel est le {rank} mois de l'année ?", name, sentence)
