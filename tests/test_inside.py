"""What a pass tells of its inside: the same whatever the schedule, in bounded memory; families of other blocks.

Each family's numbers are held against forward hooks beside its other numbers (``test_native``, ``test_hf``).
"""

from __future__ import annotations

import edits_helpers as editing
import hf_helpers
import inside_helpers as hooks
import native_helpers
import numpy as np
import pytest

from capot.engines.inside import Inside, Mark
from capot.engines.native import open_native
from capot.engines.protocol import LAST, Capability, Feed, Want, require
from capot.engines.scheduler import Scheduler
from capot.engines.scripted import ScriptedEngine
from capot.errors import CapabilityError
from capot.sources.checkpoint import Checkpoint

IDS = native_helpers.prompt(120, 5)  # longer than the window of those that have one, and than a block of a cache
OTHERS = ("granite", "cohere", "gptj")  # additions times a number, logits times one, blocks side by side


@pytest.fixture(scope="module")
def native(tmp_path_factory):
    """Native engines by family and the type of their weights; made once."""
    made = {}

    def get(family: str, dtype: str = "float32"):
        if (family, dtype) not in made:
            folder = native_helpers.make(tmp_path_factory.mktemp(family), family, dtype=dtype)
            made[family, dtype] = open_native(Checkpoint.open(folder))
        return made[family, dtype]

    return get


def passed(engine, asked: Inside | None, *, chunk: int = 256, ids=IDS, logits="last"):
    """The outputs of one text in chunks."""
    sequence = engine.open_sequence()
    starts = range(0, len(ids), chunk)
    found = [engine.step([Feed(sequence, ids[at : at + chunk], Want(logits, inside=asked))])[0] for at in starts]
    sequence.close()
    return found


@pytest.mark.parametrize("family", OTHERS)
def test_blocks_of_another_build(tmp_path, family) -> None:
    pytest.importorskip("accelerate")
    folder = hf_helpers.make(tmp_path, family, **hooks.CHANGES.get(family, {}))
    model, engine, names = hf_helpers.load(folder), hf_helpers.engine(folder), hooks.FAMILIES[family]
    hooks.holds_all(engine, hooks.Reference(model, IDS, names), IDS)
    editing.holds_edits(engine, editing.Hooked(model, names, heads=engine.info.heads), IDS[:40])


@pytest.mark.parametrize(("family", "dtype"), [("llama", "float32"), ("mistral", "float32"), ("llama", "bfloat16")])
def test_asking_changes_no_bit_and_neither_does_the_schedule(native, family, dtype) -> None:
    engine = native(family, dtype)
    asked = hooks.everything(engine)
    (whole,), (plain,) = passed(engine, asked), passed(engine, None)
    np.testing.assert_array_equal(whole.logits, plain.logits)
    run = Scheduler(engine).run
    chunks, alone = run(IDS, want=Want(inside=asked)).output, run(IDS, want=LAST).output
    np.testing.assert_array_equal(chunks.logits, alone.logits)
    pieces = [output.inside for output in passed(engine, asked, chunk=33)]
    for name, axis in (("ids", 1), ("probabilities", 1), ("moved", 2)):
        expected = getattr(whole.inside, name)
        np.testing.assert_array_equal(np.concatenate([getattr(one, name) for one in pieces], axis), expected)
        np.testing.assert_array_equal(getattr(chunks.inside, name), expected)
    np.testing.assert_array_equal(chunks.inside.weights, whole.inside.weights)
    np.testing.assert_array_equal(chunks.inside.reads, whole.inside.reads)
    assert [one.reads is None for one in pieces] == [False, True, True, True]
    np.testing.assert_allclose(chunks.inside.marks, whole.inside.marks, atol=1e-5)
    np.testing.assert_array_equal(pieces[-1].parts.heads, whole.inside.parts.heads)


def test_narrow_weights_add_up_too(native) -> None:
    (found,) = passed(native("biased", "bfloat16"), Inside(parts=True))
    parts = found.inside.parts
    whole = parts.embedding + parts.attention.sum() + parts.mlp.sum()
    assert abs(whole - parts.logit) < 0.02 * np.abs(found.logits).max()
    assert abs(parts.heads.sum(1) - parts.attention).max() > 1e-3  # the difference is the output's bias


def test_any_layer_and_position_alone(native) -> None:
    engine = native("llama")
    (whole,) = passed(engine, Inside(k=4, moved=True))
    for chunk in (256, 50):
        pieces = [
            one.inside
            for one in passed(engine, Inside(k=4, moved=True, levels=(0, 2), positions=(3, 60, 119)), chunk=chunk)
        ]
        for name, axis in (("ids", 1), ("probabilities", 1), ("moved", 2)):
            found = np.concatenate([getattr(one, name) for one in pieces], axis)
            expected = np.take(getattr(whole.inside, name)[[0, 2]], [3, 60, 119], axis)
            np.testing.assert_array_equal(found, expected)


def test_blocks_of_rows_bound_what_is_held_and_change_nothing(native, monkeypatch) -> None:
    engine = native("qwen3")
    asked = hooks.everything(engine)
    (whole,) = passed(engine, asked)
    monkeypatch.setattr("capot.engines.native.inside.BLOCK_BYTES", 4 * 320 * 7)  # seven rows of logits
    engine.allocations(reset_peak=True)
    (found,) = passed(engine, asked)
    peak = engine.allocations().peak
    assert peak["logits"] <= 4 * 320 * 8
    for name in ("ids", "probabilities", "moved", "weights"):
        np.testing.assert_array_equal(getattr(found.inside, name), getattr(whole.inside, name))
    np.testing.assert_allclose(found.inside.marks, whole.inside.marks, atol=1e-5)


def test_a_step_reads_fewer_tokens_where_the_head_is_most_of_the_work() -> None:
    fed: list[int] = []
    scheduler = Scheduler(ScriptedEngine(before_step=lambda feeds: fed.extend(len(feed.ids) for feed in feeds)))
    whole = scheduler.run(list(range(256)) * 2, want=Want(inside=Inside(k=2, head=(1, 1), marks=(Mark(1),)))).output
    assert max(fed) == 4 * 256 // 5 and sum(fed) == 512
    assert whole.inside.ids.shape == (5, 512, 2) and whole.inside.weights.shape == (512, 512)
    np.testing.assert_allclose(whole.inside.weights.sum(1), 1, atol=1e-5)
    assert whole.inside.parts is None
    scheduler.close()


@pytest.mark.parametrize(
    ("asked", "missing"),
    [
        (Inside(k=1), "LAYER_LOGITS"),
        (Inside(moved=True), "ADDITIONS"),
        (Inside(parts=True), "PARTS"),
        (Inside(head=(1, 1)), "ATTENTION"),
        (Inside(marks=(Mark(1),)), "ATTENTION"),
        (Inside(reader=0), "ATTENTION"),
    ],
)
def test_what_an_engine_has_not_is_refused_by_name(asked, missing) -> None:
    engine = ScriptedEngine(capabilities=Capability.LOGITS)
    with pytest.raises(CapabilityError) as caught:
        require(engine, Want(inside=asked).capabilities)
    assert caught.value.code == "capability" and caught.value.params["missing"] == missing
