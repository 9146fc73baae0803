"""What leaves each layer, the head after each layer, attention weights.

Hidden states are taken from the layers themselves: transformers' own list ends with the
vector after the final norm, where ours ends with what leaves the last layer.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch

from capot.engines.transformers.network import Network


def to_numpy(tensor: torch.Tensor) -> np.ndarray:
    """Return a tensor as a float32 array of this machine's memory."""
    array: np.ndarray = tensor.float().cpu().numpy()
    return array


class HiddenStates:
    """What passes between the layers of one step, level 0 being what enters the first."""

    def __init__(self, network: Network, spans: Sequence[slice]) -> None:
        self.network = network
        self.spans = spans
        # Filled into arrays of the final size: a list of tensors stacked at the end would be held twice.
        self.hidden: list[np.ndarray | None] = [None] * len(spans)
        self.lasts: list[list[torch.Tensor] | None] = [None] * len(spans)

    def watch(self, place: int, *, hidden: bool, lasts: bool) -> None:
        """Ask for one sequence's part: every position's vector, or each level's last one."""
        tokens = self.spans[place].stop - self.spans[place].start
        levels = len(self.network.layers) + 1
        width = self.network.config.hidden_size
        self.hidden[place] = np.empty((levels, tokens, width), np.float32) if hidden else None
        self.lasts[place] = [] if lasts else None

    @property
    def asked(self) -> bool:
        return any(one is not None for one in (*self.hidden, *self.lasts))

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Copy what each layer gives inside the block."""
        layers = self.network.layers
        handles = [layers[0].register_forward_pre_hook(self._enters, with_kwargs=True)]
        for level, layer in enumerate(layers, start=1):
            handles.append(layer.register_forward_hook(lambda _, __, given, level=level: self._leaves(level, given)))
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _enters(self, _: Any, given: tuple[Any, ...], named: dict[str, Any]) -> None:
        self._keep(0, given[0] if given else named["hidden_states"])

    def _leaves(self, level: int, given: Any) -> None:
        self._keep(level, given[0] if isinstance(given, tuple | list) else given)

    def _keep(self, level: int, x: torch.Tensor) -> None:
        """Copy: a family may add to x in place. Shapes: x (1, T, D), of the whole text in a family without a cache."""
        # A family without a cache computes the whole text again; the last rows are those of this step.
        x = x[:, x.shape[1] - self.spans[-1].stop :]
        for span, hidden, lasts in zip(self.spans, self.hidden, self.lasts, strict=True):
            if hidden is not None:
                hidden[level] = to_numpy(x[0, span])
            if lasts is not None:
                lasts.append(x[0, span.stop - 1].clone())


def head_logits(network: Network, rows: Sequence[torch.Tensor]) -> torch.Tensor:
    """Return the logits, were each of ``rows`` what leaves the last layer. Shapes: rows R times (D,), answer (R, V).

    The model's own code computes them, final norm, projections, scales and caps included: for
    one pass, its layers answer with the rows instead of computing.
    """
    layers = network.layers
    device = next(layers[-1].parameters()).device
    x = torch.stack([row.to(device) for row in rows])[:, None]  # (R, 1, D): each row a text of one token
    before = [vars(layer).get("forward") for layer in layers]  # a model over several devices has its own
    try:
        for layer in layers:
            # The parts that a layer's tuple has beside the stream (weights, a cache) are not looked at in a pass of
            # this kind.
            layer.forward = lambda *_, **__: LayerOutput((x, *[None] * (network.parts - 1))) if network.parts else x
        ids = torch.zeros((len(rows), 1), dtype=torch.long, device=network.device)
        logits: torch.Tensor = network.run(ids, "last").logits[:, 0]
        return logits
    # ``forward`` is an attribute of the instance while this runs: deleting it brings the class's own back.
    finally:
        for layer, forward in zip(layers, before, strict=True):
            if forward is None:
                del layer.forward
            else:
                layer.forward = forward


class LayerOutput(tuple[Any, ...]):
    """What a layer answers in some families: a tuple whose other parts nobody wants, however many are asked for."""

    def __getitem__(self, index: Any) -> Any:
        return super().__getitem__(index) if index == 0 or isinstance(index, slice) else None


@contextlib.contextmanager
def attention_implementation(network: Network, kind: str) -> Iterator[None]:
    """Let the model compute attention as ``kind`` does inside the block (see transformers' AttentionInterface).

    Set on the configurations themselves, which every layer reads as it computes: the method for it
    walks through all modules and refuses what it does not know.
    """
    configs = network.configs
    before = [config._attn_implementation_internal for config in configs]
    try:
        for config in configs:
            config._attn_implementation_internal = kind
        yield
    finally:
        for config, old in zip(configs, before, strict=True):
            config._attn_implementation_internal = old


def stack_attention(attentions: Sequence[torch.Tensor], seen: int, *, rows: int) -> np.ndarray:
    """Stack the attention of the last ``rows`` tokens in all layers; what lies behind a window has weight 0.

    Shapes: each (1, H, T, S of the layer), answer (L, H, rows, S).
    """
    found = np.zeros((len(attentions), attentions[0].shape[1], rows, seen), np.float32)
    for layer, one in zip(found, attentions, strict=True):
        # A layer behind a window has fewer keys, which are the last ones.
        layer[:, :, seen - one.shape[-1] :] = to_numpy(one[0, :, -rows:])
    return found
