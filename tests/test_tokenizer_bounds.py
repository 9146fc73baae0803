"""Tokenizers that would cost without end: refused by their file, or before they make a text longer."""

from __future__ import annotations

import base64
import copy
import json
import struct
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tokenizers
from conftest import ROOT
from tokenizers import normalizers, pre_tokenizers

import capot
from capot.errors import CapotError
from capot.text.tokenizer import Tokenizer, bounds
from capot.text.tokenizer import files as reading
from capot.text.tokenizer.bounds import MAX_ADDED, MAX_AFFIX, MAX_NAME_CHARS, MAX_STEPS, MAX_TEMPLATE_TOKENS, MAX_WORD
from capot.text.tokenizer.growth import MAX_CHARSMAP_BYTES, MAX_GROWTH, MIN_BOUND, NormalizerGrowth

BOXED = ROOT / "src" / "capot" / "boxed"
FILE = json.loads((BOXED / "tokenizer.json").read_text(encoding="utf-8"))


def added(number: int, content: str) -> dict[str, Any]:
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    return {"id": number, "content": content, "special": True, **flags}


def replace(pattern: str, content: str, kind: str = "String") -> dict[str, Any]:
    return {"type": "Replace", "pattern": {kind: pattern}, "content": content}


def chain(*steps: dict[str, Any]) -> dict[str, Any]:
    return {"type": "Sequence", "normalizers": list(steps)}


def cutting(*steps: dict[str, Any]) -> dict[str, Any]:
    return {"type": "Sequence", "pretokenizers": list(steps)}


BYTES = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
SPACES = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True}


def template(pieces: list[dict[str, Any]], ids: list[int]) -> dict[str, Any]:
    pair = [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 0}}]
    names = {"<s>": {"id": "<s>", "ids": ids, "tokens": ["<s>"] * len(ids)}}
    return {"type": "TemplateProcessing", "single": pieces, "pair": pair, "special_tokens": names}


LOWER = {"type": "Lowercase"}
START, TEXT = {"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}
PIECES = {"type": "WordPiece", "unk_token": "a", "continuing_subword_prefix": "##", "vocab": {"a": 0}}
LETTERS = {"type": "BPE", "vocab": {"a": 0}, "merges": []}

# What is one too many, and the most that there may be, of each.
BOUNDS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "letters of a name": (
        {"added_tokens": [added(9, "x" * (MAX_NAME_CHARS + 1))]},
        {"added_tokens": [added(9, "x" * MAX_NAME_CHARS)]},
    ),
    "names": (
        {"added_tokens": [added(n, str(n)) for n in range(MAX_ADDED + 1)]},
        {"added_tokens": [added(n, str(n)) for n in range(20_000)]},
    ),
    "letters of all": (
        {"added_tokens": [added(n, f"{n:0500}") for n in range(8_001)]},
        {"added_tokens": [added(n, f"{n:0500}") for n in range(20)]},
    ),
    "steps": (
        {"normalizer": chain(*[LOWER] * (MAX_STEPS + 1))},
        {"normalizer": chain(*[LOWER] * (MAX_STEPS - 1)), "pre_tokenizer": None, "post_processor": None},
    ),
    "steps of steps": ({"normalizer": chain(chain(chain(*[LOWER] * MAX_STEPS)))}, {"normalizer": chain(chain())}),
    "bytes as letters": ({"pre_tokenizer": cutting(BYTES, BYTES, BYTES)}, {"pre_tokenizer": cutting(BYTES, BYTES)}),
    "spaces as letters": (
        {"pre_tokenizer": cutting(SPACES, cutting(SPACES, SPACES))},
        {"pre_tokenizer": cutting(SPACES, SPACES)},
    ),
    "tokens around": (
        {"post_processor": template([START] * (MAX_TEMPLATE_TOKENS + 1) + [TEXT], [3])},
        {"post_processor": template([START] * MAX_TEMPLATE_TOKENS + [TEXT], [3])},
    ),
    "tokens of one name": (
        {"post_processor": template([START, TEXT], [3] * (MAX_TEMPLATE_TOKENS + 1))},
        {"post_processor": template([START, TEXT], [3] * MAX_TEMPLATE_TOKENS)},
    ),
    "the text twice": (
        {"post_processor": template([TEXT, TEXT], [3])},
        {"post_processor": template([TEXT, START], [3])},
    ),
    "in a list": (
        {"post_processor": {"type": "Sequence", "processors": [template([TEXT, TEXT], [3])]}},
        {"post_processor": {"type": "Sequence", "processors": [template([TEXT], [3]), template([TEXT], [3])]}},
    ),
    "letters of a word": (
        {"model": PIECES | {"max_input_chars_per_word": MAX_WORD + 1}},
        {"model": PIECES | {"max_input_chars_per_word": MAX_WORD}},
    ),
    "a prefix": (
        {"model": LETTERS | {"continuing_subword_prefix": "#" * (MAX_AFFIX + 1)}},
        {"model": LETTERS | {"continuing_subword_prefix": "#" * MAX_AFFIX}},
    ),
    "a suffix": (
        {"model": LETTERS | {"end_of_word_suffix": "#" * (MAX_AFFIX + 1)}},
        {"model": LETTERS | {"end_of_word_suffix": "#" * MAX_AFFIX}},
    ),
    "letters of a token": (
        {"model": {"type": "Unigram", "unk_id": 0, "vocab": [["a", -1.0], ["b" * 1001, -2.0]]}},
        {"model": {"type": "Unigram", "unk_id": 0, "vocab": [["a", -1.0], ["b" * 1000, -2.0]]}},
    ),
}


