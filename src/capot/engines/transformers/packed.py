"""Weights of the processor, kept in the order in which its multiplication reads them.

A product with few rows, a token or the twenty after an edit, takes about as long as its weights
are read. The library that PyTorch multiplies float32 with on an x86 processor rearranges them at
every call, which for few rows is most of the work. oneDNN, which PyTorch carries as well, can be
given them rearranged: they are, once, when a model is opened, one weight after the other, and
the new order takes the place of the old. A weight that others look up as well, such as an
embedding that is also the head, stays as it is.
"""

from __future__ import annotations

import contextlib
import platform
import re
from collections import Counter
from collections.abc import Callable, Container, Iterator
from typing import TypeVar

import torch
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from capot.engines.transformers import memory, placement
from capot.errors import CapotError

ROWS = 16  # the number of rows that the order is best for
X86 = {"x86_64", "amd64"}

T = TypeVar("T")


def onednn_linear(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    """Return the product of a linear layer, by oneDNN. Shapes: x (..., in), answer (..., out); weight (out, in)."""
    answer: torch.Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")
    return answer


class Packed:
    """A linear layer whose product is oneDNN's."""


class PackedLinear(Packed, torch.nn.Linear):
    """PyTorch's own."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return onednn_linear(x, self.weight, self.bias)


class PackedConv1D(Packed, Conv1D):
    """The one of GPT-2's time, whose weight is stored (in, out)."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return onednn_linear(x, self.weight, self.bias)


KINDS: dict[type, type] = {torch.nn.Linear: PackedLinear, Conv1D: PackedConv1D}


def can_pack(where: placement.Placement) -> bool:
    """Return whether the processor computes, in numbers that oneDNN multiplies by its instructions."""
    exact = where.dtype == torch.float32 or (where.dtype == torch.bfloat16 and placement.native_bfloat16(where.device))
    x86 = platform.machine().lower() in X86 and torch.backends.mkldnn.is_available()
    return where.device.type == "cpu" and exact and x86


def pack(model: PreTrainedModel, *, only: Container[str] | None = None) -> None:
    """Have oneDNN compute every linear layer, on weights in its own order where nothing else reads them.

    ``only``: names, without their numbers, of the layers to take; all of them where it is None.
    """
    # With duplicates: an embedding that is also the head has two holders, and the lookup needs rows as they were
    # stored.
    holders = Counter(id(parameter) for _, parameter in model.named_parameters(remove_duplicate=False))
    for name, module in model.named_modules():
        if not _can_be_packed(module) or (only is not None and unnumbered(name) not in only):
            continue
        shared = holders[id(module.weight)] > 1
        if type(module) is Conv1D:
            if shared:
                continue
            # oneDNN's linear layer wants (out, in), which is the other way round here.
            module.weight = _parameter(module.weight.t().contiguous())
        if not shared:
            module.weight = _parameter(torch.ops.mkldnn._reorder_linear_weight(module.weight, ROWS))
        # The class is changed in place: code of the family holds references to this very module.
        module.__class__ = KINDS[type(module)]


def _can_be_packed(module: torch.nn.Module) -> bool:
    """Return whether a layer is of a kind we know, whose numbers oneDNN multiplies here.

    A quantised layer is of a kind of its own.
    """
    weight = module.weight if type(module) in KINDS else None
    if not isinstance(weight, torch.Tensor) or not weight.numel():
        return False
    return can_pack(placement.Placement(weight.device, weight.dtype))


def first_packed_pass(model: PreTrainedModel, first_pass: Callable[[], T]) -> T:
    """Return what ``first_pass`` answers, with as many packed weights as the family's code has no other use for.

    Mamba multiplies by one of its weights itself, instead of calling the layer that has it: such a layer keeps
    its weight as it was stored, and so does every other one where that is not enough.
    """
    found = _try_packed(model, first_pass, only=None)
    if found is None:
        with _noting_calls(model) as called:
            plain = first_pass()
        found = _try_packed(model, first_pass, only=called) or plain
    return found


def _try_packed(model: PreTrainedModel, first_pass: Callable[[], T], *, only: Container[str] | None) -> T | None:
    """Try packed weights; None, and every weight as it was stored, where the family's code refuses them."""
    pack(model, only=only)
    try:
        return first_pass()
    except CapotError:
        raise
    except Exception as error:
        if memory.requested_bytes(error) is not None:
            raise
    # After the except block: the exception's traceback would keep the tensors of the failed pass alive.
    unpack(model)
    return None


@contextlib.contextmanager
def _noting_calls(model: PreTrainedModel) -> Iterator[set[str]]:
    """Note the names, without their numbers, of the layers that are called inside the block."""
    called: set[str] = set()
    handles = [
        module.register_forward_pre_hook(lambda *_, name=name: called.add(unnumbered(name)))
        for name, module in model.named_modules()
        if type(module) in KINDS
    ]
    try:
        yield called
    finally:
        for handle in handles:
            handle.remove()


def unnumbered(name: str) -> str:
    """Return the name that a layer has in every block.

    >>> unnumbered("backbone.layers.12.mixer.in_proj")
    'backbone.layers.*.mixer.in_proj'
    """
    return re.sub(r"\b\d+\b", "*", name)


def unpack(model: PreTrainedModel) -> bool:
    """Put every weight back as it was stored, for a family that does more with it than multiply.

    Return whether any was not.
    """
    kinds = {packed: plain for plain, packed in KINDS.items()}
    found = [module for module in model.modules() if type(module) in kinds]
    for module in found:
        if isinstance(module.weight, torch.Tensor) and module.weight.is_mkldnn:
            module.weight = _parameter(module.weight.to_dense())
        if type(module) is PackedConv1D:
            module.weight = _parameter(module.weight.t().contiguous())
        module.__class__ = kinds[type(module)]
    return bool(found)


def _parameter(weight: torch.Tensor) -> torch.nn.Parameter:
    return torch.nn.Parameter(weight, requires_grad=False)
