"""One contract, held by every engine: whoever passes here can stand behind the scheduler."""

from __future__ import annotations

import copy as copies

import numpy as np
import pytest

from capot import i18n
from capot.engines.protocol import LAST, MAX_CHUNK, NOTHING, Capability, Engine, Feed, Output, Sequence, Want, require
from capot.engines.scheduler import Scheduler
from capot.errors import CapabilityError, InputError

FAMILIES = ["gpt2", "falcon", "gemma3", "mamba"]  # beside a Llama, what differs most from one
ENGINES = ["scripted", "native", "transformers", *(f"transformers {family}" for family in FAMILIES)]
EVERYTHING = Want("all", hidden=True, attention=True, layer_logits=True)


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    """Engines by name, opened once."""
    made: dict[str, Engine] = {}

    def get(name: str) -> Engine:
        if name not in made:
            made[name] = OPENERS[name](tmp_path_factory)
        return made[name]

    yield get
    for engine in made.values():
        engine.close()


def open_scripted(_):
    from capot.engines.scripted import ScriptedEngine

    return ScriptedEngine()


def open_native(tmp_path_factory):
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    import native_helpers

    from capot.engines import native
    from capot.sources.checkpoint import Checkpoint

    folder = native_helpers.make(tmp_path_factory.mktemp("contract"), "llama")
    return native.open_native(Checkpoint.open(folder))


def open_transformers(tmp_path_factory, family: str = "llama"):
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    import hf_helpers

    return hf_helpers.engine(hf_helpers.make(tmp_path_factory.mktemp(family), family))


OPENERS = {"scripted": open_scripted, "native": open_native, "transformers": open_transformers} | {
    f"transformers {family}": lambda factory, family=family: open_transformers(factory, family) for family in FAMILIES
}


@pytest.fixture(params=ENGINES)
def engine(request, opened) -> Engine:
    return opened(request.param)


def ids_of(engine: Engine, length: int, seed: int = 0) -> list[int]:
    return np.random.default_rng(seed).integers(3, min(250, engine.info.vocabulary_size), length).tolist()


def read(engine: Engine, ids: list[int], want: Want = LAST, *, sequence=None, chunk: int = MAX_CHUNK) -> list[Output]:
    sequence = sequence or engine.open_sequence()
    return [engine.step([Feed(sequence, ids[at : at + chunk], want)])[0] for at in range(0, len(ids), chunk)]


def needs(engine: Engine, capability: Capability) -> None:
    if capability not in engine.capabilities:
        pytest.skip(f"{engine.info.engine} does not declare {capability.name}")


def close(found: np.ndarray, expected: np.ndarray) -> None:
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4 * max(1.0, np.abs(expected).max()))


def test_it_has_the_shape_of_an_engine(engine: Engine) -> None:
    assert isinstance(engine, Engine) and isinstance(engine.open_sequence(), Sequence)
    info = engine.info
    assert info.heads % info.kv_heads == 0 and min(info.layers, info.width, info.context_length) > 0


def test_the_last_position_by_default(engine: Engine) -> None:
    sequence, ids = engine.open_sequence(), ids_of(engine, 20)
    output = read(engine, ids, sequence=sequence)[0]
    assert output.logits.shape == (engine.info.vocabulary_size,) and output.logits.dtype == np.float32
    assert output.hidden is output.attention is output.layer_logits is None
    assert sequence.ids == ids and sequence.cancelled is False


def test_what_is_not_asked_is_not_given(engine: Engine) -> None:
    output = read(engine, ids_of(engine, 5), NOTHING)[0]
    assert output.logits is output.hidden is output.attention is output.layer_logits is None


@pytest.mark.parametrize("wrong", [-1, None], ids=["below", "above"])
def test_an_id_outside_the_vocabulary_is_refused_under_one_code(engine: Engine, wrong: int | None) -> None:
    token = engine.info.vocabulary_size if wrong is None else wrong
    sequence = engine.open_sequence()
    with pytest.raises(InputError) as refused:
        engine.step([Feed(sequence, [5, token])])
    assert (refused.value.code, refused.value.params["id"]) == ("no_such_id", token)
    assert sequence.ids == []
    for ids in ([], [5] * (MAX_CHUNK + 1)):
        with pytest.raises(ValueError, match="a feed of"):
            engine.step([Feed(sequence, ids)])


@pytest.mark.parametrize("chunk", [1, 7, 64])
def test_chunks_make_no_difference(engine: Engine, chunk: int) -> None:
    ids = ids_of(engine, 70)
    close(read(engine, ids, chunk=chunk)[-1].logits, read(engine, ids)[-1].logits)


