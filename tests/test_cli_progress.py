"""How far a long prompt has been read, for a person who watches; nothing for a pipe."""

from __future__ import annotations

import pytest

from capot.cli import progress, run

LONG = "Le chat dort sur le tapis. " * 120  # over three thousand bytes, each a token of the scripted engine


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_seen", lambda: True)
    monkeypatch.setattr(progress, "SOON", 0.0)
    monkeypatch.setattr(progress, "EVERY", 0.0)


def drawings(err: str) -> list[str]:
    return [line.strip() for line in err.replace("\n", "\r").split("\r") if line.strip()]


@pytest.mark.parametrize("command", [["next"], ["generate", "--max-new-tokens", "2"], ["lens"]])
def test_a_long_prompt_is_followed_in_the_readers_language_and_the_line_goes(watched, capsys, command) -> None:
    name, *options = command
    assert run([name, LONG, *options, "--model", "scripted", "--lang", "fr"]) == 0
    told = capsys.readouterr()
    lines = [line for line in drawings(told.err) if "tokens lus" in line]
    assert len(lines) >= 5 and lines[0] != lines[-1]
    assert all("%" in line and "█" in line and "encore" in line for line in lines)
    after = told.err.rpartition("tokens lus")[2]
    assert "\r" + " " * 79 + "\r" in after  # wiped before anything else is said
    assert "tokens lus" not in told.out


def test_a_short_prompt_and_a_pipe_see_no_line(watched, monkeypatch, capsys) -> None:
    assert run(["next", "Le chat", "--model", "scripted", "--lang", "fr"]) == 0
    assert "tokens lus" not in capsys.readouterr().err
    monkeypatch.setattr(progress, "_seen", lambda: False)
    assert run(["next", LONG, "--model", "scripted", "--lang", "fr"]) == 0
    assert "tokens lus" not in capsys.readouterr().err


def test_the_line_waits_a_second_says_what_is_left_and_begins_anew(monkeypatch, capsys) -> None:
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    reading = progress.Reading()
    for seconds, done in ((0, 100), (0.5, 200), (2, 500)):
        now[0] = 100.0 + seconds
        reading(done, 1000)
    told = capsys.readouterr().err
    assert len(drawings(told)) == 1  # not before a second
    assert (
        "50%" in told and "500 / 1,000 tokens read" in told and "2\u00a0s left" in told
    )  # 400 tokens in 2 s, 500 to come: 2.5
    reading(1000, 1000)
    assert capsys.readouterr().err.strip("\r ") == ""
    now[0] = 200.0
    reading(100, 400)  # another prompt: its own second
    now[0] = 200.5
    reading(200, 400)
    assert capsys.readouterr().err == ""
    reading.wipe()
    assert capsys.readouterr().err == ""
