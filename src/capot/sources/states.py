"""How many numbers a text leaves in the layers that keep a state of a fixed size, however long it is.

A convolution keeps its last K inputs, a recurrence its sums. With D the width, E the channels, N the numbers that each
keeps, G groups, H heads of d numbers, Q and P the widths of keys and values:

    Mamba            E·N + E·K                       Gu and Dao 2023, arXiv:2312.00752, section 3
    Mamba 2          E·N + (E + 2·G·N)·K             Dao and Gu 2024, arXiv:2405.21060, section 7
    gated delta      H·dk·dv + (2·Q + P)·K           Yang et al. 2024, arXiv:2412.06464
    Kimi delta       H·d² + 3·H·d·K                  Kimi Team 2025, arXiv:2510.26692
    lightning        H·d²                            MiniMax 2025, arXiv:2501.08313
    RG-LRU           E + E·(K - 1)                   De et al. 2024, arXiv:2402.19427
    short convolution  D·K                           LFM2, as transformers has it
    RWKV 4           5·D                             Peng et al. 2023, arXiv:2305.13048
    RWKV 5 to 7      D·d + 2·D                       Peng et al. 2024, arXiv:2404.05892; 2025, arXiv:2503.14456
    mLSTM            H·(dk·dv + dk + 1)              Beck et al. 2024, arXiv:2405.04517

The sums are those of the caches that transformers 5 makes, to which a test holds each family that it has.
"""

from __future__ import annotations

from collections.abc import Callable

from capot.sources import mixers
from capot.sources.configuration import Config
from capot.sources.fields import Raw, read_count, read_dict, read_int
from capot.sources.layer_kinds import HEADLESS, STATE


def state_numbers(raw: Raw, config: Config) -> int | None:
    """Return the numbers in the states of all layers.

    0 where no layer has one, None where a state has a form not known here.

    Raises: ModelError ``config_field``.
    """
    family = config.model_type
    if family in EVERY_LAYER:
        return config.layers * EVERY_LAYER[family](raw, config)
    count = config.kinds.count(STATE)
    if not count:
        return None if config.guessed else 0
    return count * SOME_LAYERS[family](raw, config) if family in SOME_LAYERS else None


def _mamba(raw: Raw, config: Config) -> int:
    inner = read_int(raw, "mamba_expand", default=2) * config.width
    return inner * (read_int(raw, "mamba_d_state", default=16) + read_int(raw, "mamba_d_conv", default=4))


def _headless(raw: Raw, config: Config) -> int:
    """Return the state of a family without attention: its names of the same sizes are without ``mamba_``."""
    if config.model_type == "rwkv":
        return 5 * config.width
    if config.model_type.startswith("rwkv"):  # a matrix for each head, and the last token twice
        return config.width * (read_count(raw, "head_size", "head_dim", default=64) + 2)
    if config.model_type == "xlstm":
        return mixers.mlstm(raw, config).state
    if config.model_type == "mamba2":
        return mixers.mamba2_mixer(raw, config).state
    inner = mixers.mamba_inner(raw, config)
    return inner * (read_count(raw, "state_size", default=16) + read_count(raw, "conv_kernel", default=4))


def _delta(raw: Raw, _: Config) -> int:
    values, value_dim = (
        read_int(raw, name, default=usual)
        for name, usual in (("linear_num_value_heads", 32), ("linear_value_head_dim", 128))
    )
    key_dim = read_int(raw, "linear_key_head_dim", default=128)
    keys = read_int(raw, "linear_num_key_heads", default=16) * key_dim
    kernel = read_int(raw, "linear_conv_kernel_dim", default=4)
    return values * key_dim * value_dim + (2 * keys + values * value_dim) * kernel


def _kimi(raw: Raw, _: Config) -> int:
    inside = read_dict(raw, "linear_attn_config")
    heads, size = read_int(inside, "num_heads", default=32), read_int(inside, "head_dim", default=128)
    return heads * size * (size + 3 * read_int(inside, "short_conv_kernel_size", default=4))


def _lru(raw: Raw, config: Config) -> int:
    """Return one number a channel for the recurrence; its convolution drops the input that it has just used."""
    return read_int(raw, "lru_width", default=config.width) * read_int(raw, "conv1d_width", default=4)


def _short_convolution(raw: Raw, config: Config) -> int:
    return config.width * read_int(raw, "conv_L_cache", default=3)


State = Callable[[Raw, Config], int]
# Families whose every layer has a state: alone, or with attention beside it.
EVERY_LAYER: dict[str, State] = {
    **dict.fromkeys(HEADLESS, _headless),
    "falcon_h1": lambda raw, config: mixers.falcon_mixer(raw, config).state,
    "zamba": _mamba,
    "zamba2": lambda raw, config: mixers.zamba2_mixer(raw, config).state,
}
SOME_LAYERS: dict[str, State] = {
    "jamba": _mamba,
    "bamba": lambda raw, config: mixers.bamba_mixer(raw, config).state,
    "granitemoehybrid": lambda raw, config: mixers.bamba_mixer(raw, config).state,
    "nemotron_h": lambda raw, _: mixers.nemotron_mixer(raw).state,
    **dict.fromkeys(("qwen3_next", "qwen3_5", "qwen3_5_text", "qwen3_5_moe", "qwen3_5_moe_text"), _delta),
    **dict.fromkeys(("lfm2", "lfm2_moe"), _short_convolution),
    "minimax": lambda _, config: config.heads * config.head_dim**2,
    "kimi_linear": _kimi,
    "recurrent_gemma": _lru,
}
