"""The engine thread: turns, batches, reuse, cancellation. Recorded step by step, never by time."""

from __future__ import annotations

import itertools
import signal
import threading
import time

import numpy as np
import pytest

from capot.engines.protocol import Capability, Feed, Output, Want
from capot.engines.scheduler import Job, PassResult, Scheduler
from capot.engines.scheduler.prefix_cache import common_prefix
from capot.engines.scripted import TOKEN_BYTES, VOCABULARY, ScriptedEngine
from capot.errors import BusyError, CapabilityError, ContextError, InputError, InterruptedByUser

STILL = lambda: 0.0  # noqa: E731 - a clock that never moves: chunks keep their full size


class Recorder:
    """Sees every step; can hold the engine thread at a gate, and raise."""

    def __init__(self) -> None:
        self.steps: list[list[tuple[int, int]]] = []  # per step, (length before, tokens fed) of each feed
        self.gate = threading.Event()
        self.gate.set()
        self.reached = threading.Event()
        self.error: Exception | None = None
        self.poison: int | None = None

    def __call__(self, feeds: list[Feed]) -> None:
        self.reached.set()
        self.gate.wait()
        if self.error is not None:
            raise self.error
        if any(self.poison in feed.ids for feed in feeds):
            raise RuntimeError("poison")
        self.steps.append([(len(feed.sequence.ids), len(feed.ids)) for feed in feeds])


class Decoding(Job):
    """Appends ``tokens`` times the id 65, and keeps what it was told."""

    def __init__(self, ids, *, tokens: int = 1, **options) -> None:
        super().__init__(ids, **options)
        self.left, self.passes, self.error = tokens, [], None

    def advance(self, output: Output, pass_: PassResult):
        self.passes.append(pass_)
        self.left -= 1
        return [65] if self.left > 0 else None

    def failed(self, error: Exception) -> None:
        self.error = error


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def scheduler(recorder: Recorder):
    made = Scheduler(ScriptedEngine(before_step=recorder), clock=STILL)
    yield made
    recorder.gate.set()
    made.close()


def ids_of(length: int, seed: int = 0) -> list[int]:
    return np.random.default_rng(seed).integers(0, 256, length).tolist()


def hold(scheduler: Scheduler, recorder: Recorder):
    """Keep the engine thread busy at the gate, so that what follows is queued together."""
    recorder.gate.clear()
    recorder.reached.clear()
    ticket = scheduler.submit(Job([1], owner="holder"))
    assert recorder.reached.wait(10)
    return ticket


def test_run_answers_the_last_position(scheduler: Scheduler) -> None:
    found = scheduler.run([72, 105])
    assert found.output.logits.shape == (VOCABULARY,)
    assert (found.reused_tokens, found.computed_tokens) == (0, 2)


def test_a_long_prompt_and_a_short_one_take_turns(scheduler: Scheduler, recorder: Recorder) -> None:
    holder = hold(scheduler, recorder)
    long = Decoding(ids_of(1000), owner="long")
    short = Decoding(ids_of(10, 1), tokens=6, owner="short")
    tickets = [scheduler.submit(long), scheduler.submit(short)]
    recorder.gate.set()
    assert all(ticket.wait(20) for ticket in [holder, *tickets])
    assert recorder.steps[1:] == [
        [(0, 256)],  # the long prompt's first chunk
        [(0, 10)],  # then the short prompt, whole
        [(10, 1)],  # its next token, before each further chunk
        [(256, 256)],
        [(11, 1)],
        [(512, 256)],
        [(12, 1)],
        [(768, 232)],
        [(13, 1)],
        [(14, 1)],
    ]


