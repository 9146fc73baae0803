"""What a type checker tells of a user's program against the installed wheel: its mistakes, and every field's type."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import shutil
import subprocess
import sys
import typing
import zipfile
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT

from capot.chapters.hints import hints_of
from capot.chapters.registry import verbs
from capot.chapters.tokens.result import Token
from capot.view.result import Result

# Calls, each with what the checker says of it; the first four were asked for when none of them was seen.
_LINES = (ROOT / "tests" / "user_mistakes.txt").read_text(encoding="utf-8").splitlines()
MISTAKES = {call: said.strip() for call, said in zip(_LINES[::2], _LINES[1::2], strict=True)}
SOUND = """
import capot
from capot import Sampling

with capot.open("boxed", engine="native") as opened:
    text: str = opened.generate("x", temperature=0, stop=["."], seed=1).text
    text = opened.generate("x", sampling=Sampling(max_new_tokens=3, stop="FIN")).text
    first: float = opened.next("x", k=3, rank=[" a", "id:3"]).candidates[0].probability
    count: int = opened.tokens("x", compare=("english",)).count
    for event in opened.stream("x"):
        kind: str = event.kind
    known = capot.card.describe_known("Llama-3.2-1B").parameters.total
    rows = opened.memory("1,64", progress=lambda event: print(event.done, event.total)).rows
    first = float(opened.hidden("x", layer=-1)[0, 0]) + float(opened.vectors("x").sum())
    text = repr(opened.load().seconds) + str(opened.next("x").to_pandas()) + str(opened.next("x").to_rows()[0]["rank"])

    def heard(event: capot.ProgressEvent) -> None:
        print(event.step, event.done, event.total, event.share)

    text = capot.open("org/name", lang="fr", progress=heard).generate("x", progress=heard).text
    print(text, first, count, known, rows, capot.models.cached().models, opened.chat(["a"]).turns[0].user)
"""


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package as it is given to others, built of a copy of the sources."""
    top = tmp_path_factory.mktemp("wheel")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, top / name)
    shutil.copytree(ROOT / "src" / "capot", top / "src" / "capot", ignore=shutil.ignore_patterns("__pycache__"))
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*build, "--wheel-dir", str(top / "made"), str(top)], check=True, capture_output=True)
    (found,) = (top / "made").glob("*.whl")
    return found


@pytest.fixture(scope="session")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment that has the wheel, and our dependencies beside it."""
    home = tmp_path_factory.mktemp("user") / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(home)], check=True)
    (packages,) = [*home.glob("lib/python*/site-packages"), *home.glob("Lib/site-packages")]
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(packages)
    import numpy

    (packages / "dependencies.pth").write_text(str(Path(numpy.__file__).parent.parent))
    return home / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def checked(python: Path, folder: Path, text: str) -> list[str]:
    """What mypy, strict, says of a user's program: its errors and notes, each with its line."""
    (folder / "user.py").write_text(text, encoding="utf-8")
    (folder / "mypy.ini").write_text("[mypy]\nstrict = True\n")
    command = [sys.executable, "-m", "mypy", "--config-file", "mypy.ini", "--python-executable", str(python)]
    options = ["--no-error-summary", "--hide-error-context", "--no-color-output", "user.py"]
    options += ["--cache-dir", str(python.parent.parent / "mypy")]
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "MYPYPATH")}
    done = subprocess.run(
        [*command, *options], capture_output=True, text=True, cwd=folder, env=environment, check=False
    )
    assert done.returncode in (0, 1), done.stdout + done.stderr
    return done.stdout.splitlines()


def test_the_wheel_is_the_one_that_is_read_and_says_that_it_has_types(installed: Path, tmp_path: Path) -> None:
    code = "import capot, json, os; print(json.dumps([capot.__file__, os.listdir(os.path.dirname(capot.__file__))]))"
    out = subprocess.run([str(installed), "-c", code], capture_output=True, text=True, cwd=tmp_path, check=True).stdout
    file, beside = json.loads(out)
    assert str(installed.parent.parent) in file and "py.typed" in beside


def test_a_sound_program_is_sound(installed: Path, tmp_path: Path) -> None:
    assert checked(installed, tmp_path, SOUND) == []


def test_mistakes_are_seen_before_anything_runs(installed: Path, tmp_path: Path) -> None:
    lines = ["import capot", "model = capot.open()", *MISTAKES]
    expected = [f"user.py:{line}: error: {said}" for line, said in enumerate(MISTAKES.values(), 3)]
    assert [said for said in checked(installed, tmp_path, "\n".join(lines) + "\n") if " error: " in said] == expected
    assert len(expected) == 11


def results() -> dict[str, type]:
    """What each verb answers, by the call that a user would write."""
    found = {}
    for name, (_, verb) in verbs().items():
        answer = hints_of(verb.load()).get("return")
        if isinstance(answer, type) and issubclass(answer, Result):
            example = ", ".join(f"{key}={value!r}" for key, value in verb.example.items())
            found[f"model.{name}({example})"] = answer
    return found


def test_the_fields_of_every_result_have_their_types(installed: Path, tmp_path: Path) -> None:
    """Each field is one to the checker, and none of them is ``Any``: a list of some, a record, a number, a text."""
    asked = [(call, kind, field.name) for call, kind in results().items() for field in dataclasses.fields(kind)]
    program = ["import capot", "model = capot.open()", *(f"reveal_type({call}.{name})" for call, _, name in asked)]
    said = checked(installed, tmp_path, "\n".join(program) + "\n")
    assert len(said) == len(asked) > 100 and not [line for line in said if "error" in line]
    for (call, kind, name), line in zip(asked, said, strict=True):
        told = re.search(r'Revealed type is "(.*)"', line)
        assert told, line
        assert names(told[1]) == wanted(typing.get_type_hints(kind)[name]) != {"Any"}, (call, name, told[1])


def test_names_of_types_are_read() -> None:
    assert names("builtins.list[capot.x.Token]") == {"list", "Token"} == wanted(list[Token])
    assert names("builtins.float | None") == {"float", "None"} == wanted(float | None)


def names(revealed: str) -> set[str]:
    """The names of a revealed type: ``builtins.list[capot.x.Token]`` is of list and Token. An array is an array."""
    bare = re.sub(r"'[^']*'|\.\.\.", "", re.sub(r"numpy\.ndarray\[.*\]\]", "numpy.ndarray", revealed))
    return set(re.findall(r"(\w+)(?=[\[\],|?\s]|$)", bare)) - {"fallback"}


def wanted(kind: Any) -> set[str]:
    """The same names of an annotation."""
    text = kind.__name__ if isinstance(kind, type) and not typing.get_args(kind) else str(kind)
    return names(text)
