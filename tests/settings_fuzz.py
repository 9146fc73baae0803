"""Configurations made at random, and everything that reads one: each is read, or refused in words.

python tests/settings_fuzz.py 10000
"""

from __future__ import annotations

import json
import random
import sys
import tempfile
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from capot.chapters.card.verb import Source, card
from capot.chapters.memory import computed, fits
from capot.chapters.memory.shape import shape_of
from capot.config import Loading
from capot.engines import choose_engine, native, obstacle, transformers
from capot.engines.native import rope
from capot.engines.protocol import EngineInfo
from capot.errors import CapotError
from capot.sources.checkpoint import Checkpoint
from capot.sources.files import Folder
from capot.sources.hub.listing import check_causal, code_files

SIZES = {
    "vocab_size": 320, "hidden_size": 64, "intermediate_size": 112, "num_hidden_layers": 8, "num_attention_heads": 4,
    "num_key_value_heads": 2, "max_position_embeddings": 256, "architectures": ["LlamaForCausalLM"],
}  # fmt: skip
LATENT = {"q_lora_rank": 24, "kv_lora_rank": 16, "qk_nope_head_dim": 8, "qk_rope_head_dim": 4, "v_head_dim": 8}
LLAMA3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
FAMILIES: dict[str, dict[str, Any]] = {
    "llama": {"rope_scaling": LLAMA3, "rope_theta": 500000.0},
    "mistral": {"sliding_window": 96},
    "qwen2": {"use_sliding_window": True, "sliding_window": 96, "max_window_layers": 4},
    "qwen3_moe": {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32, "decoder_sparse_step": 2},
    "gemma3_text": {"sliding_window": 96, "sliding_window_pattern": 6, "head_dim": 24},
    "exaone4": {"sliding_window": 96, "sliding_window_pattern": "LLLG"},
    "deepseek_v3": LATENT | {"n_routed_experts": 4, "num_experts_per_tok": 2, "first_k_dense_replace": 1},
    "gptj": {"rotary_dim": 8},
    "phi": {"partial_rotary_factor": 0.5},
    "smollm3": {"no_rope_layers": [1, 1, 1, 0] * 2},
    "llama4_text": {"attention_chunk_size": 64},
    "falcon": {"multi_query": True, "new_decoder_architecture": False},
    "qwen3_next": {"full_attention_interval": 4, "linear_num_value_heads": 4, "linear_num_key_heads": 2},
    "jamba": {"attn_layer_period": 8, "attn_layer_offset": 4, "mamba_d_state": 8, "num_experts": 4},
    "bamba": {"attn_layer_indices": [3], "mamba_n_heads": 8, "mamba_d_state": 8},
    "nemotron_h": {"hybrid_override_pattern": "M-M*M-M-"},
    "zamba2": {"layers_block_type": ["mamba", "mamba", "hybrid", "mamba"] * 2},
    "lfm2": {"full_attn_idxs": [2, 5], "conv_L_cache": 3},
    "minimax": {"attn_type_list": [0, 0, 0, 1] * 2},
    "kimi_linear": LATENT | {"linear_attn_config": {"full_attn_layers": [4, 8], "kda_layers": [1, 2, 3, 5, 6, 7]}},
    "recurrent_gemma": {"block_types": ["recurrent", "recurrent", "attention"], "attention_window_size": 96},
    "mamba2": {"state_size": 8, "expand": 2, "n_groups": 2, "conv_kernel": 4},
    "novelty": {"num_experts": 4, "mamba_n_heads": 8, "layer_types": ["linear_attention", "full_attention"] * 4},
}
# What no base above has, and is looked for in a configuration all the same.
OTHERS = {
    "head_dim", "rope_parameters", "rope_scaling", "rope_theta", "partial_rotary_factor", "rotary_pct", "rotary_dim",
    "rms_norm_eps", "tie_word_embeddings", "torch_dtype", "dtype", "bos_token_id", "eos_token_id", "hidden_act",
    "text_config", "quantization", "quantization_config", "auto_map", "no_rope_layers", "num_kv_shared_layers",
    "original_max_position_embeddings", "model_type", "attention_bias", "mlp_bias", "use_bias", "license",
    "num_nextn_predict_layers", "n_shared_experts", "shared_expert_intermediate_size", "mlp_only_layers", "layer_types",
    "num_ln_in_parallel_attn", "parallel_attn", "is_encoder_decoder", "word_embed_proj_dim", "alibi", "kv_n_heads",
    "expert_layer_period", "expert_layer_offset", "mamba_expand", "mamba_d_head", "mamba_d_conv", "mamba_n_groups",
    "linear_key_head_dim", "linear_value_head_dim", "conv_bias", "block_ff_dim", "lru_width", "mamba_dt_rank",
    "num_mem_blocks", "ssm_state_size", "mamba_num_heads", "mamba_head_dim", "n_groups", "mamba_d_ssm", "block_size",
}  # fmt: skip
INSIDE = ("factor", "rope_type", "type", "low_freq_factor", "high_freq_factor", "rope_theta", "partial_rotary_factor",
          "original_max_position_embeddings", "full_attn_layers", "num_heads", "head_dim", "hidden_size")  # fmt: skip
