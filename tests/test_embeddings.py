"""Vectors of words: against scikit-learn, NumPy and transformers, on several engines."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import subprocess
import sys
import unicodedata
from pathlib import Path

import embeddings_helpers as helpers
import numpy as np
import pytest
from conftest import ROOT

import capot
from capot.chapters.embeddings import table as tables
from capot.chapters.embeddings.context import places
from capot.chapters.embeddings.geometry import cosines, principal, rounded
from capot.chapters.embeddings.spelling import spellings
from capot.chapters.embeddings.table import FileTable, nearest, open_table
from capot.cli import run
from capot.config import Loading
from capot.engines.protocol import Capability
from capot.engines.scheduler import Scheduler
from capot.engines.scripted import ScriptedEngine
from capot.errors import CapabilityError, CapotError, InputError, ModelError, NotFoundError, UnsupportedError
from capot.model import Model, SharedModel

SENTENCES = ("The river bank is green.", "The bank lent money.", "A dog in the bank")
RANDOM = np.random.default_rng(7)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    return helpers.make(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def model(folder: Path):
    with capot.open(folder) as opened:
        yield opened


@pytest.fixture(scope="module")
def scripted():
    with capot.open("scripted") as opened:
        yield opened


@pytest.fixture(scope="module")
def through_transformers(folder: Path):
    with capot.open(folder, engine="transformers") as opened:
        yield opened


ENGINES = {"scripted": "scripted", "native": "model"}
if importlib.util.find_spec("capot.engines.transformers"):
    ENGINES["transformers"] = "through_transformers"


@pytest.fixture(params=ENGINES)
def either(request: pytest.FixtureRequest):
    """The same promises, whatever the engine."""
    return request.getfixturevalue(ENGINES[request.param])


@pytest.fixture(scope="module")
def reference(folder: Path):
    import transformers

    return transformers.AutoModelForCausalLM.from_pretrained(folder, dtype="float32").eval()


def code(call, *args, kind: type[CapotError] = InputError, **options) -> str:
    with pytest.raises(kind) as caught:
        call(*args, **options)
    assert caught.value.message("fr") != caught.value.message("en")  # both have words, and their parameters
    return caught.value.code


# Geometry.


@pytest.mark.parametrize("dimensions", [2, 3])
@pytest.mark.parametrize("shape", [(6, 40), (40, 6), (3, 8), (2, 5)])
def test_principal_components_are_scikit_learns(shape: tuple[int, int], dimensions: int) -> None:
    decomposition = pytest.importorskip("sklearn.decomposition")
    vectors = RANDOM.standard_normal(shape) + 3
    plane = principal(vectors, dimensions=dimensions)
    count = min(dimensions, *shape)
    theirs = decomposition.PCA(n_components=count, svd_solver="full").fit(vectors)
    points = theirs.transform(vectors)
    for axis in range(min(count, shape[0] - 1)):
        assert np.abs(plane.points[:, axis] @ points[:, axis]) == pytest.approx(np.sum(points[:, axis] ** 2))
        np.testing.assert_allclose(np.abs(plane.points[:, axis]), np.abs(points[:, axis]), atol=1e-9)
    np.testing.assert_allclose(plane.shares[:count], theirs.explained_variance_ratio_, atol=1e-12)
    assert plane.points.shape == (shape[0], dimensions)


def test_cosines_are_scikit_learns() -> None:
    pairwise = pytest.importorskip("sklearn.metrics.pairwise")
    vectors = RANDOM.standard_normal((9, 33)).astype(np.float32)
    np.testing.assert_allclose(cosines(vectors), pairwise.cosine_similarity(vectors.astype(np.float64)), atol=1e-12)


@pytest.mark.parametrize("count", [1, 2, 7])
def test_equal_points_have_no_direction(count: int) -> None:
    plane = principal(np.repeat(RANDOM.standard_normal((1, 50)), count, axis=0))
    assert not plane.points.any() and not plane.shares.any()


def test_signs_do_not_depend_on_the_order() -> None:
    vectors = RANDOM.standard_normal((5, 12))
    np.testing.assert_allclose(principal(vectors).points, principal(vectors[::-1]).points[::-1], atol=1e-12)


def test_a_vector_of_zeros_points_nowhere() -> None:
    assert rounded(cosines(np.array([[0.0, 0.0], [1.0, 0.0]]))) == ((None, None), (None, 1.0))


# The table.


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_rows_are_the_files(tmp_path: Path, dtype: str) -> None:
    torch = pytest.importorskip("torch")
    pytest.importorskip("transformers")
    from safetensors.torch import load_file

    with capot.open(helpers.make(tmp_path, dtype=dtype, family="llama")) as opened:
        found = open_table(opened)
    weights = load_file(tmp_path / "model.safetensors")["model.embed_tokens.weight"].to(torch.float32).numpy()
    assert isinstance(found, FileTable) and found.shape == weights.shape and found.dtype == dtype
    assert found.nbytes == weights.size * (4 if dtype == "float32" else 2)
    np.testing.assert_array_equal(found.rows([5, 0, 5]), weights[[5, 0, 5]])
    blocks = [(start, rows.copy()) for start, rows in found.blocks()]
    np.testing.assert_array_equal(np.concatenate([rows for _, rows in blocks]), weights)


@dataclasses.dataclass
class Rows:
    """A table in memory, in blocks of 7 rows."""

    array: np.ndarray
    dtype: str = "float32"

    @property
    def shape(self):
        return self.array.shape

    @property
    def nbytes(self):
        return self.array.nbytes

    def rows(self, ids):
        return self.array[list(ids)]

    def blocks(self, numbers):
        for start in range(0, len(self.array), 7):
            yield start, self.array[start : start + 7]


def test_the_nearest_are_those_of_a_sorted_list() -> None:
    array = RANDOM.standard_normal((100, 8)).astype(np.float32)
    array[[20, 70]] = array[40]  # equal cosines come in the order of ids
    array[55] = 0  # points nowhere: near nothing
    words = array[[40, 3]]
    found = nearest(Rows(array), words, count=99, without=[[40], [3, 4]])
    with np.errstate(invalid="ignore"):
        angles = words @ array.T / np.linalg.norm(array, axis=1) / np.linalg.norm(words, axis=1)[:, None]
    for row, near, left_out in zip(angles, found, ([40], [3, 4]), strict=True):
        expected = [n for n in np.argsort(-row, kind="stable") if n not in left_out and n != 55]
        assert [token for token, _ in near][2:] == expected[2 : len(near)]
        np.testing.assert_allclose([value for _, value in near], row[expected[: len(near)]], atol=1e-6)
    assert [token for token, _ in found[0][:2]] == [20, 70]
    assert len(found[0]) == 98 and all(token != 55 for near in found for token, _ in near)


def test_blocks_do_not_change_the_answer(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = model.embed(["cat", "zebra"], near=12)
    monkeypatch.setattr(tables, "BLOCK", 300)
    assert model.embed(["cat", "zebra"], near=12) == whole
    monkeypatch.setattr(tables, "MANY", 1)  # as a matrix product
    product = model.embed(["cat", "zebra"], near=12)
    assert [near.id for line in product.neighbours for near in line.near] == [
        near.id for line in whole.neighbours for near in line.near
    ]


@pytest.mark.parametrize("name", ["transformer.wte.weight", "wte.weight", "gpt_neox.embed_in.weight"])
def test_the_table_is_found_under_the_names_of_other_families(folder: Path, name: str) -> None:
    with capot.open(folder) as opened:
        (old,) = [info for key, info in opened.checkpoint.tensors.items() if key.endswith("embed_tokens.weight")]
        opened.checkpoint.__dict__["tensors"] = {"other": old, name: dataclasses.replace(old, name=name)}
        assert open_table(opened).info.name == name
        opened.checkpoint.__dict__["tensors"] = {"other": old}
        assert code(open_table, opened, kind=ModelError) == "no_table"
        opened.checkpoint.__dict__["tensors"] = {name: dataclasses.replace(old, name=name, dtype="F8_E4M3")}
        assert code(open_table, opened, kind=UnsupportedError) == "table_dtype"


def test_a_missing_model_is_not_mistaken_for_one_without_files() -> None:
    class Missing:
        @property
        def checkpoint(self):
            raise NotFoundError("model_not_found", model="x")

    assert code(open_table, Missing(), kind=NotFoundError) == "model_not_found"


def test_a_head_of_its_own_is_no_table(folder: Path) -> None:
    """``lm_head`` stands for the table only where config.json says that the two are tied."""
    with capot.open(folder) as opened:
        (info,) = [info for key, info in opened.checkpoint.tensors.items() if key.endswith("embed_tokens.weight")]
        opened.checkpoint.__dict__["tensors"] = {"lm_head.weight": dataclasses.replace(info, name="lm_head.weight")}
        assert open_table(opened).info.name == "lm_head.weight"
        opened.checkpoint.__dict__["config"] = dataclasses.replace(opened.checkpoint.config, tied=False)
        assert code(open_table, opened, kind=ModelError) == "no_table"


# embed


def test_order_and_duplicates_are_kept(either: Model) -> None:
    words = ["house", "cat", "house", "dog"]
    found = either.embed(words)
    assert [word.word for word in found.words] == words == [near.word for near in found.neighbours]
    assert found.words[0] == found.words[2] and found.cosine[0][2] == 1.0
    assert found.cosine[1][3] == found.cosine[3][1]


def test_a_word_of_several_tokens_is_the_mean_of_their_rows(either: Model) -> None:
    table, zebra = open_table(either), either.embed(["zebra", "cat"], space="bare").words[0]
    assert len(zebra.ids) > 1 and list(zebra.ids) == either.tokenizer.encode("zebra")
    rows = np.stack([table.rows(zebra.ids).mean(axis=0), table.rows(either.tokenizer.encode("cat")).mean(axis=0)])
    x, y = principal(rows).points[0]
    assert (zebra.x, zebra.y) == pytest.approx((x, y), abs=1e-6)
    text = either.embed(["zebra", "cat"]).to_text(width=200)
    assert "mean of its tokens’ rows" in text or "mean of its tokens" in text


def test_the_picture_is_scikit_learns_on_the_files_rows(model: Model, reference) -> None:
    decomposition = pytest.importorskip("sklearn.decomposition")
    words = ["cat", "dog", "green", "blue", "house"]
    found = model.embed(words, dimensions=3)
    weights = reference.get_input_embeddings().weight.detach().numpy().astype(np.float64)
    vectors = np.stack([weights[list(word.ids)].mean(axis=0) for word in found.words])
    theirs = decomposition.PCA(n_components=3, svd_solver="full").fit(vectors)
    ours = np.array([(word.x, word.y, word.z) for word in found.words])
    np.testing.assert_allclose(np.abs(ours), np.abs(theirs.transform(vectors)), atol=1e-5)
    assert found.explained_variance == pytest.approx(theirs.explained_variance_ratio_, abs=1e-6)


def test_both_spellings_are_shown_and_one_is_used(model: Model) -> None:
    encode = model.tokenizer.encode
    (word,) = model.embed(["bank"]).words
    assert list(word.spaced.ids) == encode(" bank") and list(word.bare.ids) == encode("bank")
    assert word.ids == word.spaced.ids and word.used == " bank"
    assert model.embed(["bank"], space="bare").words[0].ids == word.bare.ids
    rows = open_table(model).rows
    both = np.stack([rows(ids).mean(axis=0) for ids in (word.spaced.ids, word.bare.ids)])
    assert word.spellings_cosine == pytest.approx(cosines(both)[0, 1], abs=1e-6)


def test_auto_prefers_the_shorter_spelling_and_obeys_typed_spaces(scripted: Model) -> None:
    def used(*words: str, space: str = "auto") -> list[str]:
        return [form.text for form, _, _ in spellings(scripted, words, space=space)]

    assert used("cat") == ["cat"]  # a byte fewer
    assert used("cat", " cat") == ["cat", " cat"]  # typed: to compare the two
    assert used("cat", " cat", space="space") == [" cat", " cat"]
    assert used(" ", "cat") == [" ", "cat"]


def test_of_two_spellings_as_long_the_one_of_a_sentence_is_used(
    scripted: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scripted.tokenizer, "encode", lambda text: [len(text)])
    assert spellings(scripted, ["cat"])[0][0].text == " cat"


def test_neighbours_are_the_whole_vocabularys(model: Model, reference) -> None:
    found = model.embed(["bank", "zebra"], near=8)
    weights = reference.get_input_embeddings().weight.detach().numpy()
    for word, line in zip(found.words, found.neighbours, strict=True):
        vector = weights[list(word.ids)].mean(axis=0)
        row = weights @ vector / np.linalg.norm(weights, axis=1) / np.linalg.norm(vector)
        expected = [n for n in np.argsort(-row) if n not in word.ids][:8]
        assert [near.id for near in line.near] == expected
        assert [near.cosine for near in line.near] == pytest.approx(row[expected], abs=1e-5)
        assert [near.text for near in line.near] == [model.tokenizer.token_text(n) for n in expected]
    assert model.embed(["bank"], near=0).neighbours == ()


def test_json_has_the_fields_that_were_promised(either: Model) -> None:
    found = json.loads(either.embed(["cat", "dog", "green"]).to_json())
    assert found["shape"] == list(open_table(either).shape)
    assert set(found["words"][0]) >= {"word", "ids", "x", "y"} and len(found["explained_variance"]) == 2
    assert np.array(found["cosine"]).shape == (3, 3)
    assert set(found["neighbours"][0]) >= {"word", "near"}
    assert set(found["neighbours"][0]["near"][0]) >= {"id", "text", "cosine"}


@pytest.mark.parametrize(
    "words",
    [["cat"], ["cat", "cat"], ["👩\u200d🚀", "🤗", "é"], ["\n", "<|end_of_text|>"], ["x" * 3000, "猫"]],
    ids=str,
)
@pytest.mark.parametrize("lang", ["en", "fr"])
def test_odd_lists_have_an_answer(either: Model, words: list[str], lang: str) -> None:
    found = either.embed(words, dimensions=3, near=2)
    assert json.loads(found.to_json())["words"][0]["word"] == words[0]
    assert found.to_text(lang) and found.to_html(lang)
    if len(set(words)) == 1:
        assert {(word.x, word.y, word.z) for word in found.words} == {(0, 0, 0)}


def test_a_thousand_words_fit_on_a_page(scripted: Model) -> None:
    words = [f"mot{n}" for n in range(1000)]
    found = scripted.embed(words, near=1)
    assert len(found.words) == len(found.cosine) == len(found.neighbours) == 1000
    assert len(found.to_text("en").splitlines()) < 300 and "1,000" in found.to_text("en")
    assert code(scripted.embed, [*words, "encore"]) == "too_many"


@pytest.mark.parametrize(
    ("words", "options", "expected"),
    [
        ([], {}, "no_words"),
        (["cat", ""], {}, "empty_word"),
        (["cat", 3], {}, "wrong_kind"),
        (["cat"], {"dimensions": 4}, "out_of_range"),
        (["cat"], {"dimensions": "2"}, "not_a_number"),
        (["cat"], {"near": -1}, "out_of_range"),
        (["cat"], {"space": "both"}, "bad_choice"),
        (["\ud800"], {}, "not_unicode"),
        (["x" * 5000], {}, "too_many_tokens"),
    ],
    ids=str,
)
def test_wrong_lists_have_clear_errors(scripted: Model, words: list, options: dict, expected: str) -> None:
    assert code(scripted.embed, words, **options) == expected


def test_a_tokenizer_that_makes_nothing_of_a_word_is_named(scripted: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scripted.tokenizer, "encode", lambda text: [])
    assert code(scripted.embed, ["cat"]) == "word_without_tokens"


def test_neither_engine_nor_numba_is_loaded(folder: Path) -> None:
    program = (
        "import sys, capot\n"
        f"with capot.open({str(folder)!r}) as model:\n"
        "    print(len(model.embed().words)); model.embed().to_json()\n"
        "    assert 'scheduler' not in vars(model)\n"
        "print(sorted({'numba', 'torch', 'transformers', 'plotly'} & set(sys.modules)))"
    )
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    assert answer.stdout == "6\n[]\n"


def without(*missing: Capability) -> Model:
    """A scripted model whose engine lacks something."""
    model = Model(SharedModel(Loading(model="scripted"), checkpoint=None))
    capabilities = ~Capability(0)
    for flag in missing:
        capabilities &= ~flag
    model.shared.at_work = Scheduler(ScriptedEngine(capabilities=capabilities))
    return model


def test_what_an_engine_lacks_is_refused_politely() -> None:
    with without(Capability.EMBEDDINGS) as model:
        assert code(model.embed, ["cat"], kind=CapabilityError) == "capability"
        assert code(model.context, "bank", sentences=SENTENCES, kind=CapabilityError) == "capability"
    with without(Capability.HIDDEN, Capability.LAYER_LOGITS) as model:
        assert code(model.context, "bank", sentences=SENTENCES, kind=CapabilityError) == "capability"
        assert code(model.lens, "The", kind=CapabilityError) == "capability"


# context


@pytest.mark.parametrize(
    ("word", "sentence", "expected"),
    [
        ("bank", "The bank, the bank.", [(4, 8), (14, 18)]),
        ("bank", "The Bank and the bank.", [(17, 21)]),  # as written, where it is written so
        ("bank", "BANKS? No: BANK!", [(11, 15)]),
        ("art", "start", []),
        ("l’eau", "Dans l’eau.", [(5, 10)]),
        ("eau", "Dans l’eau.", [(7, 10)]),
        ("été", unicodedata.normalize("NFD", "Un été passé."), [(3, 8)]),
        (unicodedata.normalize("NFD", "été"), "Un été.", [(3, 6)]),
        ("cafe", unicodedata.normalize("NFD", "Un café."), []),  # the accent is part of the last letter
        ("銀行", "川の銀行で", [(2, 4)]),
        ("🤗", "a🤗b", [(1, 2)]),
        ("machine à laver", "Une machine à laver.", [(4, 19)]),
        ("C++", "In C++, C+ or C", [(3, 6)]),
    ],
)
def test_places_are_found_by_characters(word: str, sentence: str, expected: list) -> None:
    assert places(word, sentence) == expected


def test_hidden_states_are_those_of_transformers(model: Model, reference) -> None:
    """Cosines between occurrences at every layer, from transformers' hidden states and offsets."""
    import torch

    sentences = (*SENTENCES, "Près de la bank, le cœur bat.")
    found = model.context("bank", sentences=sentences)
    own, vectors = helpers.tokenizer(), []
    last = []
    hook = reference.model.layers[-1].register_forward_hook(lambda _, __, out: last.append(out))
    for sentence in sentences:
        encoding = own.encode(sentence)
        start = sentence.index("bank")
        held = [n for n, (a, b) in enumerate(encoding.offsets) if a < start + 4 and b > start]
        with torch.no_grad():
            states = reference(torch.tensor([encoding.ids]), output_hidden_states=True).hidden_states
        raw = last.pop()
        layers = [*states[:-1], raw[0] if isinstance(raw, tuple) else raw]  # theirs ends after the final norm
        vectors.append(np.stack([layer.reshape(-1, layer.shape[-1])[held].mean(dim=0).numpy() for layer in layers]))
    hook.remove()
    stacked = np.stack(vectors)  # (N, L + 1, D)
    row = reference.get_input_embeddings().weight.detach().numpy()[list(found.static.ids)].mean(axis=0)
    assert len(found.layers) == stacked.shape[1]
    for depth, layer in enumerate(found.layers):
        np.testing.assert_allclose(layer.cosine, cosines(stacked[:, depth]), atol=2e-4)
        np.testing.assert_allclose(layer.to_static, cosines(stacked[:, depth], row[None])[:, 0], atol=2e-4)
    means = [np.mean(np.array(layer.cosine)[np.triu_indices(4, 1)]) for layer in found.layers]
    assert found.layer == 1 + int(np.argmin(means[1:]))


