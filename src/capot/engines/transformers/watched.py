"""What a pass of a model of transformers tells of its inside: hooks that read and change nothing.

Attention weights come from a pass of their own over the same tokens, in the slower implementation that shows them,
whose cache is then taken back: the pass that answers is the one that it would have been.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch

from capot.engines.inside import BLOCK_BYTES, Inside, InsideFound, LogitParts, mark_sums, movement, row_of
from capot.engines.transformers import hidden_states
from capot.engines.transformers.anatomy import Anatomy, Block, first, floats
from capot.engines.transformers.network import Network
from capot.errors import ModelError


class WatchedPass:
    """One sequence's pass. ``start`` is the position of its first new token, ``tokens`` how many there are."""

    def __init__(self, network: Network, anatomy: Anatomy, asked: Inside, *, start: int, tokens: int) -> None:
        self.network = network
        self.anatomy = anatomy
        self.asked = asked
        self.start = start
        self.tokens = tokens
        self._layers = len(network.layers)
        self._places = [position - start for position in asked.positions_of(start, start + tokens)]
        self._followed = [*self._places, tokens - 1]  # those asked for, then the last
        self._levels = asked.levels_of(self._layers)
        self._stream: dict[int, torch.Tensor] = {}
        shape = (len(self._levels), 4, len(self._places))
        self._moved = np.full(shape, np.nan, np.float32) if asked.moved else None
        self._attention: dict[int, torch.Tensor] = {}  # by layer, as are the next ones; the followed rows
        self._mlp: dict[int, torch.Tensor] = {}
        self._mixed: dict[int, torch.Tensor] = {}  # the last row's heads
        self._last = self._before = torch.empty(0)
        self._added: list[np.ndarray] = []  # to the last row: its embedding, then by attention and MLP in turn
        self._weights: np.ndarray | None = None
        self._reads: np.ndarray | None = None
        self._marks: np.ndarray | None = None

    # ------------------------------------------------------------ on the way

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Watch one pass inside the block."""
        handles: list[Any] = []
        for number, layer in enumerate(self.network.layers):
            handles.append(layer.register_forward_pre_hook(self._enters(number), with_kwargs=True))
            if self.asked.moved or self.asked.parts:
                # Hooks cost little, but in each of hundreds of modules: only what is asked for is listened to.
                handles += self._within(number, (self.anatomy.blocks or [])[number])
            handles.append(layer.register_forward_hook(self._leaves(number)))
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _within(self, number: int, block: Block) -> list[Any]:
        """Return what a layer's attention and MLP give, and the heads."""

        def keeps(kept: dict[int, torch.Tensor]) -> Callable[..., None]:
            def keep(_: Any, __: Any, given: Any) -> None:
                out = first(given)
                # Copied by indexing: the module's tensor may be written over by the next one.
                kept[number] = block.by * out.reshape(-1, out.shape[-1])[self._followed]

            return keep

        def takes(_: Any, given: tuple[Any, ...]) -> None:
            self._mixed[number] = given[0].reshape(-1, given[0].shape[-1])[-1].clone()

        handles = [
            block.attention.register_forward_hook(keeps(self._attention)),
            block.mlp.register_forward_hook(keeps(self._mlp)),
        ]
        if block.heads is not None and self.asked.parts:
            handles.append(block.heads.register_forward_pre_hook(takes))
        return handles

    def _enters(self, number: int) -> Callable[..., None]:
        def enters(_: Any, given: tuple[Any, ...], named: dict[str, Any]) -> None:
            x = first(given or named["hidden_states"])[0][-self.tokens :]
            self._before = x[self._followed]
            if number == 0:
                self._keep(0, x)
                self._added = [floats(x[-1])]

        return enters

    def _leaves(self, number: int) -> Callable[..., None]:
        def leaves(_: Any, __: Any, given: Any) -> None:
            x = first(given)[0][-self.tokens :]  # a family without a cache computes those before again
            self._keep(number + 1, x)
            if self.asked.moved or self.asked.parts:
                self._moves(number)
            if number + 1 == self._layers:
                self._last = x[-1].clone()

        return leaves

    def _keep(self, level: int, x: torch.Tensor) -> None:
        if self.asked.k and level in self._levels:
            self._stream[level] = x[self._places]

    def _moves(self, number: int) -> None:
        """Note lengths and cosines.

        In blocks side by side the MLP is compared with the stream with attention's part.
        """
        before = hidden_states.to_numpy(self._before)
        parts = [hidden_states.to_numpy(kept.pop(number)) for kept in (self._attention, self._mlp)]
        if self._moved is not None and number + 1 in self._levels:
            at = self._moved[self._levels.index(number + 1)]
            # Side by side (GPT-J, Falcon) both blocks read the same stream; it is shown as if attention had come first,
            # so that all families are drawn alike.
            for kind, (held, added) in enumerate(((before, parts[0]), (before + parts[0], parts[1]))):
                length, cosine = movement(held, added)
                at[2 * kind], at[2 * kind + 1] = length[:-1], cosine[:-1]
        self._added += [part[-1].astype(np.float64) for part in parts]

    # ------------------------------------------------------------ attention

    @property
    def weighs(self) -> bool:
        return self.asked.weighs

    def span(self, heads: int) -> int:
        """Return the tokens whose weights of all layers are held together."""
        return max(1, BLOCK_BYTES // (4 * self._layers * heads * (self.start + self.tokens)))

    def weighed(self, attentions: Any, first_: int, count: int) -> None:
        """Take what is wanted of the weights of ``count`` tokens. Shapes: each (1, H, count, S of the layer)."""
        weights = hidden_states.stack_attention(attentions, self.start + first_ + count, rows=count)
        if self.asked.marks:
            sums = np.array([mark_sums(layer, self.start + first_, self.asked.marks) for layer in weights])
            self._marks = sums if self._marks is None else self._marks + sums
        row = row_of(self.asked.reader, weights, self.start + first_)
        self._reads = self._reads if row is None else row
        if self.asked.head is not None:
            layer, head = self.asked.head
            if self._weights is None:
                self._weights = np.zeros((self.tokens, self.start + self.tokens), np.float32)
            self._weights[first_ : first_ + count, : weights.shape[-1]] = weights[layer - 1, head - 1]

    # ------------------------------------------------------------ the end

    def found(self, logits: torch.Tensor | None) -> InsideFound:
        """Return all of it. Shapes: logits (V,) of the last position, where the pass gave them."""
        ids, probabilities = self._guesses(logits) if self.asked.k else (None, None)
        return InsideFound(
            ids=ids,
            probabilities=probabilities,
            moved=self._moved,
            weights=self._weights,
            reads=self._reads,
            marks=self._marks,
            parts=self._parts(logits) if self.asked.parts else None,
        )

    def _guesses(self, logits: torch.Tensor | None) -> tuple[np.ndarray, np.ndarray]:
        """Shapes: answers (E, P, k)."""
        rows = [row for level in self._levels for row in self._stream[level]]
        size = self.network.table.shape[0]
        most = max(1, BLOCK_BYTES // (4 * size))
        k = self.asked.k
        found = [
            # A block of rows at a time, so that R x V logits never exist at once.
            best(hidden_states.head_logits(self.network, rows[at : at + most]), k)
            for at in range(0, len(rows), most)
        ]
        shape = (len(self._levels), len(self._places), -1)
        if not found:
            return np.zeros((*shape[:2], k), np.int32), np.zeros((*shape[:2], k), np.float32)
        ids, shares = (np.concatenate(each).reshape(shape) for each in zip(*found, strict=True))
        # The head over one row rounds as the head over many may not: the last guess must be the answer itself.
        if logits is not None and self._levels[-1] == self._layers and self._places[-1:] == [self.tokens - 1]:
            ids[-1, -1], shares[-1, -1] = (each[0] for each in best(logits[None], k))  # the very ones that are answered
        return ids, shares

    def _parts(self, logits: torch.Tensor | None) -> LogitParts:
        """Return every addition's share of one logit. The final norm is the scale that it is for the last position."""
        end = self.anatomy.end
        blocks = self.anatomy.blocks
        assert end is not None and blocks is not None  # declared
        answered = hidden_states.to_numpy(
            hidden_states.head_logits(self.network, [self._last])[0] if logits is None else logits
        )
        target = int(answered.argmax()) if self.asked.target is None else self.asked.target
        row = self.anatomy.row(target)
        assert row is not None  # as at the first pass
        # The norm's own answer to this vector gives its scale, whatever epsilon and precision it computes with.
        scale = end.scale(floats(self._last), floats(end.norm(self._last[None, None])[0, 0]))
        reads = end.reads(scale, row)
        apart = len(self._mixed) == self._layers
        by_head = np.array([self._by_head(n, block) @ reads for n, block in enumerate(blocks)]) if apart else None
        return LogitParts.read(answered, target, added=self._added, reads=reads, heads=by_head)

    def _by_head(self, number: int, block: Block) -> np.ndarray:
        """Return what each head alone adds to the last row. Shapes: (H, D)."""
        mixed = self._mixed[number]
        heads = self.anatomy.heads
        # The bias of the output matrix is in every answer; a row of zeros gives it alone, and it is taken away.
        alone = torch.zeros((heads + 1, len(mixed)), dtype=mixed.dtype, device=mixed.device)  # the last one: the bias
        for head, numbers in enumerate(torch.arange(len(mixed)).split(len(mixed) // heads)):
            alone[head, numbers] = mixed[numbers]
        assert block.heads is not None
        answer = floats(block.heads(alone[None])[0])
        alone_: np.ndarray = block.by * (answer[:-1] - answer[-1])
        return alone_


def best(logits: torch.Tensor, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the k highest of each row and their shares. Shapes: logits (R, V), answers (R, k)."""
    logits = logits.float()
    highest, ids = logits.topk(min(k, logits.shape[-1]))
    shares = hidden_states.to_numpy(torch.exp(highest - logits.logsumexp(-1, keepdim=True)))
    if not np.isfinite(shares).all():
        raise ModelError("not_finite")
    return ids.cpu().numpy().astype(np.int32), shares
