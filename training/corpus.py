"""Read the corpus folder: documents, the held-out rule, cleaning, and paragraphs shared with it.

The folder holds one UTF-8 text file a source; a line `<|endoftext|>` ends each document.
Its place is `--corpus`, else the environment variable CAPOT_CORPUS.
"""

import hashlib
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

SEPARATOR = "<|endoftext|>"
HERE = Path(__file__).parent
SOURCES = HERE / "sources.json"
HELDOUT = HERE / "heldout.json"
EVERYDAY = HERE / "everyday.json"  # everyday questions, wordings and facts that are held out

_SENTENCE = re.compile(r"[^.!?\n]+[.!?]?")
_WORDS = re.compile(r"\w+")


def corpus_folder(argument: str | None = None) -> Path:
    """Return the corpus folder, from an argument or CAPOT_CORPUS.

    Raises: SystemExit that names what is missing.
    """
    place = argument or os.environ.get("CAPOT_CORPUS")
    if not place or not Path(place).is_dir():
        raise SystemExit("No corpus folder: give --corpus FOLDER or set CAPOT_CORPUS.")
    return Path(place)


def sources(used_only: bool = True) -> list[dict[str, Any]]:
    """Return the manifest's records; with `used_only`, those that may be trained on."""
    records = json.loads(SOURCES.read_text("utf-8"))["sources"]
    return [r for r in records if r["use"] or not used_only]


def heldout() -> dict[str, Any]:
    """Return `heldout.json`: documents by hash, countries, phrasings, groups, questions."""
    found: dict[str, Any] = json.loads(HELDOUT.read_text("utf-8"))
    return found


def evaluation_questions() -> dict[str, Any]:
    """Return `asked.json`: what evaluation asks, written by hand before the first run."""
    found: dict[str, Any] = json.loads((HERE / "asked.json").read_text("utf-8"))
    return found


def documents(path: Path) -> Iterator[str]:
    """Yield the documents of one corpus file, stripped, in the file's order."""
    for text in path.read_text("utf-8").split(SEPARATOR + "\n"):
        if text := text.strip():
            yield text


def document_hash(text: str) -> str:
    """Return the sha256 of a stripped document, in hexadecimal.

    >>> document_hash(" a ")[:8]
    'ca978112'
    """
    return hashlib.sha256(text.strip().encode()).hexdigest()


def bucket(digest: str) -> int:
    """Return sha256 mod 100, the number that decides what is held out.

    >>> bucket(document_hash("a"))
    99
    """
    return int(digest, 16) % 100


def sentence_keys(text: str, least: int = 40) -> set[str]:
    """Return the sentences of `least` letters and more, in lower case without punctuation.

    >>> sentence_keys("The cat sat on the mat, and the dog sat by the door! Yes.")
    {'the cat sat on the mat and the dog sat by the door'}
    """
    found = (" ".join(_WORDS.findall(s.lower())) for s in _SENTENCE.findall(text))
    return {key for key in found if len(key) >= least}


def drop_shared_paragraphs(text: str, shared: set[str]) -> str:
    """Drop from a training text each paragraph that has a sentence of the held-out texts."""
    kept = [p for p in text.split("\n\n") if not sentence_keys(p) & shared]
    return "\n\n".join(kept)


def clean(text: str, name: str) -> str:
    """Apply the cleaning that `sources.json` describes for the file `name`."""
    if name == "en_python_questions.txt":
        return _drop_mbpp(text)
    if name == "en_wikipedia_vital_intros.txt":
        return "\n\n".join(_cut_to_sentence(p) for p in text.split("\n\n"))
    if name == "bi_country_facts.txt":
        return _fix_genders(text)
    return text


_FEMININE = re.compile(r"\b([Ll]e|du) (Corée|Macédoine|Guinée-Bissau)")


def _fix_genders(text: str) -> str:
    """Mend the countries that the file takes for masculine.

    >>> _fix_genders("la capitale du Corée du Sud")
    'la capitale de la Corée du Sud'
    """
    right = {"le": "la", "Le": "La", "du": "de la"}
    return _FEMININE.sub(lambda m: f"{right[m[1]]} {m[2]}", text)


_LIBRARY_QUESTION = re.compile(r"Question: (What does the Python|In Python, what is|Explain `)")


def _drop_mbpp(text: str) -> str:
    """Keep the questions made from the Python documentation: the others' licence is unproven."""
    blocks = re.split(r"\n\n(?=Question: )", text)
    return "\n\n".join(b for b in blocks if _LIBRARY_QUESTION.match(b))


def _cut_to_sentence(paragraph: str) -> str:
    """End a paragraph that was cut at 500 characters at its last whole sentence."""
    if len(paragraph) < 60 or paragraph.endswith((".", "!", "?", '"', ")", ":")):
        return paragraph
    whole, dot, _ = paragraph.rpartition(". ")
    return whole + dot.rstrip() if dot else paragraph


def training_documents(folder: Path, record: dict[str, Any], shared: set[str]) -> Iterator[str]:
    """Yield the cleaned documents of one source, none held out, none sharing its sentences."""
    hidden = set(heldout()["documents"].get(record["file"], []))
    countries = CountryFilter(heldout()["countries"]) if record.get("drop_countries") else None
    for text in documents(folder / record["file"]):
        if document_hash(text) in hidden:
            continue
        text = drop_shared_paragraphs(clean(text, record["file"]), shared)
        text = countries.filtered(text) if countries else text
        if text.strip():
            yield text


def heldout_documents(folder: Path, name: str) -> list[str]:
    """Return the held-out documents of one corpus file, as they are in the corpus."""
    hidden = set(heldout()["documents"].get(name, []))
    return [text for text in documents(folder / name) if document_hash(text) in hidden]


def heldout_sentences(folder: Path) -> set[str]:
    """Return the sentence keys of every held-out document."""
    keys: set[str] = set()
    for name in heldout()["documents"]:
        for text in heldout_documents(folder, name):
            keys |= sentence_keys(text)
    return keys


class CountryFilter:
    """Drop what names a held-out country or its capital from the fact sources."""

    def __init__(self, countries: list[dict[str, Any]]):
        names = [n for c in countries for n in (*c["names"], *c["capitals"])]
        self.pattern = re.compile(r"\b(" + "|".join(map(re.escape, names)) + r")\b")

    def filtered(self, text: str) -> str:
        """Return the text less its lines with such a name; all of it where the title has one."""
        blocks = text.split("\n\n")
        titled = "\n" not in blocks[0] and len(blocks[0]) < 60
        if titled and self.pattern.search(blocks[0]):
            return ""
        return "\n\n".join(b for b in map(self._block, blocks) if b)

    def _block(self, block: str) -> str:
        if block.startswith(("Q", "User", "A:")):  # a question and its answer go together
            return "" if self.pattern.search(block) else block
        return "\n".join(x for x in block.split("\n") if not self.pattern.search(x))
