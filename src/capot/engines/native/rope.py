"""Rotary positions: by how much each pair of a head's numbers turns at each position.

Su et al., 2021 (RoFormer, section 3.2); the stretching for long contexts is that of
Llama 3.1, as published in its reference code.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from capot.errors import ModelError
from capot.sources.checkpoint import Config


def frequencies(config: Config) -> np.ndarray:
    """Turn per token of each pair, in radians: from 1 for the first to 1 / theta. Shapes: (H_size / 2,) float32."""
    exponents = np.arange(0, config.head_dim, 2, dtype=np.float32) / np.float32(config.head_dim)
    turns = (np.float32(1) / np.float32(config.rope_theta) ** exponents).astype(np.float32)
    return turns if config.rope_scaling is None else _stretched(turns, config.rope_scaling)


def _stretched(turns: np.ndarray, scaling: dict[str, Any]) -> np.ndarray:
    """Llama 3's rule: slow pairs turn ``factor`` times slower, fast ones as before, smooth between."""
    names = ("original_max_position_embeddings", "low_freq_factor", "high_freq_factor", "factor")
    missing = [name for name in names if not isinstance(scaling.get(name), int | float)]
    if missing:
        raise ModelError("config_field", field=missing[0], value=str(scaling.get(missing[0])))
    original, slow, fast, factor = (scaling[name] for name in names)
    rounds = original * turns / np.float32(2 * math.pi)  # whole turns over the original context
    kept = np.clip((rounds - slow) / (fast - slow), 0, 1)  # 1: as before, 0: slowed in full
    slowed: np.ndarray = ((1 - kept) * turns / factor + kept * turns).astype(np.float32)
    return slowed


def angles(turns: np.ndarray, start: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Cosines and sines for ``count`` positions from ``start``. Shapes: two of (count, H_size / 2)."""
    positions = np.arange(start, start + count, dtype=np.float32)
    angle = positions[:, None] * turns  # float32, as the models were trained with
    return np.cos(angle), np.sin(angle)
