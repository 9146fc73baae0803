"""The native engine: the Llama family in a few hundred lines of NumPy and Numba.

    llama          the network, layer by layer: start here
    linear         its matrices, and those that multiply the same x together
    names          what the file calls the weights, and which there are
    rope           rotary positions of queries and keys
    cache          key/value caches, and the count of every byte
    sequence_pass  one sequence's part of a step
    kernels        the five compiled operations in which the time goes
    products       the first of them, by one of the next two
    matmul         x times a matrix of weights
    tiles          the same with Intel's matrix unit, where there is one
    tile_unit      whether there is one, and the system's permission
    plans          how one token's products read the weights on this machine, kept on disk
    tuning         which of these plans is quickest, by trial
    attention      the last: each token's mean of those before it
    simd           numbers as files have them, and vector registers
    threads        how many threads a step takes where other programs use the cores
    numba_cache    compiled code, kept on disk where there is a place for it
    inside         what a pass tells of its inside
    edited         what a pass changes of its inside
    guessing       the first guesses of each row of logits

Nothing here is imported before a model of the family is opened.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from capot.errors import UnsupportedError
from capot.sources.checkpoint import Checkpoint
from capot.sources.configuration import QUANTIZED, check_scaling, first_architecture
from capot.sources.machine import numba_threads

if TYPE_CHECKING:
    from capot.engines.native.llama import NativeEngine

ARCHITECTURES = ("LlamaForCausalLM", "MistralForCausalLM", "Qwen2ForCausalLM", "Qwen3ForCausalLM")


def check(checkpoint: Checkpoint) -> None:
    """Refuse, by name, what the native engine would compute wrongly. Costs nothing: reads config.json.

    Raises: UnsupportedError ``architecture_unsupported``, ``feature_unsupported``, which another engine may compute;
    ModelError as ``Config.from_dict`` and ``check_scaling`` for a damaged value, which none computes right.
    """
    raw = checkpoint.raw_config
    # Before anything else is read: what other architectures write in their own way is no damage.
    architecture = first_architecture(raw)
    if architecture not in ARCHITECTURES:
        raise UnsupportedError("architecture_unsupported", architecture=architecture, engine="transformers")
    config = checkpoint.config
    check_scaling(config)
    rope = (config.rope_scaling or {}).get("rope_type", "llama3")
    # SmolLM3's field: its layers without positions would be computed with them, and answer plausible nonsense.
    bare = raw.get("no_rope_layers")  # a list with a 0 for each layer without positions
    refused = {
        f"rope_type {rope}": rope != "llama3",
        f"hidden_act {config.hidden_act}": config.hidden_act != "silu",
        "no_rope_layers": bool(bare) and not (isinstance(bare, list) and all(bare)),
        **{field: bool(raw.get(field)) for field in QUANTIZED},
        # Rotation turns pairs, so an odd number of a head has one that belongs to none.
        f"head_dim {config.head_dim}": config.head_dim % 2 != 0,
        f"num_key_value_heads {config.kv_heads}": config.heads % config.kv_heads != 0,
    }
    for feature, present in refused.items():
        if present:
            raise UnsupportedError("feature_unsupported", feature=feature, model=checkpoint.name, engine="transformers")


def open_native(
    checkpoint: Checkpoint, *, notice: Callable[[], None] | None = None, warn: Callable[..., None] | None = None
) -> NativeEngine:
    """Map the weights and make the kernels ready.

    ``notice`` is called, once, where the kernels must first be compiled: some seconds,
    after which they stay on disk; ``warn`` where they cannot.

    Raises: as ``check``; UnsupportedError ``weights_dtype``; ModelError from the files; InputError ``numba_setting``,
    as ``numba_cache.check``.
    """
    check(checkpoint)
    _settle_threads()
    from capot.engines.native import numba_cache

    numba_cache.check()
    from capot.engines.native.llama import NativeEngine

    return NativeEngine(checkpoint, notice=notice, warn=warn)


def _settle_threads() -> None:
    """Say how many threads there are before Numba is imported, which is when it reads it; refuse who asks for none.

    Numba counts cores alone. Who imported it before has its number of threads, whatever the quota.

    Raises: InputError ``numba_setting``.
    """
    threads = numba_threads()
    if "numba" not in sys.modules:
        os.environ["NUMBA_NUM_THREADS"] = str(threads)
