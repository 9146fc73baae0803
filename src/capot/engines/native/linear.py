"""The matrices of a layer, each with its bias: y = x @ weight.T + bias."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np

from capot.engines.native import kernels
from capot.engines.native.plans import DEFAULT, KernelPlan


@dataclass(frozen=True)
class Linear:
    """A matrix as the file has it, and a bias where the family has one. Shapes: (N, D), (N,)."""

    weight: np.ndarray
    bias: np.ndarray | None = None
    plan: KernelPlan = DEFAULT  # how one token's product reads it

    @functools.cached_property
    def matrices(self) -> kernels.Matrices:
        return kernels.Matrices(self.weight)

    def write(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Compute y = x @ weight.T + bias. Shapes: x (T, D), y (T, N)."""
        # The bias first, so that the product adds to it: products accumulate, and a separate pass over y is saved.
        y[...] = 0 if self.bias is None else self.bias
        self.product(x, y)
        return y

    def add(self, x: np.ndarray, y: np.ndarray) -> None:
        """Compute y += x @ weight.T + bias: the residual stream takes what a block found."""
        if self.bias is not None:
            y += self.bias
        self.product(x, y)

    def product(self, x: np.ndarray, y: np.ndarray) -> None:
        """Compute y += x @ weight.T."""
        # A copy would take the product in y's place.
        kernels.add_products(self.matrices, x, y.reshape(-1, copy=False), self.plan)


class Linears:
    """Matrices that multiply the same x, in one pass over the rows of all."""

    def __init__(self, *parts: Linear) -> None:
        self.parts = parts
        self.matrices = kernels.Matrices(*(part.weight for part in parts))
        self.plan = parts[0].plan
        self.biased = any(part.bias is not None for part in parts)

    def write(self, x: np.ndarray, y: np.ndarray) -> None:
        """Compute x @ weight.T + bias of each, one after the other in y. Shapes: x (T, D), y (T N + T N' + ...)."""
        if self.biased:
            for part, numbers in zip(self.parts, self.matrices.split(y, len(x)), strict=True):
                numbers[...] = 0 if part.bias is None else part.bias
        else:
            y[...] = 0
        kernels.add_products(self.matrices, x, y, self.plan)
