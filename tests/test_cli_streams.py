"""Standard streams as people use them: pipes that close, full disks, old encodings, colours, narrow windows."""

from __future__ import annotations

import errno
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest
from conftest import ROOT

from capot.cli import commands, group, run, streams
from capot.errors import InputError

posix = pytest.mark.skipif(os.name == "nt", reason="streams of a POSIX shell")


def shell(line: str, *, text: bytes = b"", **settings: str) -> subprocess.CompletedProcess[bytes]:
    """Run a line of shell where ``capot`` is this very one."""
    surroundings = os.environ | {"PYTHONPATH": str(ROOT / "src")} | settings
    line = f'capot() {{ "{sys.executable}" -m capot "$@"; }}; {line}'
    return subprocess.run(["bash", "-c", line], capture_output=True, input=text, env=surroundings, check=False)


@posix
@pytest.mark.parametrize("verb", ["generate a --seed 2 --model scripted", "card", "tokens @long --json"])
def test_a_reader_that_has_seen_enough_is_no_failure(tmp_path: Path, verb: str) -> None:
    (tmp_path / "long").write_text("word " * 20_000)
    done = shell(f"cd {tmp_path}; capot {verb} | head -c 9; exit ${{PIPESTATUS[0]}}")
    assert done.returncode == 0 and len(done.stdout) == 9
    assert b"Traceback" not in done.stderr and b"ignored" not in done.stderr


@posix
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
@pytest.mark.parametrize("verb", ["generate a --max-new-tokens 9 --model scripted", "card", "card --json"])
def test_a_full_disk_is_told(verb: str) -> None:
    done = shell(f"capot {verb} > /dev/full")
    assert done.returncode == 2 and b"cannot be written" in done.stderr and b"Traceback" not in done.stderr


@posix
def test_streams_that_are_closed() -> None:
    done = shell("capot tokens - --json <&-")
    assert done.returncode == 2 and json.loads(done.stdout)["error"]["code"] == "no_stdin"
    assert shell("capot card >&-").returncode == 0
    assert shell("capot card --model nowhere 2>&-").returncode == 2


@posix
def test_bytes_that_are_no_text() -> None:
    done = shell("capot next - --json", text=b"caf\xe9")
    assert done.returncode == 2 and json.loads(done.stdout)["error"]["code"] == "not_utf8"
    done = shell("capot next $'caf\\xe9' --json")
    assert done.returncode == 2 and json.loads(done.stdout)["error"]["code"] == "not_utf8"
    done = shell("capot next a --model $'caf\\xe9' --json")
    assert done.returncode == 2 and json.loads(done.stdout)["error"]["code"] == "not_utf8"


def texts() -> list[tuple[str, click.Parameter]]:
    """Every place of a command where a text can be typed that is no file's name."""
    found = [(name, group.get_command(click.Context(group), name)) for name in commands()]
    return [
        (name, param)
        for name, command in found
        if command is not None
        for param in command.params
        if not (isinstance(param, click.Option) and param.is_flag)
        and not any(word in f"{param.type.name} {param.metavar}" for word in ("FILE", "DIR"))
    ]


@pytest.mark.parametrize("lang", ["fr", "en"])
def test_every_typed_text_is_held_to_utf8_in_one_sentence(lang: str, capsys: pytest.CaptureFixture[str]) -> None:
    said = {"fr": "n’est pas du texte en UTF-8 : l’octet 4", "en": "is not UTF-8 text: byte 4"}[lang]
    typed = b"\xc3\xa9te\xe9".decode("utf-8", "surrogateescape")  # as Python decodes what is typed
    assert len(texts()) > 150
    for name, param in texts():
        option = [max(param.opts, key=len)] if isinstance(param, click.Option) else []
        asked = [] if option == ["--lang"] else ["--lang", lang]
        assert run([name, *option, typed, *asked]) == 2
        written = capsys.readouterr()
        # Where the language itself is no text, the sentence is in the one in use.
        assert (said if asked else "UTF-8") in written.err.replace("\u202f", " ").replace("\xa0", " "), (
            name,
            param.name,
        )
        assert written.out == "" and len(written.err.splitlines()) == 1
        assert not option or option[0] in written.err


