"""Countries and capitals, read from the corpus file and said in many ways."""

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from training import corpus
from training.facts import tables
from training.facts.fact import Fact

FILE = "bi_country_facts.txt"
FIXED_CAPITALS = {"Grenada": "St. George's", "the United States": "Washington", "Eswatini": "Mbabane"}
FIXED_FR = {"Eswatini": "Mbabane", "Grenade": "Saint-Georges", "États-Unis": "Washington", "Sri Lanka": "Colombo"}


@dataclass(frozen=True)
class Country:
    """One country in one language: as a title, as a subject, after "of" or "de"."""

    title: str
    subject: str
    after: str
    capital: str
    region: str

    @property
    def within(self) -> str:
        """The subject inside a sentence: its article in lower case."""
        return self.subject if self.subject == self.title else self.subject[0].lower() + self.subject[1:]


_EN = re.compile(
    r"^(?P<subject>[^.\n]+?) is a country in (?P<region>[^(.\n]+?)(?: \((?P<part>[^)]+)\))?\. Its capital is", re.M
)
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
        subject = m["subject"].strip()
        after = m["after"]
        title = re.sub(r"^(Le |La |Les |L')", "", subject)
        plural = subject.startswith("Les ") or after.startswith("des ")
        wrong = "(" in title or after.startswith("de l'Île") or "Cité" in title
        if title in seen or plural or wrong:
            continue  # the file's grammar is wrong for plurals, islands and the Vatican
        seen.add(title)
        yield Country(title, subject, after, FIXED_FR.get(title, m["capital"]), m["region"])
    for title, capital, region in tables.table("fr")["plural_countries"]:
        yield Country(title, f"Les {title}", f"des {title}", capital, region)


def _fits(country: Country, sentence: str) -> bool:
    """False where "à" would meet an article ("à Le Caire") or a plural a singular verb."""
    if country.capital.startswith(("Le ", "La ")) and re.search(r"(à|de) \{k\}", sentence):
        return False
    return not (country.subject.startswith("Les ") and re.search(r"\{[Cl]\}", sentence))


def capitals(rng: random.Random, lang: str, countries: list[Country], *, plain: float = 0) -> Iterator[Fact]:
    """Yield facts about capitals without end, each country as often as any other.

    `plain`: the share that is said in the plainest way, besides those that chance says so.
    """
    words = tables.table(lang)
    while True:
        for c in rng.sample(countries, len(countries)):
            sentence = rng.choice([s for s in words["capital_sentences"] if _fits(c, s)])
            names = {"c": c.after, "d": c.after, "C": c.subject, "l": c.within, "k": c.capital, "r": c.region}
            full = "The capital of {c} is {k}." if lang == "en" else "La capitale {d} est {k}."
            if plain and rng.random() < plain:
                sentence = full
            short = c.capital if rng.random() < 0.6 else full.format(**names)
            question = rng.choice([q for q in words["capital_questions"] if _fits(c, q)]).format(**names)
            yield Fact(question, short, sentence.format(**names))
