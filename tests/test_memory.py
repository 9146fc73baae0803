"""What a prompt costs: formulas against hand counts, against transformers' tensors and against what engines hold."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import memory_helpers
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import capot
from capot.chapters.memory import layers, measured, process, sizes
from capot.chapters.memory.computed import PromptPass, layer_numbers, memory_formulas, simulated
from capot.chapters.memory.fits import USABLE, fit
from capot.chapters.memory.rows import Parts, Row
from capot.chapters.memory.shape import shape_of
from capot.chapters.memory.verb import weigh
from capot.cli import run
from capot.engines.protocol import Capability
from capot.engines.scheduler import Scheduler
from capot.engines.scripted import ScriptedEngine
from capot.errors import CapabilityError, CapotError, InputError, ModelError, NotFoundError, ResourceError
from capot.i18n import size
from capot.sources import machine
from capot.sources.checkpoint import Checkpoint
from capot.sources.published_shapes import find
from capot.view.blocks import Curves, Facts, Table

ROOT = Path(__file__).resolve().parent.parent

# Models as a chapter sees them.


class Opened:
    """An opened model around an engine that a test chose."""

    def __init__(self, engine, checkpoint=None):
        self.name, self.owner, self.scheduler, self._checkpoint = "tried", "local", Scheduler(engine), checkpoint

    @property
    def checkpoint(self):
        if self._checkpoint is None:
            raise NotFoundError("no_checkpoint", name=self.name)
        return self._checkpoint


@pytest.fixture
def scripted():
    """``scripted(**options)`` opens the scripted engine; closed at the end of the test."""
    opened = []

    def make(**options):
        opened.append(Opened(ScriptedEngine(**options)))
        return opened[-1]

    yield make
    for model in opened:
        model.scheduler.close()


@pytest.fixture(scope="module")
def native(tmp_path_factory):
    from capot.engines.native import open_native

    checkpoint = Checkpoint.open(memory_helpers.write_model(tmp_path_factory.mktemp("native") / "small"))
    model = Opened(open_native(checkpoint), checkpoint)
    yield model
    model.scheduler.close()


HEADS = {"grouped": {}, "full": {"num_key_value_heads": 4}, "sliding": {"sliding_window": 100}}


@pytest.fixture(scope="module", params=HEADS)
def transformers(request, tmp_path_factory):
    """The same small model in transformers, with attention of each kind."""
    pytest.importorskip("transformers")
    folder, changes = tmp_path_factory.mktemp("transformers") / "small", HEADS[request.param]
    kind = {"architectures": ["MistralForCausalLM"], "model_type": "mistral"} if request.param == "sliding" else {}
    with capot.open(memory_helpers.write_model(folder, **changes, **kind), engine="transformers") as model:
        yield model


# Sizes as people write them.


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("24GB", 24 * 10**9),
        ("24 Go", 24 * 10**9),
        ("24\u00a0Go", 24 * 10**9),
        ("24g", 24 * 10**9),
        ("80GiB", 80 * 2**30),
        ("1,5 To", 1_500_000_000_000),
        ("0.5TB", 500_000_000_000),
        ("512Mo", 512 * 10**6),
        (16 * 10**9, 16 * 10**9),
    ],
)
def test_sizes(text, meant):
    assert sizes.parse_size(text) == meant


@pytest.mark.parametrize(
    "text", ["", "GB", "24XB", "-24GB", "24 iB", "nan", "1e9GB", "0GB", "5", "9999999TB", None, True]
)
def test_sizes_that_are_none(text):
    with pytest.raises(InputError) as error:
        sizes.parse_size(text)
    assert error.value.code == "bad_size"


@given(st.integers(1, 900), st.sampled_from(["MB", "Go", "GiB", "Mo", " GB"]))
def test_a_size_is_read_the_same_with_a_decimal_comma(count, unit):
    assert (
        sizes.parse_size(f"{count}{unit}")
        == sizes.parse_size(f"{count},0{unit}")
        == sizes.parse_size(f"{count}.0{unit}")
    )


@pytest.mark.parametrize("given_", ["0", "-1", "x", "1.5", [], "1,,x", 2**41])
def test_lengths_that_are_none(given_):
    with pytest.raises(InputError) as error:
        sizes.lengths(given_)
    assert error.value.code == "bad_length"


def test_lengths_are_sorted_and_each_once():
    assert sizes.lengths("8,1,8,2") == sizes.lengths([8, 1, 2]) == (1, 2, 8)
    assert sizes.lengths(7) == (7,)


def test_a_list_of_sizes_may_have_decimal_commas():
    assert sizes.parse_sizes("1,5 To,24GB; 80 Go") == (1_500_000_000_000, 24 * 10**9, 80 * 10**9)


# Formulas against counts made by hand from the published configurations.


@pytest.mark.parametrize(
    ("name", "tokens", "numbers"),
    [
        ("GPT-2", 1000, 2 * 12 * 12 * 64 * 1000),  # every head has its own keys
        ("Llama-3.2-1B", 8192, 2 * 16 * 8 * 64 * 8192),  # 8 of 32 heads have
        ("Llama-3-70B", 1, 2 * 80 * 8 * 128),
        ("Mistral-7B", 3000, 2 * 32 * 8 * 128 * 3000),
        ("Mistral-7B", 50_000, 2 * 32 * 8 * 128 * 4096),  # no more than the window
        ("DeepSeek-R1", 10_000, 61 * (512 + 64) * 10_000),  # a latent and one rotary key
    ],
)
def test_cache_by_hand(name, tokens, numbers):
    assert shape_of(find(name).config).cache_numbers(tokens) == numbers


def test_the_figures_of_the_lesson():
    """2 GB of logits against 256 MiB of cache, at 8,192 tokens of Llama-3.2-1B in bfloat16."""
    parts = simulated(shape_of(find("Llama-3.2-1B").config), 8192, PromptPass(mode="all"))
    assert (parts.kv_cache, parts.logits) == (2**28, 8192 * 128256 * 2)


@pytest.mark.parametrize(
    ("changes", "numbers"),
    [
        ({"num_hidden_layers": 4, "layer_types": ["linear_attention"] * 3 + ["full_attention"]}, 1000),
        ({"num_hidden_layers": 4, "num_kv_shared_layers": 1}, 3000),
        (
            {
                "num_hidden_layers": 2,
                "layer_types": ["chunked_attention", "full_attention"],
                "attention_chunk_size": 100,
            },
            1100,
        ),
    ],
)
def test_layers_that_keep_less(changes, numbers):
    shape = shape_of(memory_helpers.LLAMA | changes)
    assert shape.cache_numbers(1000) == numbers * 2 * 2 * 16


def test_one_layer_in_six_looks_at_all():
    """Gemma 3's older configurations say so by their family alone, and say no more in config.json."""
    raw = {
        "model_type": "gemma3_text",
        "vocab_size": 99,
        "hidden_size": 64,
        "num_attention_heads": 4,
        "sliding_window": 512,
    }
    raw |= {"num_hidden_layers": 12, "num_key_value_heads": 1, "head_dim": 16, "intermediate_size": 8}
    assert shape_of(raw).cache_numbers(10_000) == (10 * 512 + 2 * 10_000) * 2 * 16
    assert shape_of(raw | {"sliding_window_pattern": 4}).cache_numbers(10_000) == (9 * 512 + 3 * 10_000) * 2 * 16


