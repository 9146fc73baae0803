"""Vectors of a model that a server has: rows of its table, from the model's file on the hub, and nothing more."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hub_server import Fault, Hub, only, tiny
from openai_server import NAME, OpenAIServer, serving

import capot
from capot.cli import run
from capot.errors import CapotError
from capot.sources.hub.remote_headers import FIRST

WORDS = ["ab", "ba", "cd"]
WEIGHTS = "model.safetensors"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    with Hub() as running:
        only(running, monkeypatch, home=tmp_path)
        yield running


server = pytest.fixture(scope="module")(serving)


def brought(hub: Hub) -> list[int]:
    """How many bytes of the weights each request asked for."""
    found = []
    for seen in hub.seen:
        if seen.server == "store" and "Range" in seen.headers:
            first, last = seen.headers["Range"].removeprefix("bytes=").split("-")
            found.append(int(last) - int(first) + 1)
    return found


@pytest.fixture
def wide(hub: Hub, server: OpenAIServer, tmp_path: Path) -> Iterator[tuple[capot.Model, capot.Model]]:
    """The model at a server, and its files here: rows of 4,096 bytes, a table of a megabyte."""
    hub.add(NAME, files := tiny(hidden_size=1024))
    folder = tmp_path / "here"
    folder.mkdir()
    for name, raw in files.items():
        (folder / name).write_bytes(raw)
    with capot.open(server.url) as served, capot.open(folder) as here:
        yield served, here


def test_only_the_rows_needed_come(hub: Hub, wide: tuple[capot.Model, capot.Model]) -> None:
    served, here = wide
    ids = [200, 10, 10, 100]
    assert np.array_equal(served.vectors(ids), here.vectors(ids))
    header, *rows = brought(hub)
    assert header <= FIRST and sorted(rows) == [4096] * 3, "two of them are the same row"
    assert np.array_equal(served.vectors([100, 101, 10]), here.vectors([100, 101, 10]))
    assert brought(hub)[4:] == [4096], "what came once is not asked for again"


def test_words_are_drawn_without_their_neighbours(hub: Hub, wide, capsys: pytest.CaptureFixture[str]) -> None:
    served, here = wide
    found = served.embed(WORDS, near=5)
    assert (found.shape, found.dtype, found.whole, found.neighbours) == ((256, 1024), "float32", False, ())
    rows = np.array([here.vectors(list(word.ids)).mean(axis=0) for word in found.words], np.float64)
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    assert np.allclose(found.cosine, unit @ unit.T, atol=1e-5)
    assert sum(brought(hub)) < FIRST + 20 * 4096, "a megabyte stays where it is"
    said = {"en": "only the rows of these words came", "fr": "seules les lignes de ces mots sont venues"}
    assert all(words in str(found.view(lang)) for lang, words in said.items())
    assert not [path for path in hub.paths() if path.endswith("tokenizer.json")], "the server cuts the texts"
    assert here.embed(WORDS).whole and here.embed(WORDS).neighbours


def test_rows_that_are_close_come_together(hub: Hub, wide: tuple[capot.Model, capot.Model]) -> None:
    served, here = wide
    ids = [*range(50, 60), 200]
    assert np.array_equal(served.vectors(ids), here.vectors(ids))
    assert sorted(brought(hub)[1:]) == [4096, 10 * 4096]


def test_a_mirror_that_lists_names_alone_is_asked_once_for_the_size(
    hub: Hub, wide: tuple[capot.Model, capot.Model]
) -> None:
    served, here = wide
    hub.models[NAME].bare = True

    def sizes_asked() -> int:
        return sum(1 for seen in hub.seen if seen.method == "HEAD" and seen.path.endswith(WEIGHTS))

    assert np.array_equal(served.vectors([1]), here.vectors([1]))
    before = sizes_asked()
    assert np.array_equal(served.vectors([77]), here.vectors([77]))
    assert before and sizes_asked() == before


def test_a_row_cut_short_is_asked_for_again(hub: Hub, wide: tuple[capot.Model, capot.Model]) -> None:
    served, here = wide
    served.vectors([1])
    hub.fault(WEIGHTS, Fault(cut=100))
    assert np.array_equal(served.vectors([77]), here.vectors([77]))


def test_without_a_network_it_is_said_why_the_hub_is_asked(
    hub: Hub, server: OpenAIServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:1")
    with capot.open(server.url) as served, pytest.raises(CapotError) as raised:
        served.embed(WORDS)
    assert raised.value.code == "published_unreachable"
    for lang, kind in (("en", "the server"), ("fr", "le serveur")):
        assert all(words in raised.value.message(lang) for words in (kind, NAME, "127.0.0.1:1"))


@pytest.mark.parametrize(
    ("ids", "code"), [([256], "no_such_id"), ([-1], "no_such_id"), (list(range(256)) * 2, None)], ids=str
)
def test_ids_are_held_to_the_table(wide: tuple[capot.Model, capot.Model], ids: list[int], code: str | None) -> None:
    if code is None:
        assert wide[0].vectors(ids).shape == (512, 1024)
        return
    with pytest.raises(CapotError) as raised:
        wide[0].vectors(ids)
    assert raised.value.code == code


def test_one_question_brings_a_bounded_number_of_rows(monkeypatch, wide: tuple[capot.Model, capot.Model]) -> None:
    monkeypatch.setattr("capot.chapters.embeddings.table.FAR", 3)
    with pytest.raises(CapotError) as raised:
        wide[0].vectors([1, 2, 3, 4])
    assert raised.value.code == "too_many"


def test_a_model_that_the_hub_does_not_know_says_so(hub: Hub, server: OpenAIServer, capsys) -> None:
    assert run(["embed", "ab", "--model", server.url]) == 2
    assert NAME in capsys.readouterr().err


def test_a_name_that_is_none_of_the_hub_is_refused_as_before(hub: Hub, server: OpenAIServer) -> None:
    with capot.open(server.url) as opened:
        opened.shared.served.model = dataclasses.replace(opened.shared.served.model, name="tiny:1b", source=None)
        with pytest.raises(CapotError) as raised:
            opened.embed(["ab"])
        assert raised.value.code == "server_cannot" and not hub.seen
