"""Mix all generators into a stream of documents; deduplicated, guarded, seeded."""

import random
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from training import corpus
from training.facts import forms
from training.facts.calendar import calendar
from training.facts.common import common
from training.facts.countries import capitals, table
from training.facts.everyday import everyday
from training.facts.fact import Fact, Guard
from training.facts.numbers import comparisons, conversions, sums
from training.facts.python_questions import python_tasks
from training.facts.tales import tale
from training.facts.verbs import conjugations
from training.facts.words import kinds, opposites, qualities, translations
from training.typography import set_text

# share of each generator, in per cent
SHARES = {
    "capitals": 26,
    "sums": 5,
    "conversions": 3,
    "comparisons": 2,
    "opposites": 2,
    "kinds": 6,
    "qualities": 3,
    "translations": 4,
    "calendar": 3,
    "conjugations": 4,
    "everyday": 6,
    "python": 5,
    "common": 31,
}
# the same for the end of a run: capitals again, plainly said, as they are what everyone asks first
AT_END = SHARES | {
    "capitals": 40, "conversions": 2, "kinds": 4, "translations": 3, "calendar": 2, "conjugations": 2, "common": 24,
}  # fmt: skip
PLAIN = 0.1  # of the capitals at the end
TALES = 0.15  # of the documents at the end: what else is generated names things, and a text is to keep to its subject
FORMS = {"prose": 0.4, "questions": 0.15, "few_shot": 0.45}


def generators(folder: Path, rng: random.Random, lang: str, *, plain: float = 0) -> dict[str, Iterator[Fact]]:
    """Return every generator of one language, in the order of SHARES."""
    guard = Guard()
    known = [c for c in table(folder)[lang] if not guard.countries.search(f"{c.subject} {c.capital}")]
    made = {
        "capitals": capitals(rng, lang, known, plain=plain),
        "sums": sums(rng, lang),
        "conversions": conversions(rng, lang),
        "comparisons": comparisons(rng, lang),
        "opposites": opposites(rng, lang),
        "kinds": kinds(rng, lang),
        "qualities": qualities(rng, lang),
        "translations": translations(rng, lang),
        "calendar": calendar(rng, lang),
        "conjugations": conjugations(rng, lang),
        "everyday": everyday(rng, lang),
        "python": python_tasks(rng, lang),
        "common": common(rng, lang),
    }
    return {name: filter(guard.allows, facts) for name, facts in made.items()}


def documents(
    folder: Path,
    seed: int,
    trivia: dict[str, list[Fact]] | None = None,
    *,
    only: str | None = None,
    at_end: bool = False,
) -> Iterator[str]:
    """Yield documents without end, of both languages or `only` one; the same seed gives the same documents.

    A dialogue mixes generators; prose keeps to one, as a text keeps to its subject.
    `trivia`: questions of the corpus by language, which vary the few-shot dialogues.
    """
    rng = random.Random(seed)
    made = {lang: generators(folder, rng, lang, plain=PLAIN if at_end else 0) for lang in ("en", "fr")}
    shares = AT_END if at_end else SHARES
    while True:
        lang = only or rng.choice(["en", "fr"])
        if at_end and rng.random() < TALES:
            text = tale(rng, lang)
            yield set_text(text) if lang == "fr" and rng.random() < 1 / 3 else text
            continue
        form = rng.choices(list(FORMS), list(FORMS.values()))[0]
        name = rng.choices(list(shares), list(shares.values()))[0]
        one = made[lang][name]
        if form == "prose":
            text = forms.prose([next(one) for _ in range(rng.randint(2, 7))], rng)
        elif form == "questions":
            text = forms.questions([next(one) for _ in range(rng.randint(2, 6))], rng, lang)
        else:
            text = forms.few_shot(_mixed(rng, made[lang], one, (trivia or {}).get(lang, [])), rng)
        yield set_text(text) if lang == "fr" and rng.random() < 1 / 3 else text


def _mixed(
    rng: random.Random, made: Mapping[str, Iterator[Fact]], one: Iterator[Fact], trivia: list[Fact]
) -> list[Fact]:
    """Return 2 to 7 facts of a dialogue: of one generator, of all, or of the corpus's questions."""
    count = rng.randint(2, 7)
    kind = rng.random()
    if kind < 0.35:
        return [next(one) for _ in range(count)]
    if kind < 0.65 and trivia:
        return rng.sample(trivia, count)
    names = rng.choices(list(SHARES), list(SHARES.values()), k=count)
    names = [n if n != "capitals" or rng.random() < 0.4 else "everyday" for n in names]
    return [next(made[n]) for n in names]


def corpus_questions(folder: Path, shared: set[str]) -> dict[str, list[Fact]]:
    """Return short questions with short answers of the trivia and of the French paragraphs."""
    names = {
        "en": ("en_trivia_qa.txt", "Question: ", "Answer: "),
        "fr": ("fr_wikipedia_questions.txt", "Question : ", "Réponse : "),
    }
    records = {r["file"]: r for r in corpus.sources()}
    return {lang: list(_short(folder, records[n], shared, marks)) for lang, (n, *marks) in names.items()}


def _short(folder: Path, record: dict[str, Any], shared: set[str], marks: list[str]) -> Iterator[Fact]:
    guard = Guard()
    for text in corpus.training_documents(folder, record, shared):
        for block in text.split("\n\n"):
            lines = block.split("\n")
            if len(lines) != 2 or not (lines[0].startswith(marks[0]) and lines[1].startswith(marks[1])):
                continue
            fact = Fact(lines[0][len(marks[0]) :], lines[1][len(marks[1]) :], "")
            if len(fact.question) < 120 and len(fact.answer) < 60 and guard.allows(fact):
                yield fact