@pytest.mark.parametrize("family", ["nobody-knows", "mixtral", "mamba", "mamba2"])
@pytest.mark.parametrize("wrong", ["x", ["x"], {"a": 1}, -3, 1.5, True, float("nan")], ids=repr)
@pytest.mark.parametrize(
    "field",
    [
        "num_experts_per_tok", "moe_intermediate_size", "n_shared_experts", "num_kv_shared_layers",
        "attention_chunk_size", "rope_parameters", "state_size", "expand", "conv_kernel", "n_groups",
    ],
)  # fmt: skip
def test_a_shape_of_any_kind_is_counted_or_refused_in_words(family: str, field: str, wrong: Any) -> None:
    raw = memory_helpers.LLAMA | {"model_type": family, "num_experts": 4, "num_experts_per_tok": 2}
    raw.pop("intermediate_size")
    try:
        assert shape_of(raw | {field: wrong}).parameters > 0
    except ModelError as error:
        assert error.code in ("config_field", "config_value") and error.params["field"] == field


def test_an_unknown_family_counts_as_a_llama_and_says_so(tmp_path):
    shape = shape_of(memory_helpers.LLAMA | {"model_type": "novelty"})
    assert not shape.exact and shape.parameters == shape_of(memory_helpers.LLAMA).parameters
    config = memory_helpers.LLAMA | {"model_type": "novelty", "vocab_size": 32}
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert "counted as a Llama" in capot.open(tmp_path).memory(simulate=True).to_text("en")
    memory_helpers.write_model(tmp_path, **config)  # with weights there is nothing to guess
    assert "counted as a Llama" not in capot.open(tmp_path).memory(simulate=True).to_text("en")


def test_experts_and_latents_of_an_unknown_family():
    mixture = memory_helpers.LLAMA | {"model_type": "novelty", "num_experts": 4, "num_experts_per_tok": 2}
    plain = shape_of(memory_helpers.LLAMA)
    assert shape_of(mixture).parameters - plain.parameters == 3 * (3 * 3 * 64 * 176 + 4 * 64)
    assert shape_of(mixture).mlp_width == 2 * 176
    latent = memory_helpers.LLAMA | {"kv_lora_rank": 8, "qk_nope_head_dim": 6, "qk_rope_head_dim": 2, "v_head_dim": 6}
    assert shape_of(latent | {"q_lora_rank": None}).cache_width == 10


def test_a_model_that_also_sees_is_read_by_its_text_part():
    seeing = {"model_type": "seer", "text_config": memory_helpers.LLAMA, "vision_config": {}}
    assert shape_of(seeing).cache_numbers(10) == shape_of(memory_helpers.LLAMA).cache_numbers(10)


# Formulas against transformers.