ODD = [
    None, 0, -1, 1, 2, 7, 64, 2.5, -0.0, 1e-320, True, False, "", "x", "4", "LLLG", "1e6", "auto", [], {}, [1], [0, 1],
    [None], ["x"], [[]], [{}], {"a": 1}, {"factor": 8.0}, float("inf"), float("nan"), 10**18, 2**63, 10**30,
    int("9" * 400), -(10**400), ["sliding_attention"] * 8, ["full_attention"] * 8, ["what"] * 8, [1] * 8, "\u2028",
    "\\ud800", 1e308, 10_001, 10**9, [10**30], "M*", "-" * 50_000, [2, None, 3],
]  # fmt: skip


def configurations(seed: int, count: int) -> Iterator[str]:
    """The text of ``count`` config.json files, each sound but for one to four fields."""
    dice = random.Random(seed)
    names = sorted(OTHERS.union(SIZES, *FAMILIES.values()))
    for _ in range(count):
        family = dice.choice(list(FAMILIES))
        raw: dict[str, Any] = {**SIZES, "model_type": family, **FAMILIES[family]}
        for _ in range(dice.choice((1, 1, 2, 4))):
            field, inside = dice.choice(names), dice.random() < 0.2
            raw[field] = {dice.choice(INSIDE): dice.choice(ODD) for _ in range(2)} if inside else dice.choice(ODD)
        yield json.dumps(raw)


def card_of(raw: dict[str, Any]) -> None:
    for lang in ("en", "fr"):
        card(Source("mine", raw)).to_text(lang)
    card(Source("mine", raw)).to_json()


def memory_of(raw: dict[str, Any]) -> None:
    shape = shape_of(raw)
    how = computed.PromptPass()
    fits.fit(shape, gpu_bytes=10**10, gpus=2, precision="bf16", how=how, contexts=(512,))
    for engine in ("native", "transformers", "other"):
        info = EngineInfo(
            engine=engine, model="mine", architecture="", device="cpu", dtype="bfloat16", layers=shape.layers,
            vocabulary_size=shape.vocabulary, context_length=256, width=shape.width, heads=shape.heads,
            kv_heads=shape.kv_heads,
        )  # fmt: skip
        computed.FORMULAS.get(engine, computed._general)(info, shape).parts(300, "all")


def engines_of(folder: Path) -> Callable[[dict[str, Any]], None]:
    def ask(raw: dict[str, Any]) -> None:
        checkpoint = Checkpoint(folder, "mine", raw)
        choose_engine(Loading(model="mine"), checkpoint)
        obstacle(Loading(model="mine"), checkpoint)
        transformers.knows_family(raw)
        transformers.needs_code(raw)
        code_files(raw)
        with open_refused():
            check_causal("mine", raw)
        native.check(checkpoint)
        assert rope.frequencies(checkpoint.config).ndim == 1

    return ask


class open_refused:
    """Inside the block a refusal is an answer like any other."""

    def __enter__(self) -> None: ...

    def __exit__(self, kind: Any, error: Any, trace: Any) -> bool:
        return isinstance(error, CapotError)


def outcomes(folder: Path, text: str) -> Iterator[str]:
    """What each reader answers to a configuration: ``read``, or the code of a refusal that has words."""
    (folder / "config.json").write_text(text)
    raw = Folder(folder, "mine").json("config.json")
    for ask in (card_of, memory_of, engines_of(folder)):
        try:
            ask(raw)
        except CapotError as error:
            told = [error.public().message(lang) for lang in ("en", "fr")]
            assert all(told) and max(map(len, told)) < 2000, error.code
            yield error.code
        else:
            yield "read"


def main() -> None:
    found: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as place:
        for text in configurations(1, int(sys.argv[1])):
            try:
                found.update(outcomes(Path(place), text))
            except Exception:
                frame = traceback.extract_tb(sys.exc_info()[2])[-1]
                found[f"TRACEBACK {sys.exc_info()[1]!r:.80} {frame.filename[-40:]}:{frame.lineno}"] += 1
    for code, times in found.most_common():
        print(f"{times:7} {code}")


if __name__ == "__main__":
    main()