def test_the_yardstick_is_the_mean_over_pairs_of_other_tokens(scripted: Model) -> None:
    found = scripted.context("bank", sentences=SENTENCES[:2])
    table = open_table(scripted)

    def others(sentence: str) -> np.ndarray:
        start = sentence.index("bank")
        return table.rows([b for n, b in enumerate(sentence.encode()) if n and not start <= n < start + 4])

    pairs = cosines(others(SENTENCES[0]), others(SENTENCES[1]))
    assert found.layers[0].others == pytest.approx(pairs.mean(), abs=1e-5)
    assert scripted.context("bank", sentences=SENTENCES[0]).layers[0].others is None


def test_before_any_layer_a_word_is_its_row(either: Model) -> None:
    found = either.context("bank", sentences=SENTENCES)
    assert found.layers[0].to_static == (1.0,) * 3
    assert np.allclose(found.layers[0].cosine, 1.0)
    assert not np.allclose(found.layers[-1].cosine, 1.0)
    assert len(found.layers) == either.scheduler.engine.info.layers + 1


def test_tokens_of_the_occurrence_are_those_that_touch_it(either: Model) -> None:
    sentence = "Près de là, le cœur bat."
    (found,) = either.context("cœur", sentences=[sentence]).occurrences
    assert (found.start, found.end) == (15, 19)
    assert either.tokenizer.bytes_of(found.ids).decode().strip() == "cœur"
    ids = either.tokenizer.encode(sentence)
    assert [ids[n] for n in found.positions] == list(found.ids)


