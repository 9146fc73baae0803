"""How many threads a step takes: all on a quiet machine, fewer where others use the cores and fewer are quicker."""

from __future__ import annotations

from collections.abc import Callable

import numba
import numpy as np
import pytest

import capot
from capot.engines.native.threads import ThreadChoice
from capot.engines.protocol import Feed


class Machine:
    """A machine on which a step takes what ``seconds`` says for each number of threads; no clock runs."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, seconds: dict[int, float], *, stops: int) -> None:
        self.seconds = seconds
        self.stops = stops
        self.now = 0.0
        self.taken = 0
        self.most = max(seconds)
        monkeypatch.setattr(numba, "get_num_threads", lambda: self.most)
        monkeypatch.setattr(numba, "set_num_threads", self._set)
        self.threads = self.most
        self.choice = ThreadChoice(clock=lambda: self.now, interrupted=lambda: self.taken)

    def _set(self, count: int) -> None:
        self.threads = count

    def run(self, steps: int, *, tokens: int = 1) -> list[int]:
        """How many threads each of the steps took."""
        found = []
        for _ in range(steps):
            with self.choice.step(tokens):
                found.append(self.threads)
                self.now += self.seconds[self.threads]
                self.taken += self.stops
            assert self.threads == self.most  # whoever else computes on this thread has all of them
        return found


Made = Callable[..., Machine]


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Made:
    return lambda seconds, *, stops: Machine(monkeypatch, seconds, stops=stops)


def test_a_quiet_machine_gives_all_threads_and_tries_nothing(machine: Made) -> None:
    assert set(machine({1: 1.0, 2: 5.0}, stops=0).run(400)) == {2}  # not even where one would be quicker


def test_one_thread_is_kept_where_two_wait_for_each_other(machine: Made) -> None:
    found = machine({1: 1.0, 2: 5.0}, stops=1).run(1000)
    assert found[:4] == [2] * 4 and found[8] == 1
    assert found[8:].count(2) < 12  # tried again, less and less often, one step each time


def test_what_is_no_quicker_is_not_kept(machine: Made) -> None:
    found = machine({1: 0.95, 2: 1.0}, stops=1).run(1000)
    assert found[-1] == 2 and found.count(1) < 40


def test_all_threads_come_back_when_the_others_are_done(machine: Made) -> None:
    shared = machine({1: 1.0, 2: 5.0}, stops=1)
    assert shared.run(100)[-1] == 1
    shared.seconds, shared.stops = {1: 1.0, 2: 0.5}, 0
    assert set(shared.run(300)[-100:]) == {2}


def test_the_best_of_several_numbers_is_found(machine: Made) -> None:
    found = machine({1: 4.0, 2: 2.0, 3: 2.0, 4: 3.0, 6: 5.0, 7: 6.0}, stops=1).run(600)  # 7, 3, 1 and up again
    assert max(set(found), key=found.count) == 3


def test_steps_of_many_tokens_take_all_threads_and_are_not_counted(machine: Made) -> None:
    shared = machine({1: 1.0, 2: 5.0}, stops=1)
    assert set(shared.run(50, tokens=256)) == {2}
    assert shared.run(100)[-1] == 1 and set(shared.run(3, tokens=17)) == {2}
    assert shared.run(1) == [1]


def test_steps_of_other_sizes_are_not_compared(machine: Made) -> None:
    shared = machine({1: 1.0, 2: 5.0}, stops=1)
    assert {count for tokens in (1, 2, 1, 2, 1, 2, 3, 4) for count in shared.run(2, tokens=tokens)} == {2}


def test_a_step_that_fails_leaves_all_threads(machine: Made) -> None:
    shared = machine({1: 1.0, 2: 5.0}, stops=1)
    shared.run(100)
    with pytest.raises(KeyboardInterrupt), shared.choice.step(1):
        raise KeyboardInterrupt
    assert shared.threads == 2 and shared.run(1) == [1]


@pytest.mark.skipif(numba.get_num_threads() < 2, reason="one core, or one thread asked for")
def test_the_engine_takes_the_number_and_says_the_same(monkeypatch) -> None:
    taken: list[int] = []

    def logits(model: capot.Model, kept: int) -> np.ndarray:
        engine = model.scheduler.engine
        engine._threads.kept = kept
        sequence = engine.open_sequence()
        found = engine.step([Feed(sequence, [5, 6, 7])])[0].logits.copy()
        sequence.close()
        return found

    with capot.open("boxed") as model:
        engine = model.scheduler.engine
        forward = engine._forward
        monkeypatch.setattr(engine, "_forward", lambda feeds: taken.append(numba.get_num_threads()) or forward(feeds))
        monkeypatch.setattr(engine, "_threads", ThreadChoice(clock=lambda: 0.0, interrupted=lambda: 0))
        one, two = (model.scheduler.call(lambda kept=kept: logits(model, kept)) for kept in (1, 2))
    assert taken == [1, 2] and np.array_equal(one, two)
