"""What a contributor and an index rely on: the archive, the wheel, the hooks, the pages that say how, the changelog."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml
from conftest import ROOT
from markdown_it import MarkdownIt
from packaging.metadata import Metadata

sys.path.insert(0, str(ROOT / "tools"))
import dev

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
NOT_PACKED = (".ci/", ".gitignore", ".gitattributes")  # what serves the repository alone
BUILD = "import sys\nfrom setuptools import build_meta\nprint(getattr(build_meta, sys.argv[1])(sys.argv[2]))"


def built(what: str, *, source: Path, into: Path) -> Path:
    """A distribution of a source tree, by the build backend that is installed here: no index is asked."""
    pytest.importorskip("setuptools", reason="the build backend is not installed")
    command = [sys.executable, "-c", BUILD, what, str(into)]
    answer = subprocess.run(command, cwd=source, capture_output=True, text=True, check=True)
    return into / answer.stdout.splitlines()[-1]


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source archive, elsewhere."""
    folder = tmp_path_factory.mktemp("sdist")
    archive = built("build_sdist", source=ROOT, into=folder)
    with tarfile.open(archive) as tar:
        shutil.unpack_archive(archive, folder)
        return folder / tar.getnames()[0].split("/")[0]


@pytest.fixture(scope="module")
def wheel(unpacked: Path, tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The wheel that the source archive makes."""
    return zipfile.ZipFile(built("build_wheel", source=unpacked, into=tmp_path_factory.mktemp("wheel")))


def test_the_archive_holds_the_whole_project(unpacked: Path) -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("this is no checkout: nobody knows which files there are")
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split(
        "\n"
    )
    wanted = {name for name in listed if name and not name.startswith(NOT_PACKED)}
    packed = {path.relative_to(unpacked).as_posix() for path in unpacked.rglob("*") if path.is_file()}
    made = {"PKG-INFO", "setup.cfg"}
    assert len(wanted) > 400 and wanted - packed == set()
    assert {name for name in packed - wanted - made if "egg-info" not in name} == set()


def test_the_archive_runs_its_own_tests(unpacked: Path) -> None:
    """A few of them, on its own code; ``make test-sdist`` runs them all, in an environment of its own."""
    env = {**os.environ, "PYTHONPATH": str(unpacked / "src"), "PYTHONDONTWRITEBYTECODE": "1"}
    code = "import capot; print(capot.__file__)"
    where = subprocess.check_output([sys.executable, "-c", code], cwd=unpacked, env=env, text=True)
    assert Path(where.strip()).is_relative_to(unpacked / "src")
    few = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/test_config.py", "tests/test_i18n.py"]
    run = subprocess.run(few, cwd=unpacked, env=env, capture_output=True, text=True, check=False)
    assert run.returncode == 0 and " passed" in run.stdout, run.stdout[-3000:]


def test_the_wheel_holds_the_package_and_its_data(unpacked: Path, wheel: zipfile.ZipFile) -> None:
    source = unpacked / "src"
    files = {path.relative_to(source).as_posix() for path in (source / "capot").rglob("*") if path.is_file()}
    packed = {name for name in wheel.namelist() if name.startswith("capot/")}
    assert {name for name in packed ^ files if "__pycache__" not in name} == set()
    assert "capot/py.typed" in packed
    points = next(name for name in wheel.namelist() if name.endswith("/entry_points.txt"))
    assert "capot = capot.__main__:main" in wheel.read(points).decode()


def test_the_wheel_says_what_it_is(wheel: zipfile.ZipFile) -> None:
    name = next(name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    told = Metadata.from_email(wheel.read(name))  # raises where a field is not as the specification has it
    assert told.license_expression == "Apache-2.0" and told.license_files == ["LICENSE"]
    assert {"Typing :: Typed", "Natural Language :: French"} <= set(told.classifiers)
    assert not [one for one in told.classifiers if one.startswith("License ::")]  # the expression says it
    assert told.requires_python == ">=3.11" and told.description_content_type == "text/markdown"
    page = MarkdownIt().enable("table").render(told.description)
    assert "<h1>capot</h1>" in page and page.count("<pre>") > 3


def test_every_pattern_of_package_data_finds_files() -> None:
    patterns = PROJECT["tool"]["setuptools"]["package-data"]["capot"]
    assert [one for one in patterns if not list((ROOT / "src" / "capot").glob(one))] == []


def test_every_extra_is_one_that_an_error_names() -> None:
    """Who lacks a package reads which extra brings it; an extra that nothing names serves nothing."""
    code = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "src" / "capot").rglob("*.py"))
    assert set(PROJECT["project"]["optional-dependencies"]) == set(re.findall(r'"missing_extra".*extra="(\w+)"', code))


def test_hooks_are_ours_and_download_nothing(tmp_path: Path) -> None:
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    hooks = [hook for repo in config["repos"] for hook in repo["hooks"]]
    assert {repo["repo"] for repo in config["repos"]} == {"local"} and len(hooks) == 2
    for hook in hooks:
        program, script, command = hook["entry"].split()
        assert (program, script, hook["language"]) == ("python3", "tools/dev.py", "system")
        assert command in dev.COMMANDS
    message = tmp_path / "message"
    for text, right in (
        ("Lab: a word\n", True), ("x" * 72 + "\n\nwhy\n", True), ("x" * 73 + "\n", False),
        ("# a comment\nLab: a word\n", True), ("Lab: a word\nwhy\n", False), ("\n", False),
    ):  # fmt: skip
        message.write_text(text)
        command = [sys.executable, "tools/dev.py", "subject", str(message)]
        run = subprocess.run(command, cwd=ROOT, capture_output=True, check=False)
        assert (run.returncode == 0) is right, text


PAGES = {"CONTRIBUTING.md": "CONTRIBUTING.fr.md", "CONTRIBUTING.fr.md": "CONTRIBUTING.md"}


@pytest.mark.parametrize("page", PAGES)
def test_the_page_for_contributors_names_every_command_and_no_other(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    rows = re.findall(r"^\| `make ([\w-]+)` \|", text, re.MULTILINE)
    made = (ROOT / "Makefile").read_text(encoding="utf-8").split("\n.PHONY: ")[1].split("\n")[0].split()
    assert sorted(rows) == sorted(made) == sorted(set(dev.COMMANDS) - {"subject"})
    for script in re.findall(r"python (tools/\w+\.py)", text):
        assert (ROOT / script).exists()
    for link in re.findall(r"\]\(([^)]+)\)", text):
        assert link.startswith("https://pre-commit.com") or (ROOT / link).exists(), link
    other = (ROOT / PAGES[page]).read_text(encoding="utf-8")
    shape = re.compile(r"^(#+|\*|\|) ", re.MULTILINE)
    assert shape.findall(text) == shape.findall(other)


def test_the_changelog_has_versions_with_dates() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    heads = re.findall(r"^## (\d+\.\d+\.\d+) \((unreleased|\d{4}-\d{2}-\d{2})\)$", text, re.MULTILINE)
    assert len(heads) == text.count("\n## ") and len(heads) > 1
    dates = [date for _, date in heads if date != "unreleased"]
    assert dates == sorted(dates, reverse=True) and "unreleased" not in dict(heads[1:]).values()
    versions = [tuple(map(int, version.split("."))) for version, _ in heads]
    assert versions == sorted(versions, reverse=True)


def test_what_moved_is_where_the_changelog_says() -> None:
    section = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8").split("### What moved")[1].split("\n### ")[0]
    rows = re.findall(r"^\| (`.+`) \| (`.+`) \|$", section, re.MULTILINE)
    assert len(rows) > 10
    for old, new in rows:
        before, after = re.findall("`([^`]+)`", old), re.findall("`([^`]+)`", new)
        assert len(before) == len(after)
        for name in after:
            assert importlib.util.find_spec(name), name
        base = before[0].rsplit(".", 1)[0]
        for name in before:
            gone = base + name if name.startswith(".") else name
            path = ROOT / "src" / Path(*gone.split("."))
            assert not path.with_suffix(".py").exists() and not (path / "__init__.py").exists(), gone
