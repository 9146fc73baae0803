"""A tiny random Llama with a tokenizer of its own, as a folder that transformers wrote."""

from __future__ import annotations

from pathlib import Path

import native_helpers as tiny

BOS = "<s>"
TEXT = (
    "The river bank is green. The bank lent money to the dog and the cat in the house. "
    "A blue room in the green house. Le chat boit du lait près de la maison bleue. Le cœur bat. "
)


def make(folder: Path, *, dtype: str = "float32", family: str = "tied") -> Path:
    """Weights of ``family``, and a byte-level BPE that begins a prompt with ``<s>``."""
    tiny.make(folder, family, dtype=dtype)
    tokenizer().save(str(folder / "tokenizer.json"))
    return folder


def tokenizer():
    """A BPE of 320 ids trained on TEXT: some words are one token, ``zebra`` is several."""
    import tokenizers
    from tokenizers import decoders, models, pre_tokenizers, processors, trainers

    made = tokenizers.Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=tiny.VOCABULARY,
        special_tokens=["<unk>", BOS, "</s>"],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    made.train_from_iterator([TEXT] * 8, trainer)
    made.post_processor = processors.TemplateProcessing(single=f"{BOS} $A", special_tokens=[(BOS, 1)])
    return made
