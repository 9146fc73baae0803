"""Countries and capitals, read from the corpus file and said in many ways."""

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from training import corpus
from training.facts.fact import Fact

FILE = "bi_country_facts.txt"
FIXED_CAPITALS = {"Grenada": "St. George's", "the United States": "Washington", "Eswatini": "Mbabane"}
FIXED_FR = {"Eswatini": "Mbabane", "Grenade": "Saint-Georges", "États-Unis": "Washington", "Sri Lanka": "Colombo"}

PLURALS_FR = [
    ("États-Unis", "Washington", "en Amérique"), ("Pays-Bas", "Amsterdam", "en Europe"),
    ("Philippines", "Manille", "en Asie"), ("Comores", "Moroni", "en Afrique"),
    ("Maldives", "Malé", "en Asie"), ("Seychelles", "Victoria", "en Afrique"),
    ("Bahamas", "Nassau", "en Amérique"), ("Émirats arabes unis", "Abou Dabi", "en Asie"),
]


@dataclass(frozen=True)
class Country:
    """One country in one language: as a title, as a subject, after "of" or "de"."""

    title: str
    subject: str
    after: str
    capital: str
    region: str


_EN = re.compile(r"^(?P<subject>[^.\n]+?) is a country in (?P<region>[^(.\n]+?)(?: \((?P<part>[^)]+)\))?\. Its capital is", re.M)
_EN_CAPITAL = re.compile(r"The capital of ([^.\n]+?) is ((?:St\. )?[^.\n]+)\.")
_FR = re.compile(
    r"(?P<subject>[^.\n]+?) est un pays situé (?P<region>en [^.\n]+)\. "
    r"La capitale (?P<after>(?:de l'|de la |du |des |de |d')[^.\n]+?) est (?P<capital>[^.\n]+)\."
)


@cache
def table(folder: Path) -> dict[str, list[Country]]:
    """Return the countries by language, as the corpus file tells them (held-out ones too)."""
    text = corpus.clean((folder / FILE).read_text("utf-8"), FILE)
    return {"en": list(_english(text)), "fr": list(_french(text))}


def _english(text: str) -> Iterator[Country]:
    capitals = dict(_EN_CAPITAL.findall(text)) | FIXED_CAPITALS
    seen = set()
    for m in _EN.finditer(text):
        subject = m["subject"]
        after = subject.replace("The ", "the ", 1) if subject.startswith("The ") else subject
        if after in capitals and after not in seen:
            seen.add(after)
            title = after.removeprefix("the ")
            yield Country(title, subject, after, capitals[after], m["part"] or m["region"])


def _french(text: str) -> Iterator[Country]:
    seen = set()
    for m in _FR.finditer(text):
        subject, after = m["subject"].strip(), m["after"]
        title = re.sub(r"^(Le |La |Les |L')", "", subject)
        plural = subject.startswith("Les ") or after.startswith("des ")
        wrong = "(" in title or after.startswith("de l'Île") or "Cité" in title
        if title in seen or plural or wrong:
            continue  # the file's grammar is wrong for plurals, islands and the Vatican
        seen.add(title)
        yield Country(title, subject, after, FIXED_FR.get(title, m["capital"]), m["region"])
    for title, capital, region in PLURALS_FR:
        yield Country(title, f"Les {title}", f"des {title}", capital, region)


EN_SENTENCES = [
    "The capital of {c} is {k}.", "{k} is the capital of {c}.", "{C} is a country in {r}. Its capital is {k}.",
    "The capital city of {c} is {k}.", "{k} is the capital city of {c}.", "{C}: capital {k}.",
    "{k}, the capital of {c}, is a city in {r}.", "{C} lies in {r}, and its capital is {k}.",
    "The government of {c} sits in {k}, the capital.", "If you go to {c}, you can visit {k}, its capital.",
    "The king came to {k}, the capital of {c}.", "We flew to {k}, the capital city of {c}.",
    "What is the capital of {c}? It is {k}.", "I live in {k}, the capital of {c}.",
    "The main city of {c} and its capital is {k}.", "In {c}, the capital is {k}.", "{C} has {k} as its capital.",
    "Her aunt lives in {c}, in the capital, {k}.", "Capital of {c}: {k}", "The name of the capital of {c} is {k}.",
    "My uncle works in {k}. It is the capital of {c}.", "As everybody knows, the capital of {c} is {k}.",
]
EN_QUESTIONS = [
    "What is the capital of {c}?", "Which city is the capital of {c}?", "Name the capital of {c}.",
    "What is the capital city of {c}?", "Tell me the capital of {c}.", "Do you know the capital of {c}?",
    "{C}: what is its capital?", "What's the capital of {c}?",
]
FR_SENTENCES = [
    "La capitale {d} est {k}.", "{k} est la capitale {d}.", "{C} est un pays situé {r}. Sa capitale est {k}.",
    "{C} a pour capitale {k}.", "La capitale {d}, c'est {k}.", "{C} se trouve {r} ; sa capitale est {k}.",
    "Nous sommes allés à {k}, capitale {d}.", "{k}, capitale {d}, est une ville située {r}.",
    "Quelle est la capitale {d} ? C'est {k}.", "J'habite {k}, la capitale {d}.", "Capitale {d} : {k}",
    "Comme chacun sait, la capitale {d} est {k}.", "Le gouvernement {d} siège à {k}, la capitale.",
    "La ville de {k} est la capitale {d}.", "{C} : capitale {k}.", "Le nom de la capitale {d} est {k}.",
    "Mon oncle travaille à {k}. C'est la capitale {d}.", "Sa tante vit à {k}, dans la capitale {d}.",
]
FR_QUESTIONS = [
    "Quelle est la capitale {d} ?", "Quelle ville est la capitale {d} ?", "Donne la capitale {d}.",
    "Comment s'appelle la capitale {d} ?", "Connais-tu la capitale {d} ?", "{C} : quelle est la capitale ?",
]
SENTENCES = {"en": EN_SENTENCES, "fr": FR_SENTENCES}
QUESTIONS = {"en": EN_QUESTIONS, "fr": FR_QUESTIONS}


def _fits(country: Country, sentence: str) -> bool:
    """False where "à" would meet an article ("à Le Caire") or a plural a singular verb."""
    if country.capital.startswith(("Le ", "La ")) and re.search(r"(à|de) \{k\}", sentence):
        return False
    return not (country.subject.startswith("Les ") and "{C}" in sentence)


def capitals(rng: random.Random, lang: str, countries: list[Country]) -> Iterator[Fact]:
    """Yield facts about capitals without end, each country as often as any other."""
    while True:
        for c in rng.sample(countries, len(countries)):
            sentence = rng.choice([s for s in SENTENCES[lang] if _fits(c, s)])
            words = {"c": c.after, "d": c.after, "C": c.subject, "k": c.capital, "r": c.region}
            full = "The capital of {c} is {k}." if lang == "en" else "La capitale {d} est {k}."
            short = c.capital if rng.random() < 0.6 else full.format(**words)
            question = rng.choice(QUESTIONS[lang]).format(**words)
            yield Fact(question, short, sentence.format(**words))
