"""Weights in the processor's own order: the same numbers, given back as they were, and refused in peace."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("accelerate")

import hf_helpers as tiny  # noqa: E402

from capot.engines.protocol import Feed, Want  # noqa: E402
from capot.engines.transformers import packed, placement  # noqa: E402

CPU = torch.device("cpu")
x86 = pytest.mark.skipif(
    not packed.can_pack(placement.Placement(CPU, torch.float32)), reason="an x86 processor and oneDNN are needed"
)


def logits(model, ids) -> np.ndarray:
    with torch.inference_mode():
        return model(torch.tensor([ids])).logits[0].float().numpy()


@x86
@pytest.mark.parametrize("family", ["gpt2", "opt", "phi", "llama", "gpt_neox", "bloom"])
def test_a_packed_model_computes_the_same_and_is_given_back_bit_for_bit(tmp_path, family: str) -> None:
    model, ids = tiny.load(tiny.make(tmp_path, family)), tiny.prompt(40)
    stored = {name: weight.clone() for name, weight in model.state_dict().items()}
    expected = logits(model, ids)
    packed.pack(model)
    laid = [module for module in model.modules() if isinstance(module, packed.Packed)]
    assert sum(module.weight.is_mkldnn for module in laid) >= 3 * 4  # at least the four products of each layer
    np.testing.assert_allclose(logits(model, ids), expected, rtol=0, atol=1e-4 * np.abs(expected).max())
    packed.unpack(model)
    assert not any(isinstance(module, packed.Packed) for module in model.modules())
    assert all(torch.equal(weight, stored[name]) for name, weight in model.state_dict().items())


@x86
def test_an_embedding_that_is_also_the_head_stays_where_rows_can_be_looked_up(tmp_path) -> None:
    model = tiny.load(tiny.make(tmp_path, "gpt2"))
    packed.pack(model)
    head = model.get_output_embeddings()
    assert isinstance(head, packed.Packed) and head.weight is model.get_input_embeddings().weight
    assert not head.weight.is_mkldnn


@x86
def test_a_head_asked_for_no_position_answers_none(tmp_path) -> None:
    engine = tiny.engine(tiny.make(tmp_path, "llama"))
    assert engine.network.head.weight.is_mkldnn
    sequence, ids = engine.open_sequence(), tiny.prompt(9)
    assert engine.step([Feed(sequence, ids[:-1], Want("none"))])[0].logits is None
    whole = engine.step([Feed(engine.open_sequence(), ids, Want("all"))])[0].logits
    np.testing.assert_allclose(engine.step([Feed(sequence, ids[-1:])])[0].logits, whole[-1], rtol=0, atol=1e-3)
    engine.close()


@x86
def test_a_family_that_does_more_with_a_weight_than_multiply_keeps_it_as_stored(tmp_path, monkeypatch) -> None:
    """Its code meets a layout that it cannot compute with, in the first pass; the weights are then as they were."""
    folder, ids = tiny.make(tmp_path, "gpt2"), tiny.prompt(20)
    monkeypatch.setattr(packed.PackedConv1D, "forward", lambda self, x: x @ self.weight.t() + self.bias)
    engine = tiny.engine(folder)
    assert not any(isinstance(module, packed.Packed) for module in engine.network.model.modules())
    found = engine.step([Feed(engine.open_sequence(), ids)])[0].logits
    np.testing.assert_allclose(found, logits(tiny.load(folder), ids)[-1], rtol=0, atol=1e-5)
    engine.close()


@x86
@pytest.mark.parametrize("family", ["mamba", "jamba"])
def test_a_weight_that_its_family_multiplies_by_itself_stays_and_the_others_do_not(tmp_path, family: str) -> None:
    engine = tiny.engine(tiny.make(tmp_path, family))
    plain = {
        packed.unnumbered(name) for name, module in engine.network.model.named_modules() if type(module) in packed.KINDS
    }
    assert {name.rpartition(".")[2] for name in plain} == {"dt_proj"}
    assert sum(isinstance(module, packed.Packed) for module in engine.network.model.modules()) > 3 * len(plain)
    engine.close()


@x86
def test_code_that_the_first_pass_did_not_reach_computes_with_weights_as_stored(tmp_path, monkeypatch) -> None:
    folder, ids, plain = tiny.make(tmp_path, "llama"), tiny.prompt(40), packed.PackedLinear.forward
    engine = tiny.engine(folder)
    sequence = engine.open_sequence()
    engine.step([Feed(sequence, ids[:10])])

    def other_use(self, x):
        return x @ self.weight.t() if x.shape[-2] > 20 else plain(self, x)

    monkeypatch.setattr(packed.PackedLinear, "forward", other_use)
    found = engine.step([Feed(sequence, ids[10:])])[0].logits
    assert sequence.ids == ids and not packed.unpack(engine.network.model)
    np.testing.assert_allclose(found, logits(tiny.load(folder), ids)[-1], rtol=0, atol=1e-4)
    engine.close()


@x86
def test_layers_that_one_dnn_cannot_multiply_stay_as_they_are() -> None:
    empty, wide, whole = (torch.nn.Linear(8, 4) for _ in range(3))
    empty.weight, wide.weight = torch.nn.Parameter(torch.ones(0, 8)), torch.nn.Parameter(torch.ones(4, 8).double())
    whole.weight = torch.nn.Parameter(torch.ones(4, 8, dtype=torch.int8), requires_grad=False)
    quantised = type("Linear8bit", (torch.nn.Linear,), {})(8, 4)
    model = torch.nn.ModuleList([empty, wide, whole, quantised])
    packed.pack(model)
    assert not any(isinstance(layer, packed.Packed) for layer in model)


@x86
@pytest.mark.parametrize(("inner", "outer", "bias"), [(1, 5, True), (5, 1, False), (1, 1, True), (7, 3, False)])
def test_odd_shapes(inner: int, outer: int, bias: bool) -> None:
    layer = torch.nn.Linear(inner, outer, bias=bias).requires_grad_(False)
    texts = [torch.randn(*shape, inner) for shape in ((), (3,), (1, 4), (0,), (1, 0), (2, 3, 4))]
    texts.append(torch.randn(1, inner, 4).transpose(1, 2))
    expected = [layer(x) for x in texts]
    packed.pack(torch.nn.ModuleList([layer]))
    assert layer.weight.is_mkldnn
    for x, answer in zip(texts, expected):
        torch.testing.assert_close(layer(x), answer, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("dtype", "device", "expected"),
    [("float32", "cpu", True), ("bfloat16", "cpu", False), ("float16", "cpu", False), ("float32", "meta", False)],
)
def test_what_is_packed(monkeypatch, dtype: str, device: str, expected: bool) -> None:
    monkeypatch.setattr(packed.platform, "machine", lambda: "AMD64")
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: True)
    monkeypatch.setattr(placement, "native_bfloat16", lambda device: False)
    assert packed.can_pack(placement.Placement(torch.device(device), getattr(torch, dtype))) is expected
    monkeypatch.setattr(packed.platform, "machine", lambda: "arm64")
    assert not packed.can_pack(placement.Placement(torch.device(device), getattr(torch, dtype)))
