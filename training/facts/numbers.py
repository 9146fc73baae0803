"""Sums, comparisons, conversions and counting, drawn at random and always right."""

import random
from collections.abc import Iterator

from training.facts.fact import Fact
from training.facts.tables import table


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
            words = table(lang)["number_words"].split()
            x, y, z = (words[n] for n in (a, b, c))
        word = table(lang)["sign_words"][sign]
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
        one, many, factor, small = rng.choice(table(lang)["units"])
        n = rng.choice([1, 1, 2, 3, 4, 5, 10])
        total = n * factor
        if lang == "en":
            large = f"{n} {one if n == 1 else many}"
            yield Fact(
                f"How many {small} are there in {large}?", f"{total} {small}", f"There are {total} {small} in {large}."
            )
        else:
            large = one if n == 1 else f"{n} {many}"
            of = "d'" if small[0] in "aeiouh" else "de "
            yield Fact(
                f"Combien y a-t-il {of}{small} dans {large} ?",
                f"{total} {small}",
                f"Il y a {total} {small} dans {large}.",
            )


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
