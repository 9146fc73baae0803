"""The small files of a model's folder changed at random, and everything that reads one: read, or refused in words.

python tests/texts_fuzz.py 2000
"""

from __future__ import annotations

import json
import random
import shutil
import sys
import tempfile
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import capot
from capot.chapters.assistant.ways import templates
from capot.errors import CapotError
from capot.sources.checkpoint import Checkpoint
from capot.text.templates import Message
from capot.text.tokenizer import TextStream, Tokenizer

BOXED = Path(capot.__file__).parent / "boxed"
INDEX = "model.safetensors.index.json"
TEMPLATE = "{% for m in messages %}{{ bos_token }}{{ m.role }}: {{ m.content }}{% endfor %}"
ODD: list[Any] = [
    None, 0, -1, 2, 2.5, True, "", "x", "<s>", "\ud800", "a\ud83e", "é" * 50, [], {}, [1], [None], ["x"], [[]], [{}],
    {"a": 1}, {"content": None}, {"content": "\udfff"}, {"content": ["x"]}, 10**30, int("9" * 400), float("nan"),
    float("inf"), [{"name": ["default"], "template": "{{ 1 }}"}], [{"name": "default", "template": 3}],
    [{"name": {}, "template": None}], [{"template": "{{ messages }}"}], {"default": "{{ messages }}"}, "{% if",
    "{{ messages[0]['content'] }}", [2, None, 3], ["<s>", 7], "../x.safetensors", "part-1.safetensors\0", "x" * 3000,
    {"1": {"content": 3}, "x": None}, {"type": "Nothing"}, {"type": "WordPiece", "prefix": 3}, [[0]] * 3,
]  # fmt: skip
BYTES = [
    b"", b"\xff", b"\xff\xfe{\0}\0", b"\xef\xbb\xbf{}", b"\xef\xbb\xbf{{ messages }}", b"[]", b"null", b"{", b"\0" * 40,
    b"[" * 5000, b'{"a": ' * 3000, b'{"a": 1e999999}', b'{"eos_token_id": ' + b"9" * 9000 + b"}", b"caf\xe9 {{ 1 }}",
    b'{"chat_template": "\\ud800"}', b"{% for x in range(10**9) %}{% endfor %}", b"{{ '\\ud800' }}", b"\r\n" * 9,
]  # fmt: skip
FIELDS = {
    "tokenizer_config.json": (
        "bos_token", "eos_token", "chat_template", "add_bos_token", "added_tokens_decoder", "pad_token", "unk_token",
        "model_max_length", "clean_up_tokenization_spaces", "tokenizer_class", "x_token",
    ),
    "generation_config.json": ("eos_token_id", "bos_token_id", "max_length", "temperature"),
    "special_tokens_map.json": ("bos_token", "eos_token", "additional_special_tokens"),
    INDEX: ("weight_map", "metadata"),
    "tokenizer.json": ("added_tokens", "normalizer", "pre_tokenizer", "post_processor", "decoder", "model", "padding"),
    "config.json": ("architectures", "auto_map", "model_type", "text_config", "license"),
}  # fmt: skip
RAW = (*FIELDS, "chat_template.jinja", "README.md")


def folder_in(place: Path) -> Path:
    """A sound folder: a small tokenizer, and weights of one tensor in a file of their own."""
    from tokenizers import AddedToken, decoders, models, pre_tokenizers
    from tokenizers import Tokenizer as Backend

    place.mkdir()
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    backend = Backend(models.BPE({word: place for place, word in enumerate(["<s>", "</s>", *letters])}, []))
    backend.pre_tokenizer, backend.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    backend.add_special_tokens([AddedToken(name, special=True) for name in ("<s>", "</s>")])
    backend.save(str(place / "tokenizer.json"))
    shutil.copy(BOXED / "config.json", place)
    header = json.dumps({"x": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}).encode()
    (place / "part-1.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + bytes(8))
    texts = {
        INDEX: {"weight_map": {"x": "part-1.safetensors"}},
        "tokenizer_config.json": {"bos_token": "<s>", "eos_token": "</s>", "chat_template": TEMPLATE},
        "generation_config.json": {"eos_token_id": 1},
        "special_tokens_map.json": {"bos_token": "<s>"},
    }
    for name, fields in texts.items():
        (place / name).write_text(json.dumps(fields))
    return place


def changes(seed: int, count: int) -> Iterator[tuple[str, bytes | dict[str, Any]]]:
    """``count`` times a file's name, and what it is written over with: bytes, or fields."""
    dice = random.Random(seed)
    for _ in range(count):
        if dice.random() < 0.2:
            yield dice.choice(RAW), dice.choice(BYTES)
        else:
            name = dice.choice(list(FIELDS))
            fields: dict[str, Any] = {dice.choice(FIELDS[name]): dice.choice(ODD) for _ in range(dice.choice((1, 2)))}
            if name == INDEX and dice.random() < 0.5:
                fields = {"weight_map": {dice.choice(("x", "y", "")): dice.choice(ODD)}}
            yield name, fields


def conversation(model: Any) -> None:
    ways = templates(model)
    messages = [Message("user", "a </s> b")]
    for way in ways.values():
        way.prompt(messages, model.tokenizer)


def tokens(model: Any) -> None:
    tokenizer: Tokenizer = model.tokenizer
    ids = tokenizer.encode_prompt("e\u0301 a")
    assert len(tokenizer.spans("e\u0301 a")) <= len(ids)
    stream = TextStream(tokenizer)
    assert isinstance(tokenizer.decode(ids) + "".join(map(stream.push, ids)) + stream.flush(), str)
    assert all(isinstance(end, int) for end in tokenizer.eos_ids)
    json.dumps([tokenizer.display(token) for token in ids], ensure_ascii=False).encode()


def card(model: Any) -> None:
    model.card().to_json()
    model.card().to_text("fr").encode()


READERS: tuple[Callable[[Any], object], ...] = (
    card, tokens, conversation, lambda model: model.checkpoint.tensors, lambda model: model.checkpoint.eos_ids,
)  # fmt: skip


def outcomes(folder: Path, name: str, written: bytes | dict[str, Any]) -> Iterator[str]:
    """What each reader answers, ``read`` or the code of a refusal; the folder is sound again afterwards."""
    path, before = folder / name, (folder / name).read_bytes() if (folder / name).exists() else None
    if isinstance(written, dict):
        path.write_text(json.dumps(json.loads(before or b"{}") | written))
    else:
        path.write_bytes(written)
    try:
        for ask in READERS:
            try:
                with capot.open(folder) as model:
                    ask(model)
            except CapotError as error:
                told = [error.public().message(lang) for lang in ("en", "fr")]
                assert all(told) and max(map(len, told)) < 2000, error.code
                json.dumps(told, ensure_ascii=False).encode()
                yield error.code
            else:
                yield "read"
    finally:
        path.unlink()
        if before is not None:
            path.write_bytes(before)


def main() -> None:
    found: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as place:
        folder = folder_in(Path(place) / "mine")
        assert set(outcomes(folder, INDEX, {})) == {"read"}, Checkpoint.open(folder)
        for name, written in changes(1, int(sys.argv[1])):
            try:
                found.update(outcomes(folder, name, written))
            except BaseException as error:
                frame = traceback.extract_tb(sys.exc_info()[2])[-1]
                at = f"{frame.filename[-40:]}:{frame.lineno}"
                found[f"TRACEBACK {name} {error!r:.80} {at} from {written!r:.60}"] += 1
    for code, times in found.most_common():
        print(f"{times:7} {code}")


if __name__ == "__main__":
    main()
