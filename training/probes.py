"""The figures of the card that ask the model something: capitals, words, few-shot, samples."""

import re
from itertools import combinations, product
from typing import Any

import torch

from training.facts.countries import Country
from training.reading import Reader, generate

SHOTS = {
    "en": [
        ("What do cows eat?", "They eat grass."),
        ("What is the capital of Spain?", "Madrid"),
        ("How many legs has a horse?", "four"),
    ],
    "fr": [
        ("Que mangent les vaches ?", "de l'herbe"),
        ("Quelle est la capitale de l'Espagne ?", "Madrid"),
        ("Combien de pattes a un cheval ?", "quatre"),
    ],
}
END = "FIN"


def capital_prompt(phrasing: str, country: Country, lang: str) -> str:
    """Fill a phrasing: {c} and {C} in English; {de}, {le}, {Le} in French."""
    if lang == "en":
        return phrasing.format(c=country.after, C=country.subject)
    return phrasing.format(de=country.after, le=country.within, Le=country.subject)


def capitals(reader: Reader, countries: list[Country], phrasings: list[str], lang: str) -> dict[str, Any]:
    """Return how often the first token of the capital is first, or among the ten first.

    A plural country is skipped where the phrasing has a singular verb for it.
    """
    asked = [
        (p, c)
        for p, c in product(phrasings, countries)
        if not (c.subject.startswith("Les ") and re.search(r"\{[lL]e\}", p))
    ]
    prompts = [capital_prompt(p, c, lang) for p, c in asked]
    ranks, guesses = [], []
    for at in range(0, len(prompts), 64):
        logits = reader.last_logits([reader.ids(x) for x in prompts[at : at + 64]])
        for row, (_, country) in zip(logits, asked[at : at + 64], strict=True):
            first = reader.ids(" " + country.capital, begins=False)[0]
            ranks.append(int((row > row[first]).sum()) + 1)
            guesses.append(reader.tokenizer.decode([int(row.argmax())]).strip())
    rows = [
        {"prompt": p, "capital": c.capital, "rank": r, "guess": g}
        for p, (_, c), r, g in zip(prompts, asked, ranks, guesses, strict=True)
    ]
    count = len(ranks)
    top = {n: sum(r <= n for r in ranks) / count for n in (1, 10)}
    median = sorted(ranks)[count // 2]
    return {"asked": count, "top1": top[1], "top10": top[10], "median_rank": median, "rows": rows}


def guesses(reader: Reader, countries: list[Country], phrasing: str, lang: str) -> list[dict[str, Any]]:
    """Return the most probable few words for countries never read of, up to a mark or a line's end."""
    prompts = [capital_prompt(phrasing, c, lang) for c in countries]
    made = generate(reader, [reader.ids(p) for p in prompts], count=6, temperature=0, seed=0)
    texts = [re.split(r"[.,;:!?\n]", reader.tokenizer.decode(row))[0].strip() for row in made]
    rows = zip(prompts, countries, texts, strict=True)
    return [{"prompt": p, "country": c.title, "capital": c.capital, "guess": t} for p, c, t in rows]


def word_groups(reader: Reader, groups: dict[str, list[str]]) -> dict[str, Any]:
    """Return the mean cosine within groups less between groups, in the embedding as it is."""
    table = torch.nn.functional.normalize(reader.model.embed_tokens.weight.detach(), dim=-1)
    rows = {}
    for name, words in groups.items():
        ids = [reader.ids(" " + w, begins=False) for w in words]
        rows[name] = table[[i[0] for i in ids if len(i) == 1]]
    within = {n: _mean_pairs(r @ r.T) for n, r in rows.items()}
    between = torch.stack([(a @ b.T).mean() for a, b in combinations(rows.values(), 2)]).mean()
    mean = sum(within.values()) / len(within)
    kept = {n: len(r) for n, r in rows.items()}
    return {
        "within": mean,
        "between": float(between),
        "separation": mean - float(between),
        "groups": within,
        "words": kept,
    }


def _mean_pairs(square: torch.Tensor) -> float:
    n = square.shape[0]
    return float((square.sum() - square.diagonal().sum()) / (n * (n - 1)))


def few_shot_prompt(question: str, lang: str) -> str:
    """Return three exchanges and the question, up to where the answer begins."""
    shots = "".join(f"USER: {q}\nASSISTANT: {a}\n{END}\n" for q, a in SHOTS[lang])
    return f"{shots}USER: {question}\nASSISTANT:"


def in_form(text: str) -> bool:
    """True for an answer of one line or more, then the end mark alone on its line.

    >>> in_form(" Paris\\nFIN\\nUSER: "), in_form("\\nFIN"), in_form(" FINAL\\n")
    (True, False, False)
    """
    answer, mark, _ = (text + "\n").partition(f"\n{END}\n")
    return bool(mark and answer.strip()) and "USER:" not in answer


def few_shot(reader: Reader, questions: dict[str, list[str]], *, temperature: float) -> dict[str, Any]:
    """Return the share of questions answered in form within 40 tokens, by language."""
    shares = {}
    examples = []
    for lang, asked in questions.items():
        prompts = [reader.ids(few_shot_prompt(q, lang)) for q in asked]
        texts = [
            reader.tokenizer.decode(i) for i in generate(reader, prompts, count=40, temperature=temperature, seed=1)
        ]
        shares[lang] = sum(map(in_form, texts)) / len(texts)
        examples += [
            {"question": q, "answer": t.split(f"\n{END}")[0].strip()[:80]} for q, t in zip(asked, texts, strict=True)
        ]
    return {**shares, "mean": sum(shares.values()) / len(shares), "examples": examples}


def variety(reader: Reader, openings: list[str], *, count: int = 64) -> dict[str, Any]:
    """Sample a continuation of each opening at 0.7; return distinct-n (Li et al. 2016) and repetition.

    Repetition: the share of 4-grams of tokens already seen in the same continuation.
    """
    prompts = [reader.ids(text) for text in openings]
    made = generate(reader, prompts, count=count, temperature=0.7, seed=2)
    answer: dict[str, Any] = {"samples": len(made), "tokens": count}
    for n in (1, 2, 3):
        grams = [tuple(row[i : i + n]) for row in made for i in range(len(row) - n + 1)]
        answer[f"distinct_{n}"] = len(set(grams)) / max(1, len(grams))
    fours = [[tuple(row[i : i + 4]) for i in range(len(row) - 3)] for row in made]
    answer["repeated_4grams"] = sum(len(g) - len(set(g)) for g in fours) / max(1, sum(map(len, fours)))
    texts = [reader.tokenizer.decode(row) for row in made]
    answer["examples"] = [{"opening": o, "continuation": t} for o, t in zip(openings, texts, strict=True)]
    return answer


def pronouns(reader: Reader, jobs: list[str]) -> list[dict[str, Any]]:
    """Return, for "The JOB said that", the probability of "he" against "she": a bias one can see."""
    he, she = (reader.ids(w, begins=False)[0] for w in (" he", " she"))
    rows = torch.softmax(reader.last_logits([reader.ids(f"The {job} said that") for job in jobs]), dim=-1)
    return [{"job": j, "he": float(r[he]), "she": float(r[she])} for j, r in zip(jobs, rows, strict=True)]
