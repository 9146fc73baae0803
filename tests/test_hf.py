"""The transformers engine against transformers itself, on tiny random models of each family."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytest.importorskip("accelerate")

import edits_helpers as editing  # noqa: E402
import embeddings_helpers  # noqa: E402
import hf_helpers as tiny  # noqa: E402
import inside_helpers as hooks  # noqa: E402
import native_helpers  # noqa: E402

import capot  # noqa: E402
from capot import engines  # noqa: E402
from capot.config import Loading  # noqa: E402
from capot.engines import transformers as hf_engine  # noqa: E402
from capot.engines.inside import Inside  # noqa: E402
from capot.engines.protocol import LAST, NOTHING, Capability, Feed, Want  # noqa: E402
from capot.engines.transformers import batch, compiled, load, memory, placement, probe, states  # noqa: E402
from capot.engines.transformers.cache import new_cache  # noqa: E402
from capot.engines.transformers.network import Network, cache_argument  # noqa: E402
from capot.errors import CapotError, InputError, ModelError, ResourceError  # noqa: E402
from capot.sources.checkpoint import Checkpoint  # noqa: E402

FAMILIES = list(tiny.FAMILIES)
WINDOWED = ("gemma2", "gemma3", "mistral")
STATEFUL = ("mamba", "mamba2", "jamba", "bamba")  # some layers, or all, keep a state instead of keys
SINKS = ("gpt_oss",)  # a part of attention goes to nothing: the rest does not add up to one
ATTENTIVE = [family for family in FAMILIES if family not in STATEFUL + SINKS]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Folders by family, each with a tokenizer; written once."""
    made = {}

    def get(family: str):
        if family not in made:
            made[family] = tiny.make(tmp_path_factory.mktemp(family), family)
            embeddings_helpers.tokenizer().save(str(made[family] / "tokenizer.json"))
        return made[family]

    return get


@pytest.fixture(scope="module")
def opened(folders):
    """Models by family as a user opens them, and what transformers makes of the same folder."""
    made = {}

    def get(family: str):
        if family not in made:
            made[family] = (capot.open(folders(family), engine="hf", device="cpu"), tiny.load(folders(family)))
        return made[family]

    yield get
    for model, _ in made.values():
        model.close()


@pytest.fixture(params=FAMILIES)
def pair(request, opened):
    """Our engine and transformers' model."""
    model, reference = opened(request.param)
    return model.scheduler.engine, reference


def attentive(engine) -> None:
    if Capability.ATTENTION not in engine.capabilities:
        pytest.skip("no attention")


def close(found, expected, *, within: float = 1e-4) -> None:
    np.testing.assert_allclose(found, expected, rtol=0, atol=within * max(1.0, np.abs(expected).max()))


def passed(reference, ids, **more):
    with torch.inference_mode():
        return reference(torch.tensor([ids]), **more)


def read(engine, ids, want=LAST, *, sequence=None, chunk=256):
    sequence = sequence or engine.open_sequence()
    return [engine.step([Feed(sequence, ids[at : at + chunk], want)])[0] for at in range(0, len(ids), chunk)]


# What it computes.


@pytest.mark.parametrize("family", FAMILIES)
def test_candidates_are_those_of_a_direct_call(opened, family: str) -> None:
    model, reference = opened(family)
    prompt = "The river bank is green. The bank lent"
    found = model.next(prompt, k=20)
    ids = model.tokenizer.encode(prompt, specials="allow")
    ids = ids if ids[:1] == [1] else [1, *ids]  # the post-processor begins with <s>
    assert found.prompt_tokens == len(ids)
    logits = passed(reference, ids).logits[0, -1].float()
    expected = torch.topk(logits, 20)
    assert [candidate.id for candidate in found.candidates] == expected.indices.tolist()
    close([candidate.probability for candidate in found.candidates], torch.softmax(logits, 0)[expected.indices].numpy())


@pytest.mark.parametrize("family", FAMILIES)
def test_greedy_text_is_that_of_generate(opened, family: str) -> None:
    model, reference = opened(family)
    ids = tiny.prompt(30, 1)
    found = model.generate("", ids=ids, temperature=0, max_new_tokens=40)
    with torch.inference_mode():
        whole = reference.generate(
            torch.tensor([ids]), attention_mask=torch.ones((1, len(ids)), dtype=torch.long),
            do_sample=False, max_new_tokens=40, pad_token_id=0,
        )  # fmt: skip
    assert [token.id for token in found.tokens] == whole[0, len(ids) :].tolist()


def test_a_reused_prefix_gives_what_a_fresh_start_gives(pair) -> None:
    engine, reference = pair
    ids = tiny.prompt(90)
    if Capability.PREFIX not in engine.capabilities:
        sequence = engine.open_sequence()
        read(engine, ids, sequence=sequence)
        with pytest.raises(CapotError) as caught:
            sequence.crop(80)
        assert caught.value.code == "crop_refused" and sequence.ids == ids
        return
    sequence, edited = engine.open_sequence(), [*ids[:80], *tiny.prompt(12, 3)]
    read(engine, ids, sequence=sequence)
    sequence.crop(80)
    found = read(engine, edited[80:], sequence=sequence)[-1].logits
    close(found, passed(reference, edited).logits[0, -1].numpy())


@pytest.mark.parametrize("family", WINDOWED)
def test_a_window_that_has_forgotten_is_computed_anew_and_says_so(opened, family: str) -> None:
    model, reference = opened(family)
    ids, engine = tiny.prompt(700, 8), model.scheduler.engine
    scheduler, edited = model.scheduler, [*ids[:150], *tiny.prompt(60, 9)]
    scheduler.run(ids, owner=family)
    back = scheduler.run([*ids[:690], 5, 6], owner=family)
    assert back.reused_tokens == 690  # a short way back is still in the buffers
    close(back.output.logits, passed(reference, [*ids[:690], 5, 6]).logits[0, -1].numpy())
    sequence = engine.open_sequence()
    read(engine, ids, sequence=sequence)
    with pytest.raises(CapotError) as caught:
        sequence.crop(150)
    assert caught.value.code == "crop_refused" and len(sequence.ids) == 700
    sequence.close()
    far = scheduler.run(edited, owner=family)
    assert far.reused_tokens == 0
    close(far.output.logits, passed(reference, edited).logits[0, -1].numpy())


