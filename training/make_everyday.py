"""Write `everyday.json`, once, before the first run on everyday facts: what evaluation keeps for itself.

Run: python -m training.make_everyday

Everything is chosen by sha256. Two question wordings of each relation are never trained on; with them
300 questions are asked of facts that are. Sixty facts are never generated; they are asked in wordings
that are. Sums, comparisons of numbers and the calendar have no hidden facts: they follow a rule.
"""

import hashlib
import itertools
import json
from collections.abc import Iterable
from typing import Any

from training import corpus
from training.facts.common import Relation, relations, say

RULES = {
    "sum", "somme", "difference", "larger", "superieur", "bigger", "plus_gros", "day_after", "jour_suivant",
    "month_after", "mois_suivant", "season", "saison",
}  # fmt: skip
COMPARED = {"bigger", "plus_gros", "larger", "superieur"}  # two things are named, one is the answer
SEEN, NEVER = 150, 30  # a language


def digest(text: str) -> str:
    """Return the sha256 of a text."""
    return hashlib.sha256(text.encode()).hexdigest()


def hidden_wordings(relation: Relation, count: int = 2) -> list[str]:
    """Return the questions of a relation that are held out: those of the lowest hashes."""
    keys = [f"{relation.lang}|{relation.name}|{q}" for q in relation.questions]
    return sorted(keys, key=digest)[:count]


def hidden_facts(found: tuple[Relation, ...]) -> list[str]:
    """Return the keys of the facts of one language that are never generated.

    A subject or an answer is hidden once at most, so that the sixty are spread.
    """
    keys = [r.key(f) for r in found if r.name not in RULES for f in r.facts]
    counts: dict[str, int] = {}
    kept: list[str] = []
    for key in sorted(keys, key=digest):
        name = key.split("|")[1]
        if counts.get(name, 0) < 2 and len(kept) < NEVER:
            counts[name] = counts.get(name, 0) + 1
            kept.append(key)
    return kept


def row(relation: Relation, wording: str, fact: dict[str, str]) -> dict[str, Any]:
    """Return one question of the evaluation; `others` must not be named before the answer.

    Where the question itself names what is compared (`others`), other facts give no accepted answer.
    """
    question = say(wording.split("|", 2)[2], fact, relation.lang)
    made: dict[str, Any] = {"lang": relation.lang, "relation": relation.name, "question": question, "answer": fact["a"]}
    if relation.name in COMPARED:
        return made | {"also": [], "others": [fact["t"]]}
    same = {f["a"] for f in relation.facts if {**f, "a": ""} == {**fact, "a": ""}}
    return made | {"also": sorted(same - {fact["a"]}), "others": []}


def questions(relation: Relation, wordings: Iterable[str], facts: Iterable[dict[str, str]]) -> list[dict[str, Any]]:
    """Return every wording of every fact, in the order of their hashes."""
    rows = [row(relation, w, f) for w, f in itertools.product(wordings, facts)]
    return sorted(rows, key=lambda r: digest(f"{r['relation']}|{r['question']}"))


def seen_questions(found: tuple[Relation, ...], hidden: set[str]) -> list[dict[str, Any]]:
    """Return the questions of one language in held-out wordings, in turn from each relation."""
    stacks = [questions(r, hidden_wordings(r), (f for f in r.facts if r.key(f) not in hidden)) for r in found]
    turns = itertools.chain.from_iterable(itertools.zip_longest(*stacks))
    return list(itertools.islice((r for r in turns if r), SEEN))


def never_questions(found: tuple[Relation, ...], hidden: set[str]) -> list[dict[str, Any]]:
    """Return one question, in a wording of the training text, for each fact never generated."""
    made = []
    for r in found:
        open_ = [f"{r.lang}|{r.name}|{q}" for q in r.questions]
        open_ = [w for w in open_ if w not in hidden_wordings(r)]
        made += [questions(r, open_, [f])[0] for f in r.facts if r.key(f) in hidden]
    return made


def everyday() -> dict[str, Any]:
    """Return the content of `everyday.json`."""
    answer: dict[str, Any] = {"rule": "lowest sha256", "wordings": [], "facts": [], "seen": [], "never": []}
    for lang in ("en", "fr"):
        found = relations(lang)
        hidden = hidden_facts(found)
        answer["wordings"] += [w for r in found for w in hidden_wordings(r)]
        answer["facts"] += hidden
        answer["seen"] += seen_questions(found, set(hidden))
        answer["never"] += never_questions(found, set(hidden))
    return answer


def main() -> None:
    """Write the file; one that is there is left, for a run may have been made with it."""
    if corpus.EVERYDAY.exists():
        raise SystemExit(f"{corpus.EVERYDAY.name} is there already; what is held out changes only before a first run.")
    corpus.EVERYDAY.write_text(json.dumps(everyday(), ensure_ascii=False, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