def test_all_positions(engine: Engine) -> None:
    needs(engine, Capability.ALL_LOGITS)
    ids = ids_of(engine, 30)
    every = read(engine, ids, Want("all"))[0].logits
    assert every.shape == (30, engine.info.vocabulary_size)
    for length in (1, 13, 30):
        close(every[length - 1], read(engine, ids[:length])[0].logits)


def test_hidden_states_begin_with_the_embeddings(engine: Engine) -> None:
    needs(engine, Capability.HIDDEN | Capability.EMBEDDINGS)
    ids = ids_of(engine, 12)
    hidden = read(engine, ids, Want(hidden=True))[0].hidden
    assert hidden.shape == (engine.info.layers + 1, 12, engine.info.width) and hidden.dtype == np.float32
    if not engine.info.architecture.startswith(("GPT2", "Gemma")):  # these add positions, or scale
        close(hidden[0], engine.embed(ids))
    parts = read(engine, ids, Want(hidden=True), chunk=5)
    close(np.concatenate([part.hidden for part in parts], axis=1), hidden)


def test_attention_looks_back_only_and_sums_to_one(engine: Engine) -> None:
    needs(engine, Capability.ATTENTION)
    sequence = engine.open_sequence()
    read(engine, ids_of(engine, 6), NOTHING, sequence=sequence)
    attention = read(engine, ids_of(engine, 4, 1), Want(attention=True), sequence=sequence)[0].attention
    assert attention.shape == (engine.info.layers, engine.info.heads, 4, 10) and (attention >= 0).all()
    np.testing.assert_allclose(attention.sum(axis=-1), 1, atol=1e-5)
    for row in range(4):
        assert (attention[:, :, row, 6 + row + 1 :] == 0).all()


def test_the_last_layer_says_the_logits(engine: Engine) -> None:
    needs(engine, Capability.LAYER_LOGITS)
    output = read(engine, ids_of(engine, 9), Want(layer_logits=True))[0]
    assert output.layer_logits.shape == (engine.info.layers + 1, engine.info.vocabulary_size)
    close(output.layer_logits[-1], output.logits)


def test_a_cropped_prefix_equals_a_fresh_start(engine: Engine) -> None:
    needs(engine, Capability.PREFIX)
    ids, other = ids_of(engine, 80), ids_of(engine, 20, 5)
    sequence = engine.open_sequence()
    read(engine, ids, sequence=sequence)
    sequence.crop(50)
    assert sequence.ids == ids[:50]
    close(read(engine, other, sequence=sequence)[0].logits, read(engine, [*ids[:50], *other])[0].logits)


def test_several_at_once_equal_each_alone(engine: Engine) -> None:
    needs(engine, Capability.BATCH)
    lengths = (1, 9, 30, 1)
    texts = [ids_of(engine, 40, seed) for seed in range(4)]
    sequences = [engine.open_sequence() for _ in lengths]
    for sequence, ids in zip(sequences, texts):
        read(engine, ids[:10], NOTHING, sequence=sequence)
    wants = [LAST, NOTHING, Want("all"), LAST]
    feeds = [Feed(s, ids[10 : 10 + n], want) for s, ids, n, want in zip(sequences, texts, lengths, wants)]
    outputs = engine.step(feeds)
    assert [output.logits is None for output in outputs] == [False, True, False, False]
    for place, (ids, length) in enumerate(zip(texts, lengths)):
        assert sequences[place].ids == ids[: 10 + length]
        if place != 1:
            alone = read(engine, ids[: 10 + length])[0].logits
            close(outputs[place].logits.reshape(-1, alone.size)[-1], alone)


def test_a_cancelled_sequence_is_left_as_it_is(engine: Engine) -> None:
    stopped, going = engine.open_sequence(), engine.open_sequence()
    ids = ids_of(engine, 6)
    read(engine, ids, sequence=stopped)
    stopped.cancel()
    outputs = [engine.step([Feed(each, [5])])[0] for each in (stopped, going)]
    assert outputs[0] is None and outputs[1] is not None
    assert stopped.ids == ids and stopped.cancelled
    stopped.cancelled = False  # as the scheduler does before it lends the cache again
    close(engine.step([Feed(stopped, [5])])[0].logits, read(engine, [*ids, 5])[0].logits)


def test_an_exception_leaves_every_cache_as_before(engine: Engine) -> None:
    first, second = engine.open_sequence(), engine.open_sequence()
    ids = ids_of(engine, 6)
    for sequence in (first, second):
        read(engine, ids, sequence=sequence)
    with pytest.raises(Exception):  # noqa: B017 - each engine has its own
        engine.step([Feed(first, [5]), Feed(second, [engine.info.vocabulary_size])])
    assert first.ids == second.ids == ids
    close(engine.step([Feed(first, [5])])[0].logits, read(engine, [*ids, 5])[0].logits)


