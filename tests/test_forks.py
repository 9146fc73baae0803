"""Copies of a process: told at once that they cannot compute; processes that were started anew compute."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

from capot.errors import CapabilityError

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")

SHARED = """
import multiprocessing, os, sys, threading
import capot
from capot.errors import CapotError

def ask(model):
    try:
        return model.next("The capital of France is", k=1).candidates[0].text
    except CapotError as error:
        return error.code

def anew(*_):
    with capot.open("boxed") as model:
        return ask(model)

def in_a_copy(work):
    come, go = os.pipe()
    if not os.fork():
        try:
            os.write(go, str(work()).encode())
        finally:
            os._exit(0)
    os.close(go)
    with open(come) as pipe:
        return pipe.read()
"""
PROGRAMS = {
    # The parent's model in the copy; then closed there, and looked at.
    "its parent's": """
model = capot.open("boxed")
print(ask(model), in_a_copy(lambda: ask(model)))
def others():
    found = []
    for work in (
        model.scheduler.status, lambda: model.scheduler.forget("a"), lambda: len(model.embed(["cat"], near=0).words),
        lambda: model.tokens("a b").count, model.close, model.close,
    ):
        try:
            found.append(work())
        except CapotError as error:
            found.append(error.code)
    return found
print(in_a_copy(others))
print(ask(model))
""",
    "one of its own": """
model = capot.open("boxed")
print(ask(model), in_a_copy(anew))
print(in_a_copy(lambda: ask(capot.open("scripted"))) == ask(capot.open("scripted")))
model.close()
print(in_a_copy(anew), in_a_copy(lambda: in_a_copy(anew)), anew())
""",
    "opened and not asked": """
model = capot.open("boxed")
model.scheduler
print(in_a_copy(lambda: ask(model)), ask(model))
""",
    "before": """
print(in_a_copy(anew))
model = capot.open("boxed")
model.tokens("nothing was computed")
print(in_a_copy(lambda: ask(model)), in_a_copy(lambda: in_a_copy(anew)), ask(model))
""",
    "while another computes": """
from capot.engines.scheduler import ENGINE_LOCK
ENGINE_LOCK.acquire()
print(in_a_copy(lambda: ask(capot.open("scripted"))) not in ("", "forked"))
""",
    "anew": """
if __name__ == "__main__":
    print(anew())
    for way in ("spawn", "forkserver", "fork"):
        with multiprocessing.get_context(way).Pool(1) as pool:
            print(way, pool.map(anew, [0])[0])
""",
}
TOLD = {
    "its parent's": ["Paris forked", "['forked', 'forked', 1, 2, None, None]", "Paris"],
    "one of its own": ["Paris forked", "True", "forked forked Paris"],
    "opened and not asked": ["forked Paris"],
    "before": ["Paris", "Paris Paris Paris"],
    "while another computes": ["True"],
    "anew": ["Paris", "spawn Paris", "forkserver Paris", "fork forked"],
}


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_copy_is_told_and_a_new_process_computes(program: str, tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(SHARED + PROGRAMS[program])
    command = [sys.executable, "-W", "ignore", str(tmp_path / "program.py")]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    answer = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=600)
    assert answer.returncode == 0, answer.stderr
    assert [" ".join(line.split()) for line in answer.stdout.splitlines()] == TOLD[program], answer.stderr


@pytest.mark.parametrize("lang", ["en", "fr"])
def test_the_words_say_how_to_start_another(lang: str) -> None:
    assert "spawn" in CapabilityError("forked").message(lang)
