"""The native engine computes what transformers computes, and every feature of it counts."""

import dataclasses
import hashlib
import math
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

import edits_helpers as editing  # noqa: E402
import inside_helpers as hooks  # noqa: E402
import native_helpers as tiny  # noqa: E402

from capot.engines.native import check, kernels, open_native, rope  # noqa: E402
from capot.engines.native.cache import ArrayAllocator  # noqa: E402
from capot.engines.native.llama import NO_WINDOW, Linear  # noqa: E402
from capot.engines.native.plans import DEFAULT, KernelPlan  # noqa: E402
from capot.engines.protocol import LAST, MAX_CHUNK, NOTHING, Capability, Engine, Feed, Sequence, Want  # noqa: E402
from capot.errors import ModelError, UnsupportedError  # noqa: E402
from capot.sources.checkpoint import Checkpoint  # noqa: E402

LENGTH = 300  # longer than a chunk, than the window, and than Llama 3's original context here
TOLERANCE = 1e-4  # of the largest logit
NARROW = {"bfloat16": 0.05, "float16": 0.01}
ALL = Want(logits="all")
EVERY = Want(logits="all", hidden=True, attention=True, layer_logits=True)


@pytest.fixture(scope="session")
def models(tmp_path_factory):
    """Folder, native engine and transformers' model of each family, made at first need and kept."""
    made = {}

    def get(family):
        if family not in made:
            folder = tiny.make(tmp_path_factory.mktemp(family), family)
            made[family] = folder, open_native(Checkpoint.open(folder)), tiny.load(folder)
        return made[family]

    return get


def feed(engine, ids, want=LAST, *, sequence=None, chunk=MAX_CHUNK):
    """Every answer to ``ids``, chunk by chunk."""
    sequence = sequence or engine.open_sequence()
    return [engine.step([Feed(sequence, ids[i : i + chunk], want)])[0] for i in range(0, len(ids), chunk)]


def all_logits(engine, ids, *, chunk=MAX_CHUNK):
    return np.concatenate([output.logits for output in feed(engine, ids, ALL, chunk=chunk)])


@torch.no_grad()
def reference_logits(model, ids):
    return model(torch.tensor([ids])).logits[0].numpy()


def error(found, expected):
    """The largest difference, as a share of the largest value."""
    assert found.shape == expected.shape
    return np.abs(found - expected).max() / np.abs(expected).max()


# ---------------------------------------------------------------- parity


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_logits_of_all_positions(models, family):
    _, engine, model = models(family)
    ids = tiny.prompt(LENGTH)
    assert error(all_logits(engine, ids), reference_logits(model, ids)) <= TOLERANCE


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_sixty_four_greedy_tokens(models, family):
    _, engine, model = models(family)
    ids = tiny.prompt(LENGTH)
    sequence = engine.open_sequence()
    mine = [int(feed(engine, ids, sequence=sequence)[-1].logits.argmax())]
    while len(mine) < 64:
        mine.append(int(feed(engine, mine[-1:], sequence=sequence)[-1].logits.argmax()))
    whole = reference_logits(model, ids + mine)[len(ids) - 1 : -1]
    assert whole.argmax(1).tolist() == mine


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_everything_between_is_transformers_own(models, family):
    _, engine, model = models(family)
    ids = tiny.prompt(150, seed=1)
    output = feed(engine, ids, EVERY)[0]
    with torch.no_grad():
        theirs = model(torch.tensor([ids]), output_hidden_states=True, output_attentions=True)
        hidden = torch.stack(theirs.hidden_states)[:, 0]  # its last row is normed already
        layers = torch.cat((model.lm_head(model.model.norm(hidden[:-1, -1])), theirs.logits[0, -1:]))
        normed = model.model.norm(torch.from_numpy(output.hidden[-1]))
    assert error(output.hidden[:-1], hidden[:-1].numpy()) <= TOLERANCE
    assert error(normed.numpy(), hidden[-1].numpy()) <= TOLERANCE
    assert error(output.attention, torch.cat(theirs.attentions).numpy()) <= TOLERANCE
    assert error(output.layer_logits, layers.numpy()) <= TOLERANCE
    np.testing.assert_allclose(output.attention.sum(-1), 1, rtol=1e-5)


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_the_inside_is_what_hooks_tell(models, family):
    _, engine, reference = models(family)
    ids = tiny.prompt(110, 5)  # longer than a window, and than a block of a cache
    hooks.holds_all(engine, hooks.Reference(reference, ids, hooks.Names()), ids)


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_edits_are_what_hooks_make(models, family):
    _, engine, reference = models(family)
    hooked, ids = editing.Hooked(reference, hooks.Names(), heads=engine.info.heads), tiny.prompt(40, 5)
    editing.holds_edits(engine, hooked, ids)
    editing.holds_variants(engine, hooked, ids, ids[::-1])


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_narrow_weights_stay_narrow(models, tmp_path, dtype):
    folder = tiny.make(tmp_path, "llama", dtype=dtype)
    engine = open_native(Checkpoint.open(folder))
    assert engine.info.dtype == dtype and engine.embedding.itemsize == 2
    ids = tiny.prompt(LENGTH)
    # transformers widens the weights; ours are read as they are, and the cache is as narrow as they.
    assert error(all_logits(engine, ids), reference_logits(tiny.load(folder), ids)) <= NARROW[dtype]


