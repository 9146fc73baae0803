"""Every code that the source raises has its words in both languages, and every word belongs to a code."""

from __future__ import annotations

import ast
import errno
import functools
import inspect
import pickle
import re
import socket
import tomllib
from urllib.error import URLError

import pytest
from conftest import ROOT

from capot import errors
from capot.errors import CapotError, InputError, NotFoundError

KINDS = {name: kind for name, kind in vars(errors).items() if inspect.isclass(kind) and issubclass(kind, CapotError)}


@functools.cache
def raised() -> dict[str, set[str]]:
    """Codes in the source with the parameters given to each, read from the syntax tree."""
    found: dict[str, set[str]] = {}
    for path in (ROOT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or not node.args or not isinstance(node.args[0], ast.Constant):
                continue
            name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
            if name in KINDS and isinstance(node.args[0].value, str):
                found.setdefault(node.args[0].value, set()).update(k.arg for k in node.keywords if k.arg)
    return found


def raised_outside_of(*rooms: str) -> set[str]:
    """Codes that are raised in a file of another room than these."""
    source = ROOT / "src/capot"
    paths = [path for path in source.rglob("*.py") if path.relative_to(source).parts[0] not in rooms]
    told = [path.read_text(encoding="utf-8") for path in paths]
    return {code for code in raised() if any(f'"{code}"' in text for text in told)}


def words(lang: str) -> dict[str, dict[str, str]]:
    return tomllib.loads((ROOT / f"src/capot/i18n/words/{lang}/error.toml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("lang", ["fr", "en"])
def test_every_code_has_words_and_every_word_a_code(lang: str) -> None:
    assert set(words(lang)) == set(raised())


@pytest.mark.parametrize("lang", ["fr", "en"])
def test_words_only_use_what_is_given(lang: str) -> None:
    import string

    given = raised()
    for code, entry in words(lang).items():
        used = {name for text in entry.values() for _, name, _, _ in string.Formatter().parse(text) if name}
        used -= {"call", "command", "others", "typed"}  # every error knows the call that met it
        used -= {"line"} if "name" in given[code] else set()  # a verb gives it where the name is its argument's
        assert used <= given[code], f"error.{code} uses {used - given[code]}"


def test_an_error_is_a_code_with_words() -> None:
    error = InputError("out_of_range", name="top_p", value=3, low=0, high=1)
    assert error.message("en").startswith("top_p is 3")
    assert error.to_dict("fr") == {"ok": False, "error": {"code": "out_of_range", "message": error.message("fr")}}
    assert str(error) == error.message()
    assert pickle.loads(pickle.dumps(error)).params == error.params  # noqa: S301 - our own bytes


@pytest.mark.parametrize(
    ("cause", "english", "french"),
    [
        (
            FileNotFoundError(errno.ENOENT, "No such file or directory"),
            "no such file",
            "fichier ou dossier introuvable",
        ),
        (PermissionError(errno.EACCES, "Permission denied"), "permission denied", "permission refusée"),
        (OSError(errno.ENOSPC, "No space left on device"), "no space left", "plus de place sur le disque"),
        (URLError(ConnectionRefusedError(errno.ECONNREFUSED, "x")), "connection refused", "refusée"),
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), "no such name", "nom inconnu"),
        (TimeoutError("timed out"), "no answer in time", "pas de réponse à temps"),
        (OSError(54321, "A strange one"), "A strange one", "A strange one"),  # what no catalogue has stays as it is
        (ValueError("port out of range"), "port out of range", "port out of range"),
        (OSError(), "OSError", "OSError"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
def test_the_systems_reason_is_said_in_the_readers_language(cause: Exception, english: str, french: str) -> None:
    error = InputError("cannot_write", path="a.html", reason=errors.os_reason(cause))
    for told in (error, pickle.loads(pickle.dumps(error))):  # noqa: S301 - our own bytes
        assert english in told.message("en") and french in told.message("fr")


def test_every_reason_of_the_catalogue_is_one_of_the_system() -> None:
    table = tomllib.loads((ROOT / "src/capot/i18n/words/fr/system.toml").read_text(encoding="utf-8"))
    for name in table:
        assert hasattr(socket if name.startswith("EAI_") else errno, name), name
        if name.startswith("E") and not name.startswith("EAI_"):
            assert errors.os_reason(OSError(getattr(errno, name), "x")).key == f"system.{name}"


def test_statuses_are_drawn_in_the_docstring() -> None:
    for name, kind in KINDS.items():
        if kind is CapotError:
            continue
        line = next(line for line in (errors.__doc__ or "").splitlines() if f" {name} " in line)
        assert line.split()[-len(line.split("  ")[-1].split()) :] and str(kind.http_status) in line
        assert str(kind.exit_status) in line


@pytest.mark.parametrize("lang", ["fr", "en"])
def test_a_hint_proposes_one_thing_or_says_or(lang: str) -> None:
    """Two lines that begin alike are two answers to two questions, of which the reader asked one."""
    for code, entry in words(lang).items():
        begun = [line.split(":")[0].split(",")[0].strip() for line in entry.get("hint", "").splitlines()]
        assert len(set(begun)) == len(begun), f"error.{code}: {begun}"


@pytest.mark.parametrize("lang", ["fr", "en"])
def test_what_happened_goes_on_after_a_colon(lang: str) -> None:
    """A terminal writes ``Error: `` before it, so that it begins small; a name is left as it is."""
    name = re.compile(r"[A-Z]+_|PyTorch\b")  # of a variable of the environment, or of a package
    large = {code for code, entry in words(lang).items() if entry["what"][0].isupper()}
    assert {code for code in large if not name.match(words(lang)[code]["what"])} == set()


COMMAND = re.compile(r"\bcapot [a-z<{-]|(?<![\w-])--(?!upgrade)[a-z]|\b(export|unset|rm|read -rs) |@F|python -c|&&")
PROSE = re.compile(r"https?://|\{(page|url|known|example)\}|\bpip install\b")


def lines_of_python(hint: str) -> list[str]:
    """What of a hint is to be pasted, its places filled: what stands after the last colon of a line."""

    class Anything(dict[str, str]):
        def __missing__(self, name: str) -> str:
            return {"line": "f(1)", "call": "model.f", "option": "rank", "others": ""}.get(name, "a 'b' \\ c")

    lines = [re.split(r": (?!PORT)", line)[-1] for line in hint.splitlines() if ": " in line]
    return [line.format_map(Anything()) for line in lines if not PROSE.search(line)]


@pytest.mark.parametrize("lang", ["fr", "en"])
def test_an_error_in_python_proposes_python(lang: str) -> None:
    """Where a hint is a command, Python has another; commands and the lab alone raise the rest."""
    elsewhere = raised_outside_of("cli", "web")
    for code, entry in words(lang).items():
        if COMMAND.search(entry.get("hint", "")):
            assert "python" in entry or code not in elsewhere, code
        assert not COMMAND.search(entry.get("python", "")), code
        for line in lines_of_python(entry.get("python", "")):
            ast.parse(line)


@pytest.mark.parametrize("lang", ["fr", "en"])
def test_an_error_on_the_command_line_proposes_no_python(lang: str) -> None:
    told = {code: entry.get("hint", "") for code, entry in words(lang).items()}
    assert {code for code, hint in told.items() if re.search(r"\b(capot|model)\.\w+\(|import ", hint)} <= {
        "tokenizer_format", "lab_secret_short"  # lines of Python that a terminal runs
    }  # fmt: skip
    assert {code for code, entry in words("en").items() if "python" in entry} == {
        code for code, entry in words("fr").items() if "python" in entry
    }


def test_an_error_proposes_the_call_that_met_it() -> None:
    with errors.named_call("model.stream", "capot generate"), errors.named_call("model.next", "capot next"):
        error = InputError("empty_prompt")  # the call that the user made is the outermost
    for told in (error, error.public(), error.with_params({}), pickle.loads(pickle.dumps(error))):  # noqa: S301 - our own
        assert told.message("en").splitlines()[-1].startswith("Try: model.stream(")
        assert told.message("en", face="command").splitlines()[-1].startswith("Try: capot generate ")
    assert "model.next(" in str(InputError("empty_prompt")), (
        "an error outside any call proposes one that all models know"
    )


def test_one_error_speaks_to_both_faces() -> None:
    error = NotFoundError("hub_not_here", name="a/b")
    assert "capot.models.cached()" in str(error) and "capot models" in error.message(face="command")
    with errors.hints_for("command"):
        assert str(error) == error.message(face="command") and error.to_dict()["error"]["message"] == str(error)
    assert "capot.models.cached()" in str(error)
    quoted = NotFoundError("hub_checksum", name='a"b', file="f", host="h").message("en").splitlines()[1]
    assert ast.literal_eval(quoted.partition("get(")[2].rstrip(")")) == 'a"b'  # whatever the name, the line is sound
