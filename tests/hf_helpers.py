"""Tiny random models of the families that PyTorch opens, as folders that transformers wrote."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

VOCABULARY, CONTEXT, WINDOW = 320, 1024, 96
COMMON = {"vocab_size": VOCABULARY, "initializer_range": 0.2, "bos_token_id": 1, "eos_token_id": 2}
SHAPE = {
    "hidden_size": 64,
    "intermediate_size": 112,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "max_position_embeddings": CONTEXT,
}
STATES = {"hidden_size": 64, "num_hidden_layers": 3}
SMALL = STATES | {"num_attention_heads": 4}
GROUPED = SHAPE | {"num_key_value_heads": 2}
EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32}
LATENT = {"q_lora_rank": 24, "kv_lora_rank": 16, "qk_nope_head_dim": 8, "qk_rope_head_dim": 4, "v_head_dim": 8}
ROUTED = EXPERTS | {"n_routed_experts": 4, "n_shared_experts": 1, "n_group": 1, "topk_group": 1}
GEMMA = SHAPE | {"num_key_value_heads": 2, "head_dim": 24, "pad_token_id": 0}
FAMILIES = {
    "gpt2": ("GPT2Config", "GPT2LMHeadModel", {"n_embd": 64, "n_layer": 3, "n_head": 4, "n_positions": CONTEXT}),
    "openai-gpt": (  # no cache: whole texts
        "OpenAIGPTConfig",
        "OpenAIGPTLMHeadModel",
        {"n_embd": 64, "n_layer": 3, "n_head": 4, "n_positions": CONTEXT},
    ),
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
    "mamba": ("MambaConfig", "MambaForCausalLM", STATES | {"state_size": 8}),
    "mistral": ("MistralConfig", "MistralForCausalLM", GROUPED | {"sliding_window": WINDOW}),
    "llama": ("LlamaConfig", "LlamaForCausalLM", GROUPED | {"tie_word_embeddings": False}),
    "gpt_bigcode": (
        "GPTBigCodeConfig",
        "GPTBigCodeForCausalLM",
        {"n_embd": 64, "n_layer": 3, "n_head": 4, "n_positions": CONTEXT},
    ),
    "phi3": ("Phi3Config", "Phi3ForCausalLM", GROUPED | {"pad_token_id": 0}),
    "olmo2": ("Olmo2Config", "Olmo2ForCausalLM", GROUPED),
    "qwen3_moe": ("Qwen3MoeConfig", "Qwen3MoeForCausalLM", GROUPED | EXPERTS | {"head_dim": 16}),
    "gpt_oss": (
        "GptOssConfig",
        "GptOssForCausalLM",
        GROUPED | {"head_dim": 16, "num_local_experts": 4, "num_experts_per_tok": 2, "sliding_window": WINDOW},
    ),
    "deepseek_v3": (
        "DeepseekV3Config",
        "DeepseekV3ForCausalLM",
        SHAPE | LATENT | ROUTED | {"num_key_value_heads": 4, "first_k_dense_replace": 1},
    ),
    "mamba2": (
        "Mamba2Config",
        "Mamba2ForCausalLM",
        STATES | {"state_size": 8, "num_heads": 8, "head_dim": 16, "n_groups": 2, "chunk_size": 32},
    ),
    "jamba": (
        "JambaConfig",
        "JambaForCausalLM",
        GROUPED
        | {"num_hidden_layers": 4, "num_experts": 4, "mamba_d_state": 8, "mamba_dt_rank": 8}
        | {"attn_layer_period": 2, "attn_layer_offset": 1, "expert_layer_period": 2, "expert_layer_offset": 1},
    ),
    "bamba": (
        "BambaConfig",
        "BambaForCausalLM",
        GROUPED
        | {"attn_layer_indices": [1], "mamba_n_heads": 8, "mamba_d_head": 16, "mamba_d_state": 8}
        | {"mamba_n_groups": 2, "mamba_chunk_size": 32},
    ),
}
# Families that one test or another is about.
PADDED = GROUPED | {"pad_token_id": 0}
OTHERS = {
    "mixtral": ("MixtralConfig", "MixtralForCausalLM", GROUPED | {"num_local_experts": 4, "num_experts_per_tok": 2}),
    "qwen2_moe": (
        "Qwen2MoeConfig",
        "Qwen2MoeForCausalLM",
        GROUPED | EXPERTS | {"shared_expert_intermediate_size": 48},
    ),
    "olmoe": ("OlmoeConfig", "OlmoeForCausalLM", PADDED | {"num_experts": 4, "num_experts_per_tok": 2}),
    "olmo": ("OlmoConfig", "OlmoForCausalLM", PADDED),
    "olmo3": ("Olmo3Config", "Olmo3ForCausalLM", PADDED | {"num_hidden_layers": 4, "sliding_window": WINDOW}),
    "granite": ("GraniteConfig", "GraniteForCausalLM", PADDED),
    "cohere": ("CohereConfig", "CohereForCausalLM", PADDED),
    "cohere2": ("Cohere2Config", "Cohere2ForCausalLM", PADDED | {"num_hidden_layers": 4, "sliding_window": WINDOW}),
    "starcoder2": ("Starcoder2Config", "Starcoder2ForCausalLM", PADDED | {"sliding_window": None}),
    "stablelm": ("StableLmConfig", "StableLmForCausalLM", PADDED),
    "nemotron": ("NemotronConfig", "NemotronForCausalLM", PADDED),
    "glm": ("GlmConfig", "GlmForCausalLM", PADDED | {"head_dim": 16}),
    "glm4": ("Glm4Config", "Glm4ForCausalLM", PADDED | {"head_dim": 32}),
    "gptj": (
        "GPTJConfig",
        "GPTJForCausalLM",
        {"n_embd": 64, "n_layer": 3, "n_head": 4, "n_positions": CONTEXT, "rotary_dim": 8},
    ),
    "codegen": (
        "CodeGenConfig",
        "CodeGenForCausalLM",
        {"n_embd": 64, "n_layer": 3, "n_head": 8, "n_positions": CONTEXT, "n_ctx": CONTEXT, "rotary_dim": 4},
    ),
    "mpt": ("MptConfig", "MptForCausalLM", {"d_model": 64, "n_layers": 3, "n_heads": 4, "max_seq_len": CONTEXT}),
    "falcon_mamba": ("FalconMambaConfig", "FalconMambaForCausalLM", STATES | {"state_size": 8}),
    "zamba": (
        "ZambaConfig",
        "ZambaForCausalLM",
        SHAPE
        | {"num_hidden_layers": 4, "layers_block_type": ["mamba", "hybrid"] * 2}
        | {"mamba_d_state": 8, "n_mamba_heads": 2, "num_key_value_heads": 4},
    ),
    "recurrent_gemma": (
        "RecurrentGemmaConfig",
        "RecurrentGemmaForCausalLM",
        SMALL
        | {"intermediate_size": 112, "num_key_value_heads": 1, "lru_width": 64, "attention_window_size": WINDOW}
        | {"pad_token_id": 0},
    ),
    "xlstm": ("xLSTMConfig", "xLSTMForCausalLM", STATES | {"num_heads": 4, "chunk_size": 32}),
}


def make(folder: Path, family: str, *, seed: int = 0, dtype: str = "float32", **changes) -> Path:
    """Write the model of one family into ``folder``, every bias and norm given a value of its own."""
    torch = pytest.importorskip("torch", reason="the model is made by PyTorch")
    transformers = pytest.importorskip("transformers", reason="the model is made by transformers")

    config, name, shape = (FAMILIES | OTHERS)[family]
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
    from capot.config import Loading
    from capot.engines.transformers import open_transformers
    from capot.sources.checkpoint import Checkpoint

    loading = Loading(model=str(folder), **{"device": "cpu"} | loading)
    return open_transformers(Checkpoint.open(folder), loading, notice=lambda *_, **__: None)


def load(folder: Path):
    """The same folder in transformers itself."""
    torch = pytest.importorskip("torch", reason="the model is made by PyTorch")
    transformers = pytest.importorskip("transformers", reason="the model is made by transformers")

    return transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


def prompt(count: int, seed: int = 0) -> list[int]:
    return np.random.default_rng(seed).integers(3, VOCABULARY, count).tolist()
