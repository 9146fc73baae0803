"""Weights that a file names, holds or leaves out otherwise than config.json says: read as transformers reads them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

import native_helpers as tiny  # noqa: E402

import capot  # noqa: E402
from capot.engines.native import open_native  # noqa: E402
from capot.engines.protocol import Feed, Want  # noqa: E402
from capot.errors import ModelError  # noqa: E402
from capot.sources.checkpoint import Checkpoint  # noqa: E402

TABLE, HEAD = "model.embed_tokens.weight", "lm_head.weight"
Tensors = dict[str, "torch.Tensor"]


def another_head(tensors: Tensors) -> Tensors:
    return {**tensors, HEAD: tensors[TABLE].flip(0).contiguous()}


def same_head(tensors: Tensors) -> Tensors:
    return {**tensors, HEAD: tensors[TABLE].clone()}


def the_head_alone(tensors: Tensors) -> Tensors:
    return {(HEAD if name == TABLE else name): value for name, value in tensors.items()}


def without_prefix(tensors: Tensors) -> Tensors:
    return {name.removeprefix("model."): value for name, value in tensors.items()}


def rewrite(folder: Path, change: Callable[[Tensors], Tensors]) -> None:
    from safetensors.torch import load_file, save_file

    path = folder / "model.safetensors"
    save_file(change(load_file(path)), path, metadata={"format": "pt"})


def logits(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Ours, and transformers' own."""
    engine, ids = open_native(Checkpoint.open(folder)), tiny.prompt(20)
    output = engine.step([Feed(engine.open_sequence(), ids, Want(logits="all"))])[0]
    assert output is not None and output.logits is not None
    with torch.no_grad():
        return output.logits, tiny.load(folder)(torch.tensor([ids])).logits[0].numpy()


@pytest.mark.parametrize("change", [another_head, same_head, the_head_alone, without_prefix])
def test_the_head_and_the_names_of_a_tied_model(tmp_path: Path, change: Callable[[Tensors], Tensors]) -> None:
    folder = tiny.make(tmp_path, "tied")
    before, _ = logits(folder)
    rewrite(folder, change)
    mine, theirs = logits(folder)
    np.testing.assert_allclose(mine, theirs, atol=1e-4 * np.abs(theirs).max())
    assert np.allclose(mine, before) == (change is not another_head)


@pytest.mark.parametrize(("family", "bias"), [("biased", "attention_bias"), ("biased", "mlp_bias"), ("mistral", None)])
def test_biases_that_the_file_has_and_the_configuration_has_not(tmp_path: Path, family: str, bias: str | None) -> None:
    folder = tiny.make(tmp_path, family)
    if bias is None:
        rewrite(folder, lambda tensors: {**tensors, "model.layers.0.self_attn.q_proj.bias": torch.ones(96)})
    else:
        tiny.edit_config(folder, **{bias: None})
    mine, theirs = logits(folder)
    np.testing.assert_allclose(mine, theirs, atol=1e-4 * np.abs(theirs).max())


def test_a_bias_that_the_configuration_has_and_the_file_has_not(tmp_path: Path) -> None:
    folder = tiny.make(tmp_path, "llama")
    tiny.edit_config(folder, attention_bias=True)
    with pytest.raises(ModelError) as error:
        open_native(Checkpoint.open(folder))
    assert error.value.code == "tensor_missing" and error.value.params["tensor"].endswith("q_proj.bias")


@pytest.mark.parametrize(("change", "head"), [(another_head, 320 * 64), (same_head, 0)])
def test_a_card_counts_the_head_that_is_used(tmp_path: Path, change: Callable[[Tensors], Tensors], head: int) -> None:
    folder = tiny.make(tmp_path, "tied")
    with capot.open(folder) as model:
        tied = model.card()
    rewrite(folder, change)
    with capot.open(folder) as model:
        card = model.card()
    assert card.parameters.total - tied.parameters.total == head
    assert card.tied == (head == 0)
