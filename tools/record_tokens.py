"""Record how a tokenizer that may not be packaged cuts the sentences of the lessons.

    python tools/record_tokens.py llama3 ../shared/tokenizers/llama3

Writes src/capot/text/ranks/llama3.json: for each sentence, the id of each of its tokens and how
many bytes of the sentence it takes. The vocabulary itself stays where it is.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from capot.text.tokenizer import Tokenizer

RANKS = Path(__file__).resolve().parent.parent / "src" / "capot" / "text" / "ranks"
SENTENCES = (
    "RTE est le gestionnaire du réseau de transport d'électricité.",
    "RTE est le gestionnaire du réseau de transport d’électricité.",
    "RTE is the operator of the electricity transmission system.",
    "RTE is the manager of the electricity transmission network.",
    "The capital of Australia is",
    "La capitale de l'Australie est",
    "La capitale de l’Australie est",
    "How to remove an item from a list in python?",
    "Comment supprimer un élément d'une liste en python ?",
    "Comment supprimer un élément d’une liste en Python ?",
    "The weather is nice today.",
    "Il fait beau aujourd'hui.",
    "Il fait beau aujourd’hui.",
    "The cat sleeps on the sofa.",
    "Le chat dort sur le canapé.",
    "My heart beats faster.",
    "Mon cœur bat plus vite.",
    "All human beings are born free and equal in dignity and rights.",
    "Tous les êtres humains naissent libres et égaux en dignité et en droits.",
    "Electricity cannot be stored easily.",
    "L'électricité ne se stocke pas facilement.",
    "L’électricité ne se stocke pas facilement.",
    "cœur",
    "heart",
    "élève",
    "anticonstitutionnellement",
    "🤗",
    "Hello!",
    "Bonjour !",
    "1234567890",
)


def record(name: str, folder: Path) -> str:
    """One line of JSON per sentence, so that a change is seen for what it is."""
    tokenizer = Tokenizer.from_file(folder, name=name)
    head = {
        "tokenizer": name,
        "vocabulary_size": tokenizer.vocabulary_size,
        "vocabulary_base": tokenizer.vocabulary_base,
    }
    lines = []
    for text in SENTENCES:
        spans = tokenizer.spans(text)
        entry = {"text": text, "ids": [span[0] for span in spans], "lengths": [len(span[1]) for span in spans]}
        lines.append("  " + json.dumps(entry, ensure_ascii=False))
    return json.dumps(head)[:-1] + ', "sentences": [\n' + ",\n".join(lines) + "\n]}\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name")
    parser.add_argument("folder", type=Path)
    given = parser.parse_args()
    (RANKS / f"{given.name}.json").write_text(record(given.name, given.folder), encoding="utf-8")


if __name__ == "__main__":
    main()
