"""Edits of a model of transformers by forward hooks on the modules that each family names in its own way."""

from __future__ import annotations

import contextlib
import dataclasses
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from inside_helpers import FAMILIES, Names, close

from capot.engines.edits import Edit, Place
from capot.engines.inside import Inside
from capot.engines.protocol import Capability, Engine, Feed, Want, touching
from capot.engines.scheduler.variants import Variant, Variants

OPT = dataclasses.replace(FAMILIES["opt"], heads="self_attn.out_proj")  # its heads can be told apart, not its end
# Where a family without attention of its own has its layers.
STREAMS = {"openai-gpt": "transformer.h", "mamba": "backbone.layers", "mamba2": "backbone.layers"}


def places(engine: Engine, *, layers: int = 3) -> list[Place]:
    """A place of each kind that an engine can change, two of heads."""
    kinds = [("residual", 0), ("residual", 1), ("residual", layers), ("attention", 2), ("mlp", 1)]
    found = [*(Place(*kind) for kind in kinds), Place("head", 2, 1), Place("head", 2, 2)]
    return [place for place in found if touching([place]) in engine.capabilities]


def states_of(engine: Engine, ids: list[int], where: list[Place], *, edits: tuple[Edit, ...] = ()) -> Any:
    """The states of one text, all positions. Shapes: (T, N) each."""
    return passed(engine, ids, edits, want=Want("none", inside=Inside(states=tuple(where)))).inside.states


def passed(engine: Engine, ids: list[int], edits: tuple[Edit, ...] = (), *, want: Any = None) -> Any:
    """The output of one text read at once, the logits of every position unless told otherwise."""
    sequence = engine.open_sequence()
    (output,) = engine.step([Feed(sequence, ids, want or Want("all"), edits)])
    sequence.close()
    return output


def in_chunks(engine: Engine, ids: list[int], edits: tuple[Edit, ...], *, cuts: tuple[int, ...]) -> np.ndarray:
    """The logits of every position of a text read in several steps. Shapes: (T, V)."""
    sequence, found = engine.open_sequence(), []
    for start, stop in zip((0, *cuts), (*cuts, len(ids)), strict=True):
        found.append(engine.step([Feed(sequence, ids[start:stop], Want("all"), edits)])[0].logits)
    sequence.close()
    return np.concatenate(found)


class Hooked:
    """A model of transformers, read and edited by hooks. ``heads`` is how many each layer has."""

    def __init__(self, model: Any, names: Names, *, heads: int) -> None:
        self.torch = pytest.importorskip("torch", reason="the reference is PyTorch's")
        self.model, self.names, self.heads = model, names, heads
        self.layers = list(model.get_submodule(names.layers))

    def run(self, ids: list[int], edits: tuple[Edit, ...] = (), *, read: tuple[Place, ...] = ()) -> Any:
        """The logits of every position, and the states read. Shapes: (T, V), (T, N) each."""
        kept: dict[Place, np.ndarray] = {}
        with contextlib.ExitStack() as stack, self.torch.inference_mode():
            for edit in edits:
                stack.callback(self._hook(edit.place, self._writes(edit)).remove)
            for place in read:
                stack.callback(self._hook(place, self._reads(place, kept)).remove)
            logits = self.model(self.torch.tensor([ids])).logits[0].numpy()
        return logits, [kept[place] for place in read]

    def _by(self, place: Place) -> float:
        return self.names.by if place.part in {"attention", "mlp"} else 1.0

    def _writes(self, edit: Edit) -> Any:
        """A function that writes an edit's state into rows, one position after the other."""

        def write(x: Any) -> None:
            for row, position in enumerate(range(len(x)) if edit.positions is None else edit.positions):
                state = np.zeros(x.shape[1]) if edit.state is None else edit.state
                state = state[row] if state.ndim == 2 else state
                wanted = self.torch.tensor(np.asarray(state, np.float32)) / self._by(edit.place)
                x[position] = x[position] + wanted if edit.adds else wanted

        return write

    def _reads(self, place: Place, kept: dict[Place, np.ndarray]) -> Any:
        def read(x: Any) -> None:
            kept[place] = self._by(place) * x.numpy().copy()

        return read

    def _hook(self, place: Place, use: Any) -> Any:
        """``use`` takes the rows of a place. Shapes: (T, N)."""
        if place.part == "residual" and place.layer == 0:
            return self.layers[0].register_forward_pre_hook(self._taken(use), with_kwargs=True)
        layer = self.layers[place.layer - 1]
        if place.part == "head":
            module = layer.get_submodule(self.names.heads)

            def takes(_: Any, given: tuple[Any, ...]) -> Any:
                x = given[0].clone()
                size = x.shape[-1] // self.heads
                use(x.reshape(-1, x.shape[-1])[:, size * (place.head - 1) : size * place.head])
                return (x, *given[1:])

            return module.register_forward_pre_hook(takes)
        name = {"residual": "", "attention": self.names.attention, "mlp": self.names.mlp}[place.part]

        def gives(_: Any, __: Any, given: Any) -> Any:
            x = (given[0] if isinstance(given, tuple | list) else given).clone()
            use(x.reshape(-1, x.shape[-1]))
            return (x, *given[1:]) if isinstance(given, tuple | list) else x

        return layer.get_submodule(name).register_forward_hook(gives)

    def _taken(self, use: Any) -> Any:
        def takes(_: Any, given: tuple[Any, ...], named: dict[str, Any]) -> Any:
            x = (given[0] if given else named["hidden_states"]).clone()
            use(x.reshape(-1, x.shape[-1]))
            return ((x, *given[1:]), named) if given else (given, {**named, "hidden_states": x})

        return takes


