"""What a terminal proposes in the place of a value that it refuses: a line to paste, which then is taken."""

from __future__ import annotations

import io
import json
import shlex
from pathlib import Path

import click
import pytest
from conftest import ROOT
from test_cli import CALLS, typed
from test_errors import raised, words

from capot.cli import commands, group
from capot.cli.words import CallContext, Number, called

# Where a text may be read from elsewhere; what names a token, a stop string, an id or a model is itself.
ITSELF = {
    "--rank", "--target", "--between", "--stop", "--attention", "--heads", "--compare", "--space", "--model",
    "--engine", "--device", "--dtype", "--revision", "--gpu", "--precision", "--kv-precision", "--users-at",
    "--tokens", "--mode", "--search", "--template", "--host", "--allow-host", "--access-code",
    "--trusted-proxy", "--root-path", "--lessons", "--lang",
}  # fmt: skip
IDS = {"--ids", "--decode"}  # numbers, from a file or standard input by the same rule


def command(name: str) -> click.Command:
    found = group.get_command(CallContext(group), name)
    assert found is not None
    return found


def numbers_of(name: str) -> list[str]:
    found = [param for param in command(name).params if isinstance(param, click.Option)]
    return [called(param) for param in found if isinstance(param.type, Number) or param.type.name in ("T", "A,B")]


WORDS = {"--heads", "--between"}  # of several: texts, not numbers
NUMBERS = [(name, option) for name in commands() for option in numbers_of(name) if option not in WORDS]
BESIDE = {"--head": ("--part", "head")}  # without which the option says nothing
LINES = {
    "serve": ["serve", "--no-open", "--model", "scripted"],
    "models": ["models", "--search", "tiny"],
    "steer": ["steer", "It is", "--toward", "A happy day", "--away", "A sad face"],
    "memory": ["memory", "--tokens", "1"],
}


@pytest.fixture
def quiet(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """A lab that serves nobody and a hub that finds nothing; the line of a talk."""
    monkeypatch.setattr("capot.web.serve.serve", lambda *_, **__: None)
    monkeypatch.setattr("capot.chapters.models.verb._search", lambda *_, **__: [])
    (tmp_path / "talk.txt").write_text("Hello\n", encoding="utf-8")
    return ["chat", "--script", str(tmp_path / "talk.txt"), "--max-new-tokens", "1"]


@pytest.mark.parametrize(("name", "option"), NUMBERS)
def test_a_number_that_is_refused_has_one_that_is_taken(
    capsys: pytest.CaptureFixture[str], quiet: list[str], name: str, option: str
) -> None:
    line = [*(LINES.get(name) or CALLS.get(name) or quiet), *BESIDE.get(option, ())]
    real = option in {"--strength", "--temperature", "--price-in", "--price-out"}
    proposed = set()
    for wrong in ("abc", "nan", "1.5", "-9e99", "1e400", "9" * 30, "-" + "9" * 30):
        if wrong == "1.5" and real:
            continue  # these take it
        given = [f"{option}={wrong}"] if option.startswith("--") else [option, wrong]
        status, out, _ = typed(capsys, *line, *given, "--json")
        assert status == 2, out
        error = json.loads(out)["error"]
        assert error["code"] in ("not_a_number", "not_whole", "out_of_range")
        said, hint = error["message"].splitlines()
        assert said.startswith(f"{option} "), "it is named as it is typed"
        assert hint.startswith(f"Try: {option}")
        proposed.add(hint.removeprefix("Try: "))
    for hint in proposed:
        status, _, err = typed(capsys, *line, *shlex.split(hint))
        assert status == 0, (hint, err)


@pytest.mark.parametrize(("command_line", "path"), [
    (["next", "a", "--html"], "{place}/nowhere/page.html"), (["next", "a", "--html"], "{place}"),
    (["assistant", "a", "--write-template"], "{place}/nowhere/own.toml"),
    (["assistant", "a", "--write-template"], "taken.toml"), (["worksheet", "-o"], "{place}/nowhere/1.html"),
])  # fmt: skip
def test_a_file_that_cannot_be_written_has_a_place_where_it_can(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, command_line: list[str],
    path: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    (tmp_path / "taken.toml").write_text("mine", encoding="utf-8")
    model = [] if command_line[0] == "worksheet" else ["--model", "scripted"]
    status, _, err = typed(capsys, *command_line, path.format(place=tmp_path), *model)
    hint = err.splitlines()[-1].partition(": ")[2]
    assert status == 2 and hint.startswith("-")
    assert typed(capsys, *command_line[:-1], *shlex.split(hint), *model)[0] == 0
    assert len(list(tmp_path.iterdir())) == 2 and (tmp_path / "taken.toml").read_text() == "mine"


# --- Every message of the catalogue that a value of the command line may meet ends with a line to paste, or here:

FILES = """config_divided config_field config_layers config_list config_value file_irregular file_not_text file_too_long
file_unreadable tensor_missing tensor_shape packed_unsaid safetensors_format tokenizer_bound tokenizer_grows
tokenizer_stops no_table table_dtype family_unsaid crop_refused no_token_by_token model_refused needs_package"""
PYTHON = """argument_missing argument_twice closed conversation_field forked no_pandas no_rows no_such_setting
not_copied not_unicode stream_not_copied unknown_role unnamed_argument unnamed_list wrong_kind"""
REASONS = {
    "what a model's files hold, which no line mends": FILES,
    "met from Python, or behind a form, alone": PYTHON + " lesson_evidence prediction_form one_message",
    "no value is wrong: Ctrl-C": "interrupted",
    "what a server answers, in its own words": "server_refused",
}


@pytest.mark.parametrize("lang", ["en", "fr"])
def test_every_message_ends_with_a_line_to_paste_or_is_known_to_have_none(lang: str) -> None:
    source = ROOT / "src/capot"
    asking = [path for path in source.rglob("*.py") if path.relative_to(source).parts[0] != "web"]
    code_of = "".join(path.read_text(encoding="utf-8") for path in asking)
    reaching = {code for code in raised() if f'"{code}"' in code_of}
    bare = {code for code, entry in words(lang).items() if not entry.get("hint") and code in reaching}
    assert bare == {code for codes in REASONS.values() for code in codes.split()}


# --- One rule for every text: itself, -, @FILE, @@


def test_every_text_of_every_command_is_read_by_one_rule(tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_bytes("\ufeffThe cat\r\n".encode())
    seen = set()
    for name in commands():
        for param in command(name).params:
            if param.type.name == "TEXT":
                seen.add(f"{name} {called(param)}")
                for given, text in ((f"@{tmp_path / 'text.txt'}", "The cat"), ("@@cat", "@cat"), ("cat", "cat")):
                    assert param.type.convert(given, param, None) == text
                told = param.get_help_record(CallContext(command(name)))
                assert told and ("@FILE" in told[1] or param.name == "word"), f"{name} {called(param)}"
            elif isinstance(param, click.Option) and param.type.name in ("text", "A,B"):
                assert called(param) in ITSELF | IDS or numeric(param)
    assert {"patch --source", "steer --toward", "steer --away", "assistant --system", "chat --system"} <= seen


def numeric(param: click.Parameter) -> bool:
    return getattr(param.type, "kind", str) is int


@pytest.mark.parametrize(("line", "field"), [
    (["patch", "a", "--source", "TEXT", "--layer", "1"], "source"),
    (["steer", "a", "--toward", "TEXT", "--away", "b"], "toward"),
    (["steer", "a", "--toward", "b", "--away", "TEXT"], "away"),
])  # fmt: skip
def test_a_text_option_reads_a_file_and_standard_input(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, line: list[str], field: str
) -> None:
    (tmp_path / "text.txt").write_bytes(b"The cat\n")
    for given, text in ((f"@{tmp_path / 'text.txt'}", "The cat"), ("-", "piped"), ("@@x", "@x")):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"piped\n")))
        status, out, _ = typed(capsys, *[given if word == "TEXT" else word for word in line], "--json")
        assert status == 0 and json.loads(out)[field] == text