def test_owners_take_turns_whoever_asks_most(scheduler: Scheduler, recorder: Recorder) -> None:
    hold(scheduler, recorder)
    order: list[str] = []

    class Noted(Job):
        def advance(self, output, pass_):
            order.append(self.owner)

    tickets = [scheduler.submit(Noted(ids_of(5, n), owner="greedy")) for n in range(4)]
    tickets += [scheduler.submit(Noted(ids_of(5, 9), owner="modest"))]
    assert [ticket.position for ticket in tickets] == [1, 3, 4, 5, 2]
    recorder.gate.set()
    assert all(ticket.wait(20) for ticket in tickets)
    assert order == ["greedy", "modest", "greedy", "greedy", "greedy"]
    assert [ticket.position for ticket in tickets] == [0] * 5


def test_who_has_left_takes_no_place_in_the_queue(scheduler: Scheduler, recorder: Recorder) -> None:
    hold(scheduler, recorder)
    owners = ("one", "one", "two", "one")
    left, after, other, last = (scheduler.submit(Job(ids_of(5, n), owner=owner)) for n, owner in enumerate(owners))
    assert [ticket.position for ticket in (left, after, other, last)] == [1, 3, 2, 4]
    left.cancel()  # it is dropped when the step under way ends, which may take seconds
    assert [ticket.position for ticket in (left, after, other, last)] == [0, 1, 2, 3]
    recorder.gate.set()
    assert all(ticket.wait(20) for ticket in (left, after, other, last))


def first_texts(scheduler: Scheduler, recorder: Recorder) -> list[list[tuple[int, int]]]:
    """The steps after three owners with four texts each, and a newcomer whose prompt has 7 tokens, came at once."""
    hold(scheduler, recorder)
    jobs = [Decoding(ids_of(5, n), tokens=30, owner=f"owner-{n % 3}") for n in range(12)]
    tickets = [scheduler.submit(job) for job in (*jobs, Decoding(ids_of(7, 99), tokens=3, owner="newcomer"))]
    recorder.gate.set()
    assert all(ticket.wait(60) for ticket in tickets)
    return recorder.steps[1:]


def test_who_has_no_text_at_work_is_read_before_anybodys_second_one(scheduler: Scheduler, recorder: Recorder) -> None:
    first, *later = first_texts(scheduler, recorder)
    assert first == [(0, 5), (0, 5), (0, 5), (0, 7)]  # in one pass over the weights
    assert [step for step in later if step[0][0] == 0] == [[(0, 5)]] * 9


def read_together(scheduler: Scheduler, recorder: Recorder, lengths: list[int]) -> list[int]:
    """How many prompts of these lengths, an owner each, are read in each pass over prompts, beside a text at work."""
    beside = Decoding([1], tokens=200, owner="beside")
    recorder.gate.clear()
    tickets = [scheduler.submit(beside)]
    assert recorder.reached.wait(10)
    tickets += [scheduler.submit(Job(ids_of(length, n), owner=f"o{n}")) for n, length in enumerate(lengths)]
    recorder.gate.set()
    assert all(ticket.wait(60) for ticket in tickets)
    return [len(step) for step in recorder.steps if step[0] != (0, 1) and step[0][0] == 0]


@pytest.mark.parametrize(
    ("lengths", "passes"),
    [
        ([8] * 40, [32, 8]),  # as many texts as one pass advances
        ([20] * 30, [12, 12, 6]),  # as many tokens as one chunk
        ([200, 50, 10, 10], [2, 2]),
        ([300, 10, 10], [1, 2]),  # a long prompt goes on by itself; so 44 tokens of it come after the two
    ],
)
def test_short_prompts_are_read_together_up_to_one_chunk(
    scheduler: Scheduler, recorder: Recorder, lengths: list[int], passes: list[int]
) -> None:
    assert read_together(scheduler, recorder, lengths) == passes


def test_without_batch_short_prompts_are_read_one_by_one(recorder: Recorder) -> None:
    engine = ScriptedEngine(before_step=recorder, capabilities=~Capability.BATCH)
    scheduler = Scheduler(engine, clock=STILL)
    assert read_together(scheduler, recorder, [8] * 5) == [1] * 5
    scheduler.close()