def test_every_occurrence_counts(either: Model) -> None:
    found = either.context("bank", sentences=["The bank by the bank", "A bank"])
    assert [occurrence.sentence for occurrence in found.occurrences] == [0, 0, 1]
    assert np.array(found.layers[0].cosine).shape == (3, 3) and len(found.points) == 3


def test_occurrences_of_other_tokens_are_said_so(model: Model) -> None:
    found = model.context("bank", sentences=["Bank of the river", "The bank"])
    assert tuple(found.occurrences[0].ids) != tuple(found.static.ids) == tuple(found.occurrences[1].ids)
    assert "Occurrence 1 is spelt with other tokens" in found.to_text("en", width=200)
    assert found.layers[0].to_static[1] == 1.0 > found.layers[0].to_static[0]


def test_the_caption_says_which_way_the_layers_work(model: Model) -> None:
    """Occurrences of other tokens begin far apart: the layers may only bring them closer."""
    apart = model.context("bank", sentences=SENTENCES)
    means = [np.array(layer.cosine)[np.triu_indices(3, 1)].mean() for layer in apart.layers]
    assert min(means[1:]) < means[0] and "because each has taken" in apart.to_text("en", width=200)
    backwards = [dataclasses.replace(apart.layers[of], layer=n) for n, of in enumerate((-1, 0))]
    closer = dataclasses.replace(apart, layers=backwards, layer=1)
    assert "no layer sets them further apart" in closer.to_text("en", width=200)