def tiny(kind):
    """A tiny configuration of transformers' for each kind of attention, and our reading of it."""
    transformers = pytest.importorskip("transformers")
    common = {"vocab_size": 64, "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    common |= {"intermediate_size": 96, "max_position_embeddings": 512}
    latent = {"q_lora_rank": 24, "kv_lora_rank": 16, "qk_nope_head_dim": 8, "qk_rope_head_dim": 4, "v_head_dim": 8}
    experts = {"n_routed_experts": 4, "num_experts_per_tok": 2, "n_shared_experts": 1, "moe_intermediate_size": 32}
    experts |= {"n_group": 1, "topk_group": 1, "first_k_dense_replace": 1}
    made = {
        "multi_head": lambda: transformers.GPT2Config(n_embd=64, n_layer=2, n_head=4, vocab_size=64, n_positions=512),
        "grouped_query": lambda: transformers.LlamaConfig(**common, num_key_value_heads=2),
        "sliding": lambda: transformers.MistralConfig(**common, num_key_value_heads=2, head_dim=16, sliding_window=50),
        "latent": lambda: transformers.DeepseekV3Config(**common, **latent, **experts, num_key_value_heads=4),
    }[kind]()
    return made, shape_of(made.to_dict())


@pytest.mark.parametrize("kind", ["multi_head", "grouped_query", "sliding", "latent"])
def test_cache_against_the_tensors_of_transformers(kind):
    config, shape = tiny(kind)
    torch, transformers = pytest.importorskip("torch"), pytest.importorskip("transformers")
    from capot.engines.transformers.network import cache_argument

    model = transformers.AutoModelForCausalLM.from_config(config).eval()
    for tokens in (7, 49, 120):
        with torch.no_grad():
            answer = model(torch.zeros((1, tokens), dtype=torch.long), use_cache=True)
        cache = answer[cache_argument(type(model))]
        held = sum(tensor.numel() for layer in cache.layers for tensor in (layer.keys, layer.values))
        # Between two steps transformers leaves room for the next token: one less than the window.
        room = len(shape.windows) * shape.cache_width if kind == "sliding" and tokens >= 50 else 0
        assert shape.cache_numbers(tokens) - room == held
    if kind != "latent":  # transformers' DeepSeek has buffers of its own
        assert shape.parameters == sum(weight.numel() for weight in model.parameters())


def alive_at_most(torch, model, call, *, cache=None):
    """The highest sum of bytes of the tensors alive at once in ``call``: the model's apart, those of ``cache`` too."""
    import weakref

    from torch.utils._python_dispatch import TorchDispatchMode
    from torch.utils._pytree import tree_leaves

    class Watch(TorchDispatchMode):
        alive = {tensor.untyped_storage()._cdata: 0 for tensor in (*model.parameters(), *model.buffers())}
        now = peak = 0

        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            output = function(*args, **(kwargs or {}))
            for tensor in (leaf for leaf in tree_leaves(output) if isinstance(leaf, torch.Tensor)):
                self.count(tensor.untyped_storage())
            self.peak = max(self.peak, self.now)
            return output

        def count(self, storage):
            if storage._cdata not in self.alive:
                self.alive[storage._cdata] = storage.nbytes()
                self.now += storage.nbytes()
                weakref.finalize(storage, self.freed, storage._cdata)

        def freed(self, key):
            self.now -= self.alive.pop(key, 0)

    watch = Watch()
    for layer in cache.layers if cache else ():
        for storage in (layer.keys.untyped_storage(), layer.values.untyped_storage()):
            watch.count(storage)
    storage = layer = None  # what the cache drops must be free to go
    with watch:
        call()
    return watch.peak


def test_activations_against_every_tensor_of_transformers():
    """A pass of 512 tokens of a Llama in bfloat16, every tensor counted as it comes and goes."""
    torch, transformers = pytest.importorskip("torch"), pytest.importorskip("transformers")
    config = transformers.LlamaConfig(
        vocab_size=64, hidden_size=128, intermediate_size=512, num_hidden_layers=3, num_attention_heads=4,
        num_key_value_heads=1, max_position_embeddings=1024,
    )  # fmt: skip
    shape = shape_of(config.to_dict())
    model = transformers.AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16).eval()
    ids, keep = torch.zeros((1, 512), dtype=torch.long), {}
    with torch.no_grad():
        peak = alive_at_most(torch, model, lambda: keep.update(model(ids, use_cache=True, logits_to_keep=1)))
    expected = simulated(shape, 512, PromptPass(chunk=512))
    assert abs(peak / expected.total - 1) < 0.05
    assert expected.activations == 512 * layer_numbers(shape) * 2 == 512 * (4 * 128 + 3 * 512) * 2


