"""Angles between vectors, and the plane in which they differ most. Pure functions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np


def unit(vectors: np.ndarray) -> np.ndarray:
    """Return the vectors with a length of one; a vector of zeros, which points nowhere, becomes NaN.

    Shapes: (..., D) to (..., D) float64
    """
    wide = np.asarray(vectors, np.float64)
    lengths = np.linalg.norm(wide, axis=-1, keepdims=True)
    return wide / np.where(lengths > 0, lengths, np.nan)


def cosines(vectors: np.ndarray, others: np.ndarray | None = None) -> np.ndarray:
    """Return the cosine of each pair: 1 for one direction, 0 for a right angle, -1 for opposite ones.

    Shapes: (N, D) and (M, D) to (N, M) float64; without ``others``, (N, N)

    >>> cosines(np.array([[1.0, 0.0], [0.0, 2.0], [3.0, 3.0]])).round(3).tolist()
    [[1.0, 0.0, 0.707], [0.0, 1.0, 0.707], [0.707, 0.707, 1.0]]
    """
    left = unit(vectors)
    right = left if others is None else unit(others)
    # Rounding may bring a cosine of equal vectors above 1, and acos of that is NaN.
    angles: np.ndarray = np.clip(left @ right.T, -1.0, 1.0)
    return angles


@dataclass(frozen=True)
class Plane:
    """Points seen along the directions in which they differ most, the mean at the origin.

    Shapes: ``points`` (N, K); ``shares`` (K,), the part of the whole spread along each direction
    """

    points: np.ndarray
    shares: np.ndarray


def principal(vectors: np.ndarray, *, dimensions: int = 2) -> Plane:
    """Return the coordinates of a principal component analysis; a direction in which nothing differs gives zeros.

    The signs make the largest number of each direction positive, so that a picture is the
    same on every machine. Source: Pearson (1901); by the eigenvectors of the smaller of the
    two square matrices, which for six words is 6 by 6 where a decomposition of the points
    themselves would be a thousand times the work.

    Shapes: (N, D) to K = ``dimensions`` coordinates for each

    >>> plane = principal(np.array([[0.0, 1.0], [2.0, 1.0], [4.0, 1.0]]))
    >>> plane.points.round(9).tolist(), plane.shares.round(9).tolist()
    ([[-2.0, 0.0], [0.0, 0.0], [2.0, 0.0]], [1.0, 0.0])
    """
    wide = np.asarray(vectors, np.float64)
    centred = wide - wide.mean(axis=0)
    few = len(wide) <= wide.shape[1]
    # ``eigh`` sorts ascending: the last columns are the directions of the largest spread.
    spreads, found = np.linalg.eigh(centred @ centred.T if few else centred.T @ centred)
    # Equal points are a rounding error away from their mean: that is no direction.
    noise = np.finfo(np.float64).eps * max(wide.shape) * np.sum(wide**2)
    spreads = np.where(spreads > noise, spreads, 0.0)[::-1]
    points = np.zeros((len(wide), dimensions))
    shares = np.zeros(dimensions)
    for axis in range(min(dimensions, int(np.count_nonzero(spreads)))):
        direction = found[:, -1 - axis]
        # An eigenvector u of X Xᵀ gives the direction Xᵀ u / sqrt(λ) of XᵀX.
        direction = centred.T @ direction / np.sqrt(spreads[axis]) if few else direction
        points[:, axis] = centred @ direction * np.sign(direction[np.argmax(np.abs(direction))])
        shares[axis] = spreads[axis] / np.sum(spreads)
    return Plane(points, shares)


def rounded(values: np.ndarray | float) -> Any:
    """Round an array to a millionth, as lists nested as it was; None where there is no number.

    >>> rounded(np.array([[1.0, np.nan], [0.1234567, -0.0]]))
    ((1.0, None), (0.123457, 0.0))
    """
    if isinstance(values, np.ndarray) and values.ndim:
        return tuple(map(rounded, values))
    # To a millionth: the last digits differ by machine, and a page would show them.
    return round(float(values), 6) + 0.0 if np.isfinite(values) else None
