"""The model: a Llama (Touvron et al. 2023) with tied embeddings, in plain PyTorch.

Names of the weights are those of the Hugging Face files, so export is a copy.
Shapes: B sequences, T tokens, D width, H heads, K key/value heads, V vocabulary.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, cast

import torch
from torch import nn
from torch.nn import functional as F


@dataclass(frozen=True)
class Shape:
    """Sizes of one model; `feed` is the inner width of the MLP."""

    vocabulary: int = 16_384
    width: int = 256
    layers: int = 5
    heads: int = 4
    kv_heads: int = 2
    feed: int = 704
    context: int = 512
    theta: float = 10_000.0
    epsilon: float = 1e-5

    @property
    def head(self) -> int:
        """Width of one head."""
        return self.width // self.heads

    def as_dict(self) -> dict[str, Any]:
        """Return the sizes as a dictionary."""
        return asdict(self)


# Blocks divide every context of ``SHAPES``, so that the compiled form has one shape.
BLOCK = 128  # queries at once in training on a processor

SHAPES = {
    "tiny": Shape(vocabulary=512, width=32, layers=2, heads=2, kv_heads=1, feed=64, context=64),
    "laptop": Shape(vocabulary=4096, width=192, layers=4, heads=3, kv_heads=1, feed=512, context=256),
    "cpu": Shape(),
    "boxed": Shape(layers=8, feed=576),
    "gpu": Shape(width=384, layers=9, heads=6, kv_heads=2, feed=960, context=1024),
}


def rotary(shape: Shape, length: int, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Return cos and sin of the rotary angles (Su et al. 2021, eq. 15), each (T, head)."""
    steps = torch.arange(0, shape.head, 2, device=device).float() / shape.head
    angles = torch.outer(torch.arange(length, device=device).float(), shape.theta**-steps)
    # Twice the same angles: the pair of a number is half a head away, as Hugging Face's files have it.
    angles = torch.cat([angles, angles], dim=-1)
    return angles.cos(), angles.sin()