def test_a_layer_may_be_chosen(either: Model) -> None:
    found = either.context("bank", sentences=SENTENCES, layer=0)
    assert found.layer == 0 and {(point.x, point.y) for point in found.points} == {(0, 0)}
    layers = either.scheduler.engine.info.layers
    assert either.context("bank", sentences=SENTENCES, layer=layers).layer == layers
    for wrong, expected in ((layers + 1, "out_of_range"), (-1, "out_of_range"), ("2", "not_a_number")):
        assert code(either.context, "bank", sentences=SENTENCES, layer=wrong) == expected


@pytest.mark.parametrize(
    ("word", "sentences", "expected"),
    [
        ("bank", [], "no_sentences"),
        (" ", ["a"], "empty_word"),
        ("bank", ["The bank", ""], "empty_sentence"),
        ("bank", [" \n"], "empty_sentence"),
        ("bank", ["The bank", "No river"], "word_not_in_sentence"),
        ("bank", ["bank " * 201], "too_many"),
        ("bank", ["bank" + " word" * 500], "too_many_tokens"),
    ],
)
def test_wrong_sentences_have_clear_errors(scripted: Model, word: str, sentences: list, expected: str) -> None:
    assert code(scripted.context, word, sentences=sentences) == expected


def test_a_long_text_is_read_and_drawn_around_the_word(scripted: Model) -> None:
    found = scripted.context("bank", sentences=["word " * 120 + "bank" + " word" * 40, "bank"])
    assert found.to_text("en").count("…") >= 2
    assert len(found.to_text("en")) < 9000


