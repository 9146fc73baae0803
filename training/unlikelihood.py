"""Teach a finished model not to repeat itself: unlikelihood of what it says twice (Welleck et al. 2020).

Run: python -m training.unlikelihood --checkpoint END/checkpoint.pt --shards SHARDS --out LAST --minutes 22

Training reads true text alone; there a model never meets its own loops, in which each copy makes the next
more probable. Here it goes on from training text by itself, at the temperature of the lab; the
tokens of a second copy of four lose probability. Half of a step stays ordinary training,
so that nothing else is unlearnt. LAST/checkpoint.pt is exported as any other.
"""

import argparse
import json
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional as F

from training.batches import Batches
from training.everyday import WITHIN
from training.model import SHAPES, Llama, apply_rotary, rotary

# Prose. Generated dialogues are left out: their form does say the same four tokens again, and is to go on doing so.
PROSE = (
    "en_childrens_stories", "fr_childrens_stories", "en_wikipedia_vital_intros", "en_wikipedia_vital_articles",
    "en_trivia_qa", "en_dialogues", "en_classic_books", "fr_romans", "fr_romans_segur_verne_greville",
    "fr_wikipedia_questions",
)  # fmt: skip
GRAM = 4  # tokens


@dataclass(frozen=True)
class Settings:
    """What a run depends on. Rates are AdamW's."""

    minutes: float = 22.0
    seed: int = 0
    rate: float = 5e-4  # falls in a straight line to zero
    rows: int = 32  # texts continued a step
    opening: int = 20  # tokens read before
    count: int = 64  # tokens written
    temperature: float = 0.7
    strength: float = 4.0  # of unlikelihood, where likelihood is 1
    likelihood_rows: int = 8
    likelihood_length: int = 512


class Cached:
    """A model that keeps keys and values: B rows, `room` tokens at most."""

    def __init__(self, model: Llama, rows: int, room: int):
        s = model.shape
        self.model = model
        self.kept = torch.zeros(s.layers, 2, rows, s.kv_heads, room, s.head)  # key and value of each layer
        self.cos, self.sin = rotary(s, room, self.kept.device)
        self.read = 0

    @torch.inference_mode()
    def logits(self, ids: torch.Tensor) -> torch.Tensor:
        """Read more ids (B, T); return the logits (B, V) after the last."""
        here = slice(self.read, self.read + ids.shape[1])
        self.read = here.stop
        x = self.model.embed_tokens(ids)
        layers: Iterable[Any] = self.model.layers
        for layer, kept in zip(layers, self.kept, strict=True):
            x = x + self._attend(layer.self_attn, layer.input_layernorm(x), kept, here)
            x = x + layer.mlp(layer.post_attention_layernorm(x))
        last = self.model.norm(x[:, -1])
        return F.linear(last, self.model.embed_tokens.weight)

    def _attend(self, module: Any, x: torch.Tensor, kept: torch.Tensor, here: slice) -> torch.Tensor:
        B, T, _ = x.shape
        s = self.model.shape
        q = module.q_proj(x).view(B, T, s.heads, s.head).transpose(1, 2)  # (B, H, T, head)
        k = module.k_proj(x).view(B, T, s.kv_heads, s.head).transpose(1, 2)  # (B, K, T, head)
        kept[0, :, :, here] = apply_rotary(k, self.cos[here], self.sin[here])
        kept[1, :, :, here] = module.v_proj(x).view(B, T, s.kv_heads, s.head).transpose(1, 2)
        q = apply_rotary(q, self.cos[here], self.sin[here])
        keys, values = kept[:, :, :, : here.stop]
        # Several tokens are read at the beginning alone, where the mask of all keys is the square one.
        y = F.scaled_dot_product_attention(q, keys, values, is_causal=T > 1, enable_gqa=True)
        out: torch.Tensor = module.o_proj(y.transpose(1, 2).reshape(B, T, -1))
        return out


def write_on(model: Llama, ids: torch.Tensor, count: int, *, temperature: float, rng: torch.Generator) -> torch.Tensor:
    """Return ids (B, T + count): what a model goes on with, drawn at a temperature."""
    cached = Cached(model, len(ids), ids.shape[1] + count)
    rows = [ids]
    for _ in range(count):
        logits = cached.logits(rows[-1])
        rows.append(torch.multinomial(torch.softmax(logits / temperature, dim=-1), 1, generator=rng))
    return torch.cat(rows, dim=1)


def second_copies(ids: torch.Tensor) -> torch.Tensor:
    """True (B, T) at the tokens of each four that begin at most 30 tokens after the same four.

    >>> second_copies(torch.tensor([[1, 2, 3, 4, 5, 1, 2, 3, 4, 5], [1, 2, 3, 1, 2, 4, 1, 2, 3, 5]])).int().tolist()
    [[0, 0, 0, 0, 0, 1, 1, 1, 1, 1], [0, 0, 0, 0, 0, 0, 0, 0, 0, 0]]
    """
    grams = ids.unfold(1, GRAM, 1)  # (B, T - 3, 4)
    same = (grams[:, :, None] == grams[:, None]).all(dim=-1)  # (B, later, earlier)
    places = torch.arange(grams.shape[1])
    apart = places[:, None] - places
    again = (same & (apart > 0) & (apart <= WITHIN)).any(dim=-1)
    # A token belongs to the four that it begins and to the three before.
    return F.pad(again, (GRAM - 1, GRAM - 1)).unfold(1, GRAM, 1).any(dim=-1)


