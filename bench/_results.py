"""``RESULTS.md``: one table under each heading, a row a run, the columns of today over the rows of before."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping
from pathlib import Path

from _common import HERE, surroundings

PATH = HERE / "RESULTS.md"


def append(heading: str, columns: Mapping[str, str], answers: Iterable[dict]) -> None:
    """Add a row under ``heading``: when, on what, and the figure that each column names by its row's name."""
    values = {row["name"]: row["value"] for answer in answers for row in answer["rows"]}
    about = surroundings()
    versions = " ".join(f"{name} {about[name]}" for name in ("python", "numpy", "numba", "torch", "transformers"))
    cells = [
        datetime.date.today().isoformat(),
        about["commit"],
        f"{about['cpu']}, {about['cores']} cores, {about['system']}",
        versions,
    ]
    cells += ["missing" if values.get(name) is None else f"{values[name]:.3g}" for name in columns.values()]
    add(heading, ["date", "commit", "machine", "versions", *columns], cells)


def add(heading: str, titles: list[str], cells: list[str]) -> None:
    """Write a row under ``heading``, and the rows of before under its titles."""
    tables = read(PATH)
    tables[heading] = [titles, *under(titles, tables.get(heading, [])), cells]
    PATH.write_text("\n".join(written(each, rows) for each, rows in tables.items()), encoding="utf-8")


def read(path: Path) -> dict[str, list[list[str]]]:
    """The rows of every table, its titles first, by heading."""
    tables: dict[str, list[list[str]]] = {}
    heading = ""
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else ():
        if line.startswith("# "):
            heading = line.removeprefix("# ")
        elif line.startswith("| "):
            tables.setdefault(heading, []).append([cell.strip() for cell in line.strip("|").split("|")])
    return tables


def under(titles: list[str], rows: list[list[str]]) -> list[list[str]]:
    """The rows of before under the titles of today. A figure that was not asked for then is a dash."""
    head, *others = rows or [[]]
    return [[dict(zip(head, row, strict=False)).get(title, "–") for title in titles] for row in others]


def written(heading: str, rows: list[list[str]]) -> str:
    lines = [f"| {' | '.join(row)} |" for row in rows]
    lines.insert(1, f"|{'---|' * len(rows[0])}")
    return f"# {heading}\n\n" + "\n".join(lines) + "\n"
