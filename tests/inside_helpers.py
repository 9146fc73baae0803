"""The inside of a model of transformers, by forward hooks on the modules that each family names in its own way."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from capot.engines.inside import Inside, InsideFound, Mark
from capot.engines.protocol import Capability, Engine, Feed, Want

READER = 20  # a position
MARKS = (Mark(0), Mark(1, since=2), Mark(None, since=2), Mark(5, since=7))


@dataclass(frozen=True)
class Names:
    """What a family calls its parts. ``attention`` and ``mlp`` are what it adds, ``heads`` the product of the heads."""

    layers: str = "model.layers"
    norm: str = "model.norm"
    attention: str = "self_attn"
    mlp: str = "mlp"
    heads: str = "self_attn.o_proj"  # empty where what is added is not a sum of heads
    head: str = "lm_head"
    by: float = 1.0  # what additions are multiplied with
    unit: bool = False  # a norm whose weight is one less than it multiplies by (Gemma)
    after: str = field(default="", repr=False)  # softcap, or a scale of the logits


NORMS_AFTER = {"attention": "post_attention_layernorm", "mlp": "post_feedforward_layernorm", "heads": ""}
GPT2 = Names("transformer.h", "transformer.ln_f", "attn", "mlp", "attn.c_proj")
FAMILIES = {
    "llama": Names(),
    "gpt2": GPT2,
    "gpt_bigcode": GPT2,
    "gpt_neox": Names("gpt_neox.layers", "gpt_neox.final_layer_norm", "attention", "mlp", "attention.dense"),
    "phi": Names(norm="model.final_layernorm", heads="self_attn.dense"),
    "gemma": Names(unit=True),
    "gemma2": Names(**NORMS_AFTER, unit=True, after="softcap"),
    "gemma3": Names(**NORMS_AFTER, unit=True),
    "falcon": Names("transformer.h", "transformer.ln_f", "self_attention", "mlp", "self_attention.dense"),
    "mistral": Names(),
    "phi3": Names(),
    "olmo2": Names(**NORMS_AFTER),
    "qwen3_moe": Names(),
    "bloom": Names(
        "transformer.h", "transformer.ln_f", "self_attention.dense", "mlp.dense_4h_to_h", "self_attention.dense"
    ),
    "deepseek_v3": Names(),
    "gpt_oss": Names(),
    "opt": Names("model.decoder.layers", "", "self_attn", "fc2", ""),
    "granite": Names(by=0.5, after="scale"),
    "cohere": Names(after="scale"),
    "gptj": Names("transformer.h", "transformer.ln_f", "attn", "mlp", "attn.out_proj"),
}

CHANGES = {"granite": {"residual_multiplier": 0.5, "logits_scaling": 4.0}, "cohere": {"logit_scale": 0.25}}


class Reference:
    """One pass of a model, watched. Shapes: ``stream`` (L + 1, T, D); ``attention``, ``mlp`` (L, T, D)."""

    def __init__(self, model: Any, ids: list[int], names: Names) -> None:
        self.torch = pytest.importorskip("torch", reason="the reference is PyTorch's")
        self.model, self.names = model, names
        layers = list(model.get_submodule(names.layers))
        self._kept: dict[tuple[str, int], Any] = {}
        handles = [handle for place, layer in enumerate(layers) for handle in self._hooks(place, layer)]
        before, model.config._attn_implementation = model.config._attn_implementation, "eager"
        with self.torch.inference_mode():
            answer = model(self.torch.tensor([ids]), output_attentions=True)
        model.config._attn_implementation = before
        for handle in handles:
            handle.remove()
        self.weights = np.array([one[0].numpy() for one in answer.attentions])  # (L, H, T, S)
        self.logits = answer.logits[0].numpy()
        count = range(len(layers))
        self.stream = np.array(
            [self._kept["in", place].numpy() for place in count] + [self._kept["out", len(layers) - 1].numpy()]
        )
        self.attention, self.mlp = (
            names.by * np.array([self._kept[kind, place].numpy() for place in count]) for kind in ("attention", "mlp")
        )
        self.heads = [self._kept["heads", place].numpy() for place in count] if names.heads else None
        self.layers = layers

    def _hooks(self, place: int, layer: Any) -> list[Any]:
        """What a layer takes and gives, what its attention and MLP give, and its heads side by side."""
        names = self.names

        def takes(_: Any, given: tuple[Any, ...], named: dict[str, Any]) -> None:
            self._kept["in", place] = (given[0] if given else named["hidden_states"])[0].clone()

        def gives(kind: str) -> Any:
            def keep(_: Any, __: Any, out: Any) -> None:
                out = out[0] if isinstance(out, tuple) else out
                self._kept[kind, place] = out.reshape(-1, out.shape[-1]).clone()  # a family may add to it in place

            return keep

        def mixes(_: Any, given: tuple[Any, ...]) -> None:
            self._kept["heads", place] = given[0].reshape(-1, given[0].shape[-1]).clone()

        found = [
            layer.register_forward_pre_hook(takes, with_kwargs=True),
            layer.register_forward_hook(gives("out")),
            layer.get_submodule(names.attention).register_forward_hook(gives("attention")),
            layer.get_submodule(names.mlp).register_forward_hook(gives("mlp")),
        ]
        return found + ([layer.get_submodule(names.heads).register_forward_pre_hook(mixes)] if names.heads else [])

    def lens(self) -> np.ndarray:
        """Probabilities at every level and position. Shapes: (L + 1, T, V)."""
        torch, config = self.torch, self.model.config
        with torch.inference_mode():
            stream = torch.tensor(self.stream)
            logits = self.model.get_submodule(self.names.head)(self.model.get_submodule(self.names.norm)(stream))
            if self.names.after == "softcap":
                cap = config.final_logit_softcapping
                logits = torch.tanh(logits / cap) * cap
            elif self.names.after == "scale":
                logits = logits * self._scale()
            return torch.softmax(logits.double(), -1).numpy()

    def _scale(self) -> float:
        config = self.model.config
        return getattr(config, "logit_scale", None) or 1 / config.logits_scaling

    def reads(self, target: int) -> np.ndarray:
        """What one logit takes of the last position's stream, the scale of the norm being held. Shapes: (D,)."""
        norm, x = self.model.get_submodule(self.names.norm), self.stream[-1, -1].astype(np.float64)
        weight = norm.weight.detach().numpy().astype(np.float64) + self.names.unit
        centred = "LayerNorm" in type(norm).__name__
        eps = next(getattr(norm, name) for name in ("eps", "variance_epsilon") if hasattr(norm, name))
        scale = 1 / np.sqrt(((x - x.mean() * centred) ** 2).mean() + eps)
        row = self.model.get_submodule(self.names.head).weight[target].detach().numpy().astype(np.float64)
        reads = scale * weight * row
        return (reads - reads.mean() * centred) * (self._scale() if self.names.after == "scale" else 1)

    def by_head(self, heads: int) -> np.ndarray:
        """What each head added to the last position. Shapes: (L, H, D)."""
        found = []
        for layer, mixed in zip(self.layers, self.heads, strict=True):
            product = layer.get_submodule(self.names.heads)
            weight = product.weight.detach().numpy()
            weight = weight.T if type(product).__name__ == "Conv1D" else weight  # (D, H S)
            parts = np.split(np.arange(weight.shape[1]), heads)
            found.append([self.names.by * weight[:, part] @ mixed[-1, part] for part in parts])
        return np.array(found)