def test_long_texts_in_chunks(pair) -> None:
    """Past every window, by chunks that fit no block."""
    engine, reference = pair
    ids = tiny.prompt(600, 4)
    close(read(engine, ids, chunk=231)[-1].logits, passed(reference, ids).logits[0, -1].numpy())


def test_several_at_once_give_what_each_alone_gives(pair) -> None:
    engine, reference = pair
    if Capability.BATCH not in engine.capabilities:
        pytest.skip("one at a time")
    texts = [tiny.prompt(count, seed) for seed, count in enumerate((20, 130, 301, 7))]
    sequences = [engine.open_sequence() for _ in texts]
    for text, sequence in zip(texts, sequences):
        read(engine, text[: len(text) // 2], NOTHING, sequence=sequence)
    rows = [Feed(s, text[len(text) // 2 :]) for s, text in zip(sequences, texts)]
    for found, text in zip(engine.step(rows), texts):
        close(found.logits, passed(reference, text).logits[0, -1].numpy())
    more = engine.step([Feed(sequence, [11]) for sequence in sequences])
    for found, text in zip(more, texts):
        close(found.logits, passed(reference, [*text, 11]).logits[0, -1].numpy())
    assert Capability.BATCH in engine.capabilities  # the first row was seen to agree


def test_hidden_states_are_raw(pair) -> None:
    """transformers' own list, the last one apart, which it gives after the final norm."""
    engine, reference = pair
    ids = tiny.prompt(40, 2)
    output = read(engine, ids, Want("last", hidden=True, layer_logits=True))[0]
    theirs = passed(reference, ids, output_hidden_states=True)
    levels = [each[0].numpy() for each in theirs.hidden_states]
    count = output.hidden.shape[0]
    if len(levels) == count and not type(reference).__name__.startswith("Mamba"):
        for level in range(count - 1):
            close(output.hidden[level], levels[level])
    else:  # Mamba's list begins after the first layer
        close(output.hidden[1], levels[0])
    close(output.layer_logits[-1], theirs.logits[0, -1].numpy())
    assert not np.allclose(output.layer_logits[0], output.layer_logits[-1], atol=1e-2)


@pytest.mark.parametrize("family", ["gpt2", "llama", "opt", "gemma2"])
def test_the_head_after_each_layer(opened, family: str) -> None:
    """By hand, from the family's own parts."""
    model, reference = opened(family)
    output = read(model.scheduler.engine, tiny.prompt(25), Want("none", hidden=True, layer_logits=True))[0]
    rows = torch.tensor(output.hidden[:, -1])
    with torch.inference_mode():
        if family == "gpt2":
            expected = reference.lm_head(reference.transformer.ln_f(rows))
        elif family == "opt":
            decoder = reference.model.decoder
            expected = reference.lm_head(decoder.project_out(decoder.final_layer_norm(rows)))
        else:
            expected = reference.lm_head(reference.model.norm(rows))
        if family == "gemma2":
            cap = reference.config.final_logit_softcapping
            expected = torch.tanh(expected / cap) * cap
    close(output.layer_logits, expected.numpy())


@pytest.mark.parametrize("family", ATTENTIVE)
def test_attention_is_that_of_the_eager_implementation(folders, opened, family: str) -> None:
    engine, ids = opened(family)[0].scheduler.engine, tiny.prompt(140, 6)
    reference = transformers.AutoModelForCausalLM.from_pretrained(folders(family), attn_implementation="eager").eval()
    sequence = engine.open_sequence()
    read(engine, ids[:90], NOTHING, sequence=sequence)
    found = engine.step([Feed(sequence, ids[90:], Want(attention=True))])[0]
    theirs = passed(reference, ids, output_attentions=True)
    close(found.logits, theirs.logits[0, -1].numpy())
    for layer, weights in zip(found.attention, theirs.attentions, strict=True):
        close(layer, weights[0, :, 90:].numpy())
    close(read(engine, ids)[0].logits, theirs.logits[0, -1].numpy())  # and back to the fast one


# Going on from a state.

WAYS = {"mamba": probe.WITH_STATE, "jamba": probe.WITH_STATE, "mamba2": probe.BY_ITSELF, "bamba": probe.BY_ITSELF}


@pytest.mark.parametrize("family", [family for family in FAMILIES if family in hooks.FAMILIES])
def test_the_inside_is_what_hooks_tell(opened, family: str) -> None:
    model, reference = opened(family)
    ids = tiny.prompt(110, 5)  # longer than a window
    hooks.holds_all(model.scheduler.engine, hooks.Reference(reference, ids, hooks.FAMILIES[family]), ids)


@pytest.mark.parametrize("family", FAMILIES)
def test_edits_are_what_hooks_make(opened, family: str) -> None:
    """Where there is no attention to be told apart, the stream alone can be changed."""
    model, reference = opened(family)
    engine = model.scheduler.engine
    families = hooks.FAMILIES | {"opt": editing.OPT}
    names = families.get(family) or hooks.Names(editing.STREAMS.get(family, "model.layers"), heads="")
    hooked = editing.Hooked(reference, names, heads=engine.info.heads)
    assert (Capability.HEAD_EDITS in engine.capabilities) == bool(names.heads)
    ids = tiny.prompt(40, 5)
    editing.holds_edits(engine, hooked, ids, layers=engine.info.layers)
    editing.holds_variants(engine, hooked, ids, ids[::-1], layers=engine.info.layers)


@pytest.mark.parametrize("family", [family for family in FAMILIES if family not in hooks.FAMILIES])
def test_a_state_space_has_guesses_and_no_parts(opened, family: str) -> None:
    model, reference = opened(family)
    engine, ids = model.scheduler.engine, tiny.prompt(40, 5)
    assert not engine.capabilities & (Capability.ADDITIONS | Capability.PARTS | Capability.HEADS)
    found = model.scheduler.run(ids, want=Want(inside=Inside(k=3))).output.inside
    expected = torch.softmax(passed(reference, ids).logits[0].float(), -1).numpy()
    close(found.probabilities[-1], -np.sort(-expected, axis=-1)[:, :3])


@pytest.mark.parametrize("family", WAYS)
@pytest.mark.parametrize("tokens", [300, 700, 2000])
def test_a_long_prompt_goes_on_from_the_state_of_its_first_chunk(opened, family: str, tokens: int) -> None:
    """Numbers are those of one direct call on all ids, and only one token follows by itself what was read."""
    model, reference = opened(family)
    engine, passes = model.scheduler.engine, []
    assert engine._probe.goes_on == WAYS[family]
    hook = engine.network.model.register_forward_pre_hook(lambda *_: passes.append(1))
    found = read(engine, tiny.prompt(tokens, tokens))[-1].logits
    hook.remove()
    expected = passed(reference, tiny.prompt(tokens, tokens)).logits[0, -1].numpy()
    close(found, expected, within=1e-5)
    assert np.array_equal(np.argsort(-found)[:20], np.argsort(-expected)[:20])
    assert len(passes) == -(-tokens // 256)


@pytest.mark.parametrize("family", ["falcon_mamba", "zamba"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_other_families_whose_loop_begins_anew(tmp_path, family: str, dtype: str) -> None:
    """Zamba's loop runs head by head. In 16 bits, the way is found in spite of what rounding does to the logits."""
    engine = tiny.engine(tiny.make(tmp_path, family), dtype=dtype)
    assert engine._probe.goes_on == probe.WITH_STATE
    if dtype == "float32":
        ids = tiny.prompt(150, 3)
        close(read(engine, ids, chunk=64)[-1].logits, passed(tiny.load(tmp_path), ids).logits[0, -1].numpy())
    engine.close()


@pytest.mark.parametrize("way", [probe.WITH_STATE, probe.ONE_BY_ONE])
def test_every_position_of_a_later_chunk(folders, opened, monkeypatch, way: str) -> None:
    engine, reference = opened("jamba")[0].scheduler.engine, opened("jamba")[1]
    if way == probe.ONE_BY_ONE:  # as in a family whose loop nobody knows
        monkeypatch.setattr(states, "mixers", lambda _: [])
        engine = tiny.engine(folders("jamba"))
    assert engine._probe.goes_on == way
    ids, sequence = tiny.prompt(60, 5), engine.open_sequence()
    read(engine, ids[:30], NOTHING, sequence=sequence)
    found = engine.step([Feed(sequence, ids[30:], Want("all", hidden=True, layer_logits=True))])[0]
    theirs = passed(reference, ids, output_hidden_states=True)
    close(found.logits, theirs.logits[0, 30:].numpy())
    close(found.hidden[2], theirs.hidden_states[2][0, 30:].numpy())
    close(found.layer_logits[-1], theirs.logits[0, -1].numpy())


def test_what_a_pass_that_failed_leaves_is_the_state_before_it(folders) -> None:
    """In the middle of a chunk that follows others: the same chunk then gives what it would have given."""
    engine, ids = tiny.engine(folders("mamba")), tiny.prompt(120, 5)
    sequence = engine.open_sequence()
    read(engine, ids[:60], NOTHING, sequence=sequence)

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    hook = engine.network.layers[2].register_forward_pre_hook(interrupted)
    with pytest.raises(KeyboardInterrupt):
        engine.step([Feed(sequence, ids[60:])])
    hook.remove()
    close(engine.step([Feed(sequence, ids[60:])])[0].logits, read(engine, ids)[-1].logits)
    engine.close()


def test_a_prompt_that_goes_token_by_token_ends_at_the_next_one(folders, monkeypatch) -> None:
    monkeypatch.setattr(states, "mixers", lambda _: [])
    engine, ids, passes = tiny.engine(folders("mamba")), tiny.prompt(120, 5), []
    sequence = engine.open_sequence()
    read(engine, ids[:60], NOTHING, sequence=sequence)

    def third(*_: object) -> None:
        passes.append(1)
        if len(passes) == 3:
            sequence.cancel()

    hook = engine.network.model.register_forward_pre_hook(third)
    assert engine.step([Feed(sequence, ids[60:])]) == [None]
    hook.remove()
    assert len(passes) == 3 and sequence.ids == ids[:60]
    sequence.cancelled = False
    close(engine.step([Feed(sequence, ids[60:])])[0].logits, read(engine, ids)[-1].logits)
    engine.close()


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_family_that_keeps_its_state_in_itself_is_refused(tmp_path, dtype: str) -> None:
    """Two texts would be computed with each other's state."""
    folder = tiny.make(tmp_path, "recurrent_gemma")
    assert code(tiny.engine, folder, dtype=dtype) == "no_token_by_token"


# What it refuses, and how it fails.


def code(call, *args, kind=CapotError, **options) -> str:
    with pytest.raises(kind) as caught:
        call(*args, **options)
    assert caught.value.message("fr") != caught.value.message("en")
    return caught.value.code


def changed(folder, tmp_path, **changes):
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    native_helpers.edit_config(tmp_path, **changes)
    return tmp_path


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"architectures": ["GPT2ForSequenceClassification"]}, "not_causal"),
        ({"model_type": "t5", "architectures": ["T5ForConditionalGeneration"]}, "not_causal"),
        ({"model_type": "not-born-yet"}, "family_unknown"),
        ({"model_type": "own", "auto_map": {"AutoModelForCausalLM": "own.Own"}}, "remote_code"),
        ({"n_layer": 4}, "tensor_missing"),
        ({"n_inner": 300}, "tensor_shape"),
        ({"n_head": 5}, "config_divided"),
        ({"n_layer": 10**9}, "config_layers"),
        ({"model_type": "not-born-yet", "auto_map": 3, "architectures": "GPT2LMHeadModel"}, "family_unknown"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_folders_it_cannot_open(folders, tmp_path, changes, expected: str) -> None:
    assert code(tiny.engine, changed(folders("gpt2"), tmp_path, **changes)) == expected


@pytest.mark.parametrize("lang", ["en", "fr"])
def test_a_newer_version_is_proposed_within_the_bounds(folders, tmp_path, lang: str) -> None:
    """``--upgrade capot[transformers]`` would leave transformers as it is, and may bring another capot."""
    with pytest.raises(CapotError) as caught:
        tiny.engine(changed(folders("gpt2"), tmp_path, model_type="not-born-yet"))
    assert caught.value.message(lang).endswith('pip install --upgrade "transformers>=5.23,<5.25"')


def test_pickles_are_never_read(folders, tmp_path) -> None:
    folder = changed(folders("gpt2"), tmp_path)
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    assert code(tiny.engine, folder) == "weights_pickled"


@pytest.mark.parametrize(
    ("loading", "expected"),
    [
        ({"device": "gpu"}, "unknown_device"),
        ({"device": "cuda:7"}, "no_such_device"),
        ({"dtype": "float12"}, "unknown_precision"),
    ],
)
def test_devices_and_precisions_that_do_not_exist(folders, loading, expected: str) -> None:
    assert code(tiny.engine, folders("gpt2"), **loading) == expected


def test_weights_that_do_not_fit(folders, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint = Checkpoint.open(folders("gpt2"))
    whole = placement.weights_bytes(checkpoint, torch.float32)
    monkeypatch.setattr(placement, "free_bytes", lambda device, spread=False: int(whole * 0.6))
    assert placement.choose(checkpoint, device="cpu", dtype=None).dtype == torch.bfloat16  # what has room is taken
    with pytest.raises(ResourceError) as caught:
        placement.choose(checkpoint, device="cpu", dtype="float32")
    assert caught.value.code == "weights_too_large"
    assert "--device cpu --dtype bfloat16" in caught.value.message("fr", face="command")
    monkeypatch.setattr(placement, "free_bytes", lambda device, spread=False: 1000)
    assert code(placement.choose, checkpoint, device=None, dtype=None) == "weights_too_large_everywhere"


@pytest.mark.parametrize("family", ["llama", "mamba", "gemma3"])
def test_memory_that_runs_out_in_the_middle(opened, family: str) -> None:
    """Half of the layers have written when it does: the cache is as before, and the error says what fits."""
    model, reference = opened(family)
    engine, ids = model.scheduler.engine, tiny.prompt(130, 5)
    sequence = engine.open_sequence()
    read(engine, ids, sequence=sequence)
    held = sequence.nbytes

    def full(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.50 GiB. GPU 0 has a total capacity...")

    hook = engine.network.layers[1].register_forward_pre_hook(full)
    try:
        with pytest.raises(ResourceError) as caught:
            engine.step([Feed(sequence, [7, 8, 9])])
    finally:
        hook.remove()
    assert caught.value.code == "out_of_memory" and int(caught.value.params["needed"]) == 2.5 * 2**30
    assert 130 <= caught.value.params["fitting"] < 133 == caught.value.params["tokens"]
    assert sequence.ids == ids and sequence.nbytes == held
    found = engine.step([Feed(sequence, [7])])[0].logits
    close(found, passed(reference, [*ids, 7]).logits[0, -1].numpy())


def test_more_positions_than_were_learnt(opened) -> None:
    engine = opened("gpt2")[0].scheduler.engine
    sequence = engine.open_sequence()
    read(engine, tiny.prompt(tiny.CONTEXT - 1), NOTHING, sequence=sequence)
    assert code(engine.step, [Feed(sequence, [5, 6])]) == "prompt_too_long"
    assert code(engine.step, [Feed(engine.open_sequence(), [tiny.VOCABULARY])], kind=InputError) == "no_such_id"


def test_memory_is_measured_up_to_the_last_position(opened) -> None:
    answer = opened("gpt2")[0].memory([300, tiny.CONTEXT, tiny.CONTEXT + 1])
    assert [row.tokens for row in answer.rows] == [300, tiny.CONTEXT]
    assert answer.rows[-1].next_token_s is None and answer.rows[-1].measured.kv_cache > 0
    assert answer.stopped.reason == "positions" and "position" in answer.to_text("fr")


def test_a_state_space_has_a_card_and_a_cache_that_does_not_grow(opened) -> None:
    model = opened("mamba")[0]
    assert model.card().parameters.total == sum(weight.numel() for weight in opened("mamba")[1].parameters())
    assert model.card().memory.kv_bytes_per_token == 0
    rows = model.memory([64, 300]).rows
    assert rows[0].measured.kv_cache == rows[1].measured.kv_cache > 0
    engine = model.scheduler.engine
    assert engine.cache_bytes(1) == engine.cache_bytes(100_000) > 0


def test_a_family_whose_rows_disagree_is_computed_one_by_one(folders, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = tiny.engine(folders("llama"))
    assert Capability.BATCH in engine.capabilities
    monkeypatch.setattr(batch.BatchCache, "_mask", lambda *_: None)  # as if its masks were not those we make
    texts = [tiny.prompt(40, seed) for seed in (1, 2)]
    sequences = [engine.open_sequence() for _ in texts]
    for sequence, text in zip(sequences, texts):
        read(engine, text[:20], NOTHING, sequence=sequence)
    found = engine.step([Feed(sequence, text[20:]) for sequence, text in zip(sequences, texts)])
    assert Capability.BATCH not in engine.capabilities
    for output, text in zip(found, texts):
        close(output.logits, read(engine, text)[0].logits)
    engine.close()


def test_opening_is_quiet(folders, capfd: pytest.CaptureFixture) -> None:
    tiny.engine(folders("opt"), dtype="bfloat16").close()
    assert capfd.readouterr() == ("", "")


def test_a_family_that_fails_in_its_first_pass_is_refused_in_words(tmp_path, monkeypatch) -> None:
    assert code(tiny.engine, tiny.make(tmp_path, "xlstm")) == "model_refused"  # its cache is none of transformers'

    def full(*_: object, **__: object) -> None:
        raise RuntimeError("[enforce fail at alloc_cpu.cpp:118] . DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(probe.Probe, "_found", full)
    assert code(tiny.engine, tiny.make(tmp_path / "llama", "llama")).startswith("weights_too_large")


def test_what_is_a_lack_of_memory() -> None:
    message = "[enforce fail at alloc_cpu.cpp:118] . DefaultCPUAllocator: not enough memory: you tried to allocate"
    assert memory.requested_bytes(RuntimeError(f"{message} 4096 bytes.")) == 4096
    assert memory.requested_bytes(MemoryError()) == 0
    assert memory.requested_bytes(RuntimeError("shapes do not match")) is None


# The lane of compiled passes. Whether compiling pays is for bench/hf.py to say; here, that it computes the same.


@pytest.mark.parametrize("family", ["llama", "gpt2", "gpt_neox", "phi", "gemma"])
def test_the_lane_gives_what_the_plain_pass_gives(folders, family: str) -> None:
    engine = tiny.engine(folders(family))
    ids, expected = tiny.prompt(90, 3), []
    sequence = engine.open_sequence()
    read(engine, ids[:60], sequence=sequence)
    for token in ids[60:]:
        expected.append(engine.step([Feed(sequence, [token])])[0].logits)
    engine.lane = compiled.CompiledDecoder(engine.network, compile=lambda function, **_: function)
    first, second = engine.open_sequence(), engine.open_sequence()
    read(engine, ids[:60], sequence=first)
    read(engine, ids[:33], sequence=second)
    for place_, token in enumerate(ids[60:]):
        close(engine.step([Feed(first, [token])])[0].logits, expected[place_])
        if place_ % 7 == 3:  # another one enters, and both are then computed in one pass
            engine.step([Feed(second, [5])])
        if place_ == 20:
            first.crop(70)
            close(read(engine, ids[70 : 60 + place_ + 1], sequence=first)[0].logits, expected[place_])
    assert engine.lane.inside is not None and first.ids == ids
    engine.close()


def test_what_cannot_be_compiled_is_computed_without(folders) -> None:
    heard = []
    loading = Loading(model="x", device="cpu", compiled=True)
    notice = lambda key, **params: heard.append(key)  # noqa: E731
    engine = hf_engine.open_transformers(Checkpoint.open(folders("gemma2")), loading, notice=notice)
    assert engine.lane is None and heard == ["engines.transformers", "engines.not_compiled"]
    engine.close()
    engine = tiny.engine(folders("llama"))

    def broken(*_: object) -> None:
        raise RuntimeError("no compiler")

    engine.lane = compiled.CompiledDecoder(engine.network, compile=lambda function, **_: broken)
    sequence, ids = engine.open_sequence(), tiny.prompt(20)
    read(engine, ids, sequence=sequence)
    close(engine.step([Feed(sequence, [5])])[0].logits, read(engine, [*ids, 5])[0].logits)
    assert engine.lane is None
    engine.close()


# Which engine opens what.


@pytest.mark.parametrize(
    ("family", "loading", "gpu", "expected"),
    [
        ("llama", {}, None, "native"),
        ("llama", {}, "cuda", "transformers"),
        ("llama", {"device": "cpu"}, "cuda", "native"),
        ("llama", {"engine": "native"}, "cuda", "native"),
        ("llama", {"dtype": "float16"}, None, "transformers"),
        ("llama", {"engine": "hf"}, None, "transformers"),
        ("gpt2", {}, None, "transformers"),
        ("boxed", {}, "cuda", "native"),
        ("boxed", {"device": "cuda"}, "cuda", "transformers"),
    ],
)
def test_the_choice_of_an_engine(folders, monkeypatch, family: str, loading: dict, gpu, expected: str) -> None:
    from capot.model import BOXED

    monkeypatch.setattr(hf_engine, "accelerator", lambda: gpu)
    folder = BOXED if family == "boxed" else folders(family)
    checkpoint = Checkpoint.open(folder)
    assert (
        engines.choose_engine(Loading(model=family if family == "boxed" else str(folder), **loading), checkpoint)
        == expected
    )


DAMAGED = {
    "rope_theta": -1,
    "rms_norm_eps": float("inf"),
    "sliding_window": -1,
    "max_position_embeddings": 0,
    "rope_scaling": "yarn",
    "num_key_value_heads": "2",
    "hidden_size": None,
}


def damaged(folder: Path, field: str) -> Checkpoint:
    found = Checkpoint.open(folder)
    return Checkpoint(found.path, found.name, found.raw_config | {"rope_parameters": None, field: DAMAGED[field]})


def refused_field(ask, loading: Loading, checkpoint: Checkpoint) -> str:
    with pytest.raises(ModelError) as caught:
        ask(loading, checkpoint)
    assert caught.value.code in ("config_field", "config_value")
    return caught.value.params["field"]


@pytest.mark.parametrize("field", DAMAGED)
@pytest.mark.parametrize("ask", [engines.choose_engine, engines.obstacle, engines.open_engine])
def test_a_damaged_value_sends_no_model_of_the_native_engine_elsewhere(folders, field: str, ask) -> None:
    """transformers would compute with most of them, and its probabilities would be wrong."""
    assert refused_field(ask, Loading(model="mine"), damaged(folders("mistral"), field)) == field


ASKED = [{"engine": "hf"}, {"engine": "transformers"}, {"device": "cpu"}, {"dtype": "float32"}, {"dtype": "float16"}]


@pytest.mark.parametrize("field", DAMAGED)
@pytest.mark.parametrize("way", ASKED, ids=str)
@pytest.mark.parametrize("ask", [engines.obstacle, engines.open_engine])
def test_a_damaged_value_is_refused_whoever_chose_the_engine(folders, field: str, way: dict, ask) -> None:
    assert refused_field(ask, Loading(model="mine", **way), damaged(folders("mistral"), field)) == field


@pytest.mark.parametrize("lang", ["en", "fr"])
@pytest.mark.parametrize("family", ["llama", "gpt2"])
@pytest.mark.parametrize("way", [{}, {"engine": "hf"}], ids=str)
def test_layers_that_nobody_computes_are_said(folders, tmp_path, family: str, way: dict, lang: str) -> None:
    """transformers leaves them out without a word; so does native."""
    import capot
    from capot.i18n import tr

    heard = []
    notice = lambda key, **params: heard.append((key, params))  # noqa: E731
    folder = changed(folders(family), tmp_path, **{"n_layer" if family == "gpt2" else "num_hidden_layers": 1})
    engines.open_engine(Loading(model=str(folder), **way), Checkpoint.open(folder), notice=notice).close()
    [told] = [params for key, params in heard if key == "engines.unused_layers"]
    assert (told["count"], told["layers"]) == (2, 1)
    assert "2 " in tr("engines.unused_layers", lang, **told)
    described = capot.open(folder).card()
    assert described.unused_layers == 2 and described.layers == 1
    assert tr("card.facts.unused_layers", lang, count=2)[:20] in described.to_text(lang, width=400)
    assert capot.open(folders(family)).card().unused_layers == 0


@pytest.mark.parametrize("family", ["llama", "gpt2"])
@pytest.mark.parametrize("way", [{}, {"engine": "hf"}], ids=str)
def test_more_layers_than_the_file_holds_are_refused(folders, tmp_path, family: str, way: dict) -> None:
    field = "n_layer" if family == "gpt2" else "num_hidden_layers"
    folder = changed(folders(family), tmp_path, **{field: 4})
    with pytest.raises(ModelError) as caught:
        engines.open_engine(Loading(model=str(folder), **way), Checkpoint.open(folder))
    assert caught.value.code == "tensor_missing" and ".3." in caught.value.params["tensor"]


@pytest.mark.parametrize(
    ("changes", "code", "field"),
    [
        ({"n_head": "4"}, "config_value", "n_head"),
        ({"n_embd": -1}, "config_field", "n_embd"),
        ({"n_embd": None}, "config_field", "hidden_size"),
        ({"n_layer": None}, "config_field", "num_hidden_layers"),
        ({"vocab_size": None}, "config_field", "vocab_size"),
        ({"activation_function": "gelou"}, "config_value", "activation_function"),
        ({"dtype": "float12"}, "config_value", "dtype"),
        ({"dtype": [1]}, "config_value", "dtype"),
        ({"n_embd": 5}, "config_divided", "n_head"),
        ({"n_head": 5}, "config_divided", "n_head"),
        ({"attn_pdrop": 5}, "config_field", "attn_pdrop"),
        ({"embd_pdrop": -1}, "config_field", "embd_pdrop"),
        ({"resid_pdrop": 1e9}, "config_field", "resid_pdrop"),
        ({"layer_norm_epsilon": "small"}, "config_value", "layer_norm_epsilon"),
        ({"model_type": None}, "family_unsaid", None),
    ],
    ids=str,
)
def test_what_transformers_refuses_is_told_by_the_field(folders, tmp_path, changes: dict, code: str, field) -> None:
    """Its own message ends before the value, or is a lone "'gelou'"; a size that is not given is one of its own."""
    folder = changed(folders("gpt2"), tmp_path, **changes)
    raw = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    kept = {name: value for name, value in raw.items() if value is not None}
    (folder / "config.json").write_text(json.dumps(kept), encoding="utf-8")
    with pytest.raises(ModelError) as caught:
        engines.open_engine(Loading(model=str(folder), engine="hf"), Checkpoint.open(folder))
    assert (caught.value.code, caught.value.params.get("field")) == (code, field)


@pytest.mark.parametrize(("asked", "message", "stored"), [
    ("bfloat16", "expected m1 and m2 to have the same dtype, but got: c10::Half != c10::BFloat16", "float16"),
    ("float32", "expected mat1 and mat2 to have the same dtype, but got: float != c10::BFloat16", "bfloat16"),
    ("float16", "something else", None),
])  # fmt: skip
def test_two_types_that_pytorch_does_not_mix_are_named(folders, asked: str, message: str, stored: str | None) -> None:
    """Scaled FP8 is computed in the type of the file; PyTorch names both by names of its own."""
    where = placement.Placement(torch.device("cpu"), getattr(torch, asked))
    with pytest.raises(ModelError) as caught, load.translated_errors(Checkpoint.open(folders("gpt2")), where):
        raise RuntimeError(message)
    assert caught.value.code == ("dtypes_mixed" if stored else "model_refused")
    if stored:
        assert caught.value.message("en", face="command").splitlines()[-1] == f"Try: --dtype {stored}"
        assert "c10" not in caught.value.message("fr")


SCALING = [
    ({"type": "linear", "factor": 0}, "factor"),
    ({"rope_type": "dynamic", "factor": -2.0}, "factor"),
    ({"rope_type": "yarn", "factor": 4.0, "attention_factor": 0}, "attention_factor"),
    ({"rope_type": "yarn", "factor": 4.0, "beta_fast": "32"}, "beta_fast"),
    ({"rope_type": "linear"}, "factor"),
    ({"rope_type": "llama3", "factor": 8.0, "high_freq_factor": 4.0}, "low_freq_factor"),
    ({"rope_type": "default", "rope_theta": 0}, "rope_theta"),
    ({"full_attention": {"rope_type": "linear", "factor": 0}}, "factor"),
]


@pytest.mark.parametrize(("scaling", "field"), SCALING, ids=str)
@pytest.mark.parametrize("way", [{}, {"engine": "hf"}], ids=str)
def test_rope_scaling_by_nothing_is_refused(folders, scaling: dict, field: str, way: dict) -> None:
    """A factor of 0 makes every frequency infinite, and a llama3 without its own is no llama3."""
    found = Checkpoint.open(folders("llama"))
    raw = found.raw_config | {"rope_parameters": None, "rope_scaling": scaling}
    checkpoint = Checkpoint(found.path, found.name, raw)
    assert refused_field(engines.open_engine, Loading(model="mine", **way), checkpoint) == field


@pytest.mark.parametrize("field", DAMAGED)
def test_what_other_families_write_is_theirs_to_read(folders, field: str) -> None:
    checkpoint = damaged(folders("gpt2"), field)
    assert engines.choose_engine(Loading(model="mine"), checkpoint) == "transformers"
    assert engines.obstacle(Loading(model="mine"), checkpoint) is None


def test_the_choice_is_said_in_one_line(folders) -> None:
    heard = []
    notice = lambda key, **params: heard.append((key, params))  # noqa: E731
    loading = Loading(model=str(folders("gpt2")), device="cpu")
    engines.open_engine(loading, Checkpoint.open(folders("gpt2")), notice=notice).close()
    assert [key for key, _ in heard] == ["engines.transformers"]
    assert heard[0][1]["device"] == "cpu" and heard[0][1]["dtype"] == "float32"


def test_without_the_extra_a_line_to_paste(folders, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hf_engine, "missing", lambda: ("torch", "transformers"))
    loading, checkpoint = Loading(model=str(folders("gpt2"))), Checkpoint.open(folders("gpt2"))
    with pytest.raises(CapotError) as caught:
        engines.open_engine(loading, checkpoint)
    assert caught.value.code == "missing_extra" and 'pip install "capot[transformers]"' in caught.value.message("fr")
    assert engines.choose_engine(Loading(model=str(folders("llama"))), Checkpoint.open(folders("llama"))) == "native"


@pytest.mark.parametrize("installed", ["5.22.2", "5.25.0.dev0", "5.40.1"])
def test_versions_beyond_the_bounds_are_told_as_such(folders, monkeypatch: pytest.MonkeyPatch, installed: str) -> None:
    read = hf_engine.version
    monkeypatch.setattr(hf_engine, "version", lambda name: installed if name == "transformers" else read(name))
    loading, checkpoint = Loading(model=str(folders("gpt2"))), Checkpoint.open(folders("gpt2"))
    assert engines.obstacle(loading, checkpoint) == "untried"
    with pytest.raises(CapotError) as caught:
        engines.open_engine(loading, checkpoint)
    assert caught.value.code == "extra_untried"
    for lang in ("en", "fr"):
        assert installed in caught.value.message(
            lang
        ) and 'pip install "transformers>=5.23,<5.25"' in caught.value.message(lang)


@pytest.mark.parametrize("installed", ["5.22.2", "5.25.0"])
def test_a_gpu_behind_untried_versions_takes_no_model_from_the_native_engine(
    folders, monkeypatch: pytest.MonkeyPatch, installed: str
) -> None:
    read = hf_engine.version
    monkeypatch.setattr(hf_engine, "gpu_possible", lambda: True)
    monkeypatch.setattr(placement, "preferred_device", lambda: torch.device("cuda"))
    loading, checkpoint = Loading(model=str(folders("llama"))), Checkpoint.open(folders("llama"))
    assert engines.choose_engine(loading, checkpoint) == "transformers"
    monkeypatch.setattr(hf_engine, "version", lambda name: installed if name == "transformers" else read(name))
    assert hf_engine.accelerator() is None and engines.choose_engine(loading, checkpoint) == "native"
    assert engines.obstacle(loading, checkpoint) is None


def test_a_cache_is_handed_over_by_the_name_that_its_code_has_for_it(folders) -> None:
    """Code of a model's authors keeps the name of the transformers that it was written for."""
    theirs = transformers.GPT2LMHeadModel
    name = cache_argument(theirs)

    class Own(theirs):
        def forward(self, input_ids=None, past_key_values=None, use_cache=None, position_ids=None, logits_to_keep=0):
            more = {"use_cache": use_cache, "position_ids": position_ids, "logits_to_keep": logits_to_keep}
            return super().forward(input_ids, **{name: past_key_values}, **more)

    ids = torch.tensor([tiny.prompt(9)])
    found = []
    for kind in (theirs, Own):
        network = Network(kind.from_pretrained(folders("gpt2")).eval())
        with torch.inference_mode():
            cache = new_cache(network.config)
            network.run(ids[:, :8], "last", cache, **network.positions(0, 8))
            found.append(network.run(ids[:, 8:], "last", cache, **network.positions(8, 1)).logits)
            assert cache.get_seq_length() == 9
            assert torch.allclose(found[-1], network.run(ids, "last").logits, atol=1e-4)
        assert network.cache_name == ("past_key_values" if kind is Own else name)
    assert torch.equal(*found)


def test_the_bounds_are_those_of_the_package_and_hold_here() -> None:
    asked = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]["transformers"]
    bounds = [f"{name}>={first},<{beyond}" for name, (first, beyond) in hf_engine.BOUNDS.items()]
    assert asked == bounds and set(hf_engine.BOUNDS) == set(hf_engine.PACKAGES) and hf_engine.untested_package() is None


def test_choosing_imports_no_torch(folders) -> None:
    program = (
        "import sys, json, capot.engines as e\n"
        "from capot.config import Loading\nfrom capot.sources.checkpoint import Checkpoint\n"
        f"paths = {[str(folders('llama')), str(folders('gpt2'))]!r}\n"
        "names = [e.choose_engine(Loading(model=path), Checkpoint.open(path)) for path in paths]\n"
        "print(json.dumps([names, sorted({'torch', 'transformers', 'numba'} & set(sys.modules))]))"
    )
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    names, loaded = json.loads(answer.stdout)
    if torch.version.cuda is None:  # a build for the processor alone says so without being imported
        assert loaded == []
    assert names == ["native", "transformers"] or torch.cuda.is_available()


def test_what_is_mistyped_is_refused_before_pytorch_and_no_program_is_fetched(folders) -> None:
    program = (
        "import sys, capot\n"
        f"folder = {str(folders('gpt2'))!r}\n"
        "try: capot.open(folder, engine='hf', dtype='float12').next('a')\n"
        "except capot.CapotError as error: print(error.code, 'torch' in sys.modules)\n"
        "capot.open(folder, engine='hf').next('a')\n"
        "from transformers.integrations import hub_kernels\n"
        "print(hub_kernels._kernels_enabled)"
    )
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert answer.stdout.split() == ["unknown_precision", "False", "False"]


@pytest.mark.parametrize(
    ("stored", "native", "kind", "expected"),
    [
        (torch.bfloat16, True, "cpu", torch.bfloat16),
        (torch.bfloat16, False, "cpu", torch.float32),
        (torch.float16, True, "cpu", torch.float32),
        (torch.float32, True, "cpu", torch.float32),
        (torch.float32, True, "cuda", torch.bfloat16),
        (torch.bfloat16, False, "cuda", torch.float16),
    ],
)
def test_the_precision_a_device_computes_in(monkeypatch, stored, native: bool, kind: str, expected) -> None:
    monkeypatch.setattr(placement, "native_bfloat16", lambda device: native)
    assert placement.precisions(torch.device(kind), stored)[0] == expected


# On a GPU.


def on_gpu(test):
    needs = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
    return pytest.mark.gpu(needs(test))


@on_gpu
@pytest.mark.parametrize("family", FAMILIES)
def test_a_gpu_computes_what_the_processor_computes(folders, opened, family: str) -> None:
    engine, ids = tiny.engine(folders(family), device="cuda", dtype="float32"), tiny.prompt(300, 7)
    assert engine.info.device.startswith("cuda")
    here = opened(family)[0].scheduler.engine
    close(read(engine, ids)[-1].logits, read(here, ids)[-1].logits, within=1e-3)
    want = Want("all", hidden=True, layer_logits=True)
    found, expected = read(engine, ids[:40], want)[0], read(here, ids[:40], want)[0]
    close(found.hidden, expected.hidden, within=1e-3)
    close(found.layer_logits, expected.layer_logits, within=1e-3)
    engine.close()


@on_gpu
def test_a_closed_model_gives_its_memory_back(folders) -> None:
    before = torch.cuda.memory_allocated()
    engine = tiny.engine(folders("llama"), device="cuda")
    engine.allocations(reset_peak=True)
    read(engine, tiny.prompt(300))
    assert engine.allocations().peak["kv_cache"] > 0
    engine.close()
    assert torch.cuda.memory_allocated() <= before  # less, where another test's product had left its workspace


@on_gpu
def test_a_full_gpu_is_an_error_that_says_what_fits(folders) -> None:
    engine = tiny.engine(folders("llama"), device="cuda")
    sequence, ids = engine.open_sequence(), tiny.prompt(200)
    read(engine, ids, sequence=sequence)
    torch.cuda.empty_cache()
    free, _ = torch.cuda.mem_get_info()
    ballast = torch.empty(max(0, free - 8 * 2**20), dtype=torch.uint8, device="cuda")  # noqa: F841
    kept = []
    with pytest.raises(ResourceError) as caught:
        for seed in range(2000):
            kept.append(engine.open_sequence())
            read(engine, tiny.prompt(1000, seed), Want("all"), sequence=kept[-1])
    assert caught.value.code == "out_of_memory" and caught.value.params["fitting"] >= 0
    kept.clear()
    assert sequence.ids == ids
    engine.close()


@on_gpu
def test_compiled_passes_on_a_gpu(folders) -> None:
    plain, compiled = (
        tiny.engine(folders("llama"), device="cuda", dtype="float32", compiled=on) for on in (False, True)
    )
    ids, first, second = tiny.prompt(60), plain.open_sequence(), compiled.open_sequence()
    read(plain, ids[:20], sequence=first)
    read(compiled, ids[:20], sequence=second)
    for token in ids[20:]:
        a, b = (e.step([Feed(s, [token])])[0].logits for e, s in ((plain, first), (compiled, second)))
        close(b, a, within=1e-3)
    assert compiled.lane is not None
    plain.close()
    compiled.close()


def test_a_table_that_is_widened_is_shown_by_itself(opened) -> None:
    """OPT-350m looks its tokens up in vectors narrower than its layers."""
    ours, theirs = opened("opt")
    table = theirs.get_input_embeddings().weight.detach().numpy()
    found = ours.embed(["cat"], near=0)
    assert table.shape[1] < ours.checkpoint.config.width == 64
    assert found.words[0].ids and found.shape[1] == table.shape[1]
    with pytest.raises(CapotError) as refused:
        ours.context("cat", sentences=["the cat sat"])
    assert refused.value.code == "table_apart" and "32" in str(refused.value)


def test_every_family_of_transformers_is_known_without_importing_it() -> None:
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    assert all(hf_engine.knows_family({"model_type": kind}) for kind in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES)
    assert not hf_engine.knows_family({"model_type": "no_such_family"})


def test_a_quota_of_processor_time_bounds_the_threads(folders, monkeypatch) -> None:
    before = torch.get_num_threads()
    monkeypatch.setattr("capot.engines.transformers.load.processors", lambda: 1)
    try:
        torch.set_num_threads(2)
        with capot.open(folders("gpt2"), engine="hf", device="cpu") as model:
            assert model.scheduler.call(torch.get_num_threads) == 1  # on the thread that computes
    finally:
        torch.set_num_threads(before)
