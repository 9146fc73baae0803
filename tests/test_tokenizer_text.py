"""The text of tokens that are no bytes, places of accents, names that stop: as the ``tokenizers`` library has them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import tokenizers
from puppet_helpers import puppet
from texts_fuzz import changes, folder_in, outcomes
from tokenizers import AddedToken, decoders, models, normalizers, pre_tokenizers, trainers

from capot.chapters.generate.text import GrowingText
from capot.text.tokenizer import TextStream, Tokenizer

CORPUS = ["the capital of france is paris . a token isn't a piece of text , hello world", "un jeton est un morceau"] * 5
TEXTS = (
    "the capital of france is paris .",
    " the  capital",
    "Un jeton",
    "hello_world a_b",
    "it isn't, is it?",
    "",
    "a",
)


def trained(
    model: object, trainer: object, before: object, decoder: object = None, normalizer: object = None
) -> tokenizers.Tokenizer:
    backend = tokenizers.Tokenizer(model)
    backend.pre_tokenizer = before
    if decoder is not None:
        backend.decoder = decoder
    if normalizer is not None:
        backend.normalizer = normalizer
    backend.train_from_iterator(CORPUS, trainer)
    return backend


def end_of_word() -> tokenizers.Tokenizer:  # GPT-1
    trainer = trainers.BpeTrainer(
        vocab_size=120, special_tokens=["<unk>"], end_of_word_suffix="</w>", show_progress=False
    )
    model = models.BPE(unk_token="<unk>", end_of_word_suffix="</w>")
    small = normalizers.BertNormalizer(lowercase=True)
    return trained(model, trainer, pre_tokenizers.BertPreTokenizer(), decoders.BPEDecoder(suffix="</w>"), small)


def word_piece(prefix: str = "##") -> tokenizers.Tokenizer:
    named = {"special_tokens": ["[UNK]", "[CLS]"], "continuing_subword_prefix": prefix, "show_progress": False}
    trainer = trainers.WordPieceTrainer(vocab_size=120, **named)
    model = models.WordPiece(unk_token="[UNK]", continuing_subword_prefix=prefix)
    return trained(
        model,
        trainer,
        pre_tokenizers.BertPreTokenizer(),
        decoders.WordPiece(prefix=prefix),
        normalizers.BertNormalizer(),
    )


def word_level() -> tokenizers.Tokenizer:
    trainer = trainers.WordLevelTrainer(vocab_size=150, special_tokens=["<unk>"], show_progress=False)
    return trained(models.WordLevel(unk_token="<unk>"), trainer, pre_tokenizers.Whitespace())


def unigram(scheme: str = "always", mark: str = "▁") -> tokenizers.Tokenizer:
    trainer = trainers.UnigramTrainer(vocab_size=90, special_tokens=["<unk>"], unk_token="<unk>", show_progress=False)
    spaces = {"replacement": mark, "prepend_scheme": scheme}
    return trained(models.Unigram(), trainer, pre_tokenizers.Metaspace(**spaces), decoders.Metaspace(**spaces))


KINDS: dict[str, Callable[[], tokenizers.Tokenizer]] = {
    "</w>": end_of_word,
    "##": word_piece,
    "another mark": lambda: word_piece("@@"),
    "words": word_level,
    "unigram": unigram,
    "nothing before": lambda: unigram("never"),
    "another space": lambda: unigram("always", "_"),
}


def save(backend: tokenizers.Tokenizer, folder: Path) -> Tokenizer:
    folder.mkdir(parents=True, exist_ok=True)
    backend.save(str(folder / "tokenizer.json"))
    return Tokenizer.from_file(folder)


@pytest.mark.parametrize("kind", KINDS)
def test_text_is_what_the_library_makes_of_it(tmp_path: Path, kind: str) -> None:
    backend = KINDS[kind]()
    tokenizer = save(backend, tmp_path)
    for text in TEXTS:
        ids = tokenizer.encode(text)
        assert tokenizer.decode(ids) == backend.decode(ids)
        stream = TextStream(tokenizer)
        assert "".join([*map(stream.push, ids), stream.flush()]) == backend.decode(ids)
        assert not any(mark in tokenizer.token_text(token) for token in ids for mark in ("</w>", "##", "@@", "▁"))


def test_what_is_generated_goes_on_from_the_prompt(tmp_path: Path) -> None:
    backend = end_of_word()
    tokenizer = save(backend, tmp_path)
    prompt, more = tokenizer.encode("the capital"), tokenizer.encode("of paris")
    growing = GrowingText(tokenizer, prompt)
    assert "".join(map(growing.push, more)) == " of paris"
    whole = GrowingText(tokenizer, [])
    assert "".join(map(whole.push, prompt + more)) == "the capital of paris" == backend.decode(prompt + more)


def test_a_stream_of_many_tokens_is_the_whole_text(tmp_path: Path) -> None:
    for kind in ("</w>", "##", "words", "unigram"):
        backend = KINDS[kind]()
        tokenizer = save(backend, tmp_path / str(len(kind)) / kind.strip("</"))
        ids = tokenizer.encode(" ".join(CORPUS))
        stream = TextStream(tokenizer)
        assert len(ids) > 100 and "".join(map(stream.push, ids)) == backend.decode(ids)


@pytest.mark.parametrize("text", ["the capital", " the  capital", "é", "a b"])
def test_a_byte_level_decoder_keeps_the_space_before_a_text(tmp_path: Path, text: str) -> None:
    tokenizer = byte_level(tmp_path, prefix_space=True)
    ids = tokenizer.encode(text)
    stream = TextStream(tokenizer)
    expected = " " + text.removeprefix(" ")  # what the tokenizers library gives; a stream cannot take a space back
    assert tokenizer.decode(ids) == "".join(map(stream.push, ids)) + stream.flush() == expected
    assert "".join(piece.decode() for _, piece, _, _ in tokenizer.spans("abc")) == "abc"


def byte_level(folder: Path, normalizer: object = None, *, prefix_space: bool = False, **settings: object) -> Tokenizer:
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {word: place for place, word in enumerate(["<s>", "</s>", *letters])}
    backend = tokenizers.Tokenizer(models.BPE(vocabulary, []))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=prefix_space)
    backend.decoder = decoders.ByteLevel()
    if normalizer is not None:
        backend.normalizer = normalizer
    backend.add_special_tokens([AddedToken(name, special=True) for name in ("<s>", "</s>", "<|im_end|>")])
    backend.add_tokens([AddedToken("<tool>", special=False)])
    folder.mkdir(parents=True, exist_ok=True)
    for name, fields in settings.items():
        (folder / f"{name}.json").write_text(json.dumps(fields))
    return save(backend, folder)


@pytest.mark.parametrize(
    ("text", "ends"),
    [
        ("e\u0301te\u0301", [3, 4, 7]),
        ("\u1100\u1161.", [6, 7]),  # two parts of one Korean syllable
        ("a\u0328\u0301b", [5, 6]),  # two accents, one of which stays by itself
        ("et\u00e9", [1, 2, 3, 4]),  # spelt as the tokens are: a byte each
    ],
)
def test_a_place_holds_a_letter_with_its_accents(tmp_path: Path, text: str, ends: list[int]) -> None:
    spans = byte_level(tmp_path, normalizers.NFC()).spans(text)
    assert sorted({stop for *_, stop in spans}) == ends
    assert all(start < stop for *_, start, stop in spans)


def test_an_end_that_is_null_hides_no_other(tmp_path: Path) -> None:
    config = {"bos_token": "<s>", "eos_token": "</s>"}
    for number, (ends, expected) in enumerate([(None, (1,)), ([None], (1,)), (7, (7,)), ([7, None, 8], (7, 8))]):
        files = {"tokenizer_config": config, "generation_config": {"eos_token_id": ends}}
        assert byte_level(tmp_path / str(number), **files).eos_ids == expected
    assert byte_level(tmp_path / "alone", tokenizer_config=config).eos_ids == (1,)


def test_the_name_of_a_special_token_stops_a_text(tmp_path: Path) -> None:
    tokenizer = byte_level(tmp_path)
    end, tool = tokenizer.named["<|im_end|>"], tokenizer.named["<tool>"]
    growing = GrowingText(tokenizer, [], stops=("<|im_end|>", "b!"))
    assert [growing.push(token) for token in (*tokenizer.encode("ab"), tool, *tokenizer.encode("b"))] == [
        "a",
        "",
        "b<tool>",
        "",
    ]
    assert growing.push(end) == "b" and (growing.found, growing.text, growing.held) == ("<|im_end|>", "ab<tool>b", "")
    other = GrowingText(tokenizer, [], stops=("<tool>",))
    assert (other.push(end), other.found, other.push(tool), other.found) == ("", None, "", "<tool>")


@pytest.mark.parametrize(("stop", "text", "why"), [((), "onetwo", "end_token"), (("<|user|>",), "one", "stop_string")])
def test_a_generation_ends_at_the_name_of_a_special_token(stop: tuple[str, ...], text: str, why: str) -> None:
    with puppet("one<|user|>two", cue="X:", shots=0) as model:
        made = model.generate("X:", stop=stop, temperature=0)
        assert (made.text, made.stop_reason, made.stop_string) == (text, why, stop[0] if stop else None)
        kept = model.generate("X:", stop=stop, temperature=0, after_stop=20)
        assert kept.after_stop == ("two" if stop else "")


def test_files_at_random_are_read_or_refused_in_words(tmp_path: Path) -> None:
    folder = folder_in(tmp_path / "mine")
    assert set(outcomes(folder, "README.md", b"# Model")) == {"read"}
    found = [answer for name, written in changes(13, 150) for answer in outcomes(folder, name, written)]
    assert found.count("read") > 300 and len(set(found)) > 3


def test_texts_and_labels_of_tokens_are_kept_so_many_of_them_and_only_once_they_are_known(monkeypatch) -> None:
    monkeypatch.setattr("capot.text.tokenizer._FACES", 10)
    tokenizer = Tokenizer.bytes()
    expected = [(tokenizer.token_text(each), tokenizer.display(each)) for each in range(256)]
    assert [tokenizer.face(each) for each in range(256)] == expected == [tokenizer.face(each) for each in range(256)]
    assert len(tokenizer._faces) <= 10
    told: dict[int, bytes] = {}
    monkeypatch.setattr(tokenizer._vocabulary, "token_bytes", lambda token: told.get(token, b""))
    assert tokenizer.face(300) == ("", "⟨300⟩")  # a server has not told it yet
    told[300] = b" le"
    assert tokenizer.face(300) == (" le", "·le")
