"""Edits of a pass: what they leave behind (nothing), whatever the schedule; what they may not ask.

Each family's numbers are held against forward hooks beside its other numbers (``test_native``, ``test_hf``).
"""

from __future__ import annotations

from types import SimpleNamespace

import edits_helpers as editing
import hf_helpers
import native_helpers
import numpy as np
import pytest

from capot.engines.edits import Edit, Place
from capot.engines.inside import Inside
from capot.engines.native import open_native
from capot.engines.protocol import Capability, Feed, Want, require, touching
from capot.engines.scheduler import Job, Scheduler
from capot.engines.scripted import ScriptedEngine
from capot.errors import CapabilityError
from capot.sources.checkpoint import Checkpoint

IDS = native_helpers.prompt(80, 5)
OFF = (Edit(Place("head", 2, 1)), Edit(Place("mlp", 3)))


@pytest.fixture(scope="module", params=["float32", "bfloat16"])
def engine(request, tmp_path_factory):
    folder = native_helpers.make(tmp_path_factory.mktemp("edits"), "llama", dtype=request.param)
    return open_native(Checkpoint.open(folder))


@pytest.fixture
def scheduler(engine):
    """A scheduler of its own, whose end leaves the engine to the other tests."""
    made = Scheduler(engine)
    yield made
    made.call(made._caches.forget)


class Going(Job):
    """A job that goes on with given tokens, and keeps the logits of each pass."""

    def __init__(self, ids, *, after, edits=(), owner="local") -> None:
        super().__init__(ids, edits=edits, owner=owner, room=len(after))
        self.after, self.heard = list(after), []

    def advance(self, output, pass_):
        self.heard.append(output.logits)
        return [self.after.pop(0)] if self.after else None


def whole(engine, ids, edits=()):
    return editing.passed(engine, ids, tuple(edits), want=Want()).logits


def test_an_edited_text_leaves_no_cache_to_the_next(engine, scheduler) -> None:
    edited = scheduler.run(IDS, edits=OFF)
    assert scheduler.status()["idle_caches"] == 0 and edited.reused_tokens == 0
    np.testing.assert_array_equal(edited.output.logits, whole(engine, IDS, OFF))
    after = scheduler.run([*IDS, 7])
    assert after.reused_tokens == 0
    np.testing.assert_array_equal(after.output.logits, whole(engine, [*IDS, 7]))


def test_an_edited_text_takes_no_cache_and_shortens_none(engine, scheduler) -> None:
    scheduler.run(IDS)
    edited = scheduler.run([*IDS[:70], 7, 8], edits=OFF)
    assert edited.reused_tokens == 0
    np.testing.assert_array_equal(edited.output.logits, whole(engine, [*IDS[:70], 7, 8], OFF))
    again = scheduler.run([*IDS, 9])
    assert again.reused_tokens == len(IDS)  # what was there before is there, and is the plain text's
    np.testing.assert_array_equal(again.output.logits, whole(engine, [*IDS, 9]))


@pytest.mark.parametrize("end", ["cancelled", "failed"])
def test_neither_does_one_that_ends_early(scheduler, end) -> None:
    class Ending(Job):
        def advance(self, output, pass_):
            if end == "failed":
                raise ValueError(end)
            ticket.cancel()
            return [5]

    ready: list[object] = []
    scheduler.call(lambda: ready.append(scheduler.submit(Ending(IDS, edits=OFF))))
    ticket = ready[0]
    ticket.wait()
    assert ticket.error is not None
    assert scheduler.status()["idle_caches"] == 0


def test_what_is_generated_stays_edited_and_leaves_nothing(engine, scheduler) -> None:
    job = Going(IDS, after=[11, 12, 13], edits=OFF)
    scheduler.submit(job).wait()
    texts = [[*IDS, *[11, 12, 13][:count]] for count in range(4)]
    for heard, text in zip(job.heard, texts, strict=True):
        np.testing.assert_allclose(heard, whole(engine, text, OFF), rtol=0, atol=1e-4 * np.abs(heard).max())
        assert np.abs(heard - whole(engine, text)).max() > 1e-2
    assert scheduler.status()["idle_caches"] == 0


def test_texts_edited_each_in_its_way_share_a_pass(engine) -> None:
    edits = [(), OFF, (Edit(Place("residual", 1), np.full(64, 0.2), (3,), adds=True),), ()]
    texts = [IDS[:20], IDS[:20], IDS[20:37], IDS[20:37]]
    sequences = [engine.open_sequence() for _ in texts]
    feeds = [Feed(s, ids, Want(), each) for s, ids, each in zip(sequences, texts, edits, strict=True)]
    for output, ids, each in zip(engine.step(feeds), texts, edits, strict=True):
        np.testing.assert_array_equal(output.logits, whole(engine, ids, each))
    for sequence in sequences:
        sequence.close()