def test_arrays_belong_to_the_caller(engine: Engine) -> None:
    want = Want(
        "last",
        hidden=Capability.HIDDEN in engine.capabilities,
        attention=Capability.ATTENTION in engine.capabilities,
    )
    sequence = engine.open_sequence()
    output = read(engine, ids_of(engine, 8), want, sequence=sequence)[0]
    kept = [None if array is None else array.copy() for array in (output.logits, output.hidden, output.attention)]
    read(engine, ids_of(engine, 8, 2), want, sequence=sequence)
    read(engine, ids_of(engine, 8, 3), want)
    for array, copy in zip((output.logits, output.hidden, output.attention), kept):
        if array is not None:
            np.testing.assert_array_equal(array, copy)


@pytest.mark.parametrize("tokens", [1, 63, 64, 65, 300])
def test_a_cache_holds_the_bytes_foretold(engine: Engine, tokens: int) -> None:
    sequence = engine.open_sequence()
    read(engine, ids_of(engine, tokens), NOTHING, sequence=sequence)
    assert sequence.nbytes == engine.cache_bytes(tokens) > 0
    sequence.close()
    assert sequence.nbytes == 0
    sequence.close()


def test_allocations_are_counted_and_given_back(engine: Engine) -> None:
    needs(engine, Capability.ALLOCATIONS)
    before = engine.allocations(reset_peak=True).current["kv_cache"]
    sequence = engine.open_sequence()
    read(engine, ids_of(engine, 100), Want("all"), sequence=sequence)
    found = engine.allocations()
    assert found.current["kv_cache"] == before + engine.cache_bytes(100)
    assert found.peak_bytes >= before + engine.cache_bytes(100) + 100 * engine.info.vocabulary_size * 4
    assert found.peak_bytes >= sum(found.current.values())
    sequence.close()
    assert engine.allocations(reset_peak=True).current["kv_cache"] == before


def test_the_scheduler_makes_the_same_text_as_a_bare_loop(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    from capot.engines.scheduler import Job

    monkeypatch.setattr(engine, "close", lambda: None, raising=False)  # it is shared by the tests
    prompt = ids_of(engine, 300, 4)
    sequence, expected = engine.open_sequence(), []
    logits = read(engine, prompt, sequence=sequence)[-1].logits
    for _ in range(12):
        expected.append(int(logits.argmax()))
        logits = engine.step([Feed(sequence, expected[-1:])])[0].logits

    class Greedy(Job):
        made: list[int] = []

        def advance(self, output, pass_):
            self.made = [*self.made, int(output.logits.argmax())]
            return self.made[-1:] if len(self.made) < 12 else None

    scheduler = Scheduler(engine)
    jobs = [Greedy(prompt, owner=name) for name in ("first", "second", "first")]
    tickets = [scheduler.submit(job) for job in jobs]
    assert all(ticket.wait(60) and ticket.error is None for ticket in tickets)
    scheduler.close()
    assert [job.made for job in jobs] == [expected] * 3


def test_what_is_not_declared_is_refused_by_name() -> None:
    from capot.engines.scripted import ScriptedEngine

    engine = ScriptedEngine(capabilities=Capability.LOGITS | Capability.BATCH)
    require(engine, Want().capabilities)
    with pytest.raises(CapabilityError) as caught:
        require(engine, EVERYTHING.capabilities)
    assert caught.value.params["missing"] == "ALL_LOGITS, ATTENTION, HIDDEN, LAYER_LOGITS"


@pytest.mark.parametrize("lang", ["en", "fr"])
def test_what_is_missing_is_said_in_words(lang: str) -> None:
    from capot.engines.scripted import ScriptedEngine

    for each in Capability:
        with pytest.raises(CapabilityError) as caught:
            require(ScriptedEngine(capabilities=~each), each)
        told = caught.value.public().message(lang)
        assert caught.value.params["missing"] == each.name and each.name not in told
        assert i18n.tr(f"engines.ability.{each.name}", lang) in told
        again = copies.copy(caught.value)  # as it is made again from a helper’s process
        assert again.message(lang) == caught.value.message(lang)


def test_the_scripted_vocabulary_is_its_tokenizers() -> None:
    from capot.engines import scripted
    from capot.text.tokenizer import Tokenizer

    tokenizer = Tokenizer.bytes()
    assert tokenizer.vocabulary_size == scripted.VOCABULARY == scripted.ScriptedEngine().info.vocabulary_size
    for place, name in enumerate(scripted.SPECIALS):
        assert tokenizer.token_bytes(256 + place) == name.encode()
        assert tokenizer.encode(name, specials="allow") == [256 + place] == scripted.book_ids(name)
    assert tokenizer.eos_ids == (scripted.END,)