# lens


def test_guesses_are_those_of_the_final_norm_and_head(model: Model, reference) -> None:
    import torch

    prompt = "The river bank is"
    found = model.lens(prompt)
    ids = helpers.tokenizer().encode(prompt).ids
    assert list(found.ids) == ids
    last = []
    hook = reference.model.layers[-1].register_forward_hook(lambda _, __, out: last.append(out))
    with torch.no_grad():
        answer = reference(torch.tensor([ids]), output_hidden_states=True)
        states = [state[0, -1] for state in answer.hidden_states[:-1]]
        raw = last[0][0] if isinstance(last[0], tuple) else last[0]
        states.append(raw.reshape(-1, raw.shape[-1])[-1])
        logits = reference.lm_head(reference.model.norm(torch.stack(states)))
    hook.remove()
    final = int(answer.logits[0, -1].argmax())
    assert found.final.id == final and len(found.layers) == len(states)
    for depth, row in zip(found.layers, logits, strict=True):
        shares = row.double().softmax(dim=-1)
        assert depth.top.id == int(row.argmax())
        assert depth.top.probability == pytest.approx(float(shares.max()), rel=1e-3)
        assert depth.final_probability == pytest.approx(float(shares[final]), rel=1e-3)
        assert depth.final_rank == 1 + int((row > row[final]).sum())


