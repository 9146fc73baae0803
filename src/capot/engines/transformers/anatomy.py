"""Where a model adds to its residual stream: found by what modules give in the first pass, never by their names.

A layer adds attention's part and the MLP's, one after the other or side by side, each perhaps normed and all
perhaps multiplied by one number. So among what the modules of a layer give there are two whose sum, times a
number, is what the layer added. Where no two are, the family is of another build, and none of this is declared.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from capot.engines.protocol import Capability
from capot.engines.transformers.network import Network

EXACT = 1e-3  # a difference that is rounding, as a share of what it is part of
LOUD = 100.0  # numbers beside which the small one that a norm adds to its mean square counts for nothing


@dataclass(frozen=True)
class Block:
    """One layer: the modules that give what ``attention`` and ``mlp`` add, divided by ``by``.

    ``heads`` is the product whose input has the heads side by side and whose answer is attention's part itself, None
    where there is none.
    """

    attention: torch.nn.Module
    mlp: torch.nn.Module
    by: float
    heads: torch.nn.Module | None


@dataclass(frozen=True)
class End:
    """The final norm as ``gain * scale * x + shift``, x less its mean where ``centred``; the logits are the head's
    answer times ``by``, but for a cap.

    Shapes: ``gain``, ``shift`` (D,).
    """

    norm: torch.nn.Module
    gain: np.ndarray
    shift: np.ndarray
    centred: bool
    by: float

    def scale(self, x: np.ndarray, given: np.ndarray) -> float:
        """Return the number that the norm multiplied x by, ``given`` what it answered. Shapes: (D,) both."""
        line = self.gain * self.less_mean(x)
        return float((given - self.shift) @ line / max(float(line @ line), 1e-30))

    def less_mean(self, x: np.ndarray) -> np.ndarray:
        return x - x.mean() if self.centred else x

    def reads(self, scale: float, row: np.ndarray) -> np.ndarray:
        """Return what a logit takes of x, the scale being held. Shapes: row of the head (D,), answer (D,)."""
        return self.less_mean(self.by * scale * self.gain * row)


class Anatomy:
    """What the first pass shows: a block for each layer, and the end; each None where it is of another build."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.heads = getattr(network.config, "num_attention_heads", None) or 1
        self.blocks: list[Block] | None = []
        self.end: End | None = None
        self._given: list[tuple[torch.nn.Module, torch.Tensor]] = []  # of the layer at work, in their order
        self._entered = self._left = torch.empty(0)
        self._after: list[tuple[torch.nn.Module, torch.Tensor, torch.Tensor]] = []  # what other modules took and gave
        self._head: tuple[torch.Tensor, torch.Tensor] | None = None

    @property
    def capabilities(self) -> Capability:
        if not self.blocks:
            return Capability(0)
        apart = all(each.heads is not None for each in self.blocks)
        found = Capability.ADDITIONS | (Capability.HEAD_EDITS if apart else Capability(0))
        if self.end is not None:
            found |= Capability.PARTS | (Capability.HEADS if apart else Capability(0))
        return found

    # ------------------------------------------------------------ listening

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Watch one pass inside the block."""
        network = self.network
        handles = []
        # Hooks on every module of every layer, for one short pass: afterwards only the two that were found are watched.
        inside = {id(module) for layer in network.layers for module in layer.modules()}
        for layer in network.layers:
            handles.append(layer.register_forward_pre_hook(self._enters, with_kwargs=True))
            handles += [module.register_forward_hook(self._inner) for module in layer.modules() if module is not layer]
            handles.append(layer.register_forward_hook(self._leaves))
        # A parent of the layers gives what they give; only modules beside them can be the norm or a projection at the
        # end.
        around = {id(parent) for parent in network.model.modules() if any(id(m) in inside for m in parent.modules())}
        for module in network.model.modules():
            if id(module) not in inside | around and module is not network.head:
                handles.append(module.register_forward_hook(self._outer))
        handles.append(network.head.register_forward_hook(self._heads_answer))
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _enters(self, _: Any, given: tuple[Any, ...], named: dict[str, Any]) -> None:
        # A copy: many families add to the stream in place, and the tensor would have changed by the time it is
        # compared.
        self._entered = first(given or named["hidden_states"]).clone()
        self._given = []

    def _inner(self, module: torch.nn.Module, _: Any, given: Any) -> None:
        out = given[0] if isinstance(given, tuple | list) and given else given
        width, count = self._entered.shape[-1], self._entered.shape[-2]
        # Only what has one vector of the stream's width for each token can be an addition to it.
        if isinstance(out, torch.Tensor) and out.shape[-1] == width and out.numel() == width * count:
            self._given.append((module, out.reshape(count, width).clone()))

    def _leaves(self, _: Any, __: Any, given: Any) -> None:
        self._left = first(given).clone()
        found = block(self._entered[0], self._left[0], self._given, heads=self.heads)
        self._given = []
        if found is None:
            self.blocks = None
        elif self.blocks is not None:
            self.blocks.append(found)

    def _outer(self, module: torch.nn.Module, took: tuple[Any, ...], given: Any) -> None:
        x = took[0] if took else None
        if not isinstance(x, torch.Tensor) or not isinstance(given, torch.Tensor):
            return
        # Equality of bits: the final norm is the module that took exactly what the last layer left.
        if x.shape == self._left.shape and torch.equal(x, self._left):
            self._after.append((module, x[0, -1], given[0, -1].clone()))

    def _heads_answer(self, _: Any, took: tuple[Any, ...], given: torch.Tensor) -> None:
        self._head = took[0].reshape(-1, took[0].shape[-1])[-1], given.reshape(-1, given.shape[-1])[-1]

    # ------------------------------------------------------------ after the pass

    def conclude(self, logits: torch.Tensor) -> None:
        """Find the end, by the logits of the last position. Shapes: (V,)."""
        if self._head is not None:
            took, raw = self._head
            for module, x, given in self._after:
                if given.shape == took.shape and torch.equal(given, took):
                    self.end = self._ending(module, x, given, by=multiplied(raw, logits))
        if self.end is not None and not self._adds_up(*self._head_floats()):
            self.end = None
        if not self.blocks or len(self.blocks) != len(self.network.layers):
            self.blocks = None
        self._after = []
        self._head = None
        self._left = torch.empty(0)
        self._entered = torch.empty(0)

    def _ending(self, norm: torch.nn.Module, x: torch.Tensor, given: torch.Tensor, *, by: float) -> End | None:
        # The norm is probed with vectors of plus and minus LOUD: their mean square is known, so gain and shift follow
        # from two answers; a vector of equal numbers, whose deviation is zero, shows whether the mean is taken away.
        sign = torch.ones_like(x)
        sign[1::2] = -1
        answers = floats(norm((LOUD * torch.stack([sign, -sign, torch.ones_like(x)]))[None])[0])
        gain = (answers[0] - answers[1]) / 2 * floats(sign)
        shift = (answers[0] + answers[1]) / 2
        centred = np.linalg.norm(answers[2] - shift) < 0.5 * np.linalg.norm(gain)
        found = End(norm, gain, shift, bool(centred), by)
        x_ = floats(x)
        given_ = floats(given)
        # What the probe says must give what the norm truly answered in this pass; else it is of another form (a gain of
        # 1 + weight is fine, a norm over groups is not).
        line = found.scale(x_, given_) * gain * found.less_mean(x_) + shift
        return found if np.linalg.norm(line - given_) <= rounding(x) * np.linalg.norm(given_) else None

    def _head_floats(self) -> tuple[np.ndarray, np.ndarray]:
        assert self._head is not None  # there is an end
        return floats(self._head[0]), floats(self._head[1])

    def _adds_up(self, took: np.ndarray, raw: np.ndarray) -> bool:
        """Return whether the head's answer is the product with its rows."""
        best = int(raw.argmax())
        row = self.row(best)
        bias = getattr(self.network.head, "bias", None)
        if row is None or row.shape != took.shape:
            return False
        made = float(row @ took) + (0.0 if bias is None else float(bias[best]))
        return bool(abs(made - raw[best]) <= 4 * rounding(self._entered) * max(1.0, float(np.abs(raw).max())))

    def row(self, token: int) -> np.ndarray | None:
        """Return what the head multiplies with for one token; None where it has no such row. Shapes: (D,)."""
        weight = getattr(self.network.head, "weight", None)
        if not isinstance(weight, torch.Tensor) or weight.ndim != 2:
            return None
        # oneDNN's layout is opaque: making one row of it means unpacking all of the head, gigabytes for one vector.
        if weight.is_mkldnn:
            names = (name for name, each in self.network.model.named_parameters() if each is weight)
            found = self.network.stored_row(next(names), token)
            return floats(weight.to_dense()[token]) if found is None else found.astype(np.float64)
        return floats(weight[token])