def test_texts_edited_each_in_its_way_share_a_pass_of_transformers(tmp_path) -> None:
    pytest.importorskip("accelerate")
    engine = hf_helpers.engine(hf_helpers.make(tmp_path, "llama"))
    texts = [IDS[:20], IDS[:20], IDS[20:37]]
    edits = [(), OFF, (Edit(Place("residual", 1), np.full(64, 0.2), (3,), adds=True), Edit(Place("head", 3, 4)))]

    def together() -> list[np.ndarray]:
        sequences = [engine.open_sequence() for _ in texts]
        fed = zip(sequences, texts, edits, strict=True)
        outputs = engine.step([Feed(sequence, ids, Want(), each) for sequence, ids, each in fed])
        for sequence in sequences:
            sequence.close()
        return [output.logits for output in outputs]

    together()  # the first row is tried beside texts alone
    passes: list[int] = []
    hook = engine.network.model.register_forward_pre_hook(lambda *_: passes.append(1))
    found = together()
    hook.remove()
    assert len(passes) == 1
    for logits, ids, each in zip(found, texts, edits, strict=True):
        np.testing.assert_allclose(logits, whole(engine, ids, each), rtol=0, atol=1e-4 * np.abs(logits).max())
    assert np.abs(found[0] - found[1]).max() > 1e-2


def test_no_edited_token_enters_the_compiled_lane() -> None:
    compiled = pytest.importorskip("capot.engines.transformers.compiled")
    lane, sequence = SimpleNamespace(length=100), SimpleNamespace(ids=[1, 2])
    taken = [compiled.CompiledDecoder.takes(lane, Feed(sequence, [3], edits=edits)) for edits in ((), OFF)]
    assert taken == [True, False]


def test_nothing_done_changes_no_bit_of_narrow_weights_either(engine) -> None:
    editing.holds_nothing_done(engine, IDS, editing.places(engine))
    asked = Want(inside=Inside(states=tuple(editing.places(engine))))
    np.testing.assert_array_equal(editing.passed(engine, IDS, want=asked).logits, whole(engine, IDS))


def test_states_come_in_one_piece_whatever_the_chunks(engine, scheduler, monkeypatch) -> None:
    where = tuple(editing.places(engine))
    at_once = editing.states_of(engine, IDS, where)
    monkeypatch.setattr("capot.engines.scheduler.thread.MAX_CHUNK", 33)
    for positions in (None, (0, 40, 79)):
        asked = Want(inside=Inside(states=where, positions=positions))
        for found, expected in zip(scheduler.run(IDS, want=asked).output.inside.states, at_once, strict=True):
            np.testing.assert_array_equal(found, expected if positions is None else expected[list(positions)])


@pytest.mark.parametrize(
    "edit",
    [
        Edit(Place("mlp", 4)),
        Edit(Place("mlp", 0)),
        Edit(Place("residual", -1)),
        Edit(Place("head", 1)),
        Edit(Place("head", 1, 5)),
        Edit(Place("mlp", 1, 1)),
        Edit(Place("mlp", 1), np.zeros((2, 64)), (1,)),
    ],
)
def test_an_edit_of_what_is_not_there_is_refused(engine, scheduler, edit) -> None:
    with pytest.raises(ValueError, match="an edit of"):
        scheduler.submit(Job(IDS, edits=(edit,)))
    with pytest.raises(ValueError, match="an edit of"):
        editing.passed(engine, IDS, (edit,))


@pytest.mark.parametrize("asked", [Inside(moved=True), Inside(parts=True), Inside(head=(1, 1))])
def test_an_edited_pass_has_no_parts(engine, asked) -> None:
    with pytest.raises(ValueError, match="an edited pass"):
        editing.passed(engine, IDS, OFF, want=Want(inside=asked))


def test_guesses_are_those_of_the_edited_text(engine) -> None:
    found = editing.passed(engine, IDS, OFF, want=Want(inside=Inside(k=1, levels=(3,), positions=(79,)))).inside
    assert found.ids[0, 0, 0] == whole(engine, IDS, OFF).argmax()


@pytest.mark.parametrize(
    ("place", "missing"),
    [
        (Place("residual", 1), "EDITS"),
        (Place("mlp", 1), "ADDITIONS, EDITS"),
        (Place("head", 1, 1), "EDITS, HEAD_EDITS"),
    ],
)
def test_what_an_engine_cannot_change_is_refused_by_name(place, missing) -> None:
    engine = ScriptedEngine()
    for needed in (touching([place]), Want(inside=Inside(states=(place,))).capabilities & ~Capability.LOGITS):
        with pytest.raises(CapabilityError) as caught:
            require(engine, needed)
        assert caught.value.code == "capability" and caught.value.params["missing"] == missing
    with pytest.raises(CapabilityError):
        Scheduler(engine).submit(Job([1], edits=(Edit(place),)))