@pytest.mark.parametrize("line", [["patch", "-", "--source", "-"], ["context", "-", "-"], ["embed", "-", "-"]])
def test_standard_input_feeds_one_text(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, line: list[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"cat\n")))
    status, out, _ = typed(capsys, *line, "--json")
    assert status == 2 and json.loads(out)["error"]["code"] == "stdin_twice"


@pytest.mark.parametrize(("lang", "word"), [("en", "score"), ("fr", "évaluer")])
def test_a_score_of_nothing_speaks_of_a_text(capsys: pytest.CaptureFixture[str], lang: str, word: str) -> None:
    status, _, err = typed(capsys, "score", "", "--lang", lang)
    assert status == 2 and word in err.splitlines()[0] and "prompt" not in err


@pytest.mark.parametrize("line", [
    ["tokens", "@NAME"], ["tokens", "a", "--compare", "NAME"], ["chat", "--script", "NAME"], ["card", "NAME"],
    ["next", "a", "--html", "NAME"], ["next", "a", "--model", "NAME"], ["assistant", "a", "--template", "NAME"],
    ["lesson", "check", "NAME"], ["worksheet", "-o", "x", "--lessons", "NAME"],
    ["memory", "--simulate", "--model", "NAME"], ["serve", "--no-open", "--lessons", "NAME"],
    ["patch", "a", "--source", "@NAME"],
])  # fmt: skip
def test_a_name_too_long_for_a_file_is_refused_in_words(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, line: list[str]
) -> None:
    """pathlib raises at the first question about such a name, wherever it is asked."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.chdir(tmp_path)
    status, _, err = typed(capsys, *[word.replace("NAME", "a" * 300) for word in line])
    assert "Traceback" not in err and (status == 2 or line[2:3] == ["--compare"])


@pytest.mark.parametrize("option", ["--html", "--script"])
def test_an_empty_name_of_a_file_is_no_folder(capsys: pytest.CaptureFixture[str], option: str) -> None:
    line = ["chat"] if option == "--script" else ["next", "a"]
    status, out, _ = typed(capsys, *line, option, "", "--json")
    assert status == 2 and json.loads(out)["error"]["code"] == "option_needs_value"
