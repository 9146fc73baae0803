"""The facade: lazy, one verb a line, nothing read before it is needed."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

import capot
from capot.chapters.registry import Verbs, verbs
from capot.errors import InputError, NotFoundError
from capot.model import Model


def test_every_verb_of_the_registry_is_a_method_of_the_model() -> None:
    written = [name for base in Verbs.__bases__ for name in vars(base) if not name.startswith("_")]
    assert written == list(verbs()) and len(written) > 10
    assert issubclass(Model, Verbs) and not set(written) & set(vars(Model))


def test_every_chapter_of_the_table_has_its_verbs() -> None:
    rows = (ROOT / "docs/architecture.md").read_text(encoding="utf-8").split("## Floors")[0].splitlines()
    rows = [row for row in rows if row.startswith("|") and re.search(r"(\.py|/)`", row)]
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]
    told = {name.strip(" `"): row[2] for row in cells for name in row[3].split(",") if "`" in name}
    assert set(told) == set(verbs())
    for name, module in told.items():
        places = {part.strip(" `").removesuffix(".py").strip("/") for part in module.split(",")}
        assert f"chapters/{verbs()[name][0].name}" in places


@pytest.mark.parametrize("name", sorted(verbs()))
def test_a_verb_takes_the_model_and_at_most_two_positions(name: str) -> None:
    function = verbs()[name][1].load()
    kinds = [p.kind for p in inspect.signature(function).parameters.values()]
    positional = [kind for kind in kinds if kind is inspect.Parameter.POSITIONAL_OR_KEYWORD]
    assert 1 <= len(positional) <= 2 and function.__doc__


def test_opening_reads_the_config_alone() -> None:
    code = (
        "import capot, sys; model = capot.open('boxed'); model.name; repr(model)\n"
        "opened = [name for name, value in vars(model.shared).items() if value is not None]\n"
        "print(sorted({'numba', 'tokenizers', 'torch', 'plotly', 'numpy'} & set(sys.modules)), opened)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.startswith("[] ['loading'") and "at_work" not in out and "tokenizer" not in out


def test_tokens_and_card_load_no_engine() -> None:
    code = (
        "import capot, sys\n"
        "model = capot.open('boxed'); model.tokens('a'); model.card(); model.embed(['cat', 'dog'])\n"
        "model.memory(simulate=True)\nprint(sorted({'numba', 'torch', 'plotly'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_closing_twice_is_harmless() -> None:
    model = capot.open("scripted")
    assert model.generate("The capital of", temperature=0, max_new_tokens=4).text
    model.close()
    model.close()
    assert model.closed and model.loaded is None


def test_another_person_shares_weights_and_no_cache() -> None:
    prompt = "The capital of Japan is well known to everyone"
    with capot.open("scripted") as model:
        other = model.on_behalf_of("ada")
        assert other.scheduler is model.scheduler and other.owner != model.owner
        model.generate(prompt, temperature=0, max_new_tokens=2)
        assert model.generate(prompt, temperature=0, max_new_tokens=2).reused_tokens > 0
        assert other.generate(prompt, temperature=0, max_new_tokens=2).reused_tokens == 0


def test_what_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="nothing-here"):
        capot.open("./nothing-here")
    with pytest.raises(InputError):
        capot.open("boxed", engine="steam").scheduler  # noqa: B018 - opening is lazy
    with pytest.raises(NotFoundError):
        capot.open("scripted").checkpoint  # noqa: B018


def test_repr_says_what_was_asked() -> None:
    assert repr(capot.open("scripted")) == "Model(model='scripted')"