def close(found, expected, *, within: float = 1e-4) -> None:
    np.testing.assert_allclose(found, expected, rtol=0, atol=within * max(1e-3, np.abs(expected).max()))


def hold(found: InsideFound, reference: Reference, *, asked: Inside, heads: int) -> None:
    """Everything that was found against the same by hooks."""
    if reference.names.norm:
        expected, k = reference.lens(), found.ids.shape[-1]
        best = -np.sort(-expected, axis=-1)[..., :k]
        close(found.probabilities, best)
        close(np.take_along_axis(expected, found.ids.astype(np.int64), axis=-1), best)  # whatever is first among equals
    holds_movements(found, reference)
    if asked.head is not None:
        layer, head = asked.head
        close(found.weights, reference.weights[layer - 1, head - 1])
    if asked.reader is not None:
        assert found.reads.shape[2] == asked.reader + 1
        close(found.reads, reference.weights[:, :, asked.reader, : asked.reader + 1])
    for m, mark in enumerate(asked.marks):
        rows = range(max(mark.since, mark.back or 0), reference.weights.shape[2])
        sums = sum(reference.weights[:, :, t, 0 if mark.back is None else t - mark.back] for t in rows)
        close(found.marks[..., m], sums)
    if asked.parts:
        target = int(reference.logits[-1].argmax()) if asked.target is None else asked.target
        holds_parts(found, reference, target=target, heads=heads)


