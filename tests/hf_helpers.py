"""Tiny random models of the families that PyTorch opens, as folders that transformers wrote."""

from __future__ import annotations

from pathlib import Path

import numpy as np

VOCABULARY, CONTEXT, WINDOW = 320, 1024, 96
COMMON = {"vocab_size": VOCABULARY, "initializer_range": 0.2, "bos_token_id": 1, "eos_token_id": 2}
SHAPE = {
    "hidden_size": 64,
    "intermediate_size": 112,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "max_position_embeddings": CONTEXT,
}
SMALL = {"hidden_size": 64, "num_hidden_layers": 3, "num_attention_heads": 4}
GEMMA = SHAPE | {"num_key_value_heads": 2, "head_dim": 24, "pad_token_id": 0}
FAMILIES = {
    "gpt2": ("GPT2Config", "GPT2LMHeadModel", {"n_embd": 64, "n_layer": 3, "n_head": 4, "n_positions": CONTEXT}),
    "gpt_neox": ("GPTNeoXConfig", "GPTNeoXForCausalLM", SHAPE),
    "opt": (
        "OPTConfig",
        "OPTForCausalLM",
        SMALL | {"ffn_dim": 112, "max_position_embeddings": CONTEXT, "word_embed_proj_dim": 32, "init_std": 0.2},
    ),
    "phi": ("PhiConfig", "PhiForCausalLM", SHAPE),
    "gemma": ("GemmaConfig", "GemmaForCausalLM", GEMMA | {"num_key_value_heads": 1}),
    "gemma2": ("Gemma2Config", "Gemma2ForCausalLM", GEMMA | {"sliding_window": WINDOW, "num_hidden_layers": 4}),
    "gemma3": ("Gemma3TextConfig", "Gemma3ForCausalLM", GEMMA | {"sliding_window": WINDOW, "num_hidden_layers": 7}),
    "falcon": ("FalconConfig", "FalconForCausalLM", SMALL | {"max_position_embeddings": CONTEXT}),
    "bloom": ("BloomConfig", "BloomForCausalLM", {"hidden_size": 64, "n_layer": 3, "n_head": 4}),
    "mamba": ("MambaConfig", "MambaForCausalLM", {"hidden_size": 64, "num_hidden_layers": 3, "state_size": 8}),
    "mistral": ("MistralConfig", "MistralForCausalLM", SHAPE | {"num_key_value_heads": 2, "sliding_window": WINDOW}),
    "llama": ("LlamaConfig", "LlamaForCausalLM", SHAPE | {"num_key_value_heads": 2, "tie_word_embeddings": False}),
}


def make(folder: Path, family: str, *, seed: int = 0, dtype: str = "float32", **changes) -> Path:
    """Write the model of one family into ``folder``, every bias and norm given a value of its own."""
    import torch
    import transformers

    config, name, shape = FAMILIES[family]
    torch.manual_seed(seed)
    model = getattr(transformers, name)(getattr(transformers, config)(**COMMON | shape | changes))
    with torch.no_grad():
        for key, parameter in model.named_parameters():
            if parameter.ndim == 1 and not key.endswith((".D", "dt_proj.bias")):
                parameter.copy_(torch.randn_like(parameter) * 0.3 + (0 if key.endswith("bias") else 1))
    model.to(getattr(torch, dtype)).save_pretrained(folder)
    return folder


def engine(folder: Path, **loading):
    """The folder opened by the engine under test, on the processor unless asked otherwise."""
    from capot.checkpoint import Checkpoint
    from capot.config import Loading
    from capot.engines.hf_engine import open_transformers

    loading = Loading(model=str(folder), **{"device": "cpu"} | loading)
    return open_transformers(Checkpoint.open(folder), loading, notice=lambda *_, **__: None)


def load(folder: Path):
    """The same folder in transformers itself."""
    import torch
    import transformers

    return transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


def prompt(count: int, seed: int = 0) -> list[int]:
    return np.random.default_rng(seed).integers(3, VOCABULARY, count).tolist()