def apply_rotary(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    """Rotate each pair (i, i + head/2) of x (B, H, T, head) by its position's angle."""
    low, high = x.chunk(2, dim=-1)
    return x * cos + torch.cat([-high, low], dim=-1) * sin


def blockwise_attention(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """Return causal attention (B, H, T, head) block of queries by block: nothing later is multiplied.

    The heads that share a key/value head are rows of one product, so no key is copied. Compiled on a
    processor this takes half the time of PyTorch's own attention, forward and back (LOG.md).
    """
    B, H, T, d = q.shape
    K = k.shape[1]
    # The scale goes to the queries once, instead of to every score.
    q = (q * d**-0.5).reshape(B * K, H // K, T, d)
    k, v = (t.reshape(B * K, T, d) for t in (k, v))
    found = []
    for end in range(BLOCK, T + 1, BLOCK):
        rows = q[:, :, end - BLOCK : end].reshape(B * K, -1, d)
        # Scores in float32: bfloat16 has 8 bits of fraction, too few for a softmax over hundreds of keys.
        scores = (rows @ k[:, :end].mT).view(B * K, H // K, BLOCK, end).float()
        later = torch.arange(end, device=q.device) > torch.arange(end - BLOCK, end, device=q.device)[:, None]
        weights = scores.masked_fill(later, float("-inf")).softmax(dim=-1).to(v.dtype)
        found.append((weights.view(B * K, -1, end) @ v[:, :end]).view(B, H, BLOCK, d))
    return torch.cat(found, dim=2)


class RMSNorm(nn.Module):
    """Root-mean-square norm (Zhang and Sennrich 2019), computed in float32."""

    def __init__(self, width: int, epsilon: float):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.epsilon = epsilon

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        # In float32 whatever the stream is in: a sum of D squares in bfloat16 loses what it is divided by.
        return F.rms_norm(x.float(), x.shape[-1:], self.weight, self.epsilon).to(x.dtype)


class Attention(nn.Module):
    """Causal attention with grouped key/value heads (Ainslie et al. 2023)."""

    def __init__(self, shape: Shape):
        super().__init__()
        self.shape = shape
        self.q_proj = nn.Linear(shape.width, shape.heads * shape.head, bias=False)
        self.k_proj = nn.Linear(shape.width, shape.kv_heads * shape.head, bias=False)
        self.v_proj = nn.Linear(shape.width, shape.kv_heads * shape.head, bias=False)
        self.o_proj = nn.Linear(shape.heads * shape.head, shape.width, bias=False)

    def forward(self, x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
        B, T, _ = x.shape
        s = self.shape
        q = self.q_proj(x).view(B, T, s.heads, s.head).transpose(1, 2)  # (B, H, T, head)
        k = self.k_proj(x).view(B, T, s.kv_heads, s.head).transpose(1, 2)  # (B, K, T, head)
        v = self.v_proj(x).view(B, T, s.kv_heads, s.head).transpose(1, 2)
        q, k = apply_rotary(q, cos, sin), apply_rotary(k, cos, sin)
        # PyTorch's attention on a processor does not skip what a causal mask hides; on a GPU it is the fastest there
        # is.
        if self.training and x.device.type == "cpu" and T % BLOCK == 0:
            y = blockwise_attention(q, k, v)
        else:
            y = F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)
        return cast(torch.Tensor, self.o_proj(y.transpose(1, 2).reshape(B, T, -1)))


class Mlp(nn.Module):
    """Gated MLP, SwiGLU (Shazeer 2020)."""

    def __init__(self, shape: Shape):
        super().__init__()
        self.gate_proj = nn.Linear(shape.width, shape.feed, bias=False)
        self.up_proj = nn.Linear(shape.width, shape.feed, bias=False)
        self.down_proj = nn.Linear(shape.feed, shape.width, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return cast(torch.Tensor, self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x)))


class Block(nn.Module):
    """One block: norm, attention, norm, MLP, each added to the stream."""

    def __init__(self, shape: Shape):
        super().__init__()
        self.input_layernorm = RMSNorm(shape.width, shape.epsilon)
        self.self_attn = Attention(shape)
        self.post_attention_layernorm = RMSNorm(shape.width, shape.epsilon)
        self.mlp = Mlp(shape)

    def forward(self, x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
        x = x + self.self_attn(self.input_layernorm(x), cos, sin)
        return cast(torch.Tensor, x + self.mlp(self.post_attention_layernorm(x)))


class Llama(nn.Module):
    """Token ids (B, T) to the hidden state before the head (B, T, D); `logits` multiplies on."""

    def __init__(self, shape: Shape, seed: int = 0):
        super().__init__()
        self.shape = shape
        self.embed_tokens = nn.Embedding(shape.vocabulary, shape.width)
        self.layers = nn.ModuleList(Block(shape) for _ in range(shape.layers))
        self.norm = RMSNorm(shape.width, shape.epsilon)
        self._start(torch.Generator().manual_seed(seed))

    def _start(self, generator: torch.Generator) -> None:
        """Draw the first weights; what writes to the stream starts at zero (as in muP)."""
        for name, weight in self.named_parameters():
            if weight.ndim < 2:
                continue
            # One over the root of the width keeps what a matrix gives as large as what it takes; half of it starts more
            # quietly.
            scale = 0.02 if "embed" in name else 0.5 / weight.shape[1] ** 0.5
            # A block that adds nothing at first leaves the stream to the embedding, and learns to add (Yang et al.
            # 2022, muP).
            if name.endswith(("o_proj.weight", "down_proj.weight")):
                scale = 0.0
            with torch.no_grad():
                # One generator in the order of names: the same weights whatever the device.
                weight.copy_(torch.randn(weight.shape, generator=generator) * scale)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        x = self.embed_tokens(ids)
        cos, sin = rotary(self.shape, ids.shape[1], ids.device)
        # Autocast casts the products; the stream itself is kept in the same type, or each addition would widen it
        # again.
        dtype = torch.get_autocast_dtype(x.device.type) if torch.is_autocast_enabled(x.device.type) else x.dtype
        x, cos, sin = x.to(dtype), cos.to(dtype), sin.to(dtype)
        for layer in self.layers:
            x = layer(x, cos, sin)
        return cast(torch.Tensor, self.norm(x))

    def logits(self, ids: torch.Tensor) -> torch.Tensor:
        """Return logits (B, T, V) of the next token at every position."""
        return F.linear(self(ids), self.embed_tokens.weight.to(self.embed_tokens.weight.dtype))

    def count(self) -> int:
        """Return the number of parameters, the tied table once."""
        return sum(p.numel() for p in self.parameters())


class HeadLoss(torch.autograd.Function):
    """Mean cross-entropy of tied-head logits, in spans of rows.

    The (N, V) logits never exist at once. A span's logits become its gradient in place, in blocks that
    stay in cache; then one product adds the span to the table's gradient.
    """

    # In float32 the logits of a batch, 16,000 x 16,384 of them, would be a gigabyte.
    ROWS = 256  # a block of the softmax; 256 x 16,384 bfloat16 logits are 8 MB
    SPAN = 2048  # rows of one product for the table's gradient
    block: Callable[[torch.Tensor, torch.Tensor, int], tuple[torch.Tensor, torch.Tensor]] | None = None  # compiled

    @staticmethod
    def forward(ctx: Any, hidden: torch.Tensor, table: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Shapes: hidden (N, D), table (V, D), targets (N). Unit: nats."""
        n = hidden.shape[0]
        low = table.to(hidden.dtype)
        # The gradient is made in forward, where the logits are: keeping them until backward would keep all of them.
        d_hidden = torch.empty_like(hidden)
        d_table: torch.Tensor | None = None
        total = torch.zeros((), dtype=torch.float32, device=hidden.device)
        room = hidden.new_empty(min(n, HeadLoss.SPAN), len(low))
        for start in range(0, n, HeadLoss.SPAN):
            rows = slice(start, start + HeadLoss.SPAN)
            loss, part = span_loss(hidden[rows], low, targets[rows], room=room, out=d_hidden[rows], n=n)
            total += loss
            # Summed in float32: thousands of bfloat16 products would lose the small ones.
            d_table = part.float() if d_table is None else d_table.add_(part)
        ctx.save_for_backward(d_hidden, d_table)
        return total / n

    @staticmethod
    def backward(ctx: Any, above: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, None]:
        """Scale the gradients made in forward; a scale of one costs nothing."""
        d_hidden, d_table = ctx.saved_tensors
        # The loss of one of several batches comes divided by their number (``advance``).
        if above != 1:
            d_hidden, d_table = d_hidden * above, d_table * above
        return d_hidden, d_table, None


def span_loss(
    hidden: torch.Tensor,
    low: torch.Tensor,
    targets: torch.Tensor,
    *,
    room: torch.Tensor,
    out: torch.Tensor,
    n: int,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the summed loss of a span and the table's gradient; write that of `hidden` to `out`.

    `room` (span, V) holds the logits, then the gradient of each row times its softmax's sum: the
    division is done on the narrow side, (span, D).
    """
    work = HeadLoss.block or block_loss
    total = torch.zeros((), dtype=torch.float32, device=hidden.device)
    scaled = torch.empty_like(hidden)
    for start in range(0, len(hidden), HeadLoss.ROWS):
        rows = slice(start, min(start + HeadLoss.ROWS, len(hidden)))
        logits = room[rows]
        # Into the buffer that all blocks share: no allocation in the loop.
        torch.mm(hidden[rows], low.T, out=logits)
        loss, share = work(logits, targets[rows], n)
        total += loss
        torch.mm(logits, low, out=out[rows])
        out[rows].mul_(share)
        torch.mul(hidden[rows], share, out=scaled[rows])
    return total, room[: len(hidden)].T @ scaled


def block_loss(logits: torch.Tensor, targets: torch.Tensor, n: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the summed loss of a block of logits (rows, V) and 1 / (n x sum) for each row.

    The logits become softmax less one-hot, times the row's sum: one exponential, no division.
    """
    # The largest logit first, so that no exponential overflows.
    top = logits.amax(dim=-1, keepdim=True).float()
    picked = logits.gather(1, targets[:, None]).float() - top
    raised = (logits.float() - top).exp_()
    sums = raised.sum(dim=-1, keepdim=True)
    logits.copy_(raised)
    # Softmax less one-hot, times the sum: at the target the exponential less the sum.
    logits.scatter_(1, targets[:, None], (picked.exp() - sums).to(logits.dtype))
    return (sums.log() - picked).sum(), (1 / (sums * n)).to(logits.dtype)
