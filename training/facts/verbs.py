"""Conjugations: regular French verbs by rule, irregular ones by table, English pasts, plurals."""

import random
from collections.abc import Iterator

from training.facts.fact import Fact
from training.facts.tables import capital, table


def _joined(subject: str, form: str) -> str:
    return f"j'{form}" if subject == "je" and form[0] in "aeéiouêh" else f"{subject} {form}"


def conjugated(verb: str, tense: str) -> list[str]:
    """Return the six persons of a French verb in a tense, with their subjects.

    Verbs in -er follow the rule; the irregular ones are known in the present only.

    >>> conjugated("aimer", "présent")[0], conjugated("être", "présent")[3]
    ("j'aime", 'nous sommes')
    """
    words = table("fr")
    if verb in words["irregular_verbs"]:
        forms = words["irregular_verbs"][verb].split()
    else:
        forms = [verb[:-2] + end for end in words["endings"][tense].split()]
    return [_joined(s, f) for s, f in zip(words["subjects"].split(), forms, strict=True)]


def conjugations(rng: random.Random, lang: str) -> Iterator[Fact]:
    """Yield conjugated forms, plurals and participles."""
    while True:
        yield from _english(rng) if lang == "en" else _french(rng)


def _french(rng: random.Random) -> Iterator[Fact]:
    words = table("fr")
    verb = rng.choice([*words["regular_verbs"].split(), *words["irregular_verbs"]])
    tense = "présent" if verb in words["irregular_verbs"] else rng.choice(list(words["endings"]))
    tense_at = f"à l'{tense}" if tense == "imparfait" else f"au {tense}"
    forms = conjugated(verb, tense)
    person = rng.randrange(6)
    whole = ", ".join(forms)
    one_form = forms[person]
    subject = words["subjects"].split()[person]
    yield Fact(f"Conjugue le verbe {verb} {tense_at}.", whole, f"Le verbe {verb} {tense_at} : {whole}.")
    question = f"Verbe {verb}, {tense}, avec « {subject} » ?"
    yield Fact(question, one_form, f"{capital(one_form)} : verbe {verb}, {tense}.")
    one, many = rng.choice([p.split() for p in words["plurals"].split(",")])
    yield Fact(f"Quel est le pluriel de « {one} » ?", many, f"Le pluriel de « {one} » est « {many} ».")


def _english(rng: random.Random) -> Iterator[Fact]:
    words = table("en")
    base, past, participle = rng.choice([p.split() for p in words["pasts"].split(",")])
    yield Fact(f"What is the past tense of {base}?", past, f'The past tense of "{base}" is "{past}".')
    yield Fact(f"What is the past participle of {base}?", participle, f"To {base}: {base}, {past}, {participle}.")
    one, many = rng.choice([p.split() for p in words["plurals"].split(",")])
    yield Fact(f"What is the plural of {one}?", many, f"One {one}, two {many}.")
