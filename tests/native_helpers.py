"""Tiny random models of each family, as folders that transformers wrote."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

VOCABULARY, CONTEXT, WINDOW = 320, 1024, 96
SHAPE = {
    "vocab_size": VOCABULARY,
    "hidden_size": 64,
    "intermediate_size": 112,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 24,  # of its own: not 64 / 4
    "max_position_embeddings": CONTEXT,
    "initializer_range": 0.2,  # the usual 0.02 hides a missing feature below any tolerance
    "rms_norm_eps": 1e-5,
    "tie_word_embeddings": False,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 500000.0,
    "factor": 32.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}
THETA = {"rope_type": "default", "rope_theta": 1e6}
FAMILIES = {
    "llama": ("Llama", {"rope_parameters": LLAMA3}),
    "tied": ("Llama", {"rope_parameters": THETA, "tie_word_embeddings": True}),
    "smollm": ("Llama", {"num_attention_heads": 2, "num_key_value_heads": 1, "tie_word_embeddings": True}),
    "biased": ("Llama", {"attention_bias": True, "mlp_bias": True}),
    "mistral": ("Mistral", {"rope_parameters": THETA, "sliding_window": WINDOW}),
    "qwen2": ("Qwen2", {"rope_parameters": THETA, "head_dim": None}),
    "qwen3": (
        "Qwen3",
        {
            "rope_parameters": THETA,
            "use_sliding_window": True,
            "sliding_window": WINDOW,
            "layer_types": ["full_attention", "sliding_attention", "full_attention"],
        },
    ),
}


def make(folder: Path, family: str, *, seed: int = 0, dtype: str = "float32", shard: str = "5GB") -> Path:
    """Write the model of one family into ``folder``, every bias and norm given a value of its own."""
    torch = pytest.importorskip("torch", reason="the model is made by PyTorch")
    transformers = pytest.importorskip("transformers", reason="the model is made by transformers")

    name, changes = FAMILIES[family]
    shape = {key: value for key, value in (SHAPE | changes).items() if value is not None}
    config = getattr(transformers, f"{name}Config")(**shape)
    torch.manual_seed(seed)
    model = getattr(transformers, f"{name}ForCausalLM")(config)
    with torch.no_grad():
        for key, parameter in model.named_parameters():
            if parameter.ndim == 1:
                parameter.copy_(torch.randn_like(parameter) * 0.3 + (0 if key.endswith("bias") else 1))
    model.to(getattr(torch, dtype)).save_pretrained(folder, max_shard_size=shard)
    return folder


def load(folder: Path):
    """The same folder in transformers, in float32, with attention weights to be had."""
    torch = pytest.importorskip("torch", reason="the model is made by PyTorch")
    transformers = pytest.importorskip("transformers", reason="the model is made by transformers")

    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager")
    return model.eval()


def prompt(count: int, seed: int = 0) -> list[int]:
    return np.random.default_rng(seed).integers(3, VOCABULARY, count).tolist()


def edit_config(folder: Path, **changes) -> None:
    """Change config.json; None takes a key away."""
    path = folder / "config.json"
    raw = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({key: value for key, value in raw.items() if value is not None}))
