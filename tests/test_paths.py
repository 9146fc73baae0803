"""No path of the server's machine reaches a learner, whatever letters it has: an error names the model."""

from __future__ import annotations

import ast
import json
import os
import pickle
import shutil
from collections.abc import Iterator
from pathlib import Path

import native_helpers
import pytest
from conftest import ROOT
from lab_helpers import asgi
from starlette.testclient import TestClient

import capot
from capot.config import Serving
from capot.errors import ModelError, NotFoundError, library_message, local_path, os_reason, redact
from capot.web.error_handlers import error_body
from capot.web.openapi import EXAMPLES

BOXED = ROOT / "src" / "capot" / "boxed"
PLACES = ["ann lee/secret project (2026)", "élève/projet", "it's, a;b/«ici»", "plain/x", "日本/🤗 {0}/%s", "a\nb/c\td"]
NAMED = {"folder", "path", "source", "cache"}  # what errors call a place


@pytest.fixture(params=PLACES[: 2 if os.name == "nt" else None])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A model's folder under a name that is nobody's business."""
    made = tmp_path / request.param / "tiny"
    made.mkdir(parents=True)
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json", "generation_config.json"):
        shutil.copy(BOXED / name, made)
    return made


def learner(model: capot.Model) -> Iterator[TestClient]:
    serving = Serving(host="0.0.0.0", access_code="code-code")
    with asgi(model, serving, owner_key="the-owner") as client:
        client.get("/?code=code-code")
        yield client


def damaged(folder: Path) -> Iterator[str]:
    """One kind of damage after the other, each by its name."""
    yield "no weights"
    (folder / "model.safetensors").write_bytes(b"\xff" * 8)
    yield "weights that are none"
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(b"")
    yield "pickles"
    (folder / "pytorch_model.bin").unlink()
    index = folder / "model.safetensors.index.json"
    for raw in ("{", "{}", json.dumps({"weight_map": {"a": "gone.safetensors"}})):
        index.write_text(raw)
        yield f"an index of {raw}"
    index.unlink()
    (folder / "generation_config.json").write_text("[")
    yield "settings that are none"
    (folder / "chat_template.jinja").write_bytes(b"\xff")
    yield "a template that is none"
    for raw in ("{", '{"model": 1}', "\ud800"):
        (folder / "tokenizer.json").write_bytes(raw.encode("utf-8", "surrogatepass"))
        yield f"a tokenizer of {raw!r}"
    (folder / "tokenizer.json").unlink()
    yield "no tokenizer"
    (folder / "vocab.txt").write_text("a")
    yield "an old one"


def test_no_part_of_a_path_reaches_a_learner(folder: Path, tmp_path: Path) -> None:
    hidden = [tmp_path.name, *(part for part in folder.relative_to(tmp_path).parts[:-1] if len(part) > 1)]
    codes = set()
    for damage in damaged(folder):
        for client in learner(capot.open(folder)):
            for verb in ("tokens", "next", "card", "chat"):
                for lang in ("en", "fr"):
                    answer = client.post(f"/api/{verb}", json=EXAMPLES[verb], headers={"accept-language": lang})
                    said = json.dumps(answer.json(), ensure_ascii=False)
                    assert not any(json.dumps(part, ensure_ascii=False)[1:-1] in said for part in hidden), (
                        damage,
                        said,
                    )
                    if answer.status_code != 200:
                        codes.add(answer.json()["error"]["code"])
                        assert answer.status_code in (404, 422), said
    assert codes >= {
        "weights_missing", "safetensors_truncated", "weights_pickled", "json_invalid", "index_invalid", "shard_missing",
        "tokenizer_damaged", "tokenizer_missing", "tokenizer_format",
    } - ({"safetensors_truncated"} if "safetensors_corrupt" in codes else set())  # fmt: skip


def test_the_same_error_names_the_path_to_who_reads_it_here(folder: Path) -> None:
    with pytest.raises(NotFoundError) as caught:
        capot.open(folder).next("a")
    assert str(folder) in str(caught.value) and str(folder) in caught.value.to_dict("fr")["error"]["message"]
    assert "tiny" in error_body(caught.value, "fr")["error"]["message"]
    assert str(folder.parent) not in error_body(caught.value, "fr")["error"]["message"]


def test_a_model_of_the_hub_goes_by_its_name_and_only_the_owner_is_told_where_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "ann lee"))
    monkeypatch.delenv("HF_HUB_CACHE", raising=False)
    commit, store = "a" * 40, tmp_path / "ann lee" / "hub" / "models--org--tiny"
    (store / "refs").mkdir(parents=True)
    (store / "refs" / "main").write_text(commit)
    shutil.copytree(native_helpers.make(tmp_path / "made", "llama"), store / "snapshots" / commit)
    shutil.copy(BOXED / "tokenizer.json", store / "snapshots" / commit)
    for client in learner(capot.open("org/tiny")):
        for path in ("/api/card", "/api/card?view=true", "/api/page/card"):
            answer = client.post(path, json={})
            assert answer.status_code == 200 and "ann lee" not in answer.text, answer.text
        client.get("/?code=the-owner")
        assert str(tmp_path / "ann lee") in client.post("/api/card", json={}).json()["result"]["published"]["cache"]
    (store / "snapshots" / commit / "model.safetensors").write_bytes(b"\xff" * 4)
    for client in learner(capot.open("org/tiny")):
        answer = client.post("/api/next", json={"prompt": "a"})
        assert answer.json()["error"]["code"] == "hub_damaged" and "org/tiny" in answer.text
        assert not any(word in answer.text for word in ("ann", commit, "models--"))


# The value that a path is, and the seam.


def test_a_path_is_a_value_that_knows_what_others_are_told() -> None:
    error = ModelError("json_invalid", file="config.json", folder=local_path("/home/ann lee/tiny", "tiny"))
    assert "/home/ann lee/tiny" in str(error) and error.params["folder"] == "/home/ann lee/tiny"
    assert str(error.public()) == "config.json in tiny is not a readable JSON object.\nDownload it again."
    assert str(pickle.loads(pickle.dumps(error)).public()) == str(error.public())  # noqa: S301 - our own bytes


@pytest.mark.parametrize(
    "said", ["no file /home/ann lee/x", "C:\\Users\\élève", "in ~/x", "см. /дом", "file:///x", "..\\x"]
)
def test_what_a_library_says_is_kept_back_where_it_may_name_a_file(said: str) -> None:
    error = ModelError("model_refused", model="org/tiny", reason=library_message(said))
    assert said in error.message("en")
    for lang in ("en", "fr"):
        assert not any(mark in error.public().message(lang).replace("org/tiny", "") for mark in ("/", "\\"))
    assert "org/tiny" in error.public().message("en")


def test_what_a_library_says_of_no_file_is_told() -> None:
    error = ModelError("model_refused", model="tiny", reason=library_message("shapes (3, 4) and (5, 6) do not match"))
    assert "(3, 4)" in error.public().message("fr")
    refused = redact(os_reason(PermissionError(13, "Permission denied", "/home/ann lee/x")))
    assert str(ModelError("file_unreadable", file="x", model="tiny", reason=refused)).endswith("(permission denied).")
    loop = redact(os_reason(RuntimeError("Symlink loop from '/home/ann lee/x'")))
    assert "ann lee" not in str(ModelError("file_unreadable", file="x", model="tiny", reason=loop))


def raisings() -> Iterator[tuple[str, ast.Call]]:
    """Where the source makes an error that may reach a learner: by file, with the call."""
    source = ROOT / "src" / "capot"
    for path in sorted(source.rglob("*.py")):
        place = path.relative_to(source).as_posix()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            name = getattr(node.func, "id", "") if isinstance(node, ast.Call) else ""
            if (
                name.endswith("Error")
                and name not in ("OSError", "TypeError", "ValueError", "KeyError")
                and (
                    not place.startswith("cli/")  # what is raised there is told by a terminal
                )
            ):
                yield place, node


# Where a reason is the learner's own words, or how a helper ended.
APART = ("text/templates/", "web/template_workers.py")


def test_every_error_that_names_a_place_does_so_with_such_a_value() -> None:
    seen = 0
    for place, call in raisings():
        for given in call.keywords:
            where = f"{place}:{call.lineno} {given.arg}"
            made = ast.unparse(given.value)
            if given.arg in NAMED:
                seen += 1
                assert made.startswith("local_path(") or isinstance(given.value, (ast.Name, ast.Attribute)), where
            assert not made.startswith(("str(path", "str(folder", "str(self.path", "str(file")), where
            if given.arg == "reason" and not place.startswith(APART):
                assert not made.startswith(("str(", "f'", 'f"')), where
    assert seen > 15
