"""The command line: every command as a person types it, also wrongly, in both languages."""

from __future__ import annotations

import io
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from capot.cli import commands, group, run

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="a file that nobody can read, root neither")

BOXED = ("--model", "boxed")
FIELDS = {
    "card": "name architecture parameters file_bytes vocabulary_size context_length layers width heads kv_heads kind",
    "tokens": "text tokenizer vocabulary_size count characters bytes tokens comparisons",
    "next": "prompt temperature vocabulary_size entropy_bits exact candidates asked",
    "generate": "prompt text stop_reason prompt_tokens reused_tokens prefill_s decode_s tokens_per_s tokens",
    "embed": "shape words explained_variance cosine neighbours",
    "context": "word layers",
    "lens": "prompt layers",
    "network": "prompt tokens layers heads target contributions remainder attention",
    "ablate": "prompt before after changed moved by off",
    "patch": "prompt before after changed moved source part layer head position between difference grid",
    "steer": "prompt before after changed moved toward away layer strength added_norm stream_norm",
    "score": "text tokens bits perplexity bits_per_byte",
    "memory": "device mode weights_bytes rows",
    "assistant": "question answers",
    "chat": "turns",
}
CALLS = {
    "card": ["card"],
    "tokens": ["tokens", "Le chat dort.", "--compare", "english"],
    "next": ["next", "The capital of France is", "--rank", "Paris"],
    "generate": ["generate", "Once upon a time", "--max-new-tokens", "5", "--seed", "1"],
    "embed": ["embed", "cat", "dog", "cat"],
    "context": ["context", "chat", "Le chat dort.", "Un chat noir."],
    "lens": ["lens", "The capital of France is"],
    "network": [
        "network",
        "The capital of France is",
        "--attention",
        "4.2",
        "--target",
        " Paris",
        "--positions",
        "1,-1",
    ],
    "ablate": ["ablate", "The capital of France is", "--heads", "1.1", "--layers", "2"],
    "patch": ["patch", "The capital of France is", "--source", "The capital of Italy is", "--layer", "2"],
    "steer": ["steer", "It is", "--toward", "I love it", "--away", "I hate it", "--strength", "2"],
    "score": ["score", "The capital of France is"],
    "memory": ["memory", "--tokens", "1,16"],
    "assistant": ["assistant", "What is the capital of France?", "--max-new-tokens", "8", "--seed", "1"],
}


def typed(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    """Exit status, standard output and standard error of ``capot WORDS``."""
    try:
        status = run(list(words))
    except SystemExit as end:
        status = end.code
    told = capsys.readouterr()
    return int(status or 0), told.out, told.err


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    """The error of a call that must fail with exit status 2, as JSON; nothing else is printed."""
    status, out, _ = typed(capsys, *words, "--json")
    answer = json.loads(out)
    assert status == 2 and answer["ok"] is False and answer["error"]["message"], answer
    return answer["error"]


@pytest.mark.parametrize("name", CALLS)
def test_json_has_the_promised_fields(capsys: pytest.CaptureFixture[str], name: str) -> None:
    status, out, _ = typed(capsys, *CALLS[name], *BOXED, "--json")
    answer = json.loads(out)
    assert status == 0 and set(FIELDS[name].split()) <= set(answer), sorted(answer)


@pytest.mark.parametrize("lang", ["fr", "en"])
@pytest.mark.parametrize("name", CALLS)
def test_text_and_page_in_both_languages(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, name: str, lang: str
) -> None:
    status, out, _ = typed(capsys, *CALLS[name], *BOXED, "--lang", lang)
    assert status == 0 and out.strip() and "�" not in out
    page = tmp_path / "page.html"
    status, _, err = typed(capsys, *CALLS[name], *BOXED, "--lang", lang, "--html", str(page))
    html = page.read_text(encoding="utf-8")
    assert status == 0 and "page.html" in err and f'lang="{lang}"' in html
    assert "<script src" not in html and "<link" not in html
    outside_scripts = re.sub(r"(?s)<script.*?</script>", "", html)
    assert not re.findall(r'(?:src|href)="(?:https?:)?//[^"]+"', outside_scripts), "the page loads from outside"


def test_the_two_languages_differ(capsys: pytest.CaptureFixture[str]) -> None:
    texts = {lang: typed(capsys, "card", "--lang", lang)[1] for lang in ("fr", "en")}
    assert "paramètres" in texts["fr"].lower() and "parameters" in texts["en"].lower()


@pytest.mark.parametrize("name", sorted(commands()))
@pytest.mark.parametrize("lang", ["fr", "en"])
def test_help_of_every_command(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, name: str, lang: str
) -> None:
    monkeypatch.setenv("CAPOT_LANG", lang)
    status, out, _ = typed(capsys, name, "--help")
    assert status == 0 and ("Usage: " if lang == "en" else "Usage : ") in out.replace("\u00a0", " ")


def test_chat_plays_a_script(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    script = tmp_path / "talk.txt"
    script.write_text("Hello\n\nAnd you?\n", encoding="utf-8")
    status, out, _ = typed(capsys, "chat", "--script", str(script), "--max-new-tokens", "6", "--seed", "1", "--json")
    turns = json.loads(out)["turns"]
    assert status == 0 and [turn["user"] for turn in turns] == ["Hello", "And you?"]
    fields = "user assistant sent_tokens computed_tokens generated_tokens first_token_s total_s"
    assert all(set(fields.split()) <= set(turn) for turn in turns)
    assert turns[1]["computed_tokens"] < turns[1]["sent_tokens"]


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"abc", "abc"),
        (b"abc\n", "abc"),
        (b"abc\r\n", "abc"),
        (b"abc\n\n", "abc\n"),
        (b"abc\r\n\r\n", "abc\r\n"),
        (b"abc\r", "abc\r"),
        (b"  abc  \n", "  abc  "),
        (b"\xef\xbb\xbfabc\n", "abc"),
        (b"\xef\xbb\xbf\xef\xbb\xbfabc", "\ufeffabc"),
        (b"a\xef\xbb\xbfbc", "a\ufeffbc"),
    ],
)
def test_a_file_and_standard_input_are_read_by_one_rule(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, raw: bytes, text: str
) -> None:
    (tmp_path / "typed.txt").write_bytes(raw)
    for given in ("-", f"@{tmp_path / 'typed.txt'}"):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(raw)))
        status, out, _ = typed(capsys, "tokens", given, "--json")
        assert status == 0 and json.loads(out)["text"] == text, given