def holds_movements(found: InsideFound, reference: Reference) -> None:
    """Lengths and cosines of what was added, at every level but the first."""
    assert np.isnan(found.moved[0]).all()
    before, middle = reference.stream[:-1], reference.stream[:-1] + reference.attention
    for kind, added, held in ((0, reference.attention, before), (2, reference.mlp, middle)):
        length = np.linalg.norm(added, axis=-1)
        close(found.moved[1:, kind], length)
        cosine = (added * held).sum(-1) / np.maximum(length * np.linalg.norm(held, axis=-1), 1e-30)
        close(found.moved[1:, kind + 1], cosine, within=1e-3)


def holds_parts(found: InsideFound, reference: Reference, *, target: int, heads: int) -> None:
    """Each part's share of the logit, and the whole of them."""
    reads, parts = reference.reads(target), found.parts
    assert parts.target == target
    most = np.abs(reference.logits[-1]).max()
    np.testing.assert_allclose(parts.logit, reference.logits[-1, target], rtol=0, atol=1e-4 * most)
    for share, added in (
        (parts.embedding, reference.stream[0, -1]),
        (parts.attention, reference.attention[:, -1]),
        (parts.mlp, reference.mlp[:, -1]),
        *([(parts.heads, reference.by_head(heads))] if parts.heads is not None else []),
    ):
        np.testing.assert_allclose(share, added @ reads, rtol=0, atol=1e-4 * most)


def everything(engine: Engine, *, k: int = 5, head: tuple[int, int] = (2, 1), target: int | None = None) -> Inside:
    """All that an engine declares."""
    shown, parts = (flag in engine.capabilities for flag in (Capability.ATTENTION, Capability.PARTS))
    return Inside(
        k=k, moved=True, head=head if shown else None, reader=READER if shown else None,
        marks=MARKS if shown else (), parts=parts, target=target,
    )  # fmt: skip


def holds_all(engine: Engine, reference: Reference, ids: list[int]) -> None:
    """What an engine tells of one text, for the most probable token and for another, and that it changes no bit."""

    def passed(asked: Inside | None, logits: Any = "last") -> Any:
        sequence = engine.open_sequence()
        (output,) = engine.step([Feed(sequence, ids, Want(logits, inside=asked))])
        sequence.close()
        return output

    names = reference.names
    assert Capability.ADDITIONS in engine.capabilities
    assert (Capability.HEADS in engine.capabilities) == bool(names.heads)
    assert (Capability.PARTS in engine.capabilities) == bool(names.norm)
    asked = everything(engine)
    found = passed(asked)
    hold(found.inside, reference, asked=asked, heads=engine.info.heads)
    np.testing.assert_array_equal(found.logits, passed(None).logits)
    if asked.parts:
        other = passed(Inside(parts=True, target=7), "none").inside
        holds_parts(other, reference, target=7, heads=engine.info.heads)
