"""The command line as people type it out of habit: short options, pipes, help, other programs' names, Ctrl-C."""

from __future__ import annotations

import ast
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import pytest
from conftest import ROOT
from test_cli import CALLS, typed

from capot import __main__ as program
from capot.chapters import registry
from capot.chapters.settings import takes
from capot.cli import commands as names
from capot.cli import group, near, run
from capot.cli.words import Argument, CallContext
from capot.config import Serving
from capot.engines.scripted import ScriptedEngine
from capot.view.visible import width

SCRIPTED = ("--model", "scripted")
COMPUTING = [name for name in CALLS if name not in ("card", "tokens", "embed", "memory")]


def command(name: str) -> click.Command:
    found = group.get_command(CallContext(group), name)
    assert found is not None
    return found


# --- What the lab takes, without its name


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--no-open"], {"open_browser": False}),
        (["--lang", "fr", "--no-open", "--port", "0"], {"open_browser": False, "port": 0}),
        (["--port=9000", "--model", "scripted"], {"open_browser": True, "port": 9000}),
    ],
)
def test_options_of_the_lab_without_a_command_open_the_lab(
    monkeypatch: pytest.MonkeyPatch, words: list[str], expected: dict[str, Any]
) -> None:
    served: list[Serving] = []
    monkeypatch.setattr("capot.web.serve.serve", lambda model, serving, say: served.append(serving))
    assert run(words) == 0
    assert {name: getattr(served[0], name) for name in expected} == expected


@pytest.mark.parametrize("words", [["--bogus"], ["--no-opn"], ["--no-open", "tokens", "a"]])
def test_other_options_are_still_refused(capsys: pytest.CaptureFixture[str], words: list[str]) -> None:
    status, out, _ = typed(capsys, *words, "--json")
    assert status == 2 and json.loads(out)["error"]["code"] == "no_such_option"


@pytest.mark.parametrize(
    "before",
    [["--model", "scripted"], ["--model=scripted", "-k", "2"], ["--lang", "en", "--model", "scripted"]],
)
def test_options_before_a_command_are_its_own(capsys: pytest.CaptureFixture[str], before: list[str]) -> None:
    lines = [*before, "next", "Hello", "--json"], ["next", "Hello", *before, "--json"]
    said, usual = (json.loads(typed(capsys, *line)[1]) for line in lines)
    assert said["model"] == "scripted" and said["candidates"] == usual["candidates"]


# --- A pipe


@contextmanager
def fed(monkeypatch: pytest.MonkeyPatch, raw: bytes) -> Iterator[None]:
    """A pipe as standard input, which holds ``raw``."""
    reading, writing = os.pipe()
    os.write(writing, raw)
    os.close(writing)
    with os.fdopen(reading, "r", encoding="utf-8") as pipe:
        monkeypatch.setattr("sys.stdin", pipe)
        yield


@pytest.mark.parametrize(
    ("words", "field"),
    [
        (["tokens"], "text"),
        (["next"], "prompt"),
        (["generate", "-n", "1", "--seed", "1"], "prompt"),
        (["lens"], "prompt"),
        (["assistant", "-n", "1", "--seed", "1"], "question"),
    ],
)
def test_a_text_that_is_piped_needs_no_name(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, words: list[str], field: str
) -> None:
    model = () if words[0] == "lens" else SCRIPTED
    with fed(monkeypatch, b"The cat\n"):
        status, out, _ = typed(capsys, *words, *model, "--json")
    assert status == 0 and json.loads(out)[field] == "The cat"