def test_an_error_in_prompts_read_together_meets_its_own_alone(scheduler: Scheduler, recorder: Recorder) -> None:
    hold(scheduler, recorder)
    recorder.poison = 200
    jobs = [Decoding([7, ids, 9], owner=f"o{ids}") for ids in (1, 200, 3)]
    tickets = [scheduler.submit(job) for job in jobs]
    recorder.gate.set()
    assert all(ticket.wait(20) for ticket in tickets)
    assert [len(job.passes) for job in jobs] == [1, 0, 1] and isinstance(jobs[1].error, RuntimeError)


def test_prompts_in_one_pass_have_no_more_tokens_than_others_can_wait_for(recorder: Recorder) -> None:
    now = [0.0]

    def slow(feeds: list[Feed]) -> None:
        recorder(feeds)
        now[0] += 0.2 + sum(len(feed.ids) for feed in feeds) / 300  # weights that take long to read, however few tokens

    scheduler = Scheduler(ScriptedEngine(before_step=slow), clock=lambda: now[0])
    assert read_together(scheduler, recorder, [8] * 45) == [32, 4, 4, 4, 1]
    scheduler.close()


def test_short_prompts_are_read_one_after_the_other_only_where_they_are_read_soon(recorder: Recorder) -> None:
    seconds = itertools.count()
    engine = ScriptedEngine(before_step=recorder, capabilities=~Capability.BATCH)
    scheduler = Scheduler(engine, clock=lambda: float(next(seconds)))
    steps = first_texts(scheduler, recorder)
    scheduler.close()
    prompts = [place for place, step in enumerate(steps) if step[0][0] == 0]
    assert len(prompts) == 13 and all(after - before > 1 for before, after in itertools.pairwise(prompts))


def test_one_owners_prompts_are_read_in_order(scheduler: Scheduler, recorder: Recorder) -> None:
    hold(scheduler, recorder)
    tickets = [scheduler.submit(Decoding(ids_of(length, length))) for length in (600, 5)]
    recorder.gate.set()
    assert all(ticket.wait(20) for ticket in tickets)
    assert recorder.steps[1:] == [[(0, 256)], [(256, 256)], [(512, 88)], [(0, 5)]]


def test_those_under_way_advance_in_one_step(scheduler: Scheduler, recorder: Recorder) -> None:
    holder = hold(scheduler, recorder)
    jobs = [Decoding(ids_of(3, n), tokens=20, owner=f"o{n}") for n in range(5)]
    tickets = [scheduler.submit(job) for job in jobs]
    recorder.gate.set()
    assert all(ticket.wait(20) for ticket in [holder, *tickets])
    assert max(len(step) for step in recorder.steps) == 5
    assert all(len(job.passes) == 20 for job in jobs)


def test_a_batch_is_bounded_and_nobody_starves(scheduler: Scheduler, recorder: Recorder) -> None:
    hold(scheduler, recorder)
    jobs = [Decoding(ids_of(3, n), tokens=60, owner=f"o{n}") for n in range(40)]
    tickets = [scheduler.submit(job) for job in jobs]
    recorder.gate.set()
    assert all(ticket.wait(60) for ticket in tickets)
    assert max(len(step) for step in recorder.steps) == 32
    assert all(job.error is None and len(job.passes) == 60 for job in jobs)


def test_without_batch_they_are_stepped_one_by_one(recorder: Recorder) -> None:
    engine = ScriptedEngine(before_step=recorder, capabilities=~Capability.BATCH)
    scheduler = Scheduler(engine, clock=STILL)
    tickets = [scheduler.submit(Decoding(ids_of(3, n), tokens=5, owner=f"o{n}")) for n in range(3)]
    assert all(ticket.wait(20) for ticket in tickets)
    scheduler.close()
    assert {len(step) for step in recorder.steps} == {1}


