"""Sums, comparisons, conversions and counting, drawn at random and always right."""

import random
from collections.abc import Iterator

from training.facts.fact import Fact

EN_WORDS = ("zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen "
            "fifteen sixteen seventeen eighteen nineteen twenty").split()
FR_WORDS = ("zéro un deux trois quatre cinq six sept huit neuf dix onze douze treize quatorze "
            "quinze seize dix-sept dix-huit dix-neuf vingt").split()
WORDS = {"en": EN_WORDS, "fr": FR_WORDS}
# (large unit, how many small ones it holds, small unit), singular and plural
UNITS = {
    "en": [("kilometre", "kilometres", 1000, "metres"), ("metre", "metres", 100, "centimetres"),
           ("hour", "hours", 60, "minutes"), ("minute", "minutes", 60, "seconds"),
           ("day", "days", 24, "hours"), ("week", "weeks", 7, "days"), ("year", "years", 12, "months"),
           ("kilogram", "kilograms", 1000, "grams"), ("century", "centuries", 100, "years"),
           ("litre", "litres", 100, "centilitres"), ("dozen", "dozens", 12, "units")],
    "fr": [("un kilomètre", "kilomètres", 1000, "mètres"), ("un mètre", "mètres", 100, "centimètres"),
           ("une heure", "heures", 60, "minutes"), ("une minute", "minutes", 60, "secondes"),
           ("un jour", "jours", 24, "heures"), ("une semaine", "semaines", 7, "jours"),
           ("un an", "ans", 12, "mois"), ("un kilogramme", "kilogrammes", 1000, "grammes"),
           ("un siècle", "siècles", 100, "ans"), ("un litre", "litres", 100, "centilitres")],
}
SIGNS = {
    "en": {"+": ("plus", "and"), "-": ("minus", "less"), "×": ("times", "multiplied by")},
    "fr": {"+": ("plus", "et"), "-": ("moins", "ôté de"), "×": ("fois", "multiplié par")},
}


def operation(rng: random.Random) -> tuple[int, str, int, int]:
    """Draw a sum, a difference or a product and its result; mostly small numbers."""
    sign = rng.choice("++-×")
    top = 10 if sign == "×" or rng.random() < 0.6 else 50
    a, b = rng.randint(0, top), rng.randint(0, top)
    if sign == "-" and b > a:
        a, b = b, a
    return a, sign, b, {"+": a + b, "-": a - b, "×": a * b}[sign]


def sums(rng: random.Random, lang: str) -> Iterator[Fact]:
    """Yield sums in figures and, when small, in words."""
    while True:
        a, sign, b, c = operation(rng)
        x, y, z = str(a), str(b), str(c)
        if max(a, b, c) <= 20 and rng.random() < 0.4:
            x, y, z = (WORDS[lang][n] for n in (a, b, c))
        word = SIGNS[lang][sign][0]
        if lang == "en":
            question = rng.choice(["What is {} {} {}?", "How much is {} {} {}?", "Calculate {} {} {}."])
            sentence = f"{x} {word} {y} is {z}."
        else:
            question = rng.choice(["Combien font {} {} {} ?", "Calcule {} {} {}.", "{} {} {}, cela fait combien ?"])
            sentence = f"{x} {word} {y} font {z}."
        plain = f"{a} {sign} {b} = {c}"
        yield Fact(question.format(x, word, y), z, rng.choice([sentence, plain]))


def conversions(rng: random.Random, lang: str) -> Iterator[Fact]:
    """Yield conversions between units of time, length, mass and volume."""
    while True:
        one, many, factor, small = rng.choice(UNITS[lang])
        n = rng.choice([1, 1, 2, 3, 4, 5, 10])
        total = n * factor
        if lang == "en":
            large = f"{n} {one if n == 1 else many}"
            yield Fact(f"How many {small} are there in {large}?", f"{total} {small}", f"There are {total} {small} in {large}.")
        else:
            large = one if n == 1 else f"{n} {many}"
            of = "d'" if small[0] in "aeiouh" else "de "
            yield Fact(f"Combien y a-t-il {of}{small} dans {large} ?", f"{total} {small}", f"Il y a {total} {small} dans {large}.")


def comparisons(rng: random.Random, lang: str) -> Iterator[Fact]:
    """Yield which of two numbers is the larger, and what follows a number."""
    while True:
        a, b = rng.sample(range(1, 100), 2)
        top = max(a, b)
        if lang == "en":
            yield Fact(f"Which is larger, {a} or {b}?", str(top), f"{top} is larger than {min(a, b)}.")
            yield Fact(f"Which number comes after {a}?", str(a + 1), f"After {a} comes {a + 1}.")
        else:
            yield Fact(f"Lequel est le plus grand, {a} ou {b} ?", str(top), f"{top} est plus grand que {min(a, b)}.")
            yield Fact(f"Quel nombre vient après {a} ?", str(a + 1), f"Après {a} vient {a + 1}.")
