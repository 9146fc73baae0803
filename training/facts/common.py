"""Everyday facts in many wordings: `tables/common_en.toml`, `common_fr.toml`, and what is computed.

A relation has facts, questions and sentences. `everyday.json`, made before the first run, names the
wordings and the facts that evaluation keeps for itself; `wordings` and `facts` leave them out.
"""

import json
import random
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from training import corpus
from training.facts import tables
from training.facts.fact import Fact

VOWELS = "aeiouyhéèêàâîôœ"


@dataclass(frozen=True)
class Relation:
    """One kind of fact in one language; a fact is a dictionary of fields, `a` the answer."""

    lang: str
    name: str
    questions: tuple[str, ...]
    sentences: tuple[str, ...]
    facts: tuple[dict[str, str], ...]
    answer: str = "{a}"

    def key(self, fact: dict[str, str]) -> str:
        """Return the name of a fact: what is hashed."""
        return "|".join([self.lang, self.name, *fact.values()])


def _an(noun: str) -> str:
    return ("an " if noun[0] in "aeio" or noun.startswith("umb") else "a ") + noun


def _with(word: str, noun: str) -> str:
    """Put "de" or "à" before a French noun with its article.

    >>> _with("de", "le chien"), _with("à", "les yeux"), _with("de", "l'ours")
    ('du chien', 'aux yeux', "de l'ours")
    """
    article, _, rest = noun.partition(" ")
    short = {"de": {"le": "du", "les": "des"}, "à": {"le": "au", "les": "aux"}}[word].get(article)
    return f"{short} {rest}" if short else f"{word} {noun}"


def fields(fact: dict[str, str], lang: str) -> dict[str, str]:
    """Return the fields of a fact and all that wordings make of them."""
    made = dict(fact)
    if lang == "en":
        made |= {"as": _an(fact["s"])} if "s" in fact else {}
        made |= {"aa": _an(fact["a"])}
    else:
        if "s" in fact:
            made |= {"de": _with("de", fact["s"]), "au": _with("à", fact["s"])}
        made |= {"da": _with("de", fact["a"])}
        made |= {"lea": ("l'" if fact["a"][0] in VOWELS else "le ") + fact["a"]}
        made |= {"n": fact["u"].removeprefix("de ").removeprefix("d'")} if "u" in fact else {}
    return made | {k[0].upper() + k[1:]: tables.capital(v) for k, v in made.items()}


def say(wording: str, fact: dict[str, str], lang: str) -> str:
    """Fill a wording; its first letter is a capital."""
    return tables.capital(wording.format(**fields(fact, lang)))


@cache
def relations(lang: str) -> tuple[Relation, ...]:
    """Return every relation of a language, held out or not."""
    rows = tomllib.loads((tables.PLACE / f"common_{lang}.toml").read_text("utf-8"))
    made = []
    for name, row in rows.items():
        names = row["fields"].split()
        facts = row["facts"].strip().split("\n") if "facts" in row else COMPUTED[name](lang)
        split = tuple(dict(zip(names, line.split("|"), strict=True)) for line in facts)
        said = tuple(row["questions"]), tuple(row["sentences"])
        made.append(Relation(lang, name, *said, split, row.get("answer", "{a}")))
    return tuple(made)


def _translations(lang: str) -> list[str]:
    found = tables.pairs(tables.table("both")["translations"])
    return [f"{en}|{fr}" if lang == "en" else f"{fr}|{en}" for en, fr in found]


def _tasks(lang: str) -> list[str]:
    rows = tables.table("both")["python_tasks"]
    return [f"{row[0 if lang == 'en' else 1]}|{row[2]}" for row in rows]


def _sums(lang: str) -> list[str]:
    return [f"{i}|{j}|{i + j}" for i in range(1, 11) for j in range(1, 11)]


def _differences(lang: str) -> list[str]:
    return [f"{i}|{j}|{i - j}" for i in range(2, 13) for j in range(1, i)]


def _larger(lang: str) -> list[str]:
    return [f"{i}|{j}" for i in range(2, 100, 3) for j in range(1, i, 7)]


COMPUTED = {
    "translation": _translations,
    "traduction": _translations,
    "python": _tasks,
    "sum": _sums,
    "somme": _sums,
    "difference": _differences,
    "larger": _larger,
    "superieur": _larger,
}


@cache
def held_out() -> tuple[frozenset[str], frozenset[str]]:
    """Return the wordings and the keys of facts that are held out."""
    row = json.loads(corpus.EVERYDAY.read_text("utf-8"))
    return frozenset(row["wordings"]), frozenset(row["facts"])


def wordings(relation: Relation) -> list[str]:
    """Return the questions of a relation that may be trained on."""
    return [q for q in relation.questions if f"{relation.lang}|{relation.name}|{q}" not in held_out()[0]]


def facts(relation: Relation) -> list[dict[str, str]]:
    """Return the facts of a relation that may be trained on."""
    return [f for f in relation.facts if relation.key(f) not in held_out()[1]]


def common(rng: random.Random, lang: str) -> Iterator[Fact]:
    """Yield facts without end, two to four of a relation in a row, each relation as often as any other."""
    may = [(r, wordings(r), facts(r)) for r in relations(lang)]
    while True:
        relation, questions, known = rng.choice(may)
        for fact in rng.sample(known, rng.randint(2, 4)):
            sentence = say(rng.choice(relation.sentences), fact, lang)
            question = say(rng.choice(questions), fact, lang)
            full = rng.random() < 0.15 and "\n" not in sentence
            short = relation.answer.format(**fields(fact, lang))
            yield Fact(question, sentence if full else short, sentence)
