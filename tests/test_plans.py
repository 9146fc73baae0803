"""How one token's products read the weights: every plan gives the same bits, the quickest is kept for this machine."""

import dataclasses
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

import capot
from capot.cli import run
from capot.engines.decode_plan import DecodePlan
from capot.engines.native import kernels, matmul, plans, products, tuning
from capot.engines.native.plans import DEFAULT, KernelPlan, plans_for
from capot.errors import CapabilityError, ResourceError
from capot.sources import machine

DTYPES = {"bfloat16": np.uint16, "float16": np.int16, "float32": np.float32}
FOUND = DecodePlan("bfloat16", "cache", 4, 256, True, 2, 20e9, 25e9)
ROWS = {"cache": 2, "memory": 1}
FOLDERS = plans.folders
BF16 = np.dtype(np.uint16)


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    """Keep what is chosen here away from the plans that this machine goes by."""
    # By the list and not by NUMBA_CACHE_DIR, which Numba would read too, and keep for the tests that follow.
    monkeypatch.setattr(plans, "folders", lambda: [tmp_path / "kept"])
    monkeypatch.setattr(products, "HAS_TILES", False)  # their plans are in test_tiles
    return tmp_path / "kept"


def stored(wide: np.ndarray, dtype: str) -> np.ndarray:
    kept = {"float32": wide, "bfloat16": (wide.view(np.uint32) >> 16).astype(np.uint16)}
    weights = kept.get(dtype, wide.astype(np.float16).view(np.int16))
    weights.flags.writeable = False
    return weights


# ---------------------------------------------------------------- the same bits


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("rows", "depth"), [(1, 33), (71, 2148), (133, 4196), (258, 64)])
def test_no_plan_changes_a_bit(dtype, rows, depth):
    random = np.random.default_rng(depth)
    weights = stored(random.standard_normal((rows, depth), np.float32), dtype)
    x = random.standard_normal((1, depth), np.float32)
    if dtype == "bfloat16":
        x = stored(x, dtype).copy()
    begun = random.standard_normal((1, rows), np.float32)
    expected = begun.copy()
    matmul.add_matmul(weights, x, expected, *DEFAULT)
    assert not np.array_equal(expected, begun)
    tried = [plan for threads in (1, 2, 3, 7) for plan in plans_for(threads)]
    tried += [KernelPlan(4, 2**40, 0), KernelPlan(2, 0, 1000), KernelPlan(1, 7, 2)]
    for plan in tried:
        y = begun.copy()
        matmul.add_matmul(weights, x, y, *plan)
        assert np.array_equal(y.view(np.uint32), expected.view(np.uint32)), plan


@pytest.mark.parametrize("tasks", [0, 1, 2, 3, 7, 64, 65])
@pytest.mark.parametrize("threads", [0, 1, 2, 3, 7, 100])
def test_in_turns_each_task_is_done_once(tasks, threads):
    assert sorted(matmul.task_of(turn, tasks, threads) for turn in range(tasks)) == list(range(tasks))