@pytest.mark.parametrize(("heads", "kv_heads", "inner"), [(8, 2, 512), (4, 4, 1024), (4, 2, 704)])
@pytest.mark.parametrize("past", [0, 256, 1792])
def test_chunks_against_every_tensor_of_transformers(heads, kv_heads, inner, past):
    torch, transformers = pytest.importorskip("torch"), pytest.importorskip("transformers")
    config = transformers.LlamaConfig(
        vocab_size=64, hidden_size=256, intermediate_size=inner, num_hidden_layers=2, head_dim=64,
        num_attention_heads=heads, num_key_value_heads=kv_heads, max_position_embeddings=4096,
    )  # fmt: skip
    model = transformers.AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16).eval()
    from capot.engines.transformers.network import cache_argument

    ids, keep = torch.zeros((1, 256), dtype=torch.long), {}
    cache = transformers.DynamicCache(config=config)
    given = {cache_argument(type(model)): cache, "logits_to_keep": 1}
    with torch.no_grad():
        for _ in range(past // 256):
            model(ids, **given)
        step = lambda: keep.update(model(ids, **given))  # noqa: E731
        peak = alive_at_most(torch, model, step, cache=cache if past else None)
    info = SimpleNamespace(engine="transformers", device="cpu", dtype="bfloat16")
    computed = memory_formulas(SimpleNamespace(info=info), shape_of(config.to_dict())).parts(past + 256, "last")
    assert abs(computed.total / peak - 1) < 0.05, (computed, peak)


# What fits.


def test_seventy_billion_by_hand():
    """2 cards of 80 GB in bfloat16: 144 GB usable, 141.1 GB of weights, half the cache on each card."""
    shape = shape_of(find("Llama-3-70B").config)
    found = fit(shape, gpu_bytes=80 * 10**9, gpus=2, precision="bf16", how=PromptPass(), contexts=[4096])
    room = USABLE * 80e9 - 70_553_706_496 * 2 / 2 - 256 * (4 * 8192 + 3 * 28672) * 2 - 128256 * 2
    assert found.fits and found.max_context == int(room // (327_680 / 2))
    assert found.concurrent[0].users == int(room // (4096 * 327_680 / 2))
    alone = fit(shape, gpu_bytes=80 * 10**9, gpus=1, precision="bf16", how=PromptPass(), contexts=[4096])
    assert (alone.fits, alone.max_context, alone.concurrent[0].users) == (False, 0, 0)


def test_a_cache_is_split_by_its_heads_alone():
    """One latent for all heads cannot be shared out: eight cards hold eight copies."""
    latent = shape_of(find("DeepSeek-R1").config)
    grouped = shape_of(find("Llama-3-70B").config)
    sized = {"gpu_bytes": 200 * 10**9, "precision": "int4", "how": PromptPass(), "contexts": []}
    assert fit(latent, gpus=8, **sized).max_context < 1.5 * fit(latent, gpus=4, **sized).max_context
    assert fit(grouped, gpus=8, **sized).max_context > 2 * fit(grouped, gpus=4, **sized).max_context
    assert fit(grouped, gpus=16, **sized).max_context < 1.1 * fit(grouped, gpus=8, **sized).max_context


@given(st.integers(10**9, 10**12), st.sampled_from(["bf16", "int8", "int4"]), st.sampled_from([1, 2, 8]))
def test_the_longest_text_fits_and_one_token_more_does_not(gpu, precision, gpus):
    from capot.chapters.memory.fits import card_bytes

    shape, how = shape_of(find("Llama-3.2-3B").config), PromptPass()
    found = fit(shape, gpu_bytes=gpu, gpus=gpus, precision=precision, how=how, contexts=[])
    held = [card_bytes(shape, found.max_context + more, precision=precision, gpus=gpus, how=how) for more in (0, 1)]
    assert found.max_context == 0 or held[0] <= USABLE * gpu < held[1]


def test_a_simulation_reads_no_weights_and_opens_no_engine(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(memory_helpers.LLAMA))
    model = capot.open(tmp_path)
    answer = model.memory(simulate=True, gpu="24GB", precision="int8,int4", kv_precision="fp8", users_at=[256])
    assert "scheduler" not in vars(model)
    assert [row.measured_bytes for row in answer.rows] == [None] * 9 and answer.rows[-1].tokens == 256
    assert answer.kv_cache.bytes_per_token == 3 * 2 * 2 * 16 and answer.kv_cache.dtype == "fp8"
    assert [(found.gpus, found.precision) for found in answer.fits] == [
        (n, p) for p in ("int8", "int4") for n in (1, 2, 8)
    ]
    assert answer.weights_bytes == answer.parameters == shape_of(memory_helpers.LLAMA).parameters


def test_a_window_in_every_layer_leaves_no_limit():
    answer = capot.open("scripted").memory(known="Mistral-7B", gpu="80GB", precision="bf16")
    assert "no limit" in answer.to_text("en") and "sans limite" in answer.to_text("fr")
    assert "*" not in answer.to_text("en"), "no line is marked where every length is one of the training"
    assert "32,768 tokens at most: beyond" in " ".join(answer.to_text("en").split())
    assert "32 of 32 layers keep at most 4,096 tokens" in " ".join(answer.to_text("en").split())


# Measured: what every engine must do.


@pytest.mark.parametrize("mode", ["last", "all"])
@pytest.mark.parametrize("engine", ["scripted", "native"])
def test_computed_agrees_with_what_the_engine_allocates(engine, mode, scripted, request):
    model = scripted() if engine == "scripted" else request.getfixturevalue("native")
    heard = []
    answer = weigh(model, "1,64,300,512,700", mode=mode, progress=heard.append)
    assert [event.value for event in heard] == list(answer.rows) and answer.stopped is None and answer.mode == mode
    for row in answer.rows:
        assert row.measured.total == row.measured_bytes
        assert abs(row.computed.total / row.measured_bytes - 1) < 0.05, row
        assert row.computed.kv_cache == row.measured.kv_cache
        assert row.seconds > 0 and row.next_token_s > 0
        assert row.beyond_context == (row.tokens > answer.context_length)
    assert model.scheduler.engine.allocations().current["kv_cache"] == 0  # all given back


@pytest.mark.parametrize("mode", ["last", "all"])
def test_computed_agrees_with_what_transformers_allocates(transformers, mode):
    answer = weigh(transformers, "1,64,300,512,1500", mode=mode)
    assert answer.engine == "transformers" and answer.precision == "bfloat16"
    for row in answer.rows:
        assert abs(row.computed.total / row.measured_bytes - 1) < 0.05, (row.measured, row.computed)
        assert row.computed.kv_cache == row.measured.kv_cache


# Widths that make the MLP, then attention, the fullest moment (two may be as full, so totals are compared);
# activations of one operation, and written out; every layer that a family's config.json may ask for.
WIDE = {"hidden_size": 128, "intermediate_size": 512, "vocab_size": 2000}
NARROW = {"hidden_size": 128, "intermediate_size": 64, "vocab_size": 2000}
COUNTED = {
    "gpt2": ("gpt2", {}),
    "gpt2 wide": ("gpt2", {"n_embd": 256, "n_head": 8, "n_layer": 2, "vocab_size": 2000}),
    "gpt2 narrow MLP": ("gpt2", {"n_embd": 128, "n_inner": 64}),
    "gpt2 relu": ("gpt2", {"activation_function": "relu"}),
    "gpt2 gelu_fast": ("gpt2", {"activation_function": "gelu_fast"}),
    "gpt2 quick_gelu": ("gpt2", {"activation_function": "quick_gelu"}),
    "neox": ("gpt_neox", {}),
    "neox wide": ("gpt_neox", WIDE),
    "opt": ("opt", {"word_embed_proj_dim": 64}),
    "phi": ("phi", {"hidden_size": 128, "intermediate_size": 512}),
    "phi3": ("phi3", {}),
    "phi3 narrow": ("phi3", NARROW),
    "olmo2": ("olmo2", {}),
    "olmo2 wide": ("olmo2", WIDE),
    "gemma": ("gemma", {}),
    "gemma2": ("gemma2", {}),
    "gemma2 wide": ("gemma2", WIDE),
    "gemma3": ("gemma3", {}),
    "llama narrow": ("llama", NARROW),
    "llama wide heads": ("llama", NARROW | {"head_dim": 96}),
    "mistral": ("mistral", WIDE),
    "mixtral": ("mixtral", {}),
    "mixtral wide": ("mixtral", WIDE),
    "qwen2_moe": ("qwen2_moe", {}),
    "qwen2_moe wide": ("qwen2_moe", WIDE | {"moe_intermediate_size": 192}),
    "qwen3_moe": ("qwen3_moe", {}),
    "qwen3_moe wide": ("qwen3_moe", WIDE | {"moe_intermediate_size": 192, "num_experts": 8}),
    "olmoe": ("olmoe", {}),
    "olmo": ("olmo", {}),
    "olmo3": ("olmo3", WIDE),
    "granite": ("granite", {}),
    "granite wide": ("granite", WIDE),
    "cohere": ("cohere", {}),
    "cohere narrow": ("cohere", NARROW),
    "cohere2": ("cohere2", WIDE),
    "starcoder2": ("starcoder2", {}),
    "starcoder2 wide": ("starcoder2", WIDE),
    "stablelm": ("stablelm", {}),
    "stablelm narrow": ("stablelm", NARROW),
    "stablelm parallel": ("stablelm", WIDE | {"use_parallel_residual": True}),
    "nemotron": ("nemotron", {}),
    "glm": ("glm", {}),
    "glm4": ("glm4", WIDE),
    "gpt_bigcode": ("gpt_bigcode", {}),
    "gpt_bigcode wide": ("gpt_bigcode", {"n_embd": 256, "n_head": 8, "vocab_size": 2000}),
    "gptj": ("gptj", {}),
    "gptj wide": ("gptj", {"n_embd": 256, "n_head": 8, "vocab_size": 2000}),
    "gptj narrow MLP": ("gptj", {"n_inner": 48}),
    "codegen": ("codegen", {"n_head": 8}),
    "codegen wide": ("codegen", {"n_embd": 256, "n_head": 8, "vocab_size": 2000}),
    "codegen narrow MLP": ("codegen", {"n_head": 8, "n_inner": 48}),
    "mpt": ("mpt", {}),
    "mpt wide": ("mpt", {"d_model": 256, "n_heads": 8, "vocab_size": 2000}),
    "bloom": ("bloom", {}),
    "bloom wide": ("bloom", {"hidden_size": 256, "n_head": 8, "vocab_size": 2000}),
    "falcon": ("falcon", {}),
    "falcon wide": ("falcon", {"hidden_size": 256, "num_attention_heads": 8, "vocab_size": 2000}),
    "falcon new": ("falcon", {"new_decoder_architecture": True, "num_kv_heads": 2}),
    "falcon alibi": ("falcon", {"alibi": True, "multi_query": False, "parallel_attn": False, "bias": True}),
}


def tried() -> list[tuple[str, str]]:
    """Every case in both precisions; where a layer has two, by its widths, one precision each."""
    twins = {name: name.rpartition(" ")[0] for name in COUNTED if name.endswith((" wide", " narrow"))}
    single = set(COUNTED) - set(twins) - set(twins.values())
    return [
        (name, dtype)
        for name in COUNTED
        for dtype in ("float32", "bfloat16")
        if name in single or (name in twins) == (dtype == "bfloat16")
    ]


@pytest.mark.parametrize(("case", "dtype"), tried())
def test_computed_agrees_with_what_other_families_allocate(tmp_path, case, dtype, monkeypatch):
    pytest.importorskip("transformers")
    import hf_helpers

    monkeypatch.setattr(measured, "QUICK", 0)  # once each: bytes are the same every time
    folder = hf_helpers.make(tmp_path, COUNTED[case][0], dtype=dtype, **COUNTED[case][1])
    with capot.open(folder, engine="transformers", device="cpu") as model:
        for mode, lengths in (("last", "1,200,300,1000"), ("all", "700")):
            answer = weigh(model, lengths, mode=mode)
            assert answer.exact
            for row in answer.rows:
                assert abs(row.computed.total / row.measured_bytes - 1) < 0.03, (row.measured, row.computed)


@pytest.mark.parametrize(("installed", "anew"), [("5.23.0", False), ("5.24.0", True), ("5.24.3", True)])
def test_a_family_written_anew_is_counted_as_the_installed_transformers_writes_it(monkeypatch, installed, anew):
    monkeypatch.setattr(layers, "version", lambda name: installed)
    for layout in layers.SINCE_5_24:
        found = layers.layer_of(SimpleNamespace(layout=layout))
        assert (found is layers.SINCE_5_24[layout]) == anew != (found is layers.LAYERS[layout])
    assert layers.layer_of(SimpleNamespace(layout="gpt2")) is layers.LAYERS["gpt2"]


def test_the_bytes_of_a_token_are_those_that_the_engine_keeps(tmp_path):
    """Falcon's second generation has two keys for four queries, and transformers keeps each as often as it is asked."""
    pytest.importorskip("transformers")
    import hf_helpers

    folder = hf_helpers.make(tmp_path, *COUNTED["falcon new"][:1], **COUNTED["falcon new"][1])
    with capot.open(folder, engine="transformers", device="cpu") as model:
        answer = weigh(model, [64])
        on_paper = model.memory(simulate=True)
    assert answer.kv_cache.bytes_per_token * 64 == answer.rows[0].measured.kv_cache == 64 * 2 * 3 * 64 * 4
    assert on_paper.kv_cache.bytes_per_token == 2 * 3 * 32 * 2  # of other engines, in bfloat16


def test_a_context_that_nobody_states_is_not_made_up(tmp_path):
    """BLOOM's positions are slopes: its configuration in transformers knows of no longest text."""
    pytest.importorskip("transformers")
    import hf_helpers

    with capot.open(hf_helpers.make(tmp_path, "bloom"), engine="transformers", device="cpu") as model:
        answer = weigh(model, [64])
    assert answer.context_length is None and not answer.rows[0].beyond_context
    assert answer.to_text("en") and answer.to_html("fr")


def test_every_family_counted_is_tried():
    from capot.chapters.memory.layers import LAYERS

    tried = {name for name, _ in COUNTED.values()} | set(COUNTED)
    others = {"smollm3", "qwen2", "qwen3", "gemma3_text"}  # a Llama's code, and Gemma 3's own
    assert set(LAYERS) - tried == others


def test_a_family_whose_layers_were_not_counted_says_so(tmp_path):
    pytest.importorskip("transformers")
    import hf_helpers

    with capot.open(hf_helpers.make(tmp_path, "gpt_oss"), engine="transformers", device="cpu") as model:
        answer = weigh(model, [64])
    assert not answer.exact
    assert "was not counted here" in " ".join(answer.to_text("en").split())
    assert "n’a pas été compté ici" in " ".join(answer.to_text("fr").replace("\u00a0", " ").split())


def test_keeping_every_position_costs_a_row_of_logits_for_each(native):
    last, every = (weigh(native, [512], mode=mode).rows[0] for mode in ("last", "all"))
    assert every.measured.logits == 512 * 2048 * 4 and last.measured.logits == 2048 * 4
    assert last.other_mode == every.computed and every.other_mode == last.computed


def test_logits_are_counted_once_whoever_counts_them(scripted):
    model = scripted()
    row = weigh(model, [600], mode="all").rows[0]
    assert row.measured.logits == 600 * model.scheduler.engine.info.vocabulary_size * 4


def test_longer_than_the_model_was_trained_for(native):
    answer = weigh(native, [64, 256, 257])
    assert [row.beyond_context for row in answer.rows] == [False, False, True]
    curve = next(block for block in answer.view("en") if isinstance(block, Curves))
    beyond = next(line for line in curve.series if "beyond" in line.label)
    assert beyond.dashed and list(beyond.x) == [256, 257] and not (curve.log_x or curve.log_y)
    timed = [block for block in answer.view("en") if isinstance(block, Curves)][1]
    assert [(line.dashed, list(line.x)) for line in timed.series] == [(False, [64, 256]), (True, [256, 257])] * 2
    assert "257 *" in answer.to_text("en") and "256 tokens the model was trained on" in answer.to_text("en")


@pytest.mark.skipif(process.sizes() is None, reason="this system does not tell a process its size")
def test_computed_agrees_with_the_growth_of_the_process(tmp_path):
    shape = {"num_key_value_heads": 4, "head_dim": 64, "num_hidden_layers": 4, "max_position_embeddings": 4096}
    folder = memory_helpers.write_model(tmp_path / "wide", **shape)
    program = (  # in a process of its own: this one has room left over from other tests, and would grow by less
        "import sys, capot; row = capot.open(sys.argv[1]).memory([4096]).rows[0];"
        "print(row.process_bytes, row.resident_bytes, row.computed.total)"
    )
    command = [sys.executable, "-c", program, str(folder)]
    environment = os.environ | {"PYTHONPATH": "src"}
    found = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, cwd=ROOT)
    process_bytes, resident_bytes, computed = map(int, found.stdout.split())
    assert process_bytes > 16_000_000
    assert abs(computed / process_bytes - 1) < 0.10
    assert resident_bytes > process_bytes


def test_the_weights_are_those_of_the_files(native):
    answer = weigh(native, [1])
    assert answer.weights_bytes == sum(info.nbytes for info in native.checkpoint.tensors.values())
    assert (answer.engine, answer.device, answer.precision) == ("native", "cpu", "bfloat16")
    assert answer.kv_cache.bytes_per_token == 3 * 2 * 2 * 16 * 2 and answer.kv_cache.attention == "grouped_query"


def test_one_token_more_is_timed_with_all_those_before_it_in_the_cache(scripted):
    fed = []
    model = scripted(before_step=lambda feeds: fed.append((len(feeds[0].sequence.ids), len(feeds[0].ids))))
    weigh(model, [300])
    passes = [index for index, step in enumerate(fed) if step == (256, 44)]
    assert passes and all(fed[index - 1] == (0, 256) for index in passes)  # all 300 again, from nothing
    assert all(fed[index + 1] == (300, 1) for index in passes)  # one more on top of them


# When it cannot go on.


def test_ctrl_c_keeps_what_was_measured(scripted):
    def interrupt(event):
        if event.value.tokens == 2:
            raise KeyboardInterrupt

    model = scripted()
    answer = weigh(model, "1,2,4,8", progress=interrupt)
    assert [row.tokens for row in answer.rows] == [1, 2] and answer.stopped.reason == "interrupted"
    assert "Interrupted" in answer.to_text("en") and "Interrompu" in answer.to_text("fr")
    assert weigh(model, [4]).stopped is None


def test_ctrl_c_in_the_middle_of_a_pass_gives_its_cache_back(scripted):
    def interrupt(feeds):
        if len(feeds[0].sequence.ids) >= 512:
            raise KeyboardInterrupt

    model = scripted(before_step=interrupt)
    answer = weigh(model, "64,300,900")
    assert [row.tokens for row in answer.rows] == [64, 300]
    assert answer.stopped.tokens == 900 and answer.stopped.reason == "interrupted"
    assert model.scheduler.engine.allocations().current["kv_cache"] == 0


def test_ctrl_c_before_the_first_row_is_an_interruption(scripted):
    def interrupt(feeds):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        weigh(scripted(before_step=interrupt), "64")


def test_it_stops_before_memory_runs_out_and_says_so(scripted, monkeypatch):
    monkeypatch.setattr(machine, "ram", lambda: machine.Ram(10**9, 101_000_000))
    answer = weigh(scripted(), "64,4096")
    assert [row.tokens for row in answer.rows] == [64] and answer.stopped.reason == "memory"
    assert answer.stopped.needed_bytes > 1_000_000 and answer.stopped.available_bytes == 101_000_000
    assert "Stopped before 4,096 tokens" in answer.to_text("en") and "Arrêté avant" in answer.to_text("fr")


def test_too_little_memory_for_the_first_row_is_an_error(scripted, monkeypatch):
    monkeypatch.setattr(machine, "ram", lambda: machine.Ram(10**8, None))  # half of it may be free
    with pytest.raises(ResourceError) as error:
        weigh(scripted(), "4096")
    assert error.value.code == "memory_short"


@pytest.mark.parametrize("error", [MemoryError(), ResourceError("memory_short", tokens=1, needed=1, available=1)])
def test_a_device_that_refuses_ends_the_rows(scripted, error):
    def refuse(feeds):
        if len(feeds[0].sequence.ids) >= 512:
            raise error

    answer = weigh(scripted(before_step=refuse), "64,900")
    assert [row.tokens for row in answer.rows] == [64] and answer.stopped.reason == "memory"
    assert answer.to_text("en").count("Stopped") == 1


def test_an_engine_that_does_not_count_is_measured_by_the_process(scripted, monkeypatch):
    model = scripted(capabilities=~Capability.ALLOCATIONS)
    answer = weigh(model, [64])
    assert answer.rows[0].measured is None and answer.rows[0].measured_bytes == answer.rows[0].process_bytes
    monkeypatch.setattr(process, "sizes", lambda: None)
    with pytest.raises(CapabilityError):
        weigh(model, [64])


def test_an_engine_without_all_logits_refuses_that_mode(scripted):
    with pytest.raises(CapabilityError) as error:
        weigh(scripted(capabilities=~Capability.ALL_LOGITS), [64], mode="all")
    assert error.value.params["missing"] == "ALL_LOGITS"
    assert "the logits at every position" in error.value.message("en")


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"tokens": "x"}, "bad_length"),
        ({"tokens": "1,1000000"}, "out_of_range"),
        ({"mode": "some"}, "unknown_mode"),
        ({"known": "Llama-3-70B", "gpu": "much"}, "bad_size"),
        ({"known": "Llama-3-70B", "gpu": ""}, "bad_size"),
        ({"known": "Llama-3-70B", "precision": "int3"}, "unknown_precision"),
        ({"known": "Llama-3-70B", "precision": ()}, "unknown_precision"),
        ({"known": "Llama-3-70B", "kv_precision": "int3"}, "unknown_precision"),
        ({"known": "Llama-3-70B", "users_at": "many"}, "bad_length"),
        ({"known": "Lama"}, "unknown_shape"),
        ({"simulate": True}, "no_checkpoint"),
    ],
)
def test_errors_have_words(options, code):
    with pytest.raises(CapotError) as error:
        capot.open("scripted").memory(**options)
    assert error.value.code == code
    assert error.value.message("en") != error.value.message("fr")