def test_in_company_a_chunk_shrinks_to_what_others_can_wait_for(recorder: Recorder) -> None:
    now = [0.0]

    def slow(feeds: list[Feed]) -> None:
        recorder(feeds)
        now[0] += sum(len(feed.ids) for feed in feeds) / 300  # 300 tokens a second

    scheduler = Scheduler(ScriptedEngine(before_step=slow), clock=lambda: now[0])
    hold(scheduler, recorder)
    tickets = [scheduler.submit(Decoding(ids_of(600, n), owner=f"o{n}")) for n in range(2)]
    recorder.gate.set()
    assert all(ticket.wait(20) for ticket in tickets)
    scheduler.close()
    sizes = [fed for step in recorder.steps for _, fed in step]
    assert sizes[1] == 256  # nothing is known yet
    assert sizes[2] == 32  # a tenth of a second at 300 tokens a second, but never fewer


@pytest.mark.parametrize("want", [Want("all"), Want(hidden=True), Want(attention=True), Want("all", True, True, True)])
def test_a_long_prompt_is_gathered_in_one_piece(scheduler: Scheduler, want: Want) -> None:
    ids = ids_of(300)
    found = scheduler.run(ids, want=want).output
    engine = ScriptedEngine()
    first, second = engine.open_sequence(), engine.open_sequence()
    one = engine.step([Feed(first, ids[:150], want)])[0], engine.step([Feed(first, ids[150:], want)])[0]
    engine.step([Feed(second, ids[:256], want)])
    last = engine.step([Feed(second, ids[256:], want)])[0]
    if want.logits == "all":
        np.testing.assert_array_equal(found.logits, np.concatenate([one[0].logits, one[1].logits]))
    else:
        np.testing.assert_array_equal(found.logits, last.logits)
    if want.hidden:
        np.testing.assert_array_equal(found.hidden, np.concatenate([one[0].hidden, one[1].hidden], axis=1))
    if want.attention:
        assert found.attention.shape[2:] == (300, 300)
        np.testing.assert_array_equal(found.attention[:, :, 150:], one[1].attention)
        np.testing.assert_array_equal(found.attention[:, :, :150, :150], one[0].attention)
        np.testing.assert_allclose(found.attention.sum(axis=-1), 1, atol=1e-5)
    if want.layer_logits:
        np.testing.assert_array_equal(found.layer_logits, last.layer_logits)


def test_a_prompt_that_begins_alike_computes_only_the_rest(scheduler: Scheduler) -> None:
    ids = ids_of(100)
    fresh = scheduler.run([*ids, 1, 2, 3])
    again = scheduler.run([*ids, 4, 5])
    assert (fresh.reused_tokens, again.reused_tokens, again.computed_tokens) == (0, 100, 2)
    same = scheduler.run([*ids, 4, 5])
    assert (same.reused_tokens, same.computed_tokens) == (101, 1)  # one token at least is computed
    other = Scheduler(ScriptedEngine())
    np.testing.assert_array_equal(same.output.logits, other.run([*ids, 4, 5]).output.logits)
    other.close()


def test_reuse_never_crosses_owners(scheduler: Scheduler) -> None:
    ids = ids_of(50)
    scheduler.run(ids, owner="a")
    assert scheduler.run(ids, owner="b").reused_tokens == 0
    assert scheduler.run(ids, owner="a").reused_tokens == 49


def test_what_is_wanted_of_every_position_reuses_nothing(scheduler: Scheduler) -> None:
    ids = ids_of(50)
    scheduler.run(ids)
    assert scheduler.run(ids, want=Want(hidden=True)).reused_tokens == 0
    assert scheduler.run(ids, want=Want(layer_logits=True)).reused_tokens == 49


def test_two_texts_that_share_a_few_words_keep_a_cache_each(scheduler: Scheduler) -> None:
    first, second = [*ids_of(4), *ids_of(60, 1)], [*ids_of(4), *ids_of(60, 2)]
    assert [scheduler.run(ids).reused_tokens for ids in (first, second, first, second)] == [0, 0, 63, 63]