@posix
@pytest.mark.parametrize(
    "line",
    [
        "capot score @$'caf\\xe9' --model scripted",
        "capot tokens a --model scripted --html $'\\xe9.html' && test -s $'\\xe9.html'",
        "capot next a --model $'folder\\xe9'",
    ],
)
def test_the_name_of_a_file_may_be_any_bytes(line: str, tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"caf\xe9")).write_text("hello")
    (tmp_path / os.fsdecode(b"folder\xe9")).symlink_to(ROOT / "src" / "capot" / "boxed")
    done = shell(f"cd {tmp_path}; {line}")
    assert done.returncode == 0, done.stderr


class Stream(io.TextIOWrapper):
    """A stream of an old encoding, a terminal or not."""

    def __init__(self, *, terminal: bool) -> None:
        super().__init__(io.BytesIO(), encoding="cp1252")
        self.terminal = terminal

    def isatty(self) -> bool:
        return self.terminal


@pytest.mark.parametrize("terminal", [False, True])
def test_an_old_code_page_takes_any_text(monkeypatch: pytest.MonkeyPatch, terminal: bool) -> None:
    monkeypatch.delenv("PYTHONIOENCODING", raising=False)
    monkeypatch.setattr(sys, "stdout", stream := Stream(terminal=terminal))
    assert run(["next", "é", "-k", "1", "--lang", "fr", "--model", "scripted"]) == 0
    stream.flush()
    raw = stream.buffer.getvalue()
    assert "Modèle".encode("cp1252" if terminal else "utf-8") in raw
    assert ("█".encode() in raw) is not terminal


@pytest.mark.parametrize("number", [errno.EPIPE, errno.EINVAL])
def test_windows_says_a_broken_pipe_in_its_own_way(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    monkeypatch.setattr(streams, "_silence", lambda: None)
    monkeypatch.setattr(streams.os, "name", "nt")
    assert isinstance(streams.unprinted(OSError(number, "")), streams.ReaderLeft)
    monkeypatch.setattr(streams.os, "name", "posix")
    assert isinstance(streams.unprinted(OSError(errno.EPIPE, "")), streams.ReaderLeft)
    ours = OSError(errno.ENOENT, "no such file", "weights")
    assert streams.unprinted(ours) is ours
    assert isinstance(streams.unprinted(OSError(errno.ENOSPC, "full")), InputError)


@pytest.mark.parametrize(
    ("settings", "terminal", "expected"),
    [
        ({}, True, True),
        ({}, False, False),
        ({"NO_COLOR": "1"}, True, False),
        ({"FORCE_COLOR": "1"}, False, True),
        ({"NO_COLOR": "1", "FORCE_COLOR": "1"}, True, False),
        ({"TERM": "dumb"}, True, False),
        ({"TERM": "dumb", "FORCE_COLOR": "1"}, True, True),
    ],
)
def test_colour_only_where_it_is_wanted(
    monkeypatch: pytest.MonkeyPatch, settings: dict[str, str], terminal: bool, expected: bool
) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "stdout", stream := Stream(terminal=terminal))
    assert run(["tokens", "a b", "--lang", "en"]) == 0
    stream.flush()
    raw = stream.buffer.getvalue()
    assert (b"\x1b[" in raw) is expected
    assert expected or "│".encode() in raw or b"\\u2502" in raw  # what no colour parts, a line does


@pytest.mark.parametrize("columns", ["1", "0", "-3", "abc", "20", "44", "300"])
@pytest.mark.parametrize("words", [["card"], ["tokens", "a 🤗 é", "--compare", "gpt2"], ["next", "a", "--rank", "b"]])
def test_a_window_of_any_width(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], columns: str, words: list[str]
) -> None:
    from capot.view.visible import width

    monkeypatch.setenv("COLUMNS", columns)
    model = [] if words[0] == "card" else ["--model", "scripted"]
    assert run([*words, *model]) == 0
    widest = max(width(line) for line in capsys.readouterr().out.splitlines())
    assert widest <= {"20": 40, "1": 40, "44": 44, "300": 120}.get(columns, 80)