def code_of(work: Callable[[], object]) -> str:
    """The code of the refusal, whose words name the model in both languages; else ``done``."""
    try:
        work()
    except CapotError as error:
        for lang in ("en", "fr"):
            assert "mine" in error.public().message(lang)
        return error.code
    return "done"


def written(folder: Path, change: dict[str, Any]) -> Path:
    (folder / "tokenizer.json").write_text(json.dumps(FILE | change), encoding="utf-8")
    return folder


def opened(folder: Path, change: dict[str, Any]) -> Tokenizer:
    return Tokenizer.from_file(written(folder, change), name="mine")


@pytest.mark.parametrize("bound", BOUNDS)
def test_what_a_file_may_hold_has_a_bound(tmp_path: Path, bound: str) -> None:
    beyond, within = BOUNDS[bound]
    assert code_of(lambda: opened(tmp_path, beyond)) == "tokenizer_bound"
    assert code_of(lambda: opened(tmp_path, within).encode("a b", specials="text")) == "done"


@pytest.mark.parametrize("bound", [name for name in BOUNDS if "model" not in BOUNDS[name][0]])
def test_the_library_is_not_asked_about_a_file_that_is_refused(tmp_path: Path, bound: str, monkeypatch) -> None:
    monkeypatch.setattr(tokenizers, "Tokenizer", None)
    assert code_of(lambda: opened(tmp_path, BOUNDS[bound][0])) == "tokenizer_bound"


def around(change: str) -> str:
    """A file whose name for too many tokens stands after the vocabulary, where it is looked for as well."""
    whole = json.dumps({key: value for key, value in FILE.items() if key != "added_tokens"})
    return whole[:-1] + change + "}"


@pytest.mark.parametrize("key", ["added_tokens", "added\\u005ftokens", "\\u0061dded_tokens", "added_token\\u0073"])
def test_nothing_is_hidden_behind_the_vocabulary(key: str) -> None:
    long = json.dumps([added(9, "x" * 1000)])
    for text in (
        around(f', "{key}" : {long}'),
        json.dumps({"added_tokens": [], "model": {}})[:-1] + f', "{key}": {long}}}',
    ):
        assert code_of(lambda text=text: bounds.check_file(text, model="mine")) == "tokenizer_bound"
    twice = f'{{"added_tokens": [], "{key}": {long}, "model": {{}}}}'
    assert code_of(lambda: bounds.check_file(twice, model="mine")) == "tokenizer_bound"


def test_of_an_ordinary_file_the_vocabulary_is_not_read_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    text = (BOXED / "tokenizer.json").read_text(encoding="utf-8")
    monkeypatch.setattr(bounds.json, "loads", lambda raw, loads=json.loads: loads(raw) if len(raw) < 100 else 1 / 0)
    bounds.check_file(text, model="mine")


ODD = {"type": "TemplateProcessing", "single": [3, {"SpecialToken": 4}], "special_tokens": []}
ODDER = json.dumps({"added_tokens": [3, {"content": 4}], "post_processor": ODD, "normalizer": [1], "pre_tokenizer": 1})


