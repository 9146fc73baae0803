"""Text to ids and back: against ``tokenizers`` and ``tiktoken``, and true to the byte for any text."""

from __future__ import annotations

import hashlib
import json
import random
import shutil
import sys
import threading
import time
import unicodedata
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import pytest
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, decoders, models, normalizers, pre_tokenizers, processors

from capot.errors import CapotError, InputError, MissingExtraError, ModelError, NetworkError, NotFoundError
from capot.text.tokenizer import TextStream, Tokenizer
from capot.text.tokenizer.encodings import TiktokenVocabulary
from capot.text.tokenizer.ranks import ENCODINGS, byte_pair_merge

RTE = "RTE est le gestionnaire du réseau de transport d'électricité."
BOXED = Path(__file__).resolve().parent.parent / "src" / "capot" / "boxed"
TRICKY = [
    "", " ", "  a", "a  ", "\n\n", "\r\n", "\t", "\x00", "cœur", "🤗", "e\u0301", "👨‍👩‍👧", "🇫🇷🇩🇪", "한국어", "नमस्ते",
    "<|endoftext|>", "<|eot_id|>", "<0x0A>", "▁a▁", "Ġ", "\ufeffa", "\u00a0\u202f", "don't DON'T", "1234567", RTE,
]  # fmt: skip


def random_texts(count: int, *, seed: int) -> list[str]:
    """Strings of every kind: words, any code point, spaces and marks in a row."""
    draw = random.Random(seed)
    anything = [chr(code) for code in range(0x20, 0x1FAFF) if unicodedata.category(chr(code)) not in ("Cs", "Cn")]
    common = list("aeéèœ 'stll12\n\r\t.,;!«»’\u00a0\u202f\u0301\u200d🤗👨ABÉ ")
    pools = (anything, common, common)
    return ["".join(draw.choices(draw.choice(pools), k=draw.randint(0, 60))) for _ in range(count)]


# --- Tokenizers made here, one of each kind ------------------------------------------------------------


