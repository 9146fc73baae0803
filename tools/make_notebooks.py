"""Make the notebooks of notebooks.toml, in both languages, with the text of their outputs.

``python tools/make_notebooks.py`` runs every cell on the model that is opened by default;
``--no-run`` leaves the outputs out. Outputs are text, since a drawing would weigh more than
the notebook: running a cell draws it.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import io
import json
import tomllib
from pathlib import Path
from typing import Any

from typography import outside_code

ROOT = Path(__file__).resolve().parent.parent
LANGUAGES = ("en", "fr")
WIDTH = 92


def cells(lang: str) -> list[dict[str, Any]]:
    """Return the cells of one language, in nbformat 4.5, not yet run."""
    source = tomllib.loads((ROOT / "tools" / "notebooks.toml").read_text(encoding="utf-8"))
    return [_cell(cell, lang, place) for place, cell in enumerate(source["cell"])]


def _cell(cell: dict[str, Any], lang: str, place: int) -> dict[str, Any]:
    name = {"id": f"cell-{place:02d}", "metadata": {}}
    if "code" not in cell:
        text = cell[lang].strip()
        return {"cell_type": "markdown", **name, "source": _lines(outside_code(text) if lang == "fr" else text)}
    code = cell["code"].strip()
    for key, value in cell.get(lang, {}).items():
        code = code.replace("{" + key + "}", value)
    return {"cell_type": "code", **name, "execution_count": None, "outputs": [], "source": _lines(code)}


def _lines(text: str) -> list[str]:
    return text.splitlines(keepends=True)


def run(notebook: list[dict[str, Any]]) -> None:
    """Run the code cells in order, as a notebook does, and keep what they say: the model speaks its own language."""
    names: dict[str, Any] = {}
    code = [cell for cell in notebook if cell["cell_type"] == "code"]
    for count, cell in enumerate(code, start=1):
        cell["outputs"], cell["execution_count"] = _outputs("".join(cell["source"]), names, count), count


def _outputs(source: str, names: dict[str, Any], count: int) -> list[dict[str, Any]]:
    tree = ast.parse(source)
    end = tree.body[-1]
    last = ast.Expression(end.value) if isinstance(end, ast.Expr) else None
    if last is not None:
        tree.body.pop()
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(tree, "<cell>", "exec"), names)
        value = eval(compile(last, "<cell>", "eval"), names) if last else None  # noqa: S307 - our own cells
    outputs: list[dict[str, Any]] = []
    if printed.getvalue():
        outputs.append({"name": "stdout", "output_type": "stream", "text": _lines(printed.getvalue())})
    if value is not None:
        data = {"text/plain": _lines(_plain(value))}
        outputs.append({"data": data, "execution_count": count, "metadata": {}, "output_type": "execute_result"})
    return outputs


def _plain(value: Any) -> str:
    return value.to_text(width=WIDTH) if hasattr(value, "to_text") else repr(value)


def notebook(lang: str, *, ran: bool) -> dict[str, Any]:
    """One notebook as the JSON that Jupyter reads."""
    made = cells(lang)
    if ran:
        run(made)
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    metadata = {"kernelspec": kernel, "language_info": {"name": "python"}}
    return {"cells": made, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}


def session(lang: str) -> dict[str, Any]:
    """The course, as ``capot notebook`` writes it. It is kept without outputs: they are those of the model at hand."""
    from capot.lessons.course import read_course
    from capot.lessons.notebook import notebook as made

    return made(read_course(None, lang), lang)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--no-run", action="store_true", help="leave the outputs out")
    ran = not parser.parse_args().no_run
    for lang in LANGUAGES:
        course = ROOT / "notebooks" / f"course.{lang}.ipynb"
        course.write_text(json.dumps(session(lang), ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
        path = ROOT / "notebooks" / f"tour.{lang}.ipynb"
        path.parent.mkdir(exist_ok=True)
        text = json.dumps(notebook(lang, ran=ran), ensure_ascii=False, indent=1)
        path.write_text(text + "\n", encoding="utf-8")
        print(path.relative_to(ROOT), f"{path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