def test_the_last_layer_is_the_answer_and_it_settles(either: Model) -> None:
    found = either.lens("The capital of France is")
    last = found.layers[-1]
    assert last.final_rank == 1 and last.top == found.final and last.final_probability == last.top.probability
    assert all(depth.top.id == found.final.id for depth in found.layers[found.settled :])
    assert found.settled == 0 or found.layers[found.settled - 1].top.id != found.final.id
    assert [depth.layer for depth in found.layers] == list(range(either.scheduler.engine.info.layers + 1))


def test_captions_of_the_lens(scripted: Model) -> None:
    found = scripted.lens("The capital of France is P")
    echo = (*found.ids, found.layers[0].top.id)
    for changes, said in (
        ({}, "is the first guess from layer 1 on. Before any layer the guess is “·”"),
        ({"ids": echo}, "it only repeats the last token, “·”"),
        ({"settled": len(found.layers) - 1}, "only after the last of the 4 layers"),
        ({"settled": 0}, "alone is enough"),
    ):
        assert said in dataclasses.replace(found, **changes).to_text("en", width=300)


@pytest.mark.parametrize("opening", [(), (256,)], ids=["no BOS", "BOS"])
def test_an_empty_prompt_is_refused_alike_by_every_verb(
    scripted: Model, monkeypatch: pytest.MonkeyPatch, opening: tuple[int, ...]
) -> None:
    monkeypatch.setattr(scripted.tokenizer, "opening", opening)
    for verb in (scripted.next, scripted.generate, scripted.lens):
        assert code(verb, "") == "empty_prompt", verb