@pytest.mark.parametrize(
    "text", ["", "{}", "null", "[]", "{" * 100_000, '{"a":' * 5_000, '{"added_tokens": 3, "normalizer": "x"}', ODDER]
)
def test_what_is_no_tokenizer_is_left_to_the_library_to_refuse(tmp_path: Path, text: str) -> None:
    bounds.check_file(text, model="mine")
    (tmp_path / "tokenizer.json").write_text(text)
    assert code_of(lambda: Tokenizer.from_file(tmp_path, name="mine")) == "tokenizer_damaged"


# Texts that become longer.


def table(longest: int) -> dict[str, Any]:
    """SentencePiece's table of letters with an empty tree: it says how long what it writes may be."""
    raw = struct.pack("<I", 1024) + bytes(1024) + b"x" * longest + b"\0"
    return {"type": "Precompiled", "precompiled_charsmap": base64.b64encode(raw).decode()}


GROWING = {
    "five times a hundredfold": chain(*[replace("a", "a" * 100)] * 5),
    "three times a hundredfold": chain(*[replace("a", "a" * 100)] * 3),
    "a million at once": replace("a", "b" * 1_000_000),
    "between all letters": replace("", "b" * 300_000),
    "by an expression": replace("a|b", "b" * 300_000, "Regex"),
    "before the text": chain(*[{"type": "Prepend", "prepend": "a" * 300_000}]),
    "where nothing is": replace("(?=a)", "a" * 300_000, "Regex"),
    "a table of letters": table(MAX_CHARSMAP_BYTES + 1),
    "behind others": chain({"type": "NFKD"}, chain({"type": "Strip", "strip_left": True, "strip_right": True},
                                                   replace("a", "a" * 5000), replace("a", "a" * 5000))),
}  # fmt: skip


