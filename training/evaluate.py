"""Measure an exported model on what it was never trained on.

Run: python -m training.evaluate --corpus FOLDER --model src/capot/boxed --out evaluation.json

Bits per byte of a language is the mean of its three sources, as the targets are stated.
"""

import argparse
import json
from pathlib import Path
from typing import Any

from training import corpus, everyday, measures, probes
from training.facts.countries import table
from training.facts.fact import Guard
from training.reading import Reader, open_folder

LANGUAGES = {
    "english": ["en_childrens_stories.txt", "en_wikipedia_vital_intros.txt", "en_trivia_qa.txt"],
    "french": ["fr_childrens_stories.txt", "fr_wikipedia_questions.txt", "fr_romans_segur_verne_greville.txt"],
    "python": ["en_python_code.txt", "en_python_docs.txt", "en_python_exercises.txt"],
}
EXTRA = ["en_dialogues.txt", "bi_phrases_en_fr.txt", "en_wikipedia_vital_articles.txt", "fr_romans.txt"]
KNOWN = {"en": "The capital of {c} is", "fr": "La capitale {de} est"}  # phrasings of the training text
OPENING = 60  # characters of a held-out document that a sample continues, to a whole word


def first(texts: list[str], most: float) -> list[str]:
    """Return the first documents, up to `most` bytes in all and at least one."""
    kept: list[str] = []
    size = 0
    for text in texts:
        if kept and size + len(text.encode()) > most:
            break
        kept.append(text)
        size += len(text.encode())
    return kept


def bits_per_byte(reader: Reader, folder: Path, *, quick: bool = False) -> dict[str, Any]:
    """Return bits per byte by source and by language, calibration and xz's figure beside."""
    tallies, rows = {}, {}
    for name in [n for names in LANGUAGES.values() for n in names] + ([] if quick else EXTRA):
        texts = first(corpus.heldout_documents(folder, name), 40e3 if quick else 1e9)
        t = tallies[name] = measures.score_texts(reader, texts)
        rows[name] = {
            "documents": len(texts),
            "bytes": t.bytes,
            "bits_per_byte": t.bits / t.bytes,
            "next_token_right": t.correct / t.tokens,
            "xz": measures.xz_bits_per_byte(texts),
        }
        print(name, rows[name], flush=True)
    means = {lang: sum(rows[n]["bits_per_byte"] for n in names) / len(names) for lang, names in LANGUAGES.items()}
    scored = [tallies[n] for lang in ("english", "french") for n in LANGUAGES[lang]]
    return {"bits_per_byte": means, "sources": rows, "calibration": measures.calibration(scored)}


def capital_figures(reader: Reader, folder: Path, held: dict[str, Any]) -> dict[str, Any]:
    """Return capitals by language: seen countries scored, unseen ones shown."""
    answer = {}
    hidden = Guard(held).countries
    for lang, countries in table(folder).items():
        phrasings = held["capital_phrasings"][lang]
        seen = [c for c in countries if not hidden.search(f"{c.subject} {c.capital}")]
        unseen = [c for c in countries if c not in seen]
        figures = probes.capitals(reader, seen, phrasings, lang)
        figures["rows"] = figures["rows"][::20]
        shown = probes.guesses(reader, unseen, KNOWN[lang], lang)
        known = probes.capitals(reader, seen, [KNOWN[lang]], lang)
        known.pop("rows")
        answer[lang] = figures | {"countries": len(seen), "unseen": shown, "known": known}
    return answer


def openings(folder: Path, count: int = 200) -> list[str]:
    """Return the first words of held-out documents, half of each language."""
    found = []
    for lang in ("english", "french"):
        texts = [t for name in LANGUAGES[lang] for t in corpus.heldout_documents(folder, name)]
        parts = [p for t in texts for p in t.split("\n\n") if len(p) > OPENING]
        step = max(1, len(parts) // (count // 2))
        found += [p[:OPENING].rsplit(" ", 1)[0] for p in parts[::step][: count // 2]]
    return found


def evaluation(reader: Reader, folder: Path, *, quick: bool = False) -> dict[str, Any]:
    """Return every figure of the card; `quick` reads 40 kB a source and samples less."""
    held = corpus.heldout()
    answer = {"parameters": reader.model.count()} | bits_per_byte(reader, folder, quick=quick)
    answer["capitals"] = capital_figures(reader, folder, held)
    answer["word_groups"] = probes.word_groups(reader, held["word_groups"])
    answer["few_shot"] = probes.few_shot(reader, held["few_shot"], temperature=0)
    answer["few_shot_sampled"] = probes.few_shot(reader, held["few_shot"], temperature=0.7)
    answer["variety"] = probes.variety(reader, openings(folder, 20 if quick else 200))
    answer["everyday"] = everyday.figures(reader, folder, quick=quick)
    answer["pronouns"] = probes.pronouns(reader, held["word_groups"]["jobs"])
    return answer


def summary(answer: dict[str, Any]) -> dict[str, Any]:
    """Return the figures that have a target."""
    return {
        "bits per byte": answer["bits_per_byte"],
        "capital in top 10": {k: v["top10"] for k, v in answer["capitals"].items()},
        "capital first": {k: v["top1"] for k, v in answer["capitals"].items()},
        "few-shot in form": answer["few_shot"]["mean"],
        "few-shot in form, sampled": answer["few_shot_sampled"]["mean"],
        "word groups": answer["word_groups"]["separation"],
        "calibration error": answer["calibration"]["expected_error"],
        "repeated 4-grams": answer["variety"]["repeated_4grams"],
        "everyday questions right": {k: answer["everyday"][k]["right"]["all"] for k in ("seen", "never")},
        "continuations": {k: answer["everyday"]["continuations"][k] for k in ("stays", "repeats")},
        "best induction head": answer["everyday"]["induction"]["best"],
        "distinct 2": answer["variety"]["distinct_2"],
    }


def main() -> None:
    """Evaluate and write the JSON file; print the figures that have a target."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--corpus")
    parser.add_argument("--model", type=Path, default=Path("src/capot/boxed"))
    parser.add_argument("--out", type=Path, default=Path("evaluation.json"))
    parser.add_argument("--quick", action="store_true")
    args = parser.parse_args()
    answer = evaluation(open_folder(args.model), corpus.corpus_folder(args.corpus), quick=args.quick)
    args.out.write_text(json.dumps(answer, ensure_ascii=False, indent=1) + "\n", "utf-8")
    print(json.dumps(summary(answer), indent=1))


if __name__ == "__main__":
    main()