def kinds_of(place: Place, states: np.ndarray, *, other: np.ndarray) -> list[Edit]:
    """Every kind of edit of one place. Shapes: (T, N) both, of this text and of another."""
    return [
        Edit(place),
        Edit(place, states.mean(0)),
        Edit(place, other[[7, 30]], (5, 33)),
        Edit(place, 0.7 * (other[-1] - states[-1]), (31, 32), adds=True),
        Edit(place, 0.5 * other[3], adds=True),
    ]


def holds_edits(engine: Engine, hooked: Hooked, ids: list[int], *, layers: int = 3) -> None:
    """The kinds of edit in turn at the kinds of place, and one at all places at once, against the same by hooks."""
    where = places(engine, layers=layers)
    plain = passed(engine, ids).logits
    others = ids[::-1]
    states, other = states_of(engine, ids, where), states_of(engine, others, where)
    for mine, theirs in zip(states, hooked.run(ids, read=tuple(where))[1], strict=True):
        close(mine, theirs)
    for number, (place, here, there) in enumerate(zip(where, states, other, strict=True)):
        edit = kinds_of(place, here, other=there)[number % 5]
        found, (expected, _) = passed(engine, ids, (edit,)).logits, hooked.run(ids, (edit,))
        close(found, expected)
        first = min(edit.positions or (0,))
        np.testing.assert_allclose(found[:first], plain[:first], rtol=0, atol=1e-4 * np.abs(plain).max())
        assert np.abs(found[first:] - plain[first:]).max() > 1e-3 * np.abs(plain).max(), edit
    by_place = zip(where, states, other, strict=True)
    several = tuple(kinds_of(place, here, other=there)[2] for place, here, there in by_place)
    expected, _ = hooked.run(ids, several)
    close(passed(engine, ids, several).logits, expected)
    close(in_chunks(engine, ids, several, cuts=(6, 32, 33)), expected)
    holds_nothing_done(engine, ids, where)
    if Capability.HEAD_EDITS in engine.capabilities:
        one, two = (passed(engine, ids, (Edit(Place("head", 2, head)),)).logits for head in (1, 2))
        assert np.abs(one - two).max() > 1e-3 * np.abs(plain).max()


def holds_nothing_done(engine: Engine, ids: list[int], where: list[Place]) -> None:
    """Edits whose state is there already, which add zeros, or which lie behind the text, change no bit."""
    plain, states = passed(engine, ids, want=Want()).logits, states_of(engine, ids, where)
    everywhere = tuple(range(len(ids)))
    for edits in (
        tuple(Edit(place, state, everywhere) for place, state in zip(where, states, strict=True)),
        tuple(Edit(place, 0 * state[0], adds=True) for place, state in zip(where, states, strict=True)),
        tuple(Edit(place, state[0], (len(ids),)) for place, state in zip(where, states, strict=True)),
    ):
        np.testing.assert_array_equal(passed(engine, ids, edits, want=Want()).logits, plain)


def holds_variants(engine: Engine, hooked: Hooked, ids: list[int], others: list[int], *, layers: int = 3) -> None:
    """Texts that differ from one by a state of another, several in a pass, against the same by hooks."""
    where = places(engine, layers=layers)
    states = hooked.run(others, read=tuple(where))[1]
    asked = []
    for place, theirs in zip(where, states, strict=True):
        for position in (0, 17, len(ids) - 1):
            level = place.layer if place.part == "residual" else place.layer - 1
            asked.append(Variant((Edit(place, theirs[position][None], (position,)),), level, position))
    # On this thread: a scheduler's own would let go of OpenMP's while PyTorch computes here.
    with Variants(SimpleNamespace(engine=engine, call=lambda function: function()), ids) as variants:
        found = list(variants.read(asked))
        assert variants.passes < len(asked) or Capability.BATCH not in engine.capabilities
    close(variants.logits, hooked.run(ids)[0][-1])
    for logits, variant in zip(found, asked, strict=True):
        close(logits, hooked.run(ids, variant.edits)[0][-1])


def heads_that_matter(model: Any, prompt: str) -> list[str]:
    """Heads whose absence changes the answer: as few as can be of those that give most to it, in any model."""
    apart = [part for part in model.network(prompt).contributions if part.head is not None]
    names = [f"{part.layer}.{part.head}" for part in sorted(apart, key=lambda part: -part.logit)[:24]]
    for few in ([name] for name in names), (names[:count] for count in range(2, len(names) + 1)):
        for heads in few:
            found = model.ablate(prompt, heads=heads, k=1, max_new_tokens=0)
            if found.after.candidates[0].id != found.before.candidates[0].id:
                return heads
    raise AssertionError(f"no heads matter for {prompt!r}")