def test_sentences_that_are_piped_are_those_of_the_word(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with fed(monkeypatch, b"The cat sleeps.\nA black cat.\n"):
        status, out, _ = typed(capsys, "context", "cat", "--json")
    assert status == 0 and len(json.loads(out)["occurrences"]) == 2
    with fed(monkeypatch, b"The cat sleeps.\n"):
        assert typed(capsys, "context")[0] == 2, "a word to look for is typed"


def test_what_is_typed_comes_before_what_is_piped(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with fed(monkeypatch, b"piped"):
        assert json.loads(typed(capsys, "tokens", "typed", *SCRIPTED, "--json")[1])["text"] == "typed"


@pytest.mark.parametrize("name", names())
def test_every_text_that_a_command_cannot_do_without_may_be_piped(name: str) -> None:
    texts = [one for one in command(name).params if isinstance(one, Argument) and one.required]
    assert all(one.fed for one in texts if one.type.name == "TEXT" and (name, one.name) != ("context", "word"))


def test_where_nothing_feeds_standard_input_nobody_waits(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with open(os.devnull, encoding="utf-8") as nothing:
        monkeypatch.setattr("sys.stdin", nothing)
        status, out, _ = typed(capsys, "tokens", "--json")
    assert status == 2 and json.loads(out)["error"]["code"] == "missing_argument"


# --- Short options and help


@pytest.mark.parametrize("name", ["", *names()])
def test_help_is_had_in_every_way(capsys: pytest.CaptureFixture[str], name: str) -> None:
    words = [name] if name else []
    status, told, _ = typed(capsys, *words, "--help")
    assert status == 0 and f"Usage: capot {name}".rstrip() in told
    assert typed(capsys, *words, "-h")[:2] == (0, told)
    assert typed(capsys, "help", *words)[:2] == (0, told)


def test_help_of_what_is_no_command(capsys: pytest.CaptureFixture[str]) -> None:
    status, _, err = typed(capsys, "help", "tokns")
    assert status == 2 and "capot tokens" in err
    assert re.search(r"^  help +\S", typed(capsys, "--help")[1], re.MULTILINE)


def test_short_options(capsys: pytest.CaptureFixture[str]) -> None:
    assert typed(capsys, "-V") == typed(capsys, "--version")
    answer = json.loads(typed(capsys, "generate", "a", "-n", "3", "-t", "0,5", "--seed", "1", *SCRIPTED, "--json")[1])
    assert len(answer["tokens"]) == 3 and answer["sampling"]["temperature"] == 0.5


@pytest.mark.parametrize("name", names())
def test_a_short_option_is_the_same_everywhere(name: str) -> None:
    short = {"--max-new-tokens": "-n", "--temperature": "-t", "--version": "-V", "--help": "-h"}
    for param in command(name).get_params(CallContext(command(name), **command(name).context_settings)):
        for long, letter in short.items():
            assert (long in param.opts) == (letter in param.opts), param.opts


@pytest.mark.parametrize("lang", ["fr", "en"])
@pytest.mark.parametrize("name", ["", *names()])
def test_help_is_read_in_forty_columns(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, name: str, lang: str
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    told = typed(capsys, *([name] if name else []), "--help", "--lang", lang)[1].splitlines()
    assert max(map(width, told)) <= 40
    assert max(len(line) - len(line.lstrip()) for line in told) <= 18, "a sentence is squeezed at the edge"
    monkeypatch.setenv("COLUMNS", "100")
    assert len(typed(capsys, *([name] if name else []), "--help", "--lang", lang)[1].splitlines()) < len(told)


@pytest.mark.parametrize(
    ("word", "command"),
    [
        ("decode", "tokens --decode"),
        ("Encode", "tokens"),
        ("tokenise", "tokens"),
        ("predict", "next"),
        ("complete", "generate"),
        ("pull", "models get"),
        ("lab", "serve"),
        ("info", "card"),
        ("version", "--version"),
        ("aide", "help"),
        ("décoder", "tokens --decode"),
        ("tokns", "tokens"),
        ("contxt", "context"),
        ("xyzzy", "help"),
    ],
)
def test_a_word_of_other_programs_is_led_to_ours(capsys: pytest.CaptureFixture[str], word: str, command: str) -> None:
    status, _, err = typed(capsys, word, "a")
    assert status == 2 and err.splitlines()[-1] == f"Try: capot {command}"


# --- An error proposes the command that met it, and no option that this command has not


@pytest.mark.parametrize("lang", ["en", "fr"])
@pytest.mark.parametrize(
    "words",
    [
        *(pytest.param([name, ""], id=name) for name in ("lens", "network", "next", "score", "generate")),
        *(["network", "a", "--target", asked] for asked in ("", "id:x")),
        *(["next", "a", "--rank", asked] for asked in ("", "id:x")),
        ["generate", "a", "--stop", ""],
        ["network", "a", "--attention", "x"],
        ["assistant", ""],
        ["context"],
        ["memory", "x"],
        ["next", "a", "b"],
        ["context", "bank", ""],
        ["ablate", "", "--heads", "1.1"],
        ["ablate", "a"],
        ["patch", "", "--source", "a"],
        ["patch", "a", "--source", ""],
        ["patch", "a", "--source", "b", "--between", "id:x,id:1"],
        ["patch", "a"],
        ["steer", "", "--toward", "a", "--away", "b"],
        ["steer", "a", "--toward", "", "--away", "b"],
        ["steer", "a", "--toward", "b", "--away", ""],
        ["steer", "a", "--away", "b"],
    ],
)
def test_an_error_proposes_the_command_that_met_it(
    capsys: pytest.CaptureFixture[str], words: list[str], lang: str
) -> None:
    status, _, err = typed(capsys, *words, "--model", "scripted", "--lang", lang)
    hint = err.splitlines()[-1].replace("\u00a0", " ").partition(": ")[2]
    options = {"--help", *(name for param in command(words[0]).params for name in param.opts)}
    assert status == 2 and hint
    assert set(re.findall(r"\bcapot ([a-z]+)", hint)) <= {words[0]} and set(re.findall(r"--[a-z-]+", hint)) <= options
    assert hint.startswith((f"capot {words[0]} ", "--"))
    if hint.startswith("capot ") and "--help" not in hint:  # pasted, it is whole
        command(words[0]).make_context(words[0], shlex.split(hint)[2:], resilient_parsing=False)


@pytest.mark.parametrize(
    "words",
    [
        ["patch", "a", "--source", "b", "--between", ","],
        ["ablate", "a", "--heads", ""],
        ["ablate", "a", "--mlps", " , "],
        ["network", "a", "--layers", ""],
        ["tokens", "a", "--compare", ","],
        ["memory", "--tokens", ""],
        ["memory", "--simulate", "--users-at", ""],
    ],
)
def test_an_option_with_nothing_in_it_is_not_one_left_out(capsys: pytest.CaptureFixture[str], words: list[str]) -> None:
    status, _, err = typed(capsys, *words, "--model", "scripted", "--lang", "en")
    option = words[-2]
    assert (status, err) == (2, f"Error: the option {option} takes a value.\nWrite one after it: {option} VALUE\n")


@pytest.mark.parametrize(("name", "missing"), [("steer", "--toward"), ("patch", "--source")])
def test_an_option_that_is_missing_is_named_as_it_is_typed(
    capsys: pytest.CaptureFixture[str], name: str, missing: str
) -> None:
    status, _, err = typed(capsys, name, "a", "--lang", "en")
    assert (status, err.splitlines()[0]) == (2, f"Error: {missing} is missing.")


def test_the_words_of_other_programs_lead_to_what_there_is() -> None:
    every = " ".join(near.CALLED.values()).split()
    assert len(set(every)) == len(every) and not set(every) & set(names())
    for known in near.CALLED:
        name, _, rest = known.partition(" ")
        assert name in (*names(), "help", "--version")
        flags = {flag for param in command(name).params for flag in param.opts} if rest.startswith("-") else set()
        assert not rest or rest in flags or rest in ("get", "remove")


def python_names() -> list[tuple[str, str]]:
    """Every argument of every verb that the verb's command does not take by its own name, and that JSON can hold."""
    found = []
    for verb in registry.verbs():
        asked = registry.command_of(verb).split()[1]
        options = {name for param in command(asked).params for name in param.opts if name.startswith("-")}
        found += [(asked, name) for name in takes(verb) if f"--{name.replace('_', '-')}" not in options]
    return sorted(set(found))


# What Python alone takes, or what its command has no use for.
WITHOUT = {"ids", "alternatives", "stop", "tokens", "prompt", "layer", "position"}


@pytest.mark.parametrize("typed_as", [str, lambda name: name.replace("_", "-")])
@pytest.mark.parametrize(("name", "setting"), python_names())
def test_an_option_by_its_name_in_python_leads_to_the_commands_own(
    capsys: pytest.CaptureFixture[str], name: str, setting: str, typed_as: Callable[[str], str]
) -> None:
    status, _, err = typed(capsys, name, f"--{typed_as(setting)}", "x", "--lang", "en")
    told, meant = err.splitlines()
    assert status == 2 and told == f"Error: there is no option --{typed_as(setting)}."
    params = command(name).params
    options = {"--help", *(option for param in params for option in param.opts)}
    place = next((param for param in params if isinstance(param, Argument) and param.name == setting), None)
    if place is not None:
        assert meant == f"Try: capot {name} {place.make_metavar(CallContext(command(name)))}"
    else:
        near = set(meant.removeprefix("Try: ").split(", "))
        assert near <= options and (setting in WITHOUT or "--help" not in near)


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (["memory", "--known", "GPT-3.5", "--simulate"], "--model"),
        (["next", "a", "--topk", "3"], "--top-k"),
        (["next", "a", "-T", "3"], "-t"),
        (["generate", "a", "--max_new_tokens", "3"], "--max-new-tokens"),
        (["generate", "a", "--max-tokens", "3"], "--max-new-tokens"),
        (["generate", "a", "--tmperature", "1"], "--temperature"),
        (["network", "a", "--layer", "1"], "--layers"),
        (["memory", "--gpus", "24GB"], "--gpu"),
        (["lens", "a", "--qzx"], "--help"),
    ],
)
def test_near_names_of_options(capsys: pytest.CaptureFixture[str], words: list[str], meant: str) -> None:
    _, _, err = typed(capsys, *words, "--lang", "en")
    assert err.splitlines()[-1] == f"Try: {meant}"


def test_other_names_of_options_lead_to_what_there_is() -> None:
    options = {name for each in names() for param in command(each).params for name in param.opts}
    assert set(near.OPTIONS) <= options
    for option, others in near.OPTIONS.items():  # what every command with the option has by that very name is its own
        taking = [each for each in names() if any(option in param.opts for param in command(each).params)]
        for other in others.split():
            assert not all(any(f"--{other}" in param.opts for param in command(each).params) for each in taking)


# --- Ctrl-C


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("moment", ["loading", "printing"])
def test_ctrl_c_ends_every_command_with_its_status(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, name: str, moment: str
) -> None:
    def interrupted(*_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt

    if moment == "loading":
        monkeypatch.setattr("capot.model.open_loading", interrupted)
    else:
        monkeypatch.setattr("capot.view.result.Result.to_json", interrupted)
    status, _, _ = typed(capsys, *CALLS[name], "--json")
    assert status == 130


def once_heard(number: int, frame: types.FrameType | None) -> None:
    """Raise KeyboardInterrupt where somebody hears it: Python drops what a weak reference's callback raises."""
    around = frame
    while around is not None:
        if around.f_code.co_filename.endswith("weakrefset.py"):
            signal.setitimer(signal.ITIMER_REAL, 0.001)  # it comes again once the callback is over
            return
        around = around.f_back
    signal.default_int_handler(number, frame)


@pytest.fixture
def ctrl_c(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int], None]]:
    """Ctrl-C at the n-th step of the scripted engine."""

    def at(step: int) -> None:
        stepped, count = ScriptedEngine.step, [0]

        def counted(self: ScriptedEngine, feeds: Any) -> Any:
            count[0] += 1
            if count[0] == step:
                os.kill(os.getpid(), signal.SIGINT)
            return stepped(self, feeds)

        monkeypatch.setattr(ScriptedEngine, "step", counted)

    before = {number: signal.signal(number, once_heard) for number in (signal.SIGINT, signal.SIGALRM)}
    yield at
    signal.setitimer(signal.ITIMER_REAL, 0)
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.skipif(os.name == "nt", reason="no SIGINT for a process on Windows")
@pytest.mark.parametrize("step", [1, 6])
@pytest.mark.parametrize(
    "words",
    [
        ["generate", "a", "-n", "400", "--seed", "1"],
        ["generate", "a", "-n", "400", "--seed", "1", "--json"],
        ["assistant", "a", "-n", "400", "--seed", "1", "--json"],
        ["chat", "--script", "SCRIPT", "-n", "400", "--seed", "1", "--json"],
    ],
)
def test_ctrl_c_while_computing_keeps_what_there_is_and_ends_with_its_status(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, ctrl_c: Callable[[int], None], words: list[str], step: int
) -> None:
    (tmp_path / "talk").write_text("Hello\nAnd you?\n", encoding="utf-8")
    ctrl_c(step)
    words = [str(tmp_path / "talk") if word == "SCRIPT" else word for word in words]
    status, out, err = typed(capsys, *words, *SCRIPTED)
    assert status == 130 and "Traceback" not in err
    assert "--json" not in words or json.loads(out)


def test_ctrl_c_while_our_modules_are_read_is_no_traceback() -> None:
    script = (
        "import builtins, sys, runpy\n"
        "real = builtins.__import__\n"
        "def interrupted(name, *rest, **named):\n"
        "    if name == 'capot.cli': exec('raise KeyboardInterrupt')\n"
        "    return real(name, *rest, **named)\n"
        "builtins.__import__ = interrupted\n"
        "sys.argv = ['capot', '--version']\n"
        "runpy.run_module('capot', run_name='__main__')\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 130 and done.stderr == ""


def test_nothing_is_imported_before_ctrl_c_is_heard() -> None:
    for name in ("__init__", "__main__"):
        tree = ast.parse((ROOT / "src" / "capot" / f"{name}.py").read_text("utf-8"))
        found = {alias.name for node in tree.body if isinstance(node, ast.Import) for alias in node.names}
        found |= {node.module for node in tree.body if isinstance(node, ast.ImportFrom) and node.module}
        assert found <= {"__future__", "importlib", "os", "sys", "types"}, name


def test_ctrl_c_before_our_first_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_: Any) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("capot.cli.run", interrupted)
    with pytest.raises(SystemExit) as ended:
        program.main()
    assert ended.value.code == 130


def test_ctrl_c_after_our_last_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python then waits for what is left."""
    monkeypatch.setattr("capot.cli.run", lambda _: 0)
    before, status = signal.getsignal(signal.SIGINT), []
    monkeypatch.setattr(program.os, "_exit", status.append)
    try:
        with pytest.raises(SystemExit) as ended:
            program.main()
        signal.raise_signal(signal.SIGINT)
        assert ended.value.code == 0 and status == [130]
    finally:
        signal.signal(signal.SIGINT, before)


# --- A page on standard output


@pytest.mark.parametrize("name", [*CALLS, "models", "tour"])
def test_a_page_on_standard_output_is_the_page_alone(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(ROOT)
    words = CALLS.get(name, [name])
    model = SCRIPTED if name in ("tokens", "next", "generate", "assistant") else ()
    status, out, err = typed(capsys, *words, *model, "--html", "-")
    assert status == 0 and out.startswith("<!doctype html>") and out.rstrip().endswith("</html>")
    assert not Path("-").exists() and "Written to" not in err


def test_two_answers_do_not_share_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = typed(capsys, "tokens", "a", "--html", "-", "--json")
    assert status == 2 and json.loads(out)["error"]["code"] == "one_output"
    assert typed(capsys, "chat", "--html", "-")[0] == 2, "a talk would stand in the midst of the page"


def test_a_template_on_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    from capot.text.templates import default_text

    assert typed(capsys, "assistant", "--write-template", "-")[1].strip() == default_text().strip()


# --- Words


@pytest.mark.parametrize("code", ["access_code", "wrong_code"])
@pytest.mark.parametrize("lang", ["fr", "en"])
def test_a_lab_that_asks_its_owner_for_the_code_says_where_it_stands(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, code: str, lang: str
) -> None:
    from capot.errors import AccessError

    def refused(*_: Any) -> None:
        raise AccessError(code)

    monkeypatch.setattr("capot.web.serve.server_status", refused)
    status, _, err = typed(capsys, "serve", "--status", "--lang", lang)
    assert status == 2 and "--access-code" in err and "terminal" in err
    assert "teacher" not in err and "enseignant" not in err


def test_a_proxy_has_one_name_in_french() -> None:
    french = [*(ROOT / "src").rglob("words/fr/*.toml"), *(ROOT / "docs" / "fr").glob("*.md"), *ROOT.glob("*.fr.md")]
    assert [path.name for path in french if "mandataire" in path.read_text("utf-8").casefold()] == []