# Faces.


def sentences_of(caption: str) -> int:
    return sum(part.endswith((".", "!", "?")) for part in caption.split(" "))


@pytest.mark.parametrize("lang", ["en", "fr"])
def test_every_picture_has_two_sentences_with_numbers(either: Model, lang: str) -> None:
    answers = [
        either.embed(dimensions=2),
        either.embed(["cat", "dog"], dimensions=3),
        either.context("bank", sentences=SENTENCES),
        either.context("bank", sentences=SENTENCES * 2),
        either.context("bank", sentences=SENTENCES[0]),
        either.lens("The bank"),
    ]
    for answer in answers:
        blocks = answer.view(lang)
        pictures = [block for block in blocks if getattr(block, "caption", "") or hasattr(block, "axes")]
        assert len(pictures) >= 2
        for block in pictures:
            assert sentences_of(block.caption.replace("\u00a0", " ")) == 2, block.caption
        assert answer.to_html(lang).startswith("<!doctype html>") and answer._repr_html_()
        json.loads(answer.to_json())


@pytest.mark.parametrize("lang", ["en", "fr"])
@pytest.mark.parametrize(
    "arguments",
    [
        ["embed", "--near", "2"],
        ["embed", "chat", "chien", "--dimensions", "3", "--space", "space", "--near", "0"],
        ["context", "bank", *SENTENCES, "--layer", "2"],
        ["lens", "The capital of France is P"],
    ],
    ids=lambda arguments: " ".join(arguments)[:20],
)
def test_commands_answer(arguments: list[str], lang: str, capsys: pytest.CaptureFixture, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    options = ["--model", "scripted", "--lang", lang]
    assert run([*arguments, *options]) == 0
    assert len(capsys.readouterr().out) > 500
    assert run([*arguments, *options, "--json", "--html", str(page)]) == 0
    assert json.loads(capsys.readouterr().out) and page.stat().st_size > 1000


def test_words_may_come_from_a_file(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    (tmp_path / "words").write_text("cat\n\ndog\n", encoding="utf-8")
    assert run(["embed", "--model", "scripted", "--json", f"@{tmp_path / 'words'}", "green"]) == 0
    assert [word["word"] for word in json.loads(capsys.readouterr().out)["words"]] == ["cat", "dog", "green"]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [(["embed", ""], "empty_word"), (["context", "bank"], "no_sentences"), (["lens"], "missing_argument")],
    ids=str,
)
def test_commands_refuse_in_words(arguments: list[str], expected: str, capsys: pytest.CaptureFixture) -> None:
    assert run([*arguments, "--model", "scripted", "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["error"]["code"] == expected