# The answer as text, page and JSON.


def test_json_has_the_fields_promised(scripted):
    answer = json.loads(weigh(scripted(), "1,64").to_json())
    assert {"device", "mode", "weights_bytes", "rows"} <= set(answer)
    assert {"tokens", "measured_bytes", "computed", "seconds", "beyond_context"} <= set(answer["rows"][0])
    assert set(answer["rows"][0]["computed"]) == {"kv_cache", "activations", "logits"}


@pytest.mark.parametrize("lang", ["en", "fr"])
@pytest.mark.parametrize("known", ["", "Llama-3-70B", "DeepSeek-R1", "GPT-2"])
@pytest.mark.parametrize("mode", ["last", "all"])
def test_pictures_carry_two_sentences(lang, known, mode):
    answer = capot.open("scripted").memory("1,64,300", known=known, mode=mode)
    blocks = answer.view(lang)
    captions = [block.caption for block in blocks if isinstance(block, Curves | Table) and block.caption]
    assert len(captions) == 2
    for caption in captions:
        assert caption.endswith(".") and caption.count(". ") == 1, caption
    assert isinstance(blocks[1], Facts) and answer.to_html(lang).startswith("<!doctype html>")
    series = next(block for block in blocks if isinstance(block, Curves)).series
    assert [line.area for line in series][:2] == [True, True] and series[-1].dashed


