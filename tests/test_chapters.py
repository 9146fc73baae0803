"""The chapters on every engine: each verb answers with its fields, or says in words what the engine lacks."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from typing import Any

import pytest

import capot
from capot.engines.protocol import Capability
from capot.engines.scheduler import Scheduler
from capot.engines.scripted import ScriptedEngine
from capot.errors import CapabilityError
from capot.model import Model

VERBS: dict[str, tuple[Callable[[Model], Any], str]] = {
    "embed": (lambda model: model.embed(["cat", "dog"], near=2), "shape words explained_variance cosine neighbours"),
    "context": (lambda model: model.context("bank", sentences=["A river bank.", "My bank."]), "word layers"),
    "lens": (lambda model: model.lens("The capital of France is"), "prompt layers"),
    "network": (lambda model: model.network("The capital of France is", k=2), "tokens layers heads contributions"),
    "ablate": (lambda model: model.ablate("The capital of France is", layers=[2]), "before after changed moved"),
    "patch": (
        lambda model: model.patch("The capital of France is", source="The capital of Italy is", layer=2),
        "before after grid difference",
    ),
    "steer": (lambda model: model.steer("It is", toward="I love", away="I hate"), "before after toward strength"),
    "score": (lambda model: model.score("The capital of France is"), "text tokens bits perplexity bits_per_byte"),
    "memory": (lambda model: model.memory([1, 300]), "device mode weights_bytes rows"),
    "assistant": (lambda model: model.assistant("Hello?", temperature=0, max_new_tokens=3), "question answers"),
    "chat": (lambda model: model.chat(["Hello", "And?"], temperature=0, max_new_tokens=3), "turns"),
}  # fmt: skip
EDITING = ("ablate", "patch", "steer")  # the scripted engine has no stream that could be changed
LACKING = {
    "context": "HIDDEN",
    "lens": "LAYER_LOGITS",
    "network": "LAYER_LOGITS",
    "ablate": "ADDITIONS, EDITS",
    "patch": "EDITS",
    "steer": "EDITS",
    "score": "ALL_LOGITS",
    "assistant": "LOGITS",
    "chat": "LOGITS",
}


@pytest.fixture(scope="module", params=["scripted", "native", "transformers"])
def model(request: pytest.FixtureRequest) -> Iterator[Model]:
    if request.param == "transformers" and not (find_spec("torch") and find_spec("transformers")):
        pytest.skip("the extra for transformers is not installed")
    with capot.open("scripted" if request.param == "scripted" else "boxed", engine=request.param) as opened:
        yield opened


@pytest.mark.parametrize("verb", VERBS)
def test_every_engine_answers(model: Model, verb: str) -> None:
    ask, fields = VERBS[verb]
    if verb in EDITING and model.engine_name == "scripted":
        with pytest.raises(CapabilityError):
            ask(model)
        return
    answer = ask(model)
    assert set(fields.split()) <= set(json.loads(answer.to_json()))
    assert answer.to_text("fr") != answer.to_text("en")
    assert 'lang="fr"' in answer.to_html("fr") and answer._repr_html_().startswith("<div")


@pytest.mark.parametrize("verb", LACKING)
def test_what_an_engine_lacks_is_said_in_words(verb: str) -> None:
    with capot.open("scripted") as model:
        model.shared.at_work = Scheduler(ScriptedEngine(capabilities=Capability.PREFIX))
        with pytest.raises(CapabilityError) as caught:
            VERBS[verb][0](model)
    assert LACKING[verb] in caught.value.params["missing"]
    for lang in ("en", "fr"):
        assert "scripted" in caught.value.message(lang) and LACKING[verb] not in caught.value.message(lang)


@pytest.mark.parametrize("lang", ["en", "fr"])
def test_the_forms_of_pages_speak_of_the_page(lang: str) -> None:
    """A label is a word of the page's language, and no help sends one to the command line."""
    from capot.chapters.registry import CHAPTERS
    from capot.i18n import find
    from capot.web.form_data import forms

    fields = [
        (verb["name"], each) for one in CHAPTERS for verb in forms(one.name, lang)["verbs"] for each in verb["settings"]
    ]
    assert fields
    terminal = re.compile(r"@FI|standard input|entrée standard|--[a-z]|PROMPT|\b[A-Z]+\.toml|config\.json")
    for verb, each in fields:
        assert find(f"form.label.{each['name']}", lang) == each["label"], (verb, each["name"])
        assert not terminal.search(each["words"]), (verb, each["words"])