def head(model: Llama, hidden: torch.Tensor) -> torch.Tensor:
    """Return logits (..., V) in float32, whatever the layers were computed in: 1 - p is lost in bfloat16."""
    return F.linear(hidden, model.embed_tokens.weight).float()


def unlikelihood(model: Llama, ids: torch.Tensor, written: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the mean of -log(1 - p) over the last `written` tokens, zero where nothing is said twice; and where it is.

    p is the probability of the token that was written (Welleck et al. 2020, eq. 5 and 7). Unit: nats a token.
    """
    marks = second_copies(ids[:, -written:])
    hidden = model(ids[:, :-1])[:, -written:][marks]
    p = head(model, hidden).softmax(dim=-1).gather(1, ids[:, -written:][marks][:, None])
    # At p = 1 the logarithm has no bound, nor has its slope.
    return -torch.log1p(-p.clamp(max=0.999)).sum() / marks.numel(), marks


def likelihood(model: Llama, ids: torch.Tensor) -> torch.Tensor:
    """Return the mean loss (nats a token) of ids (B, T + 1), in spans of rows."""
    hidden = model(ids[:, :-1])
    losses = [F.cross_entropy(head(model, h), t) for h, t in zip(hidden, ids[:, 1:], strict=True)]
    return torch.stack(losses).mean()


@dataclass
class Step:
    """What a step measured: both losses, and the share of its texts that say four tokens twice."""

    spent_s: float
    likelihood: float
    unlikelihood: float
    repeats: float


def openings(batches: Batches, s: Settings) -> torch.Tensor:
    """Return the next beginnings (rows, opening) of prose."""
    return torch.from_numpy(batches.next(s.rows, s.opening - 1))


def prose(shards: Path, seed: int) -> Batches:
    """Return batches of the sources that are prose."""
    batches = Batches(shards, weight="weight_long", seed=seed)
    shares = batches.shares * [source.name in PROSE for source in batches.sources]
    if not shares.any():
        raise SystemExit(f"{shards} holds none of the sources to go on from: {', '.join(PROSE)}.")
    batches.shares = shares / shares.sum()
    return batches


def steps(model: Llama, shards: Path, s: Settings) -> Iterator[Step]:
    """Train a model in place, a step at a time, until the minutes of computing are spent."""
    texts = Batches(shards, weight="weight_long", seed=s.seed + 1)
    beginnings = prose(shards, s.seed + 2)
    rng = torch.Generator().manual_seed(s.seed)
    optimiser = torch.optim.AdamW(model.parameters(), lr=s.rate, betas=(0.9, 0.95), weight_decay=0.0)
    first = time.process_time()
    spent = 0.0
    while spent < 60 * s.minutes:
        optimiser.param_groups[0]["lr"] = s.rate * (1 - spent / (60 * s.minutes))
        model.eval()
        ids = write_on(model, openings(beginnings, s), s.count, temperature=s.temperature, rng=rng)
        model.train()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            copied, marks = unlikelihood(model, ids.clone(), s.count)
            (s.strength * copied).backward()
            read = likelihood(model, torch.from_numpy(texts.next(s.likelihood_rows, s.likelihood_length)))
            read.backward()
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        spent = (time.process_time() - first) / torch.get_num_threads()
        yield Step(spent, read.item(), copied.item(), marks.any(dim=1).float().mean().item())


def main() -> None:
    """Go on from a checkpoint; write another, and a line every ten steps."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--shards", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--recipe", choices=list(SHAPES), default="boxed")
    parser.add_argument("--minutes", type=float, default=Settings.minutes)
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=NUMBER", help="change a setting")
    args = parser.parse_args()
    s = Settings(**{"minutes": args.minutes} | {k: float(v) for k, v in (item.split("=") for item in args.set)})
    state = torch.load(args.checkpoint, map_location="cpu", weights_only=True)
    model = Llama(SHAPES[args.recipe])
    model.load_state_dict(state["model"])
    args.out.mkdir(parents=True, exist_ok=True)
    ten: list[Step] = []
    for step in steps(model, args.shards, s):
        state["step"] += 1
        state["tokens"] += s.likelihood_rows * s.likelihood_length  # of true text, as in training
        ten.append(step)
        if len(ten) == 10:
            means = {k: round(sum(vars(each)[k] for each in ten) / 10, 4) for k in vars(step)}
            print(json.dumps(means), flush=True)
            ten = []
    state["model"] = model.state_dict()
    state["spent_s"] += 60 * s.minutes
    state["unlikelihood"] = vars(s)
    torch.save(state, args.out / "checkpoint.pt")


if __name__ == "__main__":
    main()