def test_nothing_fits_is_said():
    answer = capot.open("scripted").memory(known="Llama-3.1-405B", gpu="8GB", precision="bf16")
    assert "None of these cards holds it." in " ".join(answer.to_text("en").split())


def test_parts_add_up():
    assert Parts(1, 2, 3).total == 6
    assert np.isfinite(weigh(capot.open("scripted"), [1]).at(1).seconds)


def test_the_command(capsys):
    assert run(["memory", "--model", "scripted", "--tokens", "1,64", "--json"]) == 0
    printed = capsys.readouterr()
    assert len(json.loads(printed.out)["rows"]) == 2
    assert "64 tokens:" in printed.err  # each row as it comes
    assert run(["memory", "--model", "meta-llama/Llama-3-70B", "--simulate", "--gpu", "24 Go", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert {"gpu_bytes": 24 * 10**9, "gpus": 2, "precision": "int4"}.items() <= answer["fits"][-2].items()
    assert run(["memory", "--model", "Lama", "--simulate"]) == 2
    assert "Llama-3-70B" in capsys.readouterr().err


def test_the_command_speaks_french_and_writes_a_page(capsys, tmp_path):
    page = tmp_path / "page.html"
    assert run(["memory", "--model", "GPT-2", "--simulate", "--lang", "fr", "--html", str(page)]) == 0
    assert "Ce qui tient sur quelles cartes" in page.read_text(encoding="utf-8")
    assert run(["memory", "--model", "scripted", "--tokens", "beaucoup", "--lang", "fr"]) == 2
    assert "n’est pas un nombre entier de tokens, de 1 à" in capsys.readouterr().err


def test_machines_without_proc_are_measured_without_it(scripted, monkeypatch, tmp_path):
    monkeypatch.setattr(process, "PROC", tmp_path)
    monkeypatch.setattr(machine, "ram", lambda: machine.Ram(None, None))
    answer = weigh(scripted(), [64])
    assert answer.rows[0].process_bytes is None and answer.rows[0].measured_bytes > 0
    assert "Process" not in answer.to_text("en")


def test_without_the_gnu_c_library_nothing_is_tuned(monkeypatch):
    monkeypatch.setattr(process.ctypes, "CDLL", lambda _: SimpleNamespace())
    with process.handing_back():
        pass


def test_a_device_that_the_engine_has_not_is_refused(capsys):
    assert run(["memory", "--model", "scripted", "--device", "cuda", "--tokens", "1"]) == 2
    assert "not on cuda" in capsys.readouterr().err


def test_a_simulation_beyond_the_trained_context_is_dashed_too():
    answer = capot.open("scripted").memory("1024,131072,131073,200000", known="Llama-3.2-1B")
    assert [row.beyond_context for row in answer.rows] == [False, False, True, True]
    curve = next(block for block in answer.view("fr") if isinstance(block, Curves))
    beyond = next(line for line in curve.series if "au-delà" in line.label)
    assert beyond.dashed and list(beyond.x) == [131072, 131073, 200000]
    assert list(beyond.y) == [answer.weights_bytes + row.computed.total for row in answer.rows[1:]]


@pytest.mark.parametrize("option", ["--gpu", "--precision", "--kv-precision", "--users-at"])
def test_an_option_of_simulations_is_not_silently_ignored(option, capsys):
    assert run(["memory", "--model", "scripted", "--tokens", "1", option, "1GB", "--json"]) == 2
    error = json.loads(capsys.readouterr().out)["error"]
    assert error["code"] == "only_simulated" and option in error["message"]


@pytest.mark.parametrize("lang", ["fr", "en"])
@pytest.mark.parametrize(
    ("name", "value"), [("gpu", "24GB"), ("precision", "int8"), ("kv_precision", "int8"), ("users_at", [2048])]
)
def test_an_argument_of_simulations_is_not_silently_ignored(name, value, lang):
    model = capot.open("scripted", lang=lang)
    with pytest.raises(InputError) as caught:
        model.memory("8", **{name: value})
    assert caught.value.code == "needs_simulate" and caught.value.params["name"] == name
    line = f"model.memory(simulate=True, {name}={value!r})".replace("'", '"')
    assert caught.value.message(face="python").endswith(line)
    assert capot.open("scripted").memory("8", known="Llama-3.2-1B", **{name: value}).simulated


def test_one_row_has_no_growth(scripted):
    text = weigh(scripted(), [64]).to_text("en")
    assert "What token n costs" not in text and "64" in text


def test_a_share_is_never_rounded_to_the_whole() -> None:
    from capot.chapters.memory.result import _share

    assert [_share(share, "en") for share in (0.54, 0.9946, 0.996, 0.99999, 1.0)] == [
        "54%",
        "99%",
        "99.6%",
        "99.9%",
        "100%",
    ]


@pytest.mark.parametrize(("lang", "said"), [("en", "512 tokens at most"), ("fr", "512 tokens à la fois")])
def test_room_for_more_than_a_model_reads_is_said(lang: str, said: str) -> None:
    model = capot.open("boxed")
    assert said in " ".join(model.memory(simulate=True, gpu="24GB").to_text(lang, width=400).split())
    small = model.memory(simulate=True, gpu="4MB", precision="fp32")
    assert said not in " ".join(small.to_text(lang, width=400).split())


@pytest.mark.parametrize("family", ["Mamba", "Mamba2", "FalconMamba", "Rwkv"])
def test_a_state_has_the_size_that_transformers_gives_it(family: str) -> None:
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    from capot.engines.transformers.network import cache_argument

    own = {"num_heads": 8, "head_dim": 16, "n_groups": 2} if family == "Mamba2" else {}
    sizes = {"vocab_size": 50, "hidden_size": 64, "num_hidden_layers": 2, "state_size": 8}
    config = getattr(transformers, f"{family}Config")(**sizes | own)
    model = getattr(transformers, f"{family}ForCausalLM")(config).eval()
    with torch.no_grad():
        answer = model(torch.tensor([[1, 2, 3]]), use_cache=True)
    state = answer.state if family == "Rwkv" else answer[cache_argument(type(model))]
    shape = shape_of(config.to_dict())
    assert shape.state_numbers == sum(tensor.numel() for tensor in _tensors(state)) > 0
    assert shape.cache_numbers(1000) == 0


def _tensors(found: Any) -> list[Any]:
    """Every tensor in a cache, however deep."""
    if hasattr(found, "numel"):
        return [found]
    if isinstance(found, list | tuple):
        return [tensor for each in found for tensor in _tensors(each)]
    inside = found.values() if isinstance(found, dict) else vars(found).values() if hasattr(found, "__dict__") else ()
    return [tensor for each in inside for tensor in _tensors(each)]


def test_texts_of_a_state_space_are_counted_by_their_states() -> None:
    raw = {"model_type": "mamba", "vocab_size": 50_280, "hidden_size": 768, "num_hidden_layers": 24}
    shape = shape_of(raw | {"intermediate_size": 1536, "state_size": 16, "conv_kernel": 4})
    found = fit(shape, gpu_bytes=24 * 10**9, gpus=1, precision="bf16", how=PromptPass(), contexts=[2048, 8192])
    assert [users.users for users in found.concurrent] == [found.concurrent[0].users] * 2
    state = 24 * 1536 * (16 + 4) * 2
    assert 20 * 10**9 / state < found.concurrent[0].users < 24 * 10**9 / state


def test_a_row_is_told_where_the_system_tells_no_size(capsys: pytest.CaptureFixture[str]) -> None:
    from capot.cli.memory import tell

    none = Parts(0, 0, 0)
    row = Row(64, None, none, None, False, none)
    tell(capot.ProgressEvent("measuring", 1, 1, "lengths", "m", row))
    assert capsys.readouterr().err.count("–") == 2


def test_room_beyond_the_trained_context_is_told_as_several_texts():
    answer = capot.open("scripted").memory(known="Llama-3.2-1B", gpu="80GB", precision="bf16", users_at="2048,200000")
    first = answer.fits[0]
    assert first.max_context > first.trained.context == answer.context_length == 131072 and first.trained.users > 1
    for lang, times in (("en", f"131,072 × {first.trained.users}"), ("fr", f"131\u202f072 × {first.trained.users}")):
        text = answer.to_text(lang)
        assert times in text and "200" in text and "*" in text
        assert str(first.max_context) not in text.replace(",", "").replace("\u202f", "")


def test_the_other_totals_caption_tells_the_logits_apart_from_the_total():
    answer = capot.open("scripted").memory("2048,4096", known="Llama-3.2-1B")
    row = answer.rows[-1]
    curve = next(block for block in answer.view("en") if isinstance(block, Curves))
    total, logits = (size(count, "en") for count in (row.other_mode.total, row.other_mode.logits))
    assert total != logits and total in curve.caption and logits in curve.caption
    assert max(line.y[-1] for line in curve.series) == answer.weights_bytes + row.other_mode.total
