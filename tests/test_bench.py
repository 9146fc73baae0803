"""The benches name what is missing and never guess; the house's commands leave nothing half made."""

from __future__ import annotations

import contextlib
import importlib
import re
import subprocess
import venv
from argparse import Namespace
from pathlib import Path

import pytest
from conftest import ROOT


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch):
    """The module of the benches called ``name``."""
    monkeypatch.syspath_prepend(str(ROOT / "bench"))
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    return importlib.import_module


def test_a_peer_that_cannot_be_had_is_named(bench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    common = bench("_common")
    monkeypatch.setattr(common, "installed", lambda *names: False)
    monkeypatch.setattr(common, "OUT", tmp_path)
    (tmp_path / "bin").mkdir()
    python = tmp_path / "bin" / "python"
    python.write_text("#!/bin/sh\nexit 1\n")
    python.chmod(0o755)
    given = Namespace(venv=str(tmp_path), gguf=None, model=str(tmp_path), threads=1)
    present, missing = common.contestants(("llama.cpp", "transformers"), given)
    assert present == [] and [line.partition(":")[0] for line in missing] == ["llama.cpp", "transformers"]


def test_a_row_says_missing_where_nothing_was_measured(bench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    run, results = bench("run"), bench("_results")
    monkeypatch.setattr(results, "PATH", tmp_path / "RESULTS.md")
    rows = [{"name": "decode", "value": 24.81}, {"name": "decode, over transformers", "value": None}]
    run.append(run.HEADING, run.COLUMNS, [{"rows": rows}])
    run.append(run.HEADING, run.COLUMNS, [])
    title, _, head, _, first, second = (tmp_path / "RESULTS.md").read_text(encoding="utf-8").splitlines()
    assert title.startswith("# ") and first.count("|") == second.count("|") == head.count("|")
    assert "| 24.8 |" in first and first.count("missing") == len(run.COLUMNS) - 1
    assert second.count("missing") == len(run.COLUMNS)


def test_a_row_of_one_table_leaves_the_other_as_it_is(bench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    results = bench("_results")
    monkeypatch.setattr(results, "PATH", tmp_path / "RESULTS.md")
    results.append("One", {"speed": "decode"}, [{"rows": [{"name": "decode", "value": 2.0}]}])
    before = results.read(results.PATH)["One"]
    results.append("Two", {"waits": "wait"}, [{"rows": [{"name": "wait", "value": 0.5}]}])
    results.append("Two", {"waits": "wait", "more": "later"}, [])
    tables = results.read(results.PATH)
    assert list(tables) == ["One", "Two"] and tables["One"] == before
    assert [row[4:] for row in tables["Two"]] == [["waits", "more"], ["0.5", "–"], ["missing", "missing"]]


def test_the_published_rows_have_every_column(bench) -> None:
    tables = bench("_results").read(ROOT / "bench" / "RESULTS.md")
    for module, least in (("run", 3), ("soak", 1), ("versions", 1), ("decode", 1)):
        of = bench(module)
        rows = tables[of.HEADING]
        assert len(rows) > least and {len(row) for row in rows} == {len(of.COLUMNS) + 4}


def test_a_soak_says_what_is_beyond_what_was_asked(bench) -> None:
    soak = bench("soak")
    assert soak.beyond(("late (asked: at most)", 201.0, "ms", 200)) and not soak.beyond(("late", 200.0, "ms", 200))
    assert soak.beyond(("heard (asked: all)", 3, "", 4)) and not soak.beyond(("heard (asked: all)", 4, "", 4))
    assert not soak.beyond(("models", 5, "", None)) and not soak.beyond(("missing", None, "", 1))


def test_shapes_of_the_families_are_those_of_models_of_their_size(bench) -> None:
    torch, transformers = pytest.importorskip("torch"), pytest.importorskip("transformers")
    hf, found = bench("hf"), {}
    for family, shape in hf.SHAPES.items():
        with torch.device("meta"):
            model = transformers.AutoModelForCausalLM.from_config(hf.configuration(shape))
        assert type(model).__module__.rpartition(".")[2].startswith(f"modeling_{family}")
        assert model.generation_config.eos_token_id is None
        found[family] = round(sum(weight.numel() for weight in model.parameters()) / 1e6)
    assert found == {"gpt2": 124, "gpt_neox": 162, "opt": 125, "gemma": 268, "phi": 361}


def test_an_environment_is_made_whole_or_not_at_all(
    bench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dev = bench("dev")
    monkeypatch.setattr(dev, "VENV", tmp_path / ".venv")

    def half(folder: Path, **_: object) -> None:
        (folder / "bin").mkdir(parents=True)
        raise subprocess.CalledProcessError(1, "ensurepip")

    monkeypatch.setattr(venv, "create", half)
    with pytest.raises(SystemExit, match="python3-venv"):
        dev.make_environment()
    assert not (tmp_path / ".venv").exists()


def test_what_a_command_needs_is_pinned_without_an_address() -> None:
    for path in (ROOT / "requirements").glob("*.txt"):
        lines = path.read_text(encoding="utf-8").split("\n")
        assert all("==" in line and "://" not in line and " " not in line for line in lines if line), path.name
    assert (ROOT / "requirements/torch.txt").read_text(encoding="utf-8").startswith("torch==")
    core = (ROOT / "requirements/core.txt").read_text(encoding="utf-8")
    assert "torch" not in core and "transformers" not in core


def test_the_parts_of_a_step_add_up_to_the_step(bench, tmp_path: Path) -> None:
    """Of a small random model: each kernel is counted, nothing twice, and the logits stay the same bits."""
    tiny = pytest.importorskip("native_helpers")
    from capot.engines.native import kernels, open_native
    from capot.engines.protocol import Feed
    from capot.sources.checkpoint import Checkpoint

    profiling = bench("_profile")
    engine = open_native(Checkpoint.open(tiny.make(tmp_path / "model", "llama", dtype="bfloat16")))
    before = {name: getattr(kernels, name) for name in profiling.PART_OF}

    def logits(profile=None) -> list[list[float]]:
        sequence, found = engine.open_sequence(), []
        for token in tiny.prompt(20):
            with contextlib.nullcontext() if profile is None else profile.watch():
                found.append(engine.step([Feed(sequence, [token])])[0].logits.tolist())
        sequence.close()
        return found

    profile = profiling.Profile(engine)
    assert logits(profile) == logits()
    assert {name: getattr(kernels, name) for name in profiling.PART_OF} == before
    layers, steps = tiny.SHAPE["num_hidden_layers"], 20
    calls = {"products": 4 * layers, "head": 1, "attention": 2 * layers, "norms": 2 * layers + 1, "SwiGLU": layers}
    assert profile.calls == {part: steps * count for part, count in calls.items()}
    parts = profile.parts
    assert tuple(parts) == profiling.PARTS and all(seconds > 0 for seconds in parts.values())
    assert sum(parts.values()) == pytest.approx(profile.total)


def test_a_profile_leaves_the_engine_as_it_was_when_a_step_fails(bench) -> None:
    from capot.engines.native import kernels

    profiling = bench("_profile")
    before = {name: getattr(kernels, name) for name in profiling.PART_OF}
    moments = iter(range(10))
    profile = profiling.Profile(Namespace(head=Namespace(matrices=None)), clock=lambda: float(next(moments)))
    with pytest.raises(KeyboardInterrupt), profile.watch():
        assert kernels.swiglu is not before["swiglu"]
        raise KeyboardInterrupt
    assert {name: getattr(kernels, name) for name in profiling.PART_OF} == before
    assert profile.parts == dict.fromkeys(profiling.PARTS, 0.0) | {profiling.REST: 1.0}


def test_every_kernel_has_its_part(bench) -> None:
    """What ``kernels`` says that it offers as compiled operations is what a profile times."""
    from capot.engines.native import kernels

    told = re.findall(r"^    (\w+)  +\w", kernels.__doc__, re.MULTILINE)
    assert len(told) == 5 and sorted(bench("_profile").PART_OF) == sorted(told)


def test_the_row_of_a_profile_is_the_quickest_turn_and_makes_a_hundred(bench) -> None:
    decode, parts = bench("decode"), bench("_profile").PARTS
    slow, quick = (dict.fromkeys(parts, share) for share in (2.0, 1.0))
    found = [(8.0, {"seconds": 12.0, "parts": slow}), (6.0, {"seconds": 6.0, "parts": quick})]
    rows = {name: value for name, value, _, _ in decode.split(found, weights=10**9)}
    assert rows["step"] == 1e3 * 6 / decode.LONG and rows["decode"] == decode.LONG / 6
    assert sum(rows[f"{part}, of the step"] for part in parts) == pytest.approx(100)
    assert rows["a watched step over one that is not"] == 1.25
    assert rows["products and head, weights read"] == pytest.approx(decode.LONG / 2)
    assert {name for name in decode.COLUMNS.values() if "programs" not in name} == set(rows)


@pytest.mark.parametrize(
    ("page", "heading", "never"), [("docs", "## Where it ran", "never"), ("docs/fr", "## Où il a tourné", "jamais")]
)
def test_the_page_says_where_it_ran_and_where_it_never_did(bench, page: str, heading: str, never: str) -> None:
    """The table of processors and systems agrees with the rows that measurements left."""
    text = (ROOT / page / "engines.md").read_text(encoding="utf-8").partition(heading)[2].partition("\n## ")[0]
    told = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:1] == "|"][2:]
    ran = [(processor, system) for processor, system, what in told if what != never]
    not_yet = " ".join(f"{processor} {system}" for processor, system, what in told if what == never)
    assert len(ran) >= 3 and all(name in not_yet for name in ("ARM", "macOS", "Windows"))
    tables = bench("_results").read(ROOT / "bench" / "RESULTS.md").values()
    machines = {row[rows[0].index("machine")] for rows in tables for row in rows[1:]}
    assert machines
    for machine in machines:
        processor, _, *system = re.sub(r" \(.*?\)", "", machine).split(", ")
        found = [each for name, each in ran if name.startswith(processor)]
        assert found, f"{processor} is in RESULTS.md: say so in {page}/engines.md"
        assert all(" ".join(system).replace("_", "-").split(" ") == each.split(", ") for each in found if system)