def test_without_prefix_only_a_continuation_is_reused() -> None:
    scheduler = Scheduler(ScriptedEngine(capabilities=~Capability.PREFIX))
    ids = ids_of(20)
    assert scheduler.run(ids).reused_tokens == 0
    assert scheduler.run([*ids, 7]).reused_tokens == 20
    assert scheduler.run(ids).reused_tokens == 0
    scheduler.close()


def test_a_crop_that_is_refused_starts_afresh(scheduler: Scheduler, monkeypatch: pytest.MonkeyPatch) -> None:
    from capot.engines.scripted import ScriptedSequence

    scheduler.run(ids_of(20))

    def refuse(self, length):
        if length:
            raise CapabilityError("capability", engine="scripted", missing="PREFIX")

    monkeypatch.setattr(ScriptedSequence, "crop", refuse)
    assert scheduler.run(ids_of(20)).reused_tokens == 0


def test_idle_caches_stay_within_the_budget() -> None:
    budget = 3 * 64 * TOKEN_BYTES
    scheduler = Scheduler(ScriptedEngine(), cache_budget=budget)
    for n in range(5):
        scheduler.run(ids_of(60, n))
    status = scheduler.status()
    assert status["idle_caches"] == 3 and status["evicted"] == 2 and status["cache_bytes"] <= budget
    assert scheduler.run(ids_of(60, 4)).reused_tokens == 59  # the latest are kept
    assert scheduler.run(ids_of(60, 0)).reused_tokens == 0
    scheduler.forget("local")
    assert scheduler.call(lambda: scheduler.engine.allocations().current["kv_cache"]) == 0
    scheduler.close()


def test_a_job_waits_until_its_cache_fits_beside_the_others(recorder: Recorder) -> None:
    scheduler = Scheduler(ScriptedEngine(before_step=recorder), cache_budget=2 * 64 * TOKEN_BYTES, clock=STILL)
    hold(scheduler, recorder)
    first = Decoding(ids_of(5, 1), tokens=30, owner="first", room=30)
    large = Decoding(ids_of(100, 2), owner="large")
    small = Decoding(ids_of(5, 3), owner="small")
    tickets = [scheduler.submit(job) for job in (first, large, small)]
    recorder.gate.set()
    assert all(ticket.wait(20) for ticket in tickets)
    scheduler.close()
    sizes = [[fed for _, fed in step] for step in recorder.steps]
    assert sizes[1:] == [[5], *[[1]] * 29, [100], [5]]  # nobody overtakes the large one that waits


def test_one_job_alone_may_exceed_the_budget() -> None:
    scheduler = Scheduler(ScriptedEngine(), cache_budget=1)
    assert scheduler.run(ids_of(300)).computed_tokens == 300
    assert scheduler.status()["idle_caches"] == 0
    scheduler.close()


def test_a_cancelled_prompt_stops_before_its_next_chunk(scheduler: Scheduler, recorder: Recorder) -> None:
    recorder.gate.clear()
    job = Decoding(ids_of(2000))
    ticket = scheduler.submit(job)
    assert recorder.reached.wait(10)
    ticket.cancel()
    recorder.gate.set()
    assert ticket.wait(20)
    assert isinstance(job.error, InterruptedByUser) and isinstance(ticket.error, InterruptedByUser)
    assert len(recorder.steps) == 1 and job.passes == []
    assert scheduler.run([5]).computed_tokens == 1  # the thread lives on


def test_a_job_cancelled_in_its_last_step_hears_no_answer(scheduler: Scheduler, recorder: Recorder) -> None:
    recorder.gate.clear()
    job = Decoding([7])
    ticket = scheduler.submit(job)
    assert recorder.reached.wait(10)
    ticket.cancel()
    recorder.gate.set()
    assert ticket.wait(20)
    assert job.passes == [] and isinstance(job.error, InterruptedByUser)