# ---------------------------------------------------------------- one answer, however it is asked for


@pytest.mark.parametrize("chunk", [1, 7, 64, 100])
def test_cached_equals_uncached(models, chunk):
    _, engine, _ = models("qwen3")
    ids = tiny.prompt(150)
    assert error(all_logits(engine, ids, chunk=chunk), all_logits(engine, ids)) <= TOLERANCE / 10


@pytest.mark.parametrize("length", [0, 1, 63, 64, 65, 200])
def test_a_cropped_prefix_equals_a_fresh_start(models, length):
    _, engine, _ = models("mistral")
    ids, others = tiny.prompt(LENGTH), tiny.prompt(LENGTH, seed=2)
    sequence = engine.open_sequence()
    feed(engine, ids, NOTHING, sequence=sequence)
    sequence.crop(length)
    assert sequence.ids == ids[:length] and sequence.nbytes == engine.cache_bytes(length)
    again = feed(engine, others, sequence=sequence)[-1].logits
    assert error(again, feed(engine, ids[:length] + others)[-1].logits) <= TOLERANCE / 10


def test_a_batch_equals_each_alone(models):
    _, engine, _ = models("llama")
    prompts = [tiny.prompt(count, seed=count) for count in (1, 5, 70, 1, 130)]
    wants = [LAST, ALL, NOTHING, EVERY, Want(layer_logits=True)]
    alone = [feed(engine, ids, want)[0] for ids, want in zip(prompts, wants, strict=True)]
    sequences = [engine.open_sequence() for _ in prompts]
    feeds = [Feed(*parts) for parts in zip(sequences, prompts, wants, strict=True)]
    for mine, theirs in zip(engine.step(feeds), alone, strict=True):
        for field in dataclasses.fields(theirs):
            first, second = getattr(mine, field.name), getattr(theirs, field.name)
            assert type(first) is type(second)
            if isinstance(first, np.ndarray):
                assert error(first, second) <= TOLERANCE / 10
            else:
                assert first == second
    assert [sequence.ids for sequence in sequences] == prompts


def test_shards_equal_one_file(models, tmp_path):
    _, engine, _ = models("qwen2")
    tiny.make(tmp_path, "qwen2", shard="100KB")
    assert len(list(tmp_path.glob("*.safetensors"))) > 1
    ids = tiny.prompt(20)
    np.testing.assert_array_equal(all_logits(open_native(Checkpoint.open(tmp_path)), ids), all_logits(engine, ids))


