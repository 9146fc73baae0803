"""The house: floors, where each heavy package may be imported, sizes, and cheap imports."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from conftest import ROOT
from packaging.requirements import Requirement
from packaging.version import Version

SOURCE = ROOT / "src" / "capot"

# From the ground up. A module may import its own floor's package and anything below.
FLOORS = [
    {"errors", "i18n", "leaving"},
    {"config", "view", "machine", "openmp", "files", "forks"},
    {"safetensors"},
    {"results", "sampling"},
    {"engine", "checkpoint", "known"},
    {"scheduler", "engines.native", "engines.hf_engine", "engines.openai_engine", "engines.scripted", "hub"},
    {"tokenizer"},
    {"opened"},
    {"tokens", "templates"},
    {"card", "embeddings", "prediction", "generation", "memory", "assistant", "conversation"},
    {"engines"},
    {"model", "models"},
    {"web"},
    {"cli", ""},
    {"__main__"},
]
# Modules of one floor that may see each other; elsewhere a floor's modules are strangers.
NEIGHBOURS = {("errors", "i18n"), ("leaving", "errors"), ("checkpoint", "known"), ("engine", "checkpoint")}
CHAPTERS_SEE = {("assistant", "generation"), ("conversation", "generation"), ("conversation", "assistant")}

ONLY_IN = {
    "torch": {"engines.hf_engine"},
    "transformers": {"engines.hf_engine"},
    "accelerate": {"engines.hf_engine"},
    "fastapi": {"web"},
    "starlette": {"web"},
    "uvicorn": {"web"},
    "numba": {"engines.native"},
    "llvmlite": {"engines.native"},
    "plotly": {"view"},
    "httpx": {"engines.openai_engine", "hub"},
    "huggingface_hub": {"hub"},
}


def modules() -> dict[str, Path]:
    found = {}
    for path in sorted(SOURCE.rglob("*.py")):
        parts = path.relative_to(SOURCE).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def home(module: str) -> str:
    """The name by which the floors know a module: ``engines.native.cache`` lives in ``engines.native``."""
    parts = module.split(".")
    names = {name for floor in FLOORS for name in floor}
    for length in range(len(parts), 0, -1):
        if ".".join(parts[:length]) in names:
            return ".".join(parts[:length])
    raise AssertionError(f"{module} stands on no floor")


def floor(name: str) -> int:
    return next(height for height, names in enumerate(FLOORS) if name in names)


def imports(path: Path, module: str) -> set[str]:
    """Everything a file imports, function-level imports included, as absolute names."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} has a relative import"
            found |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
    return found


def internal(found: set[str], known: dict[str, Path]) -> set[str]:
    names = {name.removeprefix("capot.") for name in found if name.startswith("capot.")}
    return {name for name in names if name in known}


def rises(module: str, other: str) -> bool:
    ours, theirs = home(module), home(other)
    if ours == theirs or floor(theirs) < floor(ours):
        return False
    pair = {(ours, theirs), (theirs, ours)}
    return not (pair & NEIGHBOURS or (ours, theirs) in CHAPTERS_SEE)


@pytest.mark.parametrize("module", modules())
def test_imports_point_down(module: str) -> None:
    known = modules()
    bad = {other for other in internal(imports(known[module], module), known) if rises(module, other)}
    assert not bad, f"{module} imports {bad}, which stand higher or beside it"


def test_the_floor_guard_sees_a_wrong_import() -> None:
    assert rises("errors", "view.html")
    assert rises("engines.scripted", "generation")
    assert rises("card", "memory")
    assert not rises("generation", "sampling")


@pytest.mark.parametrize("module", modules())
def test_heavy_packages_stay_in_their_room(module: str) -> None:
    for name in imports(modules()[module], module):
        package = name.split(".")[0]
        if package in ONLY_IN:
            assert any(module == room or module.startswith(room + ".") for room in ONLY_IN[package]), (
                f"{module} imports {package}"
            )


@pytest.mark.parametrize(
    "path", [p for top in ("src", "training", "bench", "tools") for p in (ROOT / top).rglob("*.py")], ids=str
)
def test_files_and_functions_stay_readable(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 400
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            lines = (node.end_lineno or 0) - node.lineno + 1
            body = ast.get_source_segment(text, node) or ""
            assert lines <= 40 or "# 1." in body, f"{path.name}: {node.name} is {lines} lines long"


def loaded_by(statement: str) -> set[str]:
    code = f"{statement}\nimport sys, json; print(json.dumps(sorted(sys.modules)))"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    return {name.split(".")[0] for name in json.loads(answer.stdout.splitlines()[-1])}


HEAVY = {"torch", "transformers", "numba", "plotly", "fastapi", "numpy", "tokenizers"}


@pytest.mark.parametrize(
    "statement",
    [
        "import capot",
        "from capot.cli import run\ntry: run(['--help'])\nexcept SystemExit: pass",
    ],
    ids=["import", "help"],
)
def test_importing_costs_nothing(statement: str) -> None:
    assert not loaded_by(statement) & HEAVY


def test_public_names_hide_no_module() -> None:
    import capot

    assert not set(capot.__all__) & set(modules())


def test_every_dependency_is_bounded_and_what_is_locked_is_admitted() -> None:
    """A newest version that nobody tried is not installed by itself; what the tests run on is within the bounds."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    asked = [
        Requirement(line) for line in [*project["dependencies"], *(one for each in extras.values() for one in each)]
    ]
    unbounded = [str(one) for one in asked if {clause.operator for clause in one.specifier} != {">=", "<"}]
    assert not unbounded, f"from which version, and up to which: {unbounded}"
    locked = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "requirements").glob("*.txt"))
    pinned = dict(line.split("==") for line in locked.split())
    assert {one.name for one in asked} <= set(pinned)
    assert [str(one) for one in asked if Version(pinned[one.name]) not in one.specifier] == []


@pytest.mark.parametrize("page", ["docs/engines.md", "docs/fr/engines.md"])
def test_the_pytorch_that_a_page_names_is_the_locked_one(page: str) -> None:
    """Whoever took a newer one would see it replaced by the build for GPUs, fifteen packages and all."""
    locked = (ROOT / "requirements" / "torch.txt").read_text(encoding="utf-8").strip()
    assert f"`{locked}`" in (ROOT / page).read_text(encoding="utf-8")