def test_a_cancelled_text_keeps_its_cache(scheduler: Scheduler) -> None:
    tickets = []

    class UntilThree(Decoding):
        def advance(self, output, pass_):
            if len(self.passes) == 2:
                tickets[0].cancel()
            return super().advance(output, pass_)

    job = UntilThree([1, 2, 3], tokens=1000)
    barrier = threading.Event()
    scheduler.call(lambda: None)
    threading.Thread(target=lambda: (tickets.append(scheduler.submit(job)), barrier.set())).start()
    assert barrier.wait(10) and tickets[0].wait(20)
    assert len(job.passes) == 3 and isinstance(job.error, InterruptedByUser)
    assert scheduler.run([1, 2, 3, 65, 65, 9]).reused_tokens == 5


def test_a_job_cancelled_in_the_queue_never_starts(scheduler: Scheduler, recorder: Recorder) -> None:
    holder = hold(scheduler, recorder)
    job = Decoding([9, 9, 9], owner="other")
    ticket = scheduler.submit(job)
    ticket.cancel()
    recorder.gate.set()
    assert ticket.wait(20) and holder.wait(20)
    assert recorder.steps == [[(0, 1)]] and isinstance(job.error, InterruptedByUser)


def test_a_late_cancellation_does_not_reach_the_next_job(scheduler: Scheduler) -> None:
    scheduler.run([1, 2, 3])
    for _, sequence in scheduler._caches.idle.values():
        sequence.cancel()  # as by a thread that was slow to say so
    assert scheduler.run([1, 2, 3, 4]).reused_tokens == 3


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="no signals between threads here")
def test_ctrl_c_interrupts_a_pass(scheduler: Scheduler, recorder: Recorder) -> None:
    recorder.gate.clear()

    def press() -> None:
        recorder.reached.wait(10)
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
        while not scheduler.cancellations:
            time.sleep(0.001)
        recorder.gate.set()

    threading.Thread(target=press).start()
    with pytest.raises(InterruptedByUser):
        scheduler.run(ids_of(2000))
    assert scheduler.run([1]).computed_tokens == 1


def test_an_engine_error_reaches_its_job_and_the_thread_lives(scheduler: Scheduler, recorder: Recorder) -> None:
    scheduler.run([1, 2])
    recorder.error = MemoryError("no room")
    with pytest.raises(MemoryError, match="no room"):
        scheduler.run([1, 2, 3])
    recorder.error = None
    assert scheduler.run([1, 2, 3]).reused_tokens == 0  # a cache that failed is not trusted


def test_in_a_batch_only_the_culprit_fails(scheduler: Scheduler, recorder: Recorder) -> None:
    class Poisonous(Decoding):
        def advance(self, output, pass_):
            super().advance(output, pass_)
            return [200] if len(self.passes) == 3 else [65]

    recorder.poison = 200
    holder = hold(scheduler, recorder)
    good = [Decoding([n], tokens=20, owner=f"o{n}") for n in range(3)]
    bad = Poisonous([7], tokens=20, owner="bad")
    tickets = [scheduler.submit(job) for job in (*good, bad)]
    recorder.gate.set()
    assert all(ticket.wait(20) for ticket in [holder, *tickets])
    assert isinstance(bad.error, RuntimeError) and len(bad.passes) == 3
    assert all(job.error is None and len(job.passes) == 20 for job in good)


def test_a_job_that_raises_fails_alone(scheduler: Scheduler) -> None:
    class Broken(Decoding):
        def advance(self, output, pass_):
            raise ZeroDivisionError

        def failed(self, error):
            super().failed(error)
            raise ValueError

    job = Broken([1, 2])
    ticket = scheduler.submit(job)
    assert ticket.wait(20) and isinstance(ticket.error, ZeroDivisionError)
    assert scheduler.run([1, 2, 3]).reused_tokens == 2  # the cache itself was sound