@pytest.mark.parametrize("normalizer", GROWING)
def test_a_file_that_makes_a_letter_a_book_is_refused_as_it_is_opened(
    tmp_path: Path, normalizer: str, monkeypatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(
        reading,
        "_library_errors",
        lambda name, stopping=reading._library_errors: (asked.append(name), stopping(name))[1],
    )
    assert code_of(lambda: opened(tmp_path, {"normalizer": GROWING[normalizer]})) == "tokenizer_grows"
    assert len(asked) == 1, "the library read the file, and no text"


def test_no_step_is_taken_that_would_be_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    growth, taken = NormalizerGrowth(GROWING["five times a hundredfold"], model="mine"), []
    kind = type(growth._steps[0])
    monkeypatch.setattr(
        kind, "apply", lambda step, text, apply=kind.apply: taken.append(apply(step, text)) or taken[-1]
    )
    assert code_of(lambda: growth.check("a")) == "tokenizer_grows"
    assert [len(text) for text in taken] == [100, 10_000] and growth.worst == 1e10


@pytest.mark.parametrize(
    "step", [replace("a", "aa"), replace("[ab]", "aa", "Regex"), {"type": "ByteLevel"}, replace("", "é")]
)
def test_what_a_text_becomes_is_never_more_than_its_bound(step: dict[str, Any]) -> None:
    one = NormalizerGrowth(step, model="mine")._steps[0]
    for text in ("", "a", "abc" * 700, "é" * 50, "🤗a " * 9):
        became = len(one.apply(text).encode())
        assert became <= one.bound(text) and became <= one.factor * len(text.encode()) + one.written


def test_a_text_may_become_two_dozen_times_as_long_and_no_more(tmp_path: Path) -> None:
    small, large = "a" * 100, "a" * 50_000
    for times in (MAX_GROWTH, MAX_GROWTH + 1):
        tokenizer = opened(tmp_path, {"normalizer": replace("a", "a" * times)})
        assert len(tokenizer.encode(small)) > 0, "what stays small may grow as it likes"
        assert code_of(lambda text=large, it=tokenizer: it.encode(text)) == (
            "done" if times == MAX_GROWTH else "tokenizer_grows"
        )
        assert code_of(lambda text=large, it=tokenizer: it.encode(text, specials="strict")) == (
            "done" if times == MAX_GROWTH else "tokenizer_grows"
        )


def published() -> dict[str, normalizers.Normalizer]:
    """What the files of known families have."""
    n = normalizers
    spaces = n.Replace(tokenizers.Regex(" {2,}"), " ")
    return {
        "Llama": n.Sequence([n.Prepend("▁"), n.Replace(" ", "▁")]),
        "Gemma": n.Replace(" ", "▁"),
        "BERT": n.BertNormalizer(),
        "ALBERT": n.Sequence(
            [n.Replace("``", '"'), n.Replace("''", '"'), n.NFKD(), n.StripAccents(), n.Lowercase(), spaces]
        ),
        "CLIP": n.Sequence([n.NFC(), n.Replace(tokenizers.Regex(r"\s+"), " "), n.Lowercase()]),
    }


@pytest.mark.parametrize("family", published())
def test_what_is_published_reads_long_texts_of_any_writing(family: str) -> None:
    normalizer = published()[family]
    growth = NormalizerGrowth(json.loads(normalizer.__getstate__()), model="mine")
    for text in ("a b " * 100_000, "é " * 150_000, "ﷺ" * 100_000, "漢字" * 100_000, " " * 300_000, "🤗" * 80_000):
        growth.check(text)
        assert len(normalizer.normalize_str(text).encode()) <= max(MIN_BOUND, MAX_GROWTH * len(text.encode()))


def test_unicode_makes_no_more_of_a_letter_than_is_said() -> None:
    for form, most in (("NFC", 3), ("NFD", 3), ("NFKC", 11), ("NFKD", 11)):
        every = (chr(code) for code in range(0x110000) if not 0xD800 <= code < 0xE000)
        assert max(len(unicodedata.normalize(form, one).encode()) / len(one.encode()) for one in every) <= most


# Regular expressions that take too many steps, and ids that are no rows.


@pytest.mark.parametrize("pattern", ["(a+)+$", "(a|aa)+$", "(x+x+)+y"])
def test_a_pattern_that_takes_too_many_steps_is_an_error(tmp_path: Path, pattern: str) -> None:
    split = {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}
    tokenizer = opened(tmp_path, {"pre_tokenizer": cutting(split, BYTES)})
    assert code_of(lambda: tokenizer.encode("a b")) == "done"
    for specials in ("text", "strict", "allow"):
        text = "x" * 40 if "x" in pattern else "a" * 40 + "b"
        assert (
            code_of(lambda text=text, specials=specials: tokenizer.encode(text, specials=specials)) == "tokenizer_stops"
        )
    assert tokenizer.encode("a b"), "and the next text is read"


@pytest.mark.parametrize("shift", [100_000, 2**31, 2**32 - 200_000])
def test_an_id_beyond_the_table_is_named(tmp_path: Path, shift: int) -> None:
    for file in BOXED.iterdir():
        if file.is_file() and file.name != "tokenizer.json":
            (tmp_path / file.name).write_bytes(file.read_bytes())
    change = copy.deepcopy(FILE["model"])
    change["vocab"] = {token: number + shift for token, number in change["vocab"].items()}
    written(tmp_path, {"model": change, "added_tokens": []})
    with capot.open(tmp_path) as model:
        for work in (
            lambda: model.embed(["cat", "dog"]), lambda: model.context("a", sentences=["a b", "c a"]),
            lambda: model.lens("ab"), lambda: model.next("ab", rank="cat"),
            lambda: model.generate("ab", max_new_tokens=1),
        ):  # fmt: skip
            with pytest.raises(CapotError) as caught:
                work()
            assert caught.value.code == "no_such_id" and caught.value.params["id"] >= shift
        assert model.tokens("ab").count > 0


def test_a_vocabulary_with_holes_and_doubles_reads(tmp_path: Path) -> None:
    vocabulary = {letter: number for number, letter in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    model = {"type": "BPE", "vocab": vocabulary | {"ab": 5000, "c": 7, "d": 7}, "merges": [["a", "b"]]}
    written(tmp_path, {"model": model, "added_tokens": [], "pre_tokenizer": BYTES, "decoder": BYTES})
    tokenizer = Tokenizer.from_file(tmp_path, name="mine")
    assert tokenizer.encode("ab") == [5000] and tokenizer.encode("cd") == [7, 7]
    assert tokenizer.token_bytes(4000) == tokenizer.token_bytes(2**40) == tokenizer.token_bytes(-1) == b""


def test_a_name_in_the_settings_that_is_half_a_character_is_refused(tmp_path: Path) -> None:
    written(tmp_path, {})
    for file in ("tokenizer_config.json", "generation_config.json"):
        (tmp_path / file).write_text('{"bos_token": "\\ud800", "eos_token": {"content": "\\udc00"}}')
        assert code_of(lambda: Tokenizer.from_file(tmp_path, name="mine")) == "json_invalid"
        (tmp_path / file).unlink()
