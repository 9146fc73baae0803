"""What an error proposes in Python: a line of the verb that met it, in the reader's language, which is answered."""

from __future__ import annotations

import contextlib
import inspect
import io
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import capot
from capot.chapters.registry import verbs
from capot.engines import transformers
from capot.engines.transformers.device_names import KINDS, check_device_name
from capot.errors import ArgumentTypeError, CapotError
from capot.i18n import LANGUAGES
from capot.model import Model

WRONG = (object(), 2.5, -1, 10**30, float("nan"), "", "id:x", "9.99", ["9.99"], [""], [-1])
ALONE = {"generate": {}, "stream": {}, "assistant": {}, "chat": {}, "memory": {"tokens": [1]}, "ablate": {"mlps": [1]}}
PASTED = re.compile(r"\b(?:model|capot)\.[a-z_.]+\(.*\)$")


@pytest.fixture(scope="module")
def boxed() -> Iterator[Model]:
    with capot.open() as model:
        yield model


class Brief:
    """A model that answers shortly: what is proposed says what it is about, not how long it takes."""

    def __init__(self, model: Model) -> None:
        self.model = model

    def __getattr__(self, name: str) -> Any:
        method = getattr(self.model, name)

        def answered(*args: Any, **given: Any) -> Any:
            taken = inspect.signature(method).parameters
            if "max_new_tokens" in taken and "sampling" not in given:
                given["max_new_tokens"] = 1
            if name == "memory" and args:
                args = ([1],)
            found = method(*args, **given)
            return list(found) if name == "stream" else found

        return answered


def arguments() -> list[tuple[str, str]]:
    every = {verb: inspect.signature(getattr(Model, verb)).parameters for verb in verbs()}
    return [(verb, name) for verb, taken in every.items() for name in taken if name != "self"]


def asked(verb: str) -> dict[str, Any]:
    """Return arguments of a verb that are answered shortly."""
    found = dict(verbs()[verb][1].example) | ALONE.get(verb, {})
    return found | ({"max_new_tokens": 1} if (verb, "max_new_tokens") in arguments() else {})


def proposed(model: Model, verb: str, name: str) -> dict[tuple[str, ...], str]:
    """Return the lines that faults in one argument propose, in every language, with the codes of the errors."""
    found = {}
    for wrong in WRONG:
        try:
            answer = getattr(model, verb)(**asked(verb) | {name: wrong})
            if verb == "stream":
                list(answer)
        except CapotError as error:  # any other is a fault of ours
            told = [error.message(lang, face="python").replace("\u00a0", " ").splitlines()[1:] for lang in LANGUAGES]
            for lines in zip(*told, strict=True):
                pasted = [PASTED.search(line) for line in lines]
                if all(pasted):
                    found[tuple(each[0] for each in pasted if each)] = error.code
    return found


@pytest.mark.parametrize("verb", verbs())
def test_every_line_that_is_proposed_is_answered(boxed: Model, verb: str) -> None:
    found: dict[tuple[str, ...], str] = {}
    for name in [name for other, name in arguments() if other == verb]:
        found |= proposed(boxed, verb, name)
    assert found
    assert all(
        line.startswith(f"model.{verb}(") for lines, code in found.items() if code == "wrong_kind" for line in lines
    )
    # Each fault in one language, every language in turn: they differ by the texts of a line alone.
    for turn, lines in enumerate(found):
        line = lines[turn % len(LANGUAGES)]
        with contextlib.redirect_stdout(io.StringIO()):  # some show their progress
            assert eval(line, {"model": Brief(boxed), "capot": capot}) is not None, line  # noqa: S307 - our own line


@pytest.mark.parametrize(("verb", "name"), arguments())
def test_a_proposal_speaks_the_readers_language(boxed: Model, verb: str, name: str) -> None:
    with pytest.raises(ArgumentTypeError) as caught:
        getattr(boxed, verb)(**{**verbs()[verb][1].example, name: object()})
    english, french = (caught.value.message(lang, face="python").splitlines()[-1] for lang in ("en", "fr"))
    words = r"capital of|kind\b|\bcat\b|Hello|happy|weather"
    assert not re.search(words, french.partition(" : ")[2]) and not re.search(r"capitale|chat\"|Bonjour", english)


