"""Rotary positions: by how much each pair of a head's numbers turns at each position.

Su et al., 2021 (RoFormer, section 3.2); the stretching for long contexts is that of
Llama 3.1, as published in its reference code.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from capot.sources.configuration import Config
from capot.sources.fields import read_positive

SPAN = 64  # positions whose angles are computed together


def frequencies(config: Config) -> np.ndarray:
    """Turn per token of each pair, in radians: from 1 for the first to 1 / theta. Shapes: (H_size / 2,) float32."""
    # Computed in float32 like the reference code: in float64 the angles of far positions would differ in the last
    # digits that the model was trained with.
    exponents = np.arange(0, config.head_dim, 2, dtype=np.float32) / np.float32(config.head_dim)
    freqs = (np.float32(1) / np.float32(config.rope_theta) ** exponents).astype(np.float32)
    return freqs if config.rope_scaling is None else _scaled_llama3(freqs, config.rope_scaling)


def _scaled_llama3(freqs: np.ndarray, scaling: dict[str, Any]) -> np.ndarray:
    """Scale by Llama 3's rule: slow pairs turn ``factor`` times slower, fast ones as before, smooth between.

    Raises: ModelError ``config_field``.
    """
    original, slow, fast, factor = (
        read_positive(scaling, name)
        for name in ("original_max_position_embeddings", "low_freq_factor", "high_freq_factor", "factor")
    )
    wavelengths = np.float32(2 * math.pi) / freqs
    # Slow pairs have not turned once in the length that was trained on: stretched in full. Fast ones tell neighbours
    # apart, which a stretch would spoil.
    slowed: np.ndarray = np.where(wavelengths > original / slow, freqs / np.float32(factor), freqs)
    between = (wavelengths >= original / fast) & (wavelengths <= original / slow)
    if fast != slow:
        kept = (original / wavelengths - slow) / (fast - slow)  # 1: as before, 0: slowed in full
        slowed = np.where(between, (1 - kept) * slowed / factor + kept * slowed, slowed)
    return slowed.astype(np.float32)


def cos_sin(freqs: np.ndarray, start: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return cosines and sines for ``count`` positions from ``start``. Shapes: two of (count, H_size / 2)."""
    first = start // SPAN
    spans = [_span_cos_sin(freqs.tobytes(), number) for number in range(first, (start + count - 1) // SPAN + 1)]
    cosines, sines = (each[0] if len(each) == 1 else np.concatenate(each) for each in zip(*spans, strict=True))
    rows = slice(start - first * SPAN, start - first * SPAN + count)
    return cosines[rows], sines[rows]


@functools.lru_cache(maxsize=64)
def _span_cos_sin(freqs: bytes, number: int) -> tuple[np.ndarray, np.ndarray]:
    """Compute SPAN positions together, whichever are asked for: NumPy may treat the last numbers of an array in another
    way.
    """
    positions = np.arange(number * SPAN, (number + 1) * SPAN, dtype=np.float32)
    angle = positions[:, None] * np.frombuffer(freqs, np.float32)  # float32, as the models were trained with
    return np.cos(angle), np.sin(angle)
