"""The state of a state space, handed to code that begins anew whenever several tokens follow others.

transformers' loop over a text for the families of the first Mamba starts from zero, whatever the
cache holds: right for a text's first chunk, wrong for every later one. Taken one token at a time
they go on from the cache, with a pass over all weights for each. Here the loop alone is ours, and
only where there is a past: everything around it, the convolution's own past included, is the
family's code.

Source of the recurrence: Gu and Dao 2023, arXiv:2312.00752, section 3.2 and algorithm 2.
"""

from __future__ import annotations

import contextlib
import functools
import sys
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

import torch
from torch.nn import functional
from transformers import Cache

from capot.engines.transformers.network import Network

LOOP = "mamba_selective_scan"  # what transformers calls it, in the file of each family that has it

_pasts: ContextVar[list[torch.Tensor] | None] = ContextVar("pasts", default=None)  # of the mixer at work, next one last


def mixers(network: Network) -> list[torch.nn.Module]:
    """Return the modules that call the loop, each with a state of its own in the cache."""
    return [
        module
        # By what the loop reads of a module, whatever the family calls the class.
        for module in network.model.modules()
        if hasattr(module, "A_log") and hasattr(module, "layer_idx") and hasattr(_file(module), LOOP)
    ]


def _file(module: torch.nn.Module) -> Any:
    return sys.modules[type(module).__module__]


@contextlib.contextmanager
def with_past_states(network: Network, cache: Cache) -> Iterator[None]:
    """Let several tokens go on from the states in ``cache`` inside the block."""

    def enters(module: Any, *_: object) -> None:
        layer: Any = cache.layers[module.layer_idx]  # of a family's own kind
        state: torch.Tensor = layer.recurrent_states[0]
        # The loop is called once for each head, which takes the last of the list: hence the order turned round.
        # Zamba's mixers have heads, and call the loop for one after the other.
        _pasts.set([*state.unbind(1)][::-1] if state.ndim == 4 else [state])

    found = mixers(network)
    # Patched for good: taking a patch back while another thread is in the loop would be a race. Without a past set in
    # this context the wrapper does nothing.
    for file in {_file(module) for module in found}:
        _patch_loop(file)
    before = _pasts.get()
    handles = [module.register_forward_pre_hook(enters) for module in found]
    try:
        yield
    finally:
        _pasts.set(before)
        for handle in handles:
            handle.remove()


def _patch_loop(file: Any) -> None:
    """Have a family's loop be ours where a past was handed, in this thread: once, and without effect elsewhere."""
    theirs = getattr(file, LOOP)
    if getattr(theirs, "takes_states", False):
        return

    @functools.wraps(theirs)
    def loop(*args: Any, **named: Any) -> Any:
        pasts = _pasts.get()
        return selective_scan(pasts.pop(), *args, **named) if pasts else theirs(*args, **named)

    vars(loop).update(takes_states=True)
    setattr(file, LOOP, loop)


def selective_scan(
    state: torch.Tensor,
    /,
    x: torch.Tensor,
    step: torch.Tensor,
    A: torch.Tensor,
    B: torch.Tensor,
    C: torch.Tensor,
    D: torch.Tensor | None = None,
    z: torch.Tensor | None = None,
    delta_bias: torch.Tensor | None = None,
    delta_softplus: bool = False,
    return_last_state: bool = False,
    **_: Any,
) -> Any:
    """Compute h = exp(step A) h + step B x, then y = C h + D x, as transformers' loop had it begun with ``state``.

    Shapes, for E channels with N numbers of state each: state (1, E, N); x, step, z and answer (1, E, T);
    A (E, N); B, C (1, N, T); D (E,).
    """
    number = x.dtype
    # As transformers rounds: the bias and softplus in the stored type, the products with the state in float32.
    if delta_bias is not None:
        step = step + delta_bias.to(step.dtype)[..., None]
    if delta_softplus:
        step = functional.softplus(step)
    steps = step[0].t()[..., None]  # (T, E, 1): a token's numbers lie together
    inputs = x[0].t()[..., None].float()
    kept = torch.exp(A * steps)
    states = steps * B[0].t()[:, None].float() * inputs
    past = state[0].float()
    # One multiply and add is left for each token, in place: ``states`` holds the state after each when the loop ends.
    for new, decay in zip(states.unbind(), kept.unbind(), strict=True):
        past = new.addcmul_(decay, past)
    answer = (states.to(number) @ C[0].t()[..., None])[..., 0].t()[None]  # (T, E, N) @ (T, N, 1)
    if D is not None:
        answer = answer + x * D[None, :, None]
    if z is not None:
        answer = answer * functional.silu(z)
    return (answer, past[None]) if return_last_state else answer