def test_threads_in_turn_go_through_memory_together():
    assert [matmul.task_of(turn, 7, 2) for turn in range(7)] == [0, 2, 4, 1, 3, 5, 6]  # the first has three, then two
    assert [matmul.task_of(turn, 7, 0) for turn in range(7)] == list(range(7))


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_reader_reads_every_number(dtype):
    tasks, width = 3, 2048
    for plan in plans_for(2):
        for place in (0, 1, width - 1, 64 * width - 1, 64 * width, tasks * 64 * width - 1):
            weights = np.zeros((tasks * 64, width), DTYPES[dtype])
            weights.reshape(-1).view(f"u{weights.itemsize}")[place] = 1
            weights.flags.writeable = False
            seen = np.full(tasks, -1)
            tuning.read_planned(weights, seen, *plan)
            assert seen.tolist() == [int(place // (64 * width) == task) for task in range(tasks)]


# ---------------------------------------------------------------- which one is chosen


class Course:
    """A clock that runs as fast as the plan at work is slow; what another program takes falls on one turn."""

    def __init__(self, seconds, disturbed=()):
        self.now, self.seconds, self.runs, self.disturbed = 0.0, seconds, [], dict(disturbed)

    def clock(self):
        return self.now

    def field(self):
        def run(plan):
            self.now += self.seconds[plan] + self.disturbed.pop(len(self.runs), 0.0)
            self.runs.append(plan)

        return {plan: lambda plan=plan: run(plan) for plan in self.seconds}


def test_the_quickest_plan_wins_whatever_disturbs_one_turn():
    tried = plans_for(2)
    quickest = tried[11]
    assert quickest != DEFAULT
    course = Course(dict.fromkeys(tried, 0.01) | {quickest: 0.008}, disturbed={11: 5.0})
    (least,) = tuning.race([course.field()], kept=[DEFAULT], until=7.0, clock=course.clock)
    assert tuning.best_plan(least, kept=DEFAULT) == quickest and least[quickest] == pytest.approx(0.008)


def test_a_moment_of_faster_memory_makes_no_plan_win():
    tried = plans_for(2)
    for lucky in (0, 3, len(tried) - 1):
        assert tried[lucky] != DEFAULT
        course = Course(dict.fromkeys(tried, 0.01), disturbed={lucky: -0.005})
        (least,) = tuning.race([course.field()], kept=[DEFAULT], until=7.0, clock=course.clock)
        assert tuning.best_plan(least, kept=DEFAULT) == DEFAULT


def test_time_goes_to_those_that_are_hard_to_tell_apart():
    tried = plans_for(2)
    course = Course({plan: 0.01 + 0.001 * place for place, plan in enumerate(tried)})
    tuning.race([course.field()], kept=[DEFAULT], until=20.0, clock=course.clock)
    runs = [course.runs.count(plan) for plan in tried]
    assert min(runs) == tuning.TURNS  # each had its chance
    assert max(runs[:4]) > 20 * tuning.TURNS and course.runs.count(DEFAULT) == max(runs)
    assert course.now < 20.0 + sum(course.seconds.values())


def test_on_a_slow_machine_each_plan_has_its_turns_all_the_same():
    course = Course(dict.fromkeys(plans_for(4), 3.0))
    (least,) = tuning.race([course.field()], kept=[DEFAULT], until=1.0, clock=course.clock)
    assert {course.runs.count(plan) for plan in plans_for(4)} == {tuning.TURNS}
    assert tuning.best_plan(least, kept=DEFAULT) == DEFAULT  # no difference: nothing to change


@pytest.mark.parametrize("place", ["memory", "cache"])
def test_a_plan_is_chosen_by_reading(place, monkeypatch):
    monkeypatch.setattr(tuning, "buffer_bytes", lambda place: 2**20)
    ticking = iter(range(10**6))
    found = tuning.choose(BF16, BF16, place, clock=lambda: 0.001 * next(ticking))
    assert found is not None and (found.dtype, found.place) == ("bfloat16", place)
    assert found == plans._decoded(dataclasses.asdict(found))  # one that is tried, with the speeds it was found at
    assert 0 < found.share <= 1 and "GB/s" in found.words("en") and "Go/s" in found.words("fr")


def test_the_buffer_is_larger_than_any_cache_and_leaves_memory_free(monkeypatch, tmp_path):
    for index, size in enumerate(("48K", "2048K", "65536K")):
        (tmp_path / f"index{index}").mkdir()
        (tmp_path / f"index{index}" / "size").write_text(size + "\n")
    monkeypatch.setattr(plans, "CACHES", tmp_path)
    monkeypatch.setenv("CAPOT_RAM", "16")
    assert plans.cache_bytes() == 2 * tuning.buffer_bytes("cache") == 64 * 2**20
    assert tuning.buffer_bytes("memory") == 3 * 64 * 2**20
    assert plans.place_of(64 * 2**20) == "cache" and plans.place_of(64 * 2**20 + 1) == "memory"
    (tmp_path / "index2" / "size").write_text("1G")
    assert tuning.buffer_bytes("memory") == tuning.LARGEST
    for said in ("", "none", "-1K", "9" * 400):
        (tmp_path / "index2" / "size").write_text(said)
        assert tuning.buffer_bytes("memory") == tuning.BUFFER
    monkeypatch.setenv("CAPOT_RAM", "0.3")
    assert tuning.buffer_bytes("memory") == 0
    assert tuning.choose(BF16, BF16, "memory") is None
    monkeypatch.setattr(plans, "CACHES", tmp_path / "nowhere")  # other systems tell no sizes
    assert plans.place_of(1) == "memory" and tuning.choose(BF16, BF16, "cache") is None


# ---------------------------------------------------------------- what is kept


def test_a_plan_is_kept_for_this_processor_and_these_kernels(own_folder, monkeypatch):
    assert plans.kept("bfloat16", "cache") is None
    plans.keep([FOUND])
    assert (
        plans.kept("bfloat16", "cache") == FOUND
        and plans.kept("float32", "cache") is None
        and plans.kept("bfloat16", "memory") is None
    )
    assert plans.plan_of(FOUND) == KernelPlan(4, 256, 2)
    assert [path.name for path in own_folder.iterdir()] == [plans.FILE]  # and no half of one
    monkeypatch.setattr(machine, "CPUINFO", Path("/nowhere"))
    monkeypatch.setattr(machine.platform, "processor", lambda: "another one")
    assert plans.kept("bfloat16", "cache") is None
    plans.keep([FOUND])
    assert len(json.loads((own_folder / plans.FILE).read_text())) == 2  # a folder shared by two machines
    monkeypatch.setenv("NUMBA_CPU_NAME", "generic")
    assert plans.kept("bfloat16", "cache") is None


GOOD = dataclasses.asdict(FOUND)
DAMAGED = [
    "", "{", "[]", "null", '"a"', "[" * 10**5, "\x00", "{}",
    *(json.dumps({"KEY": value}) for value in (
        None, [], 3, {}, GOOD | {"more": 1}, GOOD | {"rows": 3}, GOOD | {"rows": "1"}, GOOD | {"ahead_bytes": 2**70},
        GOOD | {"threads": 0}, GOOD | {"threads": 10**9}, GOOD | {"bytes_per_second": "a"}, GOOD | {"rows": []},
        GOOD | {"bytes_per_second": 0}, GOOD | {"bytes_per_second": float("nan")}, GOOD | {"threads": 1.5},
        GOOD | {"bytes_per_second": 3e10}, GOOD | {"dtype": "float32"}, GOOD | {"place": "memory"},
        GOOD | {"in_turns": "yes"},
    )),
]  # fmt: skip


@pytest.mark.parametrize("text", DAMAGED)
def test_a_damaged_file_is_as_none_and_is_replaced(own_folder, text):
    own_folder.mkdir()
    (own_folder / plans.FILE).write_text(text.replace("KEY", plans.key("bfloat16", "cache").replace("\\", "\\\\")))
    assert plans.kept("bfloat16", "cache") is None
    plans.keep([FOUND])
    assert plans.kept("bfloat16", "cache") == FOUND


def test_plans_are_kept_where_kernels_are(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    assert FOLDERS() == [Path(plans.__file__).parent / "__pycache__", tmp_path / "capot"]
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "kernels"))
    assert FOLDERS() == [tmp_path / "kernels"]


def test_where_the_first_folder_cannot_be_written_the_next_one_is(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(plans, "folders", lambda: [tmp_path / "file", tmp_path / "second"])
    plans.keep([FOUND])
    assert plans.kept("bfloat16", "cache") == FOUND
    monkeypatch.setattr(plans, "folders", lambda: [tmp_path / "file"])
    with pytest.raises(OSError, match="file"):
        plans.keep([FOUND])


def test_many_may_keep_at_once(own_folder):
    found = [DecodePlan(dtype, "memory", 1, 1024, False, 2, 1e9, 2e9) for dtype in DTYPES] * 8
    threads = [threading.Thread(target=plans.keep, args=([each],)) for each in found]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    json.loads((own_folder / plans.FILE).read_text())  # one whole file, whoever was the last
    assert [path.name for path in own_folder.iterdir()] == [plans.FILE]


def test_kernels_compiled_anew_choose_and_others_take_what_was_kept(monkeypatch):
    chosen = []

    def choose(dtype, product, place):
        chosen.append(place)
        return FOUND if place == "cache" else None

    monkeypatch.setattr(tuning, "choose", choose)
    ours = {"cache": KernelPlan(4, 256, 2), "memory": DEFAULT}
    assert kernels._settle_plans(BF16, anew=False) == plans.DEFAULTS and not chosen
    assert kernels._settle_plans(BF16, anew=True) == ours and sorted(chosen) == ["cache", "memory"]
    assert kernels._settle_plans(BF16, anew=False) == ours and len(chosen) == 2
    # Where nothing can be kept, two seconds at each opening would be lost each time.
    monkeypatch.setattr(kernels, "cache_errors", [OSError("read-only")])
    monkeypatch.setattr(plans, "kept", lambda dtype, place: None)
    assert kernels._settle_plans(BF16, anew=True) == plans.DEFAULTS and len(chosen) == 2


def test_a_disk_that_takes_no_plan_is_no_reason_not_to_go_by_it(monkeypatch):
    noted: list[Exception] = []
    monkeypatch.setattr(tuning, "choose", lambda *given: FOUND)
    monkeypatch.setattr(plans, "keep", lambda found: (_ for _ in ()).throw(OSError(28, "full")))
    monkeypatch.setattr(kernels, "cache_errors", noted)
    assert FOUND in kernels.tune(BF16) and len(noted) == 1


def test_weights_go_by_the_plan_of_the_place_that_they_are_read_from(monkeypatch):
    found = {place: dataclasses.replace(FOUND, place=place, rows=rows) for place, rows in ROWS.items()}
    monkeypatch.setattr(plans, "kept", lambda dtype, place: found[place])
    monkeypatch.setattr(tuning, "choose", lambda dtype, product, place: found[place])  # where kernels are compiled now
    for size, rows in ((2**40, ROWS["cache"]), (0, ROWS["memory"])):
        monkeypatch.setattr(plans, "cache_bytes", lambda size=size: size)
        with capot.open("boxed") as model:
            model.load()
            engine = model.scheduler.engine
            every = [engine.head, *(layer.gate for layer in engine.layers), *(layer.query for layer in engine.layers)]
            assert {linear.plan for linear in every} == {KernelPlan(rows, 256, 2)}


# ---------------------------------------------------------------- what is told


def test_the_card_tells_the_plan_and_tune_chooses_anew(monkeypatch):
    monkeypatch.setattr(plans, "cache_bytes", lambda: 2**30)
    with capot.open("boxed") as model:
        assert model.card().decode_plan is None and "Reading weights" not in model.card().to_text(lang="en")
        before = model.next("Paris is", k=3).candidates
        monkeypatch.setattr(tuning, "choose", lambda *given: FOUND)
        assert model.tune() == FOUND and model.scheduler.engine.head.plan == plans.plan_of(FOUND)
        card = model.card()
        assert card.decode_plan == FOUND and json.loads(card.to_json())["decode_plan"] == dataclasses.asdict(FOUND)
        text = " ".join(card.to_text(lang="en", width=200).split())
        assert "20.0 GB/s from the cache, 80% of a plain reader’s; 4 rows at once, prefetched 256 bytes" in text
        assert "2 threads in turn" in text
        assert "20,0 Go/s" in card.to_text(lang="fr", width=200)
        assert model.next("Paris is", k=3).candidates == before
        monkeypatch.setattr(tuning, "choose", lambda *given: None)
        with pytest.raises(ResourceError) as failure:
            model.tune()
    assert failure.value.code == "tuning_room" and failure.value.message("fr")


def test_only_the_native_engine_is_tuned():
    with capot.open("scripted") as model, pytest.raises(CapabilityError) as failure:
        model.tune()
    assert failure.value.code == "not_tuned"
    assert model.loaded is None  # nothing was opened to find out


def test_a_card_with_a_plan_needs_no_numba(own_folder):
    plans.keep([dataclasses.replace(FOUND, place=place) for place in plans.DEFAULTS])
    program = (
        "import sys, capot; card = capot.open('boxed').card(); print(card.decode_plan.rows, 'numba' in sys.modules)"
    )
    surroundings = os.environ | {"NUMBA_CACHE_DIR": str(own_folder)}
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, env=surroundings, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["4", "False"]


def test_the_command_tunes_and_says_what_it_waits_for(monkeypatch, capsys):
    monkeypatch.setattr(tuning, "choose", lambda dtype, product, place: dataclasses.replace(FOUND, place=place))
    assert run(["card", "--tune", "--lang", "fr"]) == 0
    told = capsys.readouterr()
    assert "Lecture des poids" in told.out and "20,0 Go/s" in told.out and "deux secondes" in told.err


@pytest.mark.parametrize("lang", ["en", "fr"])
@pytest.mark.parametrize("refused", [["Llama-3-70B", "--tune"], ["--tune", "--model", "scripted"]])
def test_the_command_says_where_there_is_nothing_to_tune(refused, lang, capsys):
    assert run(["card", *refused, "--lang", lang]) == 2
    told = capsys.readouterr()
    assert "capot card --tune" in told.err and not told.out