def test_a_prompt_that_ends_a_file_is_answered_as_the_same_prompt_typed(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    prompt = (
        "USER: What is the capital of Italy?\nASSISTANT: Rome.\nFIN\nUSER: What is the capital of France?\nASSISTANT:"
    )
    (tmp_path / "fin.txt").write_text(prompt + "\n", "utf-8")
    options = ["--stop", "FIN", "--temperature", "0", "--max-new-tokens", "6", "--json"]
    texts = [
        json.loads(typed(capsys, "generate", given, *options)[1])["text"] for given in (prompt, f"@{tmp_path}/fin.txt")
    ]
    assert texts[0].strip() and texts[0] == texts[1]


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("empty_prompt", ["next", ""]),
        ("empty_prompt", ["generate", ""]),
        ("empty_prompt", ["lens", ""]),
        ("empty_word", ["embed", "cat", ""]),
        ("empty_word", ["context", "", "The bank."]),
        ("empty_sentence", ["context", "bank", ""]),
        ("unknown_model", ["next", "a", "--model", "no-such-folder"]),
        ("prompt_too_long", ["next", "word " * 3000]),
        ("no_such_file", ["tokens", "@nowhere.txt"]),
        ("no_file_name", ["tokens", "@"]),
        ("cannot_read", ["tokens", "@."]),
        pytest.param("cannot_read", ["tokens", "@/proc/self/mem"], marks=linux_only),
        ("unknown_language", ["tokens", "a", "--lang", "zz"]),
        ("unknown_engine", ["next", "a", "--engine", "steam"]),
    ],
)
def test_what_is_typed_wrong(capsys: pytest.CaptureFixture[str], code: str, words: list[str]) -> None:
    assert refused(capsys, *words)["code"] == code


@pytest.mark.parametrize("lang", ["fr", "en"])
@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("missing_argument", ["next"]),
        ("too_many_arguments", ["next", "The", "capital"]),
        ("no_such_argument", ["memory", "64"]),
        ("no_such_argument", ["card", "Llama", "3.2"]),
        ("no_such_option", ["next", "a", "--bogus"]),
        ("option_is_a_flag", ["next", "a", "--json=1"]),
        ("not_whole", ["next", "a", "-k", "2.5"]),
        ("not_whole", ["generate", "a", "--seed", "x"]),
        ("out_of_range", ["models", "--search", "llama", "--limit", "0"]),
        ("not_whole", ["models", "--search", "llama", "--limit", "few"]),
        ("not_a_number", ["next", "a", "--temperature", "warm"]),
        ("bad_choice", ["tokens", "a", "--specials", "maybe"]),
        ("cannot_write", ["card", "--html", "."]),
    ],
)
def test_what_the_parser_refuses_is_said_in_our_words(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, code: str, words: list[str], lang: str
) -> None:
    monkeypatch.setenv("CAPOT_LANG", lang)
    error = refused(capsys, *words)
    assert error["code"] == code and not re.search(r"not a valid|unexpected|Got ", error["message"])