def test_the_older_spelling_of_config(models, tmp_path):
    folder, engine, _ = models("llama")
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    scaling = {key: value for key, value in tiny.LLAMA3.items() if key != "rope_theta"}
    tiny.edit_config(tmp_path, rope_parameters=None, rope_theta=tiny.LLAMA3["rope_theta"], rope_scaling=scaling)
    ids = tiny.prompt(20)
    np.testing.assert_array_equal(all_logits(open_native(Checkpoint.open(tmp_path)), ids), all_logits(engine, ids))


# ---------------------------------------------------------------- every feature counts


def with_layers(engine, **changes):
    engine.layers = [
        dataclasses.replace(layer, **{name: change(getattr(layer, name)) for name, change in changes.items()})
        for layer in engine.layers
    ]


def swapped(linear):  # the second key head where the first was
    return Linear(np.ascontiguousarray(np.roll(linear.weight, len(linear.weight) // 2, axis=0)), linear.bias)


def without_bias(linear):
    return Linear(linear.weight)


def turning(**changes):
    def mutate(engine):
        engine.rope_frequencies = rope.frequencies(dataclasses.replace(engine.checkpoint.config, **changes))

    return mutate


MUTATIONS = {
    "rope theta": ("mistral", turning(rope_theta=10_000.0)),
    "rope scaling": ("llama", turning(rope_scaling=None)),
    "window": ("mistral", lambda engine: with_layers(engine, window=lambda _: NO_WINDOW)),
    "window of some layers": ("qwen3", lambda engine: with_layers(engine, window=lambda _: NO_WINDOW)),
    "query bias": ("qwen2", lambda engine: with_layers(engine, query=without_bias)),
    "key bias": ("qwen2", lambda engine: with_layers(engine, key=without_bias)),
    "value bias": ("qwen2", lambda engine: with_layers(engine, value=without_bias)),
    "query norm": ("qwen3", lambda engine: with_layers(engine, query_norm=lambda _: None)),
    "key norm": ("qwen3", lambda engine: with_layers(engine, key_norm=np.ones_like)),
    "grouped queries": ("llama", lambda engine: with_layers(engine, key=swapped, value=swapped)),
    "untied head": ("llama", lambda engine: setattr(engine, "head", Linear(engine.embedding))),
}


@pytest.mark.parametrize("feature", MUTATIONS)
def test_a_feature_switched_off_is_seen(models, feature):
    family, mutate = MUTATIONS[feature]
    folder, engine, _ = models(family)
    ids = tiny.prompt(LENGTH)
    changed = open_native(Checkpoint.open(folder))
    mutate(changed)
    assert error(all_logits(changed, ids), all_logits(engine, ids)) > 100 * TOLERANCE


# ---------------------------------------------------------------- manners


def test_it_is_an_engine(models):
    _, engine, _ = models("llama")
    assert isinstance(engine, Engine) and isinstance(engine.open_sequence(), Sequence)
    apart = {Capability.RANKS, Capability.WRITES}  # of an engine that has no whole logits
    assert {flag for flag in Capability if flag not in engine.capabilities} == apart
    info = engine.info
    assert (info.engine, info.architecture, info.dtype, info.device) == ("native", "LlamaForCausalLM", "float32", "cpu")
    np.testing.assert_array_equal(engine.embed([5, 5, 3]), engine.embedding[[5, 5, 3]])


def test_what_is_not_asked_is_not_given(models):
    _, engine, _ = models("llama")
    output = feed(engine, [1, 2, 3], NOTHING)[0]
    assert (output.logits, output.hidden, output.attention, output.layer_logits) == (None,) * 4
    assert feed(engine, [1, 2, 3])[0].logits.shape == (tiny.VOCABULARY,)


def test_a_cancelled_sequence_is_left_as_it_is(models):
    _, engine, _ = models("llama")
    first, second = engine.open_sequence(), engine.open_sequence()
    first.cancel()
    outputs = engine.step([Feed(first, [1, 2]), Feed(second, [3])])
    assert outputs[0] is None and outputs[1].logits is not None
    assert first.ids == [] and second.ids == [3]
    assert engine.step([Feed(first, [1])]) == [None]


def test_an_exception_leaves_every_cache_as_before(models, monkeypatch):
    _, engine, _ = models("llama")
    sequence = engine.open_sequence()
    feed(engine, tiny.prompt(60), sequence=sequence)
    before = list(sequence.ids), sequence.nbytes
    expected = feed(engine, tiny.prompt(61))[0].logits
    with monkeypatch.context() as patch:
        patch.setattr(kernels, "swiglu", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            feed(engine, tiny.prompt(100, seed=5), sequence=sequence)
    assert (sequence.ids, sequence.nbytes) == before
    assert error(feed(engine, tiny.prompt(61)[60:], sequence=sequence)[0].logits, expected) <= TOLERANCE / 10


def test_every_byte_is_counted(models):
    folder, _, _ = models("llama")
    engine = open_native(Checkpoint.open(folder))
    idle = engine.allocations().current
    assert idle["kv_cache"] == idle["logits"] == 0
    sequence = engine.open_sequence()
    output = feed(engine, tiny.prompt(100), ALL, sequence=sequence)[0]
    current = engine.allocations().current
    assert current["kv_cache"] == sequence.nbytes == engine.cache_bytes(100) == 2 * 64 * 2 * 3 * 2 * 24 * 4
    assert current["logits"] == output.logits.nbytes == 100 * tiny.VOCABULARY * 4
    kept = output.logits[3]  # a view holds the whole
    del output
    assert engine.allocations().current["logits"] == 100 * tiny.VOCABULARY * 4
    del kept
    assert engine.allocations().current["logits"] == 0
    peak = engine.allocations(reset_peak=True)
    assert peak.peak_bytes >= current["logits"] + current["kv_cache"]
    sequence.close()
    sequence.close()
    assert engine.allocations().current["kv_cache"] == 0
    assert engine.allocations(reset_peak=True).peak["logits"] == 0
    feed(engine, tiny.prompt(200), NOTHING)
    assert engine.allocations().peak["logits"] == 0 < engine.allocations().peak["kv_cache"]


@pytest.mark.parametrize("shape", [(3,), (7, 129)])
def test_an_array_begins_with_a_line_of_the_cache_and_counts_until_its_last_view_goes(shape):
    allocator = ArrayAllocator()
    array = allocator.array("logits", shape, np.dtype(np.uint16), zeroed=True)
    assert array.ctypes.data % 64 == 0 and array.shape == shape and not array.any()
    assert allocator.read(reset_peak=False).current["logits"] == array.nbytes == 2 * math.prod(shape)
    view = array.reshape(-1)[1:]
    del array
    assert allocator.read(reset_peak=False).current["logits"] == 2 * math.prod(shape)
    del view
    assert allocator.read(reset_peak=False).current["logits"] == 0


def test_a_sequence_grows_by_blocks(models):
    _, engine, _ = models("llama")
    sequence = engine.open_sequence()
    feed(engine, tiny.prompt(64), sequence=sequence)
    one = sequence.nbytes
    feed(engine, [5], sequence=sequence)
    assert sequence.nbytes == 2 * one == engine.cache_bytes(65)


# ---------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"architectures": ["GPT2LMHeadModel"]}, "architecture_unsupported"),
        ({"architectures": ["SmolLM3ForCausalLM"]}, "architecture_unsupported"),
        ({"architectures": None}, "architecture_unsupported"),
        ({"rope_parameters": {"rope_type": "yarn", "factor": 2.0, "rope_theta": 1e4}}, "feature_unsupported"),
        ({"rope_parameters": None, "rope_scaling": {"type": "linear", "factor": 2.0}}, "feature_unsupported"),
        ({"partial_rotary_factor": 0.5}, "feature_unsupported"),
        ({"no_rope_layers": [1, 0, 1]}, "feature_unsupported"),
        ({"hidden_act": "gelu"}, "feature_unsupported"),
        ({"quantization_config": {"bits": 4}}, "feature_unsupported"),
        ({"num_key_value_heads": 3}, "feature_unsupported"),
        ({"head_dim": 15}, "feature_unsupported"),
    ],
)
def test_what_it_would_get_wrong_is_refused_by_name(models, tmp_path, changes, code):
    folder, _, _ = models("biased")
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    tiny.edit_config(tmp_path, **changes)
    with pytest.raises(UnsupportedError) as failure:
        check(Checkpoint.open(tmp_path))
    assert (
        failure.value.code == code
        and 'engine="transformers"' in failure.value.message("en")
        and failure.value.message("fr")
    )


def test_a_llama3_scaling_with_a_number_missing(models, tmp_path):
    folder, _, _ = models("llama")
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    tiny.edit_config(tmp_path, rope_parameters={"rope_type": "llama3", "rope_theta": 1e4})
    with pytest.raises(ModelError) as failure:
        open_native(Checkpoint.open(tmp_path))
    assert failure.value.code == "config_field"


def test_weights_of_another_shape_or_type(models, tmp_path):
    folder, _, _ = models("llama")
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    tiny.edit_config(tmp_path, vocab_size=tiny.VOCABULARY - 1)
    with pytest.raises(ModelError) as failure:
        open_native(Checkpoint.open(tmp_path))
    assert failure.value.code == "tensor_shape"
    raw = (folder / "model.safetensors").read_bytes()
    (tmp_path / "model.safetensors").write_bytes(raw.replace(b'"F32"', b'"I32"'))
    shutil.copy(folder / "config.json", tmp_path)
    with pytest.raises(UnsupportedError) as failure:
        open_native(Checkpoint.open(tmp_path))
    assert failure.value.code == "weights_dtype" and failure.value.message("fr")


# ---------------------------------------------------------------- kernels


@pytest.mark.parametrize("dtype", ["F32", "BF16", "F16"])
@pytest.mark.parametrize("shape", [(1, 16, 1), (67, 100, 5), (64, 64, 6), (130, 2080, 1), (70, 4100, 11), (3, 7, 2)])
def test_the_product_of_every_shape_and_type(dtype, shape):
    from capot.sources.checkpoint import to_float32

    rows, depth, columns = shape
    random = np.random.default_rng(0)
    wide = random.standard_normal((rows, depth), np.float32)
    halves = (wide.view(np.uint32) >> 16).astype(np.uint16)
    stored = {"F32": wide, "BF16": halves, "F16": wide.astype(np.float16)}[dtype]
    stored.flags.writeable = False
    x, y = random.standard_normal((columns, depth), np.float32), random.standard_normal((columns, rows), np.float32)
    expected = y + x @ to_float32(stored, dtype).T
    kernels.add_matmul(stored.view(np.int16) if dtype == "F16" else stored, x, y, *DEFAULT)
    np.testing.assert_allclose(y, expected, atol=1e-3, rtol=1e-4)


def test_kernels_know_which_numbers_they_are_made_of():
    """Numba's disk cache sees changes in a kernel's own file only: its mark must follow ``simd.py``."""
    folder = Path(kernels.__file__).parent
    mark = hashlib.sha256((folder / "simd.py").read_bytes()).hexdigest()[:12]
    for name in ("matmul", "tiles", "attention", "kernels", "guessing", "tuning"):
        assert f'SIMD_HASH = "{mark}"' in (folder / f"{name}.py").read_text(), f"write {mark} into {name}.py"


@pytest.mark.skipif(not kernels.BF16_PAIRS, reason="this machine does not multiply pairs of bfloat16")
def test_the_product_of_pairs():
    from capot.sources.checkpoint import to_float32

    random = np.random.default_rng(0)
    weights, x = (
        (random.standard_normal(shape, np.float32).view(np.uint32) >> 16).astype(np.uint16)
        for shape in ((70, 4100), (9, 4100))
    )
    weights.flags.writeable = False
    y = np.ones((9, 70), np.float32)
    kernels.add_matmul(weights, x, y, *DEFAULT)
    np.testing.assert_allclose(y, 1 + to_float32(x, "BF16") @ to_float32(weights, "BF16").T, atol=1e-3, rtol=1e-4)


@pytest.mark.parametrize("columns", [1, 9])
@pytest.mark.parametrize("dtype", ["F32", "F16"])
def test_a_matrix_of_another_type_in_a_model_of_bfloat16(dtype, columns):
    from capot.sources.checkpoint import to_float32

    random = np.random.default_rng(0)
    weights = random.standard_normal((70, 100)).astype({"F32": np.float32, "F16": np.float16}[dtype])
    weights.flags.writeable = False
    x = (random.standard_normal((columns, 100), np.float32).view(np.uint32) >> 16).astype(np.uint16)
    for plan in (DEFAULT, KernelPlan(rows=32, ahead=4096, turns=0)):  # the second is of the matrix unit
        y = np.ones((columns, 70), np.float32)
        kernels.add_matmul(weights.view(np.int16) if dtype == "F16" else weights, x, y, *plan)
        expected = 1 + to_float32(x, "BF16") @ weights.astype(np.float32).T
        np.testing.assert_allclose(y, expected, atol=1e-3, rtol=1e-4)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_a_model_of_several_types(tmp_path, dtype):
    from safetensors.torch import load_file, save_file

    file = tiny.make(tmp_path / "model", "llama", dtype="bfloat16") / "model.safetensors"
    tensors = load_file(file)
    for name in ("lm_head.weight", "model.layers.0.mlp.up_proj.weight", "model.layers.1.self_attn.q_proj.weight"):
        tensors[name] = tensors[name].to(getattr(torch, dtype))
    save_file(tensors, file, metadata={"format": "pt"})
    engine = open_native(Checkpoint.open(file.parent))
    ids = tiny.prompt(40)
    expected = reference_logits(tiny.load(file.parent), ids)
    for chunk in (1, 40):
        assert error(all_logits(engine, ids, chunk=chunk), expected) <= NARROW["bfloat16"]
    engine.close()


@pytest.mark.parametrize(
    ("given", "expected"),
    [({}, "2000"), ({"OMP_WAIT_POLICY": "active"}, "None"), ({"GOMP_SPINCOUNT": "7"}, "7")],
)
def test_threads_that_wait_spin_little_unless_told_otherwise(given, expected):
    around = {name: value for name, value in os.environ.items() if name not in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")}
    program = "import os, capot.engines.native.kernels; print(os.environ.get('GOMP_SPINCOUNT'))"
    environment = around | given | {"PYTHONPATH": "src"}
    found = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == expected


def test_exp_in_vectors():
    x = np.linspace(-86, 87, 4001, dtype=np.float32)
    found = np.array([kernels.exp(value) for value in x])
    np.testing.assert_allclose(found, np.exp(x.astype(np.float64)), rtol=3e-7)
    assert 0 <= kernels.exp(np.float32(-np.inf)) < 1e-37


def test_kernels_are_compiled_once_and_kept(models, tmp_path):
    folder, _, _ = models("llama")
    program = (
        "import sys; from capot.sources.checkpoint import Checkpoint; from capot.engines.native import open_native;"
        "[open_native(Checkpoint.open(sys.argv[1]), notice=lambda: print('compiling')) for _ in range(2)]"
    )

    def run():
        environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path), "PYTHONPATH": "src"}
        command = [sys.executable, "-c", program, str(folder)]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout

    assert run() == "compiling\n"
    assert run() == ""


def test_opening_reads_no_weight_and_imports_no_torch(models):
    folder, _, _ = models("llama")
    program = (
        "import sys; from capot.sources.checkpoint import Checkpoint; from capot.engines.native import check;"
        "checkpoint = Checkpoint.open(sys.argv[1]); check(checkpoint); assert 'numpy' not in sys.modules;"
        "from capot.engines.native import open_native; open_native(checkpoint);"
        "assert not {'torch', 'transformers'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program, str(folder)], check=True, env={"PYTHONPATH": "src"})
