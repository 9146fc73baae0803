"""Days, months, seasons."""

import random
from collections.abc import Iterator

from training.facts.fact import Fact

DAYS = {
    "en": "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split(),
    "fr": "lundi mardi mercredi jeudi vendredi samedi dimanche".split(),
}
MONTHS = {
    "en": "January February March April May June July August September October November December".split(),
    "fr": "janvier février mars avril mai juin juillet août septembre octobre novembre décembre".split(),
}
ORDINALS = {
    "en": "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth".split(),
    "fr": "premier deuxième troisième quatrième cinquième sixième septième huitième neuvième dixième onzième douzième".split(),
}
LENGTHS = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]


def calendar(rng: random.Random, lang: str) -> Iterator[Fact]:
    """Yield what comes before and after, ranks and lengths of months."""
    while True:
        names = rng.choice([DAYS, MONTHS])[lang]
        i = rng.randrange(len(names))
        here, after = names[i], names[(i + 1) % len(names)]
        yield from (_english if lang == "en" else _french)(here, after, names is DAYS[lang])
        yield _month(rng.randrange(12), lang)


def _english(here: str, after: str, day: bool) -> Iterator[Fact]:
    what = "day" if day else "month"
    yield Fact(f"Which {what} comes after {here}?", after, f"The {what} after {here} is {after}.")
    yield Fact(f"What {what} comes before {after}?", here, f"{here} comes just before {after}.")
    if day:
        yield Fact(f"If today is {here}, what is tomorrow?", after, f"Today is {here}; tomorrow will be {after}.")


def _french(here: str, after: str, day: bool) -> Iterator[Fact]:
    what = "jour" if day else "mois"
    yield Fact(f"Quel {what} vient après {here} ?", after, f"Le {what} qui suit {here} est {after}.")
    yield Fact(f"Quel {what} précède {after} ?", here, f"{here.capitalize()} vient juste avant {after}.")
    if day:
        yield Fact(f"Si nous sommes {here}, quel jour serons-nous demain ?", after, f"Aujourd'hui, c'est {here} ; demain, ce sera {after}.")


def _month(i: int, lang: str) -> Fact:
    name, days, rank = MONTHS[lang][i], LENGTHS[i], ORDINALS[lang][i]
    if lang == "en":
        if i % 2:
            return Fact(f"How many days are there in {name}?", str(days), f"There are {days} days in {name}.")
        return Fact(f"What is the {rank} month of the year?", name, f"{name} is the {rank} month of the year.")
    if i % 2:
        of = "d'" if name[0] in "ao" else "de "
        return Fact(f"Combien de jours compte le mois {of}{name} ?", str(days), f"Le mois {of}{name} compte {days} jours.")
    return Fact(f"Quel est le {rank} mois de l'année ?", name, f"{name.capitalize()} est le {rank} mois de l'année.")