def test_progress_is_told_for_each_chunk(scheduler: Scheduler) -> None:
    told: list[tuple[int, int]] = []
    scheduler.run(ids_of(600), progress=lambda done, total: told.append((done, total)))
    assert told == [(256, 600), (512, 600), (600, 600)]
    scheduler.run([*ids_of(600)[:500], 1, 2, 3], progress=lambda done, total: told.append((done, total)))
    assert told[3:] == [(503, 503)]


def test_what_cannot_be_computed_is_refused_at_once() -> None:
    scheduler = Scheduler(ScriptedEngine(context_length=10, capabilities=~Capability.HIDDEN))
    with pytest.raises(InputError) as empty:
        scheduler.submit(Job([]))
    with pytest.raises(ContextError) as long:
        scheduler.run(ids_of(11))
    with pytest.raises(CapabilityError):
        scheduler.run([1], want=Want(hidden=True))
    assert (empty.value.code, long.value.code) == ("empty_prompt", "prompt_too_long")
    assert scheduler.run(ids_of(10)).computed_tokens == 10
    scheduler.close()


def test_a_job_cannot_outgrow_the_context() -> None:
    scheduler = Scheduler(ScriptedEngine(context_length=5))
    job = Decoding([1, 2, 3], tokens=10)
    assert scheduler.submit(job).wait(20)
    assert isinstance(job.error, ContextError) and len(job.passes) == 3
    scheduler.close()


def test_closing_fails_what_is_at_work_and_what_waits(recorder: Recorder) -> None:
    scheduler = Scheduler(ScriptedEngine(before_step=recorder))
    holder = hold(scheduler, recorder)
    job = Decoding([1, 2], tokens=10**6)
    ticket = scheduler.submit(job)
    closer = threading.Thread(target=scheduler.close)
    closer.start()
    while not scheduler._closing:
        pass
    recorder.gate.set()
    closer.join(20)
    assert holder.done and ticket.done and isinstance(job.error, InterruptedByUser)
    scheduler.close()
    scheduler.forget("anybody")
    with pytest.raises(BusyError):
        scheduler.run([1])


def test_closing_before_the_first_job_closes_the_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    engine, closed = ScriptedEngine(), []
    monkeypatch.setattr(engine, "close", lambda: closed.append(1))
    Scheduler(engine).close()
    assert closed == [1]


def test_calls_run_between_steps_on_the_engine_thread(scheduler: Scheduler) -> None:
    assert scheduler.call(threading.current_thread).name == "capot-engine"
    assert scheduler.call(lambda: scheduler.call(lambda: 3)) == 3
    with pytest.raises(ZeroDivisionError):
        scheduler.call(lambda: 1 // 0)


def test_status_counts(scheduler: Scheduler, recorder: Recorder) -> None:
    hold(scheduler, recorder)
    waiting = scheduler.submit(Job([1, 2, 3], owner="later"))
    status = scheduler.status()
    assert (status["at_work"], status["waiting"], status["owners"]) == (1, 1, 2)
    recorder.gate.set()
    assert waiting.wait(20)
    assert scheduler.status()["prompt_tokens"] == 3


def test_many_threads_at_once(scheduler: Scheduler) -> None:
    found: dict[int, list[int]] = {}

    def work(n: int) -> None:
        found[n] = [scheduler.run(ids_of(40 + step, n), owner=f"o{n}").reused_tokens for step in range(5)]

    threads = [threading.Thread(target=work, args=(n,)) for n in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(found) == 12 and all(len(answers) == 5 for answers in found.values())


@pytest.mark.parametrize("seed", range(5))
def test_common_prefix(seed: int) -> None:
    rng = np.random.default_rng(seed)
    first = rng.integers(0, 3, 30).tolist()
    for cut in range(31):
        second = [*first[:cut], *rng.integers(0, 3, 10).tolist()]
        expected = next((n for n, (a, b) in enumerate(zip(first, second)) if a != b), min(len(first), len(second)))
        assert common_prefix(first, second) == expected