def whole() -> list[tuple[str, str]]:
    """Every argument that is a whole number."""
    kinds = {verb: inspect.signature(getattr(Model, verb)).parameters for verb in verbs()}
    return [(verb, name) for verb, name in arguments() if kinds[verb][name].annotation in ("int", "int | None")]


@pytest.mark.parametrize(("verb", "name"), whole())
def test_a_number_that_is_not_whole_is_told_so(boxed: Model, verb: str, name: str) -> None:
    """And 1.0 is the whole number 1, whatever is asked."""
    given = asked(verb) | ({"part": "head"} if name == "head" else {})
    with pytest.raises(CapotError) as caught:
        getattr(boxed, verb)(**given | {name: 1.5})
    assert caught.value.code == "not_whole" and caught.value.params["name"] == name
    number = 2.0 if name == "dimensions" else 1.0
    for value in (number, np.float32(number)):
        assert getattr(boxed, verb)(**given | {name: value}) is not None


def test_a_value_without_its_name_is_told_in_words() -> None:
    model = capot.open("scripted")
    for call, code, meant in (
        (lambda: model.next("abc", 3), "unnamed_argument", 'next("The capital of France is", k='),
        (lambda: model.embed(["a"], "bare"), "unnamed_argument", 'embed(space="'),
        (lambda: model.score("abc", "def"), "unnamed_argument", 'score("The capital of France is Paris.")'),
        (lambda: model.next("abc", prompt="def"), "argument_twice", 'next("The capital of France is")'),
    ):
        with pytest.raises(ArgumentTypeError) as caught:
            call()
        assert caught.value.code == code and meant in caught.value.message("en")
        assert all(len(caught.value.message(lang, face="python").splitlines()) == 2 for lang in LANGUAGES)


def test_a_text_is_quoted_once() -> None:
    with pytest.raises(ArgumentTypeError) as caught:
        capot.open("scripted").next("abc", k="3")
    assert caught.value.message("en").splitlines()[0] == "k must be a number, not “3”."


@pytest.mark.parametrize("engine", [None, "transformers", "native"])
@pytest.mark.parametrize(
    ("setting", "code"),
    [
        ({"dtype": "int3"}, "unknown_precision"),
        ({"device": "tpu"}, "unknown_device"),
        ({"device": "cuda:x"}, "unknown_device"),
    ],
)
def test_what_exists_nowhere_is_refused_before_packages_are_proposed(
    monkeypatch: pytest.MonkeyPatch, engine: str | None, setting: dict[str, str], code: str
) -> None:
    monkeypatch.setattr(transformers, "missing", lambda: transformers.PACKAGES)
    with pytest.raises(CapotError) as caught:
        capot.open("boxed", engine=engine, **setting)
    assert caught.value.code == code and "pip install" not in caught.value.message("en")


def torch_takes(name: str) -> bool:
    """Return whether PyTorch itself knows a device of that name."""
    import torch

    try:
        torch.device(name)
    except RuntimeError:
        return False
    return True


def test_the_kinds_of_devices_are_those_of_pytorch() -> None:
    pytest.importorskip("torch", reason="PyTorch is not installed")
    for kind in KINDS:
        assert torch_takes(kind)
    for name in ("tpu", "gpu", "cuda:x", "npu2"):
        assert not torch_takes(name)
        with pytest.raises(CapotError):
            check_device_name(name)


def test_opening_tells_stray_arguments_as_the_verbs_do() -> None:
    stray: Any = capot.open
    with pytest.raises(ArgumentTypeError) as place:
        stray("boxed", "native")
    with pytest.raises(ArgumentTypeError) as name:
        stray("boxed", langue="fr")
    assert [error.value.code for error in (place, name)] == ["unnamed_argument", "no_such_setting"]
    assert "capot.open(lang=" in str(name.value)
    for error in (place, name):
        exec(str(error.value).rpartition("For example: ")[2] + ".close()", {"capot": capot})


def test_the_parts_of_a_list_given_one_by_one_are_proposed_as_a_list() -> None:
    model: Any = capot.open("scripted")
    with pytest.raises(ArgumentTypeError) as error:
        model.embed("cat", "dog", "tree")
    assert error.value.code == "unnamed_list"
    assert str(error.value).endswith('model.embed(["cat", "dog", "tree"])')