def byte_level(folder: Path) -> Path:
    """GPT-2's alphabet, a few merges, one special token and one added token that is not special."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges = [("a", "b"), ("Ġ", "a"), ("Ã", "©"), ("Å", "ĵ"), ("ðŁ", "¤")]
    words = [*letters, "ab", "Ġa", "Ã©", "Åĵ", "ðŁ", "ðŁ¤"]
    merges.insert(4, ("ð", "Ł"))
    backend = tokenizers.Tokenizer(models.BPE({word: place for place, word in enumerate(words)}, merges))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    backend.add_special_tokens(["<|end|>"])
    backend.add_tokens(["<tool>"])
    return save(backend, folder)


def byte_fallback(folder: Path, *, prepend: bool = True) -> Path:
    """SentencePiece as Llama 2 has it: ▁ for a space, <0xNN> for bytes without a token."""
    words = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), "▁", *"abcdefgh", "ab", "▁ab"]
    merges = [("a", "b"), ("▁", "ab")]
    vocabulary = {word: place for place, word in enumerate(words)}
    backend = tokenizers.Tokenizer(models.BPE(vocabulary, merges, unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    steps = [normalizers.Prepend("▁")] if prepend else []
    backend.normalizer = normalizers.Sequence([*steps, normalizers.Replace(" ", "▁")])
    backend.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    backend.add_special_tokens(["<s>", "</s>"])
    backend.post_processor = processors.TemplateProcessing("<s> $A", special_tokens=[("<s>", 1)])
    return save(backend, folder)


def word_piece(folder: Path) -> Path:
    words = ["[UNK]", "le", "ch", "##at", "dort", "."]
    backend = tokenizers.Tokenizer(models.WordPiece({word: i for i, word in enumerate(words)}, unk_token="[UNK]"))
    backend.normalizer = normalizers.BertNormalizer(lowercase=True)
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.decoder = decoders.WordPiece()
    return save(backend, folder)


def save(backend: tokenizers.Tokenizer, folder: Path, **config: object) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    backend.save(str(folder / "tokenizer.json"))
    if config:
        (folder / "tokenizer_config.json").write_text(json.dumps(config))
    return folder


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Tokenizer]:
    folder = tmp_path_factory.mktemp("tokenizers")
    return {
        "byte_level": Tokenizer.from_file(byte_level(folder / "byte_level")),
        "byte_fallback": Tokenizer.from_file(byte_fallback(folder / "byte_fallback")),
        "boxed": Tokenizer.from_file(BOXED),
        "gpt2": Tokenizer.from_tiktoken("gpt2"),
        "bytes": Tokenizer.bytes(),
    }


KINDS = ("byte_level", "byte_fallback", "boxed", "gpt2", "bytes")


# --- True to the byte ----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_bytes_joined_are_the_text(made: dict[str, Tokenizer], kind: str) -> None:
    @settings(max_examples=60, deadline=None)
    @given(st.text(st.characters(exclude_categories=("Cs",)), max_size=40))
    def holds(text: str) -> None:
        check_faithful(made[kind], text, kind)

    holds()
    for text in TRICKY:
        check_faithful(made[kind], text, kind)


def check_faithful(tokenizer: Tokenizer, text: str, kind: str = "") -> None:
    assert tokenizer.lossless
    spans, raw = tokenizer.spans(text), text.encode()
    assert b"".join(piece for _, piece, _, _ in spans) == raw
    assert all(raw[start:end] == piece for _, piece, start, end in spans)
    assert [start for _, _, start, _ in spans] == [0, *(end for *_, end in spans)][: len(spans)]
    ids = tokenizer.encode(text)
    assert [token for token, *_ in spans] == ids
    if kind != "byte_fallback" or "▁" not in text:  # there ▁ and a space are the same token
        assert tokenizer.decode(ids) == text
    stream = TextStream(tokenizer)
    assert "".join([*map(stream.push, ids), stream.flush()]) == tokenizer.bytes_of(ids).decode()


@pytest.mark.parametrize("name", ["o200k_base", "cl100k_base", "llama3", "gpt2"])
def test_real_vocabularies_against_tokenizers(shared_tokenizers: Path, name: str) -> None:
    folder = shared_tokenizers / name
    peer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    peer.encode_special_tokens = True
    ours = [Tokenizer.from_file(folder)]
    ours += [Tokenizer.from_tiktoken(name)] if name in ENCODINGS else []
    for text in [*random_texts(250, seed=1), *TRICKY]:
        expected = peer.encode(text, add_special_tokens=False).ids
        for tokenizer in ours:
            assert tokenizer.encode(text) == expected, (tokenizer, text)
            check_faithful(tokenizer, text)


@pytest.fixture
def tiktoken_cache(shared_tokenizers: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """tiktoken finds a rank file by the SHA-1 of the address it would fetch it from."""
    tiktoken = pytest.importorskip("tiktoken")
    for name in ("o200k_base", "cl100k_base"):
        address = f"https://openaipublic.blob.core.windows.net/encodings/{name}.tiktoken"
        shutil.copy(
            shared_tokenizers / name / f"{name}.tiktoken", tmp_path / hashlib.sha1(address.encode()).hexdigest()
        )
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path))
    return tiktoken


@pytest.mark.parametrize("name", ["o200k_base", "cl100k_base"])
def test_packaged_ranks_and_the_extra_against_tiktoken(tiktoken_cache, name: str) -> None:
    peer = tiktoken_cache.get_encoding(name)
    packaged, extra = Tokenizer.from_tiktoken(name), Tokenizer(TiktokenVocabulary(name), name=name)
    assert packaged.vocabulary_size == extra.vocabulary_size == peer.n_vocab
    assert packaged.special_ids == extra.special_ids
    for text in [*random_texts(250, seed=2), *TRICKY, "a" * 2000, "été" * 700]:
        expected = peer.encode_ordinary(text)
        assert packaged.encode(text) == expected
        assert extra.encode(text) == expected
        with_specials = peer.encode(text, allowed_special="all")
        assert packaged.encode(text, specials="allow") == with_specials
        assert extra.encode(text, specials="allow") == with_specials
    for token in (0, 1000, peer.n_vocab - 1, 99_999):
        assert packaged.token_bytes(token) == extra.token_bytes(token) == peer.decode_single_token_bytes(token)
    assert extra.token_bytes(10**6) == packaged.token_bytes(10**6) == b""


@pytest.mark.parametrize("folder", ["", "tokenizers/english", "tokenizers/french"])
def test_packaged_tokenizers_against_tokenizers(folder: str) -> None:
    peer = tokenizers.Tokenizer.from_file(str(BOXED / folder / "tokenizer.json"))
    peer.encode_special_tokens = True
    ours = Tokenizer.from_file(BOXED / folder)
    for text in [*random_texts(250, seed=3), *TRICKY]:
        assert ours.encode(text) == peer.encode(text, add_special_tokens=False).ids
        check_faithful(ours, text)


def test_counts_of_the_sentence_of_the_lessons(shared_tokenizers: Path) -> None:
    assert len(Tokenizer.from_file(shared_tokenizers / "llama3").encode(RTE)) == 15
    assert len(Tokenizer.from_tiktoken("o200k_base").encode(RTE)) == 13
    assert len(Tokenizer.from_tiktoken("cl100k_base").encode(RTE)) == 15
    assert len(Tokenizer.from_tiktoken("gpt2").encode(RTE)) == 20


def test_characters_that_no_token_holds_whole(shared_tokenizers: Path) -> None:
    llama, gpt4o, gpt2 = (
        Tokenizer.from_file(shared_tokenizers / "llama3"),
        Tokenizer.from_tiktoken("o200k_base"),
        Tokenizer.from_tiktoken("gpt2"),
    )
    assert [len(tokenizer.encode("🤗")) for tokenizer in (llama, gpt4o)] == [3, 2]
    for tokenizer in (llama, gpt4o):
        assert all(tokenizer.token_text(token) == "" for token in tokenizer.encode("🤗"))
        assert not any("\ufffd" in tokenizer.display(token) for token in tokenizer.encode("🤗"))
    assert [piece for _, piece, _, _ in gpt2.spans("cœur")] == [b"c", b"\xc5", b"\x93", b"ur"]
    assert [gpt2.display(token) for token in gpt2.encode("cœur")] == ["c", "⟨C5⟩", "⟨93⟩", "ur"]


def test_a_word_of_100_000_letters_is_no_trouble() -> None:
    gpt4o = Tokenizer.from_tiktoken("o200k_base")
    assert len(gpt4o.encode("a" * 100_000)) == 12_500
    assert Tokenizer.from_file(BOXED).decode(Tokenizer.from_file(BOXED).encode("é" * 50_000)) == "é" * 50_000


def test_merging_takes_the_lowest_rank_first_and_the_leftmost_of_equals() -> None:
    ranks = {bytes([letter]): place for place, letter in enumerate(b"abcd")} | {b"aa": 4, b"ab": 5, b"aaa": 6}
    assert byte_pair_merge(b"aaa", ranks) == (6,)
    assert byte_pair_merge(b"aab", ranks) == (4, 1)
    assert byte_pair_merge(b"", ranks) == ()


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(0, 3), max_size=40), st.integers(0, 10**6))
def test_the_heap_merges_as_a_plain_loop_does(letters: list[int], seed: int) -> None:
    draw = random.Random(seed)
    ranks = {bytes([letter]): letter for letter in range(4)}
    for _ in range(30):  # only unions of two tokens can be tokens
        ranks.setdefault(draw.choice(list(ranks)) + draw.choice(list(ranks)), len(ranks))
    parts = [bytes([letter]) for letter in letters]
    while candidates := [(ranks[a + b], i) for i, (a, b) in enumerate(pairwise(parts)) if a + b in ranks]:
        place = min(candidates)[1]
        parts[place : place + 2] = [parts[place] + parts[place + 1]]
    assert byte_pair_merge(bytes(letters), ranks) == tuple(ranks[part] for part in parts)


# --- Kinds of files ------------------------------------------------------------------------------------


def test_byte_fallback_gives_bytes_and_leaves_out_the_space_it_was_given(made: dict[str, Tokenizer]) -> None:
    tokenizer = made["byte_fallback"]
    spans = tokenizer.spans("ab é")
    assert [piece for _, piece, _, _ in spans] == [b"ab", b" ", b"\xc3", b"\xa9"]
    assert tokenizer.token_bytes(spans[0][0]) == b" ab"
    assert tokenizer.spans("")[:1] in ([], [(spans[1][0], b"", 0, 0)])


def test_byte_fallback_that_prepends_nothing(tmp_path: Path) -> None:
    check_faithful(Tokenizer.from_file(byte_fallback(tmp_path, prepend=False)), " ab é")


def test_what_a_tokenizer_loses_is_said(tmp_path: Path) -> None:
    tokenizer = Tokenizer.from_file(word_piece(tmp_path))
    assert not tokenizer.lossless
    spans = tokenizer.spans("Le  chat œ dort.")
    assert [(piece, start, end) for _, piece, start, end in spans] == [
        (b"le", 0, 2), (b"ch", 4, 6), (b"at", 6, 8), (b"[UNK]", 9, 11), (b"dort", 12, 16), (b".", 16, 17),
    ]  # fmt: skip


def test_a_normalizer_that_changes_a_text_is_seen(tmp_path: Path) -> None:
    backend = tokenizers.Tokenizer.from_file(str(byte_level(tmp_path) / "tokenizer.json"))
    backend.normalizer = normalizers.NFC()
    tokenizer = Tokenizer.from_file(save(backend, tmp_path))
    assert not tokenizer.lossless
    assert [piece for _, piece, _, _ in tokenizer.spans("ab")] == [b"ab"]
    (_, piece, start, _), *_ = tokenizer.spans("e\u0301")
    assert (piece, start) == ("é".encode(), 0)  # what the model reads, where the library says it stands


def test_a_limit_saved_in_a_file_does_not_cut_a_text(tmp_path: Path) -> None:
    backend = tokenizers.Tokenizer.from_file(str(byte_level(tmp_path) / "tokenizer.json"))
    backend.enable_truncation(4)
    backend.enable_padding(length=16)
    check_faithful(Tokenizer.from_file(save(backend, tmp_path)), "abcdefghij")


# --- Special tokens, begin of text ---------------------------------------------------------------------


def test_special_tokens_in_a_text_are_text_unless_allowed(made: dict[str, Tokenizer]) -> None:
    tokenizer, text = made["byte_level"], "a<|end|><tool>"
    end, tool = (tokenizer._vocabulary._backend.token_to_id(name) for name in ("<|end|>", "<tool>"))
    assert tokenizer.special_ids == {end}
    assert {end, tool} & set(tokenizer.encode(text)) == {tool}
    assert {end, tool} & set(tokenizer.encode(text, specials="strict")) == set()
    assert {end, tool} <= set(tokenizer.encode(text, specials="allow"))
    for specials in ("text", "strict", "allow"):
        spans = tokenizer.spans(text, specials=specials)
        assert b"".join(piece for _, piece, _, _ in spans) == text.encode()


def test_bytes_and_ranks_take_a_special_token_where_it_is_allowed() -> None:
    for tokenizer in (Tokenizer.bytes(), Tokenizer.from_tiktoken("gpt2")):
        name = tokenizer.token_text(tokenizer.eos_ids[0])
        assert tokenizer.eos_ids[0] not in tokenizer.encode(f"a{name}b")
        assert tokenizer.encode(f"a{name}b", specials="allow").count(tokenizer.eos_ids[0]) == 1


class Slow:
    """A library that is interrupted between being told how to treat specials and reading the text."""

    encode_special_tokens = False

    def encode(self, text: str, *, add_special_tokens: bool) -> SimpleNamespace:
        time.sleep(0.001)
        return SimpleNamespace(ids=[int(self.encode_special_tokens)])


def test_threads_do_not_hear_each_other_ask_for_specials(tmp_path: Path) -> None:
    tokenizer, wrong = Tokenizer.from_file(byte_level(tmp_path)), []
    tokenizer._vocabulary._backend = Slow()

    def work(specials: str) -> None:
        for _ in range(20):
            if tokenizer.encode("a", specials=specials) != [int(specials == "text")]:
                wrong.append(specials)

    threads = [threading.Thread(target=work, args=(specials,)) for specials in ("text", "allow") * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_a_prompt_begins_as_the_post_processor_says(made: dict[str, Tokenizer]) -> None:
    tokenizer = made["byte_fallback"]
    assert tokenizer.opening == (1,) and tokenizer.bos_id == 1
    assert tokenizer.encode_prompt("ab") == [1, *tokenizer.encode("ab")]
    assert tokenizer.decode(tokenizer.encode_prompt("ab")) == "<s> ab"
    assert tokenizer.encode("ab", bos=True) == tokenizer.encode_prompt("ab")
    with pytest.raises(InputError) as refused:
        tokenizer.encode_prompt("")  # the BOS alone is no prompt
    assert refused.value.code == "empty_prompt"


@pytest.mark.parametrize(
    ("config", "opens"),
    [
        ({"add_bos_token": True, "bos_token": "<|end|>"}, True),
        ({"add_bos_token": True, "bos_token": {"content": "<|end|>", "special": True}}, True),
        ({"add_bos_token": False, "bos_token": "<|end|>"}, False),
        ({"bos_token": "<|end|>"}, False),
        ({"add_bos_token": True}, False),
    ],
)
def test_a_prompt_begins_as_add_bos_token_says(tmp_path: Path, config: dict, opens: bool) -> None:
    folder = byte_level(tmp_path)
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    tokenizer = Tokenizer.from_file(folder)
    end = min(tokenizer.special_ids)
    assert tokenizer.encode_prompt("ab") == [*([end] if opens else []), *tokenizer.encode("ab")]
    assert tokenizer.encode("ab", bos=True)[:1] == ([end] if "bos_token" in config else tokenizer.encode("ab"))


@pytest.mark.parametrize("config", [{}, {"add_bos_token": True}, {"add_bos_token": False}], ids=str)
@pytest.mark.parametrize("kind", ["PreTrainedTokenizerFast", "LlamaTokenizerFast"])
def test_a_prompt_is_what_transformers_would_send(tmp_path: Path, config: dict, kind: str) -> None:
    transformers = pytest.importorskip("transformers")
    folder = byte_fallback(tmp_path)
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": kind, "bos_token": "<s>", **config}))
    peer = transformers.AutoTokenizer.from_pretrained(folder)
    assert Tokenizer.from_file(folder).encode_prompt("ab é") == peer("ab é").input_ids


def test_an_end_put_after_a_text_does_not_go_with_a_prompt(tmp_path: Path) -> None:
    backend = tokenizers.Tokenizer.from_file(str(byte_fallback(tmp_path) / "tokenizer.json"))
    backend.post_processor = processors.TemplateProcessing("<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)])
    assert Tokenizer.from_file(save(backend, tmp_path)).encode_prompt("ab")[0] == 1
    assert 2 not in Tokenizer.from_file(tmp_path).encode_prompt("ab")


def test_settings_come_from_the_files_beside(tmp_path: Path) -> None:
    folder = byte_level(tmp_path / "my-model")
    (folder / "tokenizer_config.json").write_text(json.dumps({"eos_token": "<|end|>", "chat_template": "{{ 1 }}"}))
    tokenizer = Tokenizer.from_file(folder)
    assert tokenizer.name == "my-model"
    assert (tokenizer.eos_ids, tokenizer.chat_template) == ((min(tokenizer.special_ids),), "{{ 1 }}")
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": [3, 4]}))
    (folder / "chat_template.jinja").write_text("{{ 2 }}")
    tokenizer = Tokenizer.from_file(folder / "tokenizer.json", name="other")
    assert (tokenizer.name, tokenizer.eos_ids, tokenizer.chat_template) == ("other", (3, 4), "{{ 2 }}")


def test_sizes_with_and_without_added_tokens(shared_tokenizers: Path) -> None:
    llama = Tokenizer.from_file(shared_tokenizers / "llama3")
    assert (llama.vocabulary_size, llama.vocabulary_base) == (128_256, 128_000)
    assert llama.opening == () and llama.token_text(llama.bos_id) == "<|begin_of_text|>"


@pytest.mark.parametrize("kind", KINDS)
def test_an_id_without_a_token_is_nothing(made: dict[str, Tokenizer], kind: str) -> None:
    for token in (-1, 10**7, 2**40):
        assert made[kind].token_bytes(token) == b""
        assert made[kind].display(token) == f"⟨{token}⟩"


# --- Streams -------------------------------------------------------------------------------------------


def test_a_stream_holds_back_half_characters() -> None:
    tokenizer = Tokenizer.from_tiktoken("gpt2")
    stream = TextStream(tokenizer)
    assert [stream.push(token) for token in tokenizer.encode("cœur 🤗")] == ["c", "", "œ", "ur", " ", "", "🤗"]
    assert stream.flush() == ""


def test_a_stream_cut_inside_a_character_says_so() -> None:
    stream = TextStream(Tokenizer.bytes())
    assert [stream.push(byte) for byte in "é".encode()[:1]] == [""]
    assert stream.flush() == "\ufffd"


# --- Errors --------------------------------------------------------------------------------------------


def raises(kind: type[CapotError], code: str):
    return pytest.raises(kind, check=lambda error: error.code == code and error.message("fr") and error.message("en"))


def test_half_of_a_surrogate_pair_is_refused() -> None:
    with raises(InputError, "not_unicode"):
        Tokenizer.bytes().encode("a\ud83e")


def test_an_unknown_way_of_treating_specials_is_refused() -> None:
    with raises(InputError, "specials_mode"):
        Tokenizer.bytes().encode("a", specials="yes")


def test_files_that_are_missing_old_or_damaged(tmp_path: Path) -> None:
    with raises(NotFoundError, "tokenizer_missing"):
        Tokenizer.from_file(tmp_path)
    with raises(NotFoundError, "tokenizer_missing"):
        Tokenizer.from_file(tmp_path / "tokenizer.json")
    (tmp_path / "tokenizer.model").write_bytes(b"")
    with raises(ModelError, "tokenizer_format"):
        Tokenizer.from_file(tmp_path)
    (tmp_path / "tokenizer.json").write_text('{"model": 1}')
    with raises(ModelError, "tokenizer_damaged"):
        Tokenizer.from_file(tmp_path)


def test_tiktoken_missing_unknown_or_offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    tiktoken = pytest.importorskip("tiktoken")
    with raises(NotFoundError, "unknown_tokenizer"):
        Tokenizer.from_tiktoken("nothing_base")

    def no_network(*_: object, **__: object) -> bytes:
        raise OSError("no network")

    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(tiktoken.load, "read_file", no_network)
    with raises(NetworkError, "tiktoken_download"):
        Tokenizer.from_tiktoken("p50k_base")
    monkeypatch.setitem(sys.modules, "tiktoken", None)
    with raises(MissingExtraError, "missing_extra"):
        Tokenizer.from_tiktoken("p50k_base")
    assert Tokenizer.from_tiktoken("o200k_base").encode("a") == [64]  # packaged: needs nothing


def test_added_tokens_keep_their_flags(tmp_path: Path) -> None:
    backend = tokenizers.Tokenizer.from_file(str(byte_level(tmp_path) / "tokenizer.json"))
    backend.add_tokens([AddedToken("<think>", special=False, lstrip=True)])
    tokenizer = Tokenizer.from_file(save(backend, tmp_path))
    spans = tokenizer.spans("a <think>", specials="allow")  # the token swallows the space before it
    assert spans[-1][1:] == (b"<think>", 1, 9)
