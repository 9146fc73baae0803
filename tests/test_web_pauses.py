"""What would stop every thread of a lab at once: Python's collector, and threads that keep the interpreter."""

from __future__ import annotations

import contextlib
import gc
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from lab_helpers import Live, Reader, asked, part, scripted, until

import capot
from capot.config import Serving
from capot.web import garbage_collection, verb_routes
from capot.web import serve as web
from capot.web.garbage_collection import NEVER, SWITCH_INTERVAL_S, IdleCollector, collect_all, deferred_collection


class Circle:
    """It holds itself: only the collector lets go of it."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture
def looks() -> Iterator[list[int]]:
    """The generation of each look of the collector."""
    seen: list[int] = []

    def note(phase: str, info: dict[str, int]) -> None:
        if phase == "stop":
            seen.append(info["generation"])

    gc.callbacks.append(note)
    yield seen
    gc.callbacks.remove(note)


@pytest.fixture
def young_only() -> Iterator[None]:
    with deferred_collection():
        yield
    assert gc.get_threshold()[2] != NEVER and gc.get_freeze_count() == 0


def aged(thing: object) -> weakref.ref:
    """A reference to what is now among the old objects."""
    gc.collect()
    return weakref.ref(thing)


def test_a_long_answer_is_made_without_a_look_at_all_objects(young_only: None, looks: list[int]) -> None:
    made = [[] for _ in range(600_000)]
    assert len(made) == 600_000 and set(looks) == {0, 1}


def test_without_it_there_are_several(looks: list[int]) -> None:
    made = [[] for _ in range(600_000)]
    assert len(made) == 600_000 and (2 in looks or sys.version_info >= (3, 14))


def test_everything_is_let_go_of_what_was_set_aside_included(young_only: None) -> None:
    circle = Circle()
    held = aged(circle)
    collect_all()
    assert gc.get_freeze_count() > 1000
    del circle
    gc.collect()
    assert held() is not None, "it was set aside"
    collect_all()
    assert held() is None


def come(count: int) -> list[list[None]]:
    """So many more objects, which a look at young ones has found in use."""
    made = [[] for _ in range(count)]
    gc.collect(1)
    return made


def test_a_busy_lab_looks_at_a_few_that_have_come_and_a_quiet_one_at_many(
    young_only: None, looks: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(garbage_collection, "FEW", 1000)
    monkeypatch.setattr(garbage_collection, "MANY", 20_000)
    now = [0.0]
    collector = IdleCollector(clock=lambda: now[0])

    def looked(*, quiet: bool) -> int:
        looks.clear()
        collector.collect_if_due(quiet=quiet)
        return looks.count(2)

    collect_all()
    assert looked(quiet=True) == 0, "nothing has come since"
    kept = [come(5000)]
    assert (looked(quiet=False), looked(quiet=False)) == (1, 0)
    kept.append(come(30_000))
    assert (looked(quiet=False), looked(quiet=True)) == (0, 1)
    kept.append(come(30_000))
    now[0] = 2 * garbage_collection.FULL_EVERY_S
    assert looked(quiet=False) == 1, "it has waited too long for a quiet moment"


def test_what_was_in_use_at_one_look_is_let_go_of_at_the_next(
    young_only: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An answer under way holds itself in circles as often as not, and whatever it was made of with it."""
    monkeypatch.setattr(garbage_collection, "FEW", 1000)
    collector = IdleCollector(clock=lambda: 0.0)
    collect_all()
    circle = Circle()
    held = aged(circle)
    kept = [come(2000)]
    collector.collect_if_due(quiet=False)
    del circle
    kept.append(come(2000))
    collector.collect_if_due(quiet=False)
    assert held() is None and len(kept) == 2


def test_after_a_while_a_quiet_lab_looks_at_what_was_set_aside(young_only: None) -> None:
    now = [0.0]
    collector = IdleCollector(clock=lambda: now[0])
    circle = Circle()
    held = aged(circle)
    collect_all()
    del circle
    collector.collect_if_due(quiet=True)
    assert held() is not None
    now[0] = 2 * garbage_collection.FULL_EVERY_S
    collector.collect_if_due(quiet=True)
    assert held() is None


