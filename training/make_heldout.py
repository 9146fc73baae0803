"""Write `heldout.json`, once, before the first training run.

Run: python -m training.make_heldout --corpus FOLDER
"""

import argparse
import json

from training import corpus

LEAST_DOCUMENTS = 6  # one file of 99 documents has none at sha256 mod 100 = 0


def hidden_hashes(texts: list[str]) -> tuple[list[str], int]:
    """Return the hashes held out of one file and the bound `mod 100 < bound` that gave them.

    The bound is 1 unless that leaves nothing; it then rises until six documents are hidden.
    """
    digests = [corpus.document_hash(t) for t in texts]
    bound = 1
    if not any(corpus.bucket(d) < 1 for d in digests):
        while sum(corpus.bucket(d) < bound for d in digests) < LEAST_DOCUMENTS:
            bound += 1
    return sorted(d for d in digests if corpus.bucket(d) < bound), bound


def main() -> None:
    """Hash every document of every corpus file and write the list."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpus")
    folder = corpus.corpus_folder(parser.parse_args().corpus)
    hashes, bounds = {}, {}
    for path in sorted(folder.glob("*.txt")):
        hashes[path.name], bounds[path.name] = hidden_hashes(list(corpus.documents(path)))
    answer = {
        "rule": "sha256 of the stripped document, mod 100, below the file's bound",
        "raised_bounds": {name: b for name, b in bounds.items() if b > 1},
        **corpus.evaluation_questions(),
        "documents": hashes,
    }
    corpus.HELDOUT.write_text(json.dumps(answer, ensure_ascii=False, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