def first(given: Any) -> torch.Tensor:
    found: torch.Tensor = given[0] if isinstance(given, tuple | list) else given
    return found


def floats(tensor: torch.Tensor) -> np.ndarray:
    found: np.ndarray = tensor.float().cpu().numpy().astype(np.float64)
    return found


def rounding(tensor: torch.Tensor) -> float:
    """Return a difference that rounding makes, as a share of the whole."""
    return EXACT if tensor.dtype == torch.float32 else 4 * torch.finfo(tensor.dtype).eps


def multiplied(raw: torch.Tensor, logits: torch.Tensor) -> float:
    """Return the number that makes logits of the head's answer; 1 where it is none, but a cap."""
    before, after = floats(raw), floats(logits)
    # A cap (Gemma 2's 30 * tanh(x / 30)) leaves small logits almost as they are.
    if np.linalg.norm(after - before) <= 0.02 * np.linalg.norm(after):
        return 1.0
    by = float(after @ before / max(float(before @ before), 1e-30))
    return by if np.linalg.norm(after - by * before) <= rounding(raw) * np.linalg.norm(after) else 1.0


def block(
    entered: torch.Tensor, left: torch.Tensor, given: list[tuple[torch.nn.Module, torch.Tensor]], *, heads: int
) -> Block | None:
    """Return the two modules whose sum, times a number, is what a layer added. Shapes: all (T, D)."""
    if len(given) < 2:
        return None
    added = (floats(left) - floats(entered)).reshape(-1)
    outs = np.stack([floats(out).reshape(-1) for _, out in given])
    # The stream is stored in 16 bits, so the difference of two of its states has their rounding in it.
    stored = rounding(left) * np.linalg.norm(floats(left)) if left.dtype != torch.float32 else 0.0
    bound = max(EXACT * float(np.linalg.norm(added)), stored)
    # |added - by (a + b)|² written out in inner products: all pairs of modules at the price of one matrix product,
    # where forming each sum would take pairs x T x D numbers.
    # The length of added - by * (one + two) for every pair, from products of all with all.
    gram = outs @ outs.T
    along = outs @ added
    squares = gram.diagonal()[:, None] + gram.diagonal() + 2 * gram
    common = along[:, None] + along
    # First the plain sum, then the best multiple of it: a multiple fits noise better, so it is tried last.
    for by in (np.ones_like(squares), common / np.maximum(squares, 1e-30)):
        off = added @ added - 2 * by * common + by * by * squares
        off[np.tril_indices(len(outs))] = np.inf  # attention is called first, and no module is both
        i, j = divmod(int(off.argmin()), len(outs))
        if np.sqrt(max(off[i, j], 0.0)) <= bound:
            return Block(given[i][0], given[j][0], float(by[i, j]), product(given, i, heads=heads))
    return None


def product(given: list[tuple[torch.nn.Module, torch.Tensor]], at: int, *, heads: int) -> torch.nn.Module | None:
    """Return the matrix whose answer is attention's part, with as many numbers to take for each head."""
    part = given[at][1]
    for module, out in given:
        weight = getattr(module, "weight", None)
        if isinstance(weight, torch.Tensor) and weight.ndim == 2 and torch.equal(out, part):
            taken, over = divmod(weight.numel(), out.shape[-1])
            # Grouped or fused projections may take numbers that are no heads' side by side.
            if not over and taken % heads == 0:
                return module
    return None