def test_outside_a_lab_pythons_own_way_is_left_alone(looks: list[int]) -> None:
    made = [[] for _ in range(2 * garbage_collection.MANY)]
    looks.clear()
    IdleCollector(clock=lambda: 0.0).collect_if_due(quiet=True)
    assert looks == [] and gc.get_freeze_count() == 0 and len(made) > 0


def test_a_lab_that_is_open_looks_by_itself(young_only: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(garbage_collection, "FEW", 10)
    with Live(scripted(), Serving(idle_s=0.02)):
        circle = Circle()
        held = aged(circle)
        del circle
        kept = come(1000)
        until(lambda: held() is None)
    assert len(kept) == 1000


def test_a_lab_is_paced_from_its_warming_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    before, found = (gc.get_threshold(), sys.getswitchinterval()), []

    async def run(app: object, *_: object, **__: object) -> None:
        until(gc.get_freeze_count)  # once it is warm
        found.append((gc.get_threshold()[2], round(sys.getswitchinterval(), 6)))

    monkeypatch.setattr(web, "_run", run)
    with capot.open("scripted") as model, ThreadPoolExecutor(1) as apart:  # a browser's test may have left a loop here
        apart.submit(web.serve, model, Serving(port=0, open_browser=False), say=lambda key, **params: None).result()
    assert found == [(NEVER, SWITCH_INTERVAL_S)]
    assert (gc.get_threshold(), sys.getswitchinterval()) == before and gc.get_freeze_count() == 0


class Writing:
    """Stands in for the writing of answers: how many at once, at most; each is held until ``open``."""

    def __init__(self, write: Callable[..., bytes]) -> None:
        self.write, self.now, self.most, self.done = write, 0, 0, 0
        self.open, self.lock = threading.Event(), threading.Lock()

    def __call__(self, *given: Any, **options: Any) -> bytes:
        with self.lock:
            self.now += 1
            self.most = max(self.most, self.now)
        assert self.open.wait(300)
        with self.lock:
            self.now -= 1
            self.done += 1
        return self.write(*given, **options)


@pytest.mark.parametrize(("verb", "body"), [("tokens", {"text": "a b c"}), ("next", {"prompt": "a b c"})])
def test_of_one_learners_answers_one_at_a_time_is_written(
    verb: str, body: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    writing = Writing(verb_routes.encode_json)
    monkeypatch.setattr(verb_routes, "encode_json", writing)
    class_ = Serving(host="0.0.0.0", access_code="class-code")
    with (
        Live(scripted(), class_) as live,
        live.client("class-code") as mine,
        live.client("class-code") as theirs,
        ThreadPoolExecutor(4) as pool,
    ):
        sent = [pool.submit(mine.post, f"/api/{verb}", json=body) for _ in range(3)]
        people = live.app.state.learners.by_name.values()
        until(lambda: any(person.active_requests == 3 for person in people) and writing.now)
        with contextlib.suppress(AssertionError):
            until(lambda: writing.now > 1, seconds=1)
        assert writing.now == 1
        sent.append(pool.submit(theirs.post, f"/api/{verb}", json=body))
        until(lambda: writing.now == 2)  # another learner's does not wait for it
        writing.open.set()
        assert [each.result().status_code for each in sent] == [200] * 4
    assert (writing.most, writing.done) == (2, 4)


def test_the_end_of_a_text_is_written_in_its_learners_turn() -> None:
    texts = [part(str(n), prompt="a", max_new_tokens=2, seed=1) for n in range(2)]
    with Live(scripted()) as live, live.client() as client:
        client.post("/api/tokens", json={"text": "a"})
        (learner,) = live.app.state.learners.by_name.values()
        with learner.python_lock:
            reader = Reader(client, asked(*texts)).start()
            with contextlib.suppress(AssertionError):
                until(lambda: "finished" in reader.kinds(), seconds=1)
            assert "finished" not in reader.kinds()
        assert reader.join().kinds().count("finished") == 2