@pytest.mark.parametrize("value", ["xx", "de_DE.UTF-8", "\x1b[31mxx\n"])
def test_a_language_of_the_environment_that_nobody_speaks_is_told(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("CAPOT_LANG", value)
    status, out, err = typed(capsys, "tokens", "a", "--model", "scripted", "--json")
    assert status == 0 and json.loads(out)["count"] == 1
    assert len(err.splitlines()) == 1 and "\x1b" not in err
    assert "is not available; use one of: fr, en" in err and "n’est pas disponible" in err
    assert "disponible" not in typed(capsys, "tokens", "a", "--model", "scripted", "--lang", "fr")[2]


@pytest.mark.parametrize("value", ["", "fr", "FR_fr.UTF-8", "en"])
def test_a_language_of_the_environment_that_is_spoken_is_not_told(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("CAPOT_LANG", value)
    assert typed(capsys, "tokens", "a", "--model", "scripted")[2] == ""


def test_an_option_without_its_value(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = typed(capsys, "next", "a", "--json", "-k")
    assert status == 2 and json.loads(out)["error"]["code"] == "option_needs_value"


def test_a_decimal_comma_is_a_point(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = typed(capsys, "next", "a", "--temperature", "0,5", "--model", "scripted", "--json")
    assert status == 0 and json.loads(out)["temperature"] == 0.5


def test_a_large_seed_is_told_exactly(capsys: pytest.CaptureFixture[str]) -> None:
    message = refused(capsys, "generate", "a", "--seed", str(2**64))["message"]
    assert f"{2**64:,}" in message and f"{2**64 - 1:,}" in message


@pytest.mark.parametrize("value", ["-1", "nan", "inf", "warm"])
@pytest.mark.parametrize("verb", ["next", "generate"])
def test_a_temperature_that_is_none(capsys: pytest.CaptureFixture[str], verb: str, value: str) -> None:
    assert value.lstrip("-") in refused(capsys, verb, "a", "--temperature", value)["message"].lower()


def test_an_error_is_two_lines_a_person_can_use(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = typed(capsys, "next", "a", "--model", "boxd")
    assert status == 2 and not out
    assert "boxd" in err and "Traceback" not in err


def test_an_unknown_command_says_what_is_near(capsys: pytest.CaptureFixture[str]) -> None:
    status, _, err = typed(capsys, "tokns", "a")
    assert status == 2 and "tokens" in err


def test_standard_input_and_files(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    text = "Un œuf, s'il vous plaît 🤗"
    (tmp_path / "text.txt").write_text(text, encoding="utf-8")
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text.encode() + b"\n")))
    for source in ("-", f"@{tmp_path / 'text.txt'}", text):
        answer = json.loads(typed(capsys, "tokens", source, "--json")[1])
        assert answer["text"] == text and answer["bytes"] == len(text.encode())
        assert b"".join(bytes.fromhex(t["bytes"]) for t in answer["tokens"]) == text.encode()


def test_a_file_that_is_no_text(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "latin.txt").write_bytes("été".encode("latin-1"))
    assert refused(capsys, "tokens", f"@{tmp_path / 'latin.txt'}")["code"] == "not_utf8"
    (tmp_path / "wide.txt").write_bytes("été".encode("utf-16"))  # what PowerShell's > writes
    wide = refused(capsys, "tokens", f"@{tmp_path / 'wide.txt'}")
    assert wide["code"] == "not_utf8" and "iconv -f utf-16" in wide["message"]
    (tmp_path / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\n\0\0")
    assert refused(capsys, "tokens", f"@{tmp_path / 'picture.png'}")["code"] == "not_text"


def test_a_long_text(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "long.txt").write_text("é" * 100_000, encoding="utf-8")
    answer = json.loads(typed(capsys, "tokens", f"@{tmp_path / 'long.txt'}", "--json")[1])
    assert answer["characters"] == 100_000 and answer["bytes"] == 200_000


def test_the_model_of_the_environment(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAPOT_MODEL", "scripted")
    assert json.loads(typed(capsys, "tokens", "ab", "--json")[1])["vocabulary_size"] < 300


@pytest.fixture
def copy_of_the_model(tmp_path: Path) -> Path:
    from capot.model import BOXED as folder

    copy = tmp_path / "model"
    copy.mkdir()
    for name in ("config.json", "generation_config.json", "model.safetensors", "tokenizer.json"):
        shutil.copy(folder / name, copy / name)
    return copy


def test_a_truncated_model(capsys: pytest.CaptureFixture[str], copy_of_the_model: Path) -> None:
    weights = copy_of_the_model / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:100_000])
    assert "model.safetensors" in refused(capsys, "next", "a", "--model", str(copy_of_the_model))["message"]


def test_a_model_without_a_tokenizer(capsys: pytest.CaptureFixture[str], copy_of_the_model: Path) -> None:
    (copy_of_the_model / "tokenizer.json").unlink()
    assert "tokenizer" in refused(capsys, "next", "a", "--model", str(copy_of_the_model))["message"]


def test_a_page_that_cannot_be_written(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    target = tmp_path / "missing" / "page.html"
    assert refused(capsys, "card", "--html", str(target))["code"] == "cannot_write"
    assert not target.parent.exists()


def test_the_tour_walks_the_road(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = typed(capsys, "tour", "--lang", "fr")
    assert status == 0 and "RTE est le gestionnaire" in out and "La capitale de l’Australie est" in out
    assert "Once upon" not in out and "The capital" not in out, "a French tour takes French texts"
    answers = json.loads(typed(capsys, "tour", "--json")[1])
    assert len(answers) == 9 and answers[-1]["question"].startswith("How to remove an item")


def test_the_tour_goes_on_where_a_model_has_nothing_to_show(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """The scripted model has no files and no vectors: these stops say so, the others answer."""
    page = tmp_path / "tour.html"
    status, _, _ = typed(capsys, "tour", "--model", "scripted", "-o", str(page))
    text = page.read_text(encoding="utf-8")
    assert status == 0 and text.count('class="warning"') >= 2 and "Probability" in text
    answers = json.loads(typed(capsys, "tour", "--model", "scripted", "--json")[1])
    assert 4 <= len(answers) < 9


def test_a_ctrl_c_inside_an_import_ends_with_its_status() -> None:
    script = (
        "import sys; from capot.cli import group, run\n"
        "group.callback = lambda: exec('raise KeyboardInterrupt')  # as dataclasses and named tuples are made\n"
        "sys.exit(run([]))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 130 and "stopped" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT for another process on Windows")
def test_ctrl_c_keeps_what_was_written() -> None:
    words = ["generate", "Once upon a time", "--max-new-tokens", "400", "--seed", "3", "--model", "scripted", "--json"]
    interrupted = (
        "import os, signal, sys\n"
        "from capot.engines.scripted import ScriptedEngine as Engine\n"
        "step, count = Engine.step, [0]\n"
        "def stepped(self, feeds):\n"
        "    count[0] += 1\n"
        "    if count[0] == 10: os.kill(os.getpid(), signal.SIGINT)\n"
        "    return step(self, feeds)\n"
        "Engine.step = stepped\n"
        "from capot.__main__ import main\n"
        f"sys.argv = ['capot', *{words!r}]\n"
        "sys.exit(main())\n"
    )
    done = subprocess.run([sys.executable, "-c", interrupted], capture_output=True, text=True, check=False)
    out, err = done.stdout, done.stderr
    answer = json.loads(out)
    assert answer["stop_reason"] == "interrupted" and answer["text"], err
    assert "Traceback" not in err


def test_every_command_is_registered() -> None:
    assert set(CALLS) | {"chat"} <= set(group.list_commands(None))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "arguments", [["--lang", "fr", "--help"], ["--help", "--lang", "fr"], ["next", "--help", "--lang=fr"]]
)
def test_help_in_french_is_french_to_its_colons(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(arguments) == 0
    told = capsys.readouterr().out
    assert "Options\u00a0:" in told and "Options:" not in told and "default" not in told
    assert "next" not in arguments or "[par défaut\u00a0: 10]" in " ".join(told.split(" "))


def test_a_language_before_the_command_is_spoken(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--lang", "fr", "tokens", "abc", "--model", "scripted"]) == 0
    assert "3 caractères deviennent 3 tokens" in capsys.readouterr().out
    assert run(["--lang", "xx", "tokens", "abc"]) == 2
