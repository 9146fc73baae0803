"""Train the three packaged tokenizers: byte-level BPE, 16,384 ids each.

Run: python -m training.tokenizer --corpus FOLDER --out src/capot/boxed

One pattern cuts the text before BPE (step 1 of GPT-2's recipe, Radford et al. 2019), with
three changes: an elision (l', qu', d’) is a piece of its own so that the noun after it stays
whole; each digit stands alone so that numbers line up in sums; a no-break space goes with the
punctuation it belongs to, so that « and » cost one token.
"""

import argparse
import json
import random
from collections.abc import Iterator
from pathlib import Path

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers

from training import corpus
from training.typography import set_text

VOCABULARY = 16_384
END = corpus.SEPARATOR
PATTERN = "|".join(
    [
        r"(?i: ?(?:[cdjlmnst]|qu|jusqu|lorsqu|puisqu|quoiqu|quelqu)['’](?=\p{L}))",
        r"(?i:['’](?:[sdmt]|ll|ve|re)(?!\p{L}))",
        r" ?[\p{L}\p{M}]+",
        r" ?\p{N}",
        r" ?«[\u00a0\u202f]?",
        r"[ \u00a0\u202f]?[^\s\p{L}\p{M}\p{N}]+",
        r"[^\S\r\n]*[\r\n]+",
        r"\s+(?!\S)",
        r"\s+",
    ]
)
# characters of each source read, in millions
DIET: dict[str, dict[str, float]] = {
    "en": {
        "en_childrens_stories.txt": 1.3,
        "en_wikipedia_vital_intros.txt": 3,
        "en_trivia_qa.txt": 3,
        "en_wikipedia_vital_articles.txt": 4,
        "en_classic_books.txt": 3,
        "en_dialogues.txt": 1,
        "en_openstax_textbooks.txt": 2,
        "en_wordnet_dictionary.txt": 0.5,
        "bi_country_facts.txt": 0.2,
    },
    "fr": {
        "fr_childrens_stories.txt": 0.2,
        "fr_wikipedia_questions.txt": 1.9,
        "fr_romans_segur_verne_greville.txt": 8,
        "fr_romans.txt": 3,
        "fr_python_docs.txt": 0.7,
        "fr_docs_php_postgresql.txt": 0.7,
    },
    "tech": {
        "en_python_docs.txt": 0.8,
        "en_python_code.txt": 0.8,
        "en_python_questions.txt": 0.4,
        "en_programming_courses.txt": 0.5,
    },
    "bi": {"bi_phrases_en_fr.txt": 4},
}
COMMON = "USER ASSISTANT FIN END SYSTEM Question Answer User Assistant Réponse French English"
ELIDED = "l'eau l’eau d'eau d’eau qu'il qu’il j'ai j’ai c'est c’est n'est n’est s'il s’il"
REPEATS = 400  # enough for a word of the groups to be merged whole, too few to bend the rest


def sample(folder: Path, kinds: tuple[str, ...], seed: int) -> Iterator[str]:
    """Yield the documents that `kinds` of the diet allow; a third of the French set."""
    allowed = {r["file"]: r for r in corpus.sources()}
    shared = corpus.heldout_sentences(folder)
    rng = random.Random(seed)
    for kind in kinds:
        for name, millions in DIET[kind].items():
            left = millions * 1e6
            for text in corpus.training_documents(folder, allowed[name], shared):
                left -= len(text)
                french = allowed[name].get("typography")
                yield set_text(text) if french and rng.random() < 1 / 3 else text
                if left < 0:
                    break


def lexicon() -> str:
    """Return the words that must be one token with the space before them, repeated."""
    words = [w for group in corpus.evaluation_questions()["word_groups"].values() for w in group] + COMMON.split()
    starts = "\n".join((COMMON + " " + ELIDED).split())  # these also begin lines
    return "\n".join(f" {' '.join(words)}\n{starts}" for _ in range(REPEATS))


def bare() -> Tokenizer:
    """Return an untrained tokenizer with the pattern, the byte alphabet and the BOS rule."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PATTERN), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def train(texts: Iterator[str], *, size: int = VOCABULARY, begins: bool = True) -> Tokenizer:
    """Train BPE on texts; with `begins`, encoding puts the document mark first."""
    tokenizer = bare()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=[END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    if begins:
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{END} $A", pair=f"{END} $A {END} $B", special_tokens=[(END, 0)]
        )
    return tokenizer


def write_config(folder: Path) -> None:
    """Write tokenizer_config.json: the end mark begins and ends every document."""
    config = {
        "add_bos_token": True,
        "add_eos_token": False,
        "bos_token": END,
        "clean_up_tokenization_spaces": False,
        "eos_token": END,
        "model_max_length": 1024,
        "tokenizer_class": "PreTrainedTokenizerFast",
    }
    text = json.dumps(config, indent=2) + "\n"
    (folder / "tokenizer_config.json").write_text(text, "utf-8")


def main() -> None:
    """Train and write the bilingual tokenizer, then the two of one language."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpus")
    parser.add_argument("--out", type=Path, default=Path("src/capot/boxed"))
    args = parser.parse_args()
    folder = corpus.corpus_folder(args.corpus)
    plans = {
        args.out: ("en", "fr", "tech", "bi"),
        args.out / "tokenizers" / "english": ("en", "tech"),
        args.out / "tokenizers" / "french": ("fr",),
    }
    for place, kinds in plans.items():
        place.mkdir(parents=True, exist_ok=True)
        texts = list(sample(folder, kinds, seed=1))
        if "bi" in kinds:
            texts.append(lexicon())
        tokenizer = train(iter(texts), begins="bi" in kinds)
        tokenizer.save(str(place / "tokenizer.json"))
        print(place, tokenizer.get_vocab_size(), sum(map(len, texts)))
    write_config(args.out)


if __name__ == "__main__":
    main()
