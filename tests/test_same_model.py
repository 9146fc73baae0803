"""The same answer every time, through ``Model`` and through the lab: whatever was asked before, and beside."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from conftest import ROOT
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lab_helpers import Live, Reader, asked, part
from same_helpers import OneByOne, same

import capot
from capot.engines.native import open_native
from capot.model import BOXED, Model
from capot.sources.checkpoint import Checkpoint
from capot.text.sampling import softmax

PROMPTS = (
    "La capitale de la France est",
    "La capitale de la France est Paris, et Rome est la capitale de l'",
    "The capital of Japan is",
    "Once upon a time there was a little girl who lived in a house near the sea. " * 5,
)
MADE = 12  # tokens of a text
WAYS = ({"temperature": 0.8}, {"temperature": 1.5, "top_k": 50}, {"temperature": 0.7, "top_p": 0.9, "min_p": 0.01})


@dataclass(frozen=True)
class Question:
    """What one person asks: of which prompt, by which verb; a text in some way, and where it is left."""

    prompt: int
    verb: str
    seed: int = 0
    way: int = 0
    left: int = MADE


QUESTIONS = st.builds(
    Question,
    st.integers(0, len(PROMPTS) - 1),
    st.sampled_from(["next", "next", "lens", "context", "generate", "generate", "resumed"]),
    st.integers(0, 1),
    st.integers(0, len(WAYS) - 1),
    st.integers(1, MADE),
)
HISTORIES = st.lists(st.lists(QUESTIONS, min_size=1, max_size=3), min_size=1, max_size=4)  # those of one list at once


@dataclass(frozen=True, repr=False)
class Truth:
    """Logits from an engine that reads one token at a time, and texts drawn from those alone."""

    one: OneByOne
    model: Model
    texts: dict[Question, tuple[Any, ...]]

    def logits(self, prompt: int) -> np.ndarray:
        return self.one.logits(self.model.tokenizer.encode_prompt(PROMPTS[prompt]))[-1]

    def text(self, question: Question) -> tuple[Any, ...]:
        """The tokens of a text of MADE tokens, made alone by a model that was asked nothing before."""
        key = Question(question.prompt, "generate", question.seed, question.way)
        if key not in self.texts:
            with capot.open() as model:
                self.texts[key] = generated(model, key).tokens
        return self.texts[key]


@pytest.fixture(scope="module")
def truth() -> Iterator[Truth]:
    with capot.open() as model:
        yield Truth(OneByOne(open_native(Checkpoint.open(BOXED))), model, {})


def generated(model: Model, question: Question, **options: Any) -> Any:
    settings = {"max_new_tokens": MADE, "seed": question.seed, **WAYS[question.way]} | options
    return model.generate(PROMPTS[question.prompt], **settings)


def hold(model: Model, question: Question, truth: Truth) -> None:
    """Ask, and hold the answer to the truth."""
    prompt = PROMPTS[question.prompt]
    if question.verb == "next":
        same(model.next(prompt, k=1).logits, truth.logits(question.prompt))
    elif question.verb == "lens":
        shares = softmax(truth.logits(question.prompt))
        assert model.lens(prompt).layers[-1].final_probability == shares.max()
    elif question.verb == "context":
        model.context("capital", sentences=["A capital city.", "Capital is money."])
    else:
        hold_text(model, question, truth)


def hold_text(model: Model, question: Question, truth: Truth) -> None:
    expected, begun = truth.text(question), []
    if question.verb == "resumed":  # a stream is closed in mid-text, and the text taken up by its ids
        stream = model.stream(PROMPTS[question.prompt], max_new_tokens=MADE, seed=question.seed, **WAYS[question.way])
        for event in stream:
            begun += [event] if event.kind == "step" else []
            if len(begun) == question.left:
                break
        stream.close()
        assert [told(token) for token in begun] == [told(token) for token in expected[: len(begun)]]
    if len(begun) < len(expected):
        ids = [*model.tokenizer.encode_prompt(PROMPTS[question.prompt]), *(token.id for token in begun)]
        rest = generated(model, question, ids=ids, first_draw=len(begun), max_new_tokens=MADE - len(begun))
        assert [told(token) for token in rest.tokens] == [told(token) for token in expected[len(begun) :]]


def told(token: Any) -> tuple[Any, ...]:
    """All that a token says of itself but its time."""
    return (token.id, token.probability, token.logprob, token.rank, token.chance, token.draw)


@settings(max_examples=6, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(HISTORIES)
def test_any_history_of_a_model_gives_the_same_numbers(truth: Truth, histories: list[list[Question]]) -> None:
    with capot.open() as model, ThreadPoolExecutor(3) as people:
        for questions in histories:
            asking = [people.submit(hold, model.on_behalf_of(f"{n}"), each, truth) for n, each in enumerate(questions)]
            for each in asking:
                each.result()


def test_a_text_has_the_probabilities_of_its_tokens_one_at_a_time(truth: Truth) -> None:
    question = Question(0, "generate")
    ids = truth.model.tokenizer.encode_prompt(PROMPTS[0])
    for token in truth.text(question):
        logits = truth.one.logits(ids)[-1]
        assert token.probability == softmax(logits)[token.id]
        ids = [*ids, token.id]


def test_several_learners_of_a_lab_get_the_numbers_of_one_alone(truth: Truth) -> None:
    """All at once, from three browsers: figures, texts that are read to their end, and one that is left."""
    questions = [Question(prompt, "generate", seed, way) for prompt in (0, 1, 3) for seed, way in ((0, 0), (1, 2))]
    with Live(capot.open()) as live, live.client() as first, live.client() as second, live.client() as third:
        clients = (first, second, third)
        left = third.stream("POST", "/api/stream", json=asked(stream_of(questions[0]), name="page-left"))
        with left as answer:
            next(answer.iter_text())  # its text is under way while the others ask
            readers = [
                Reader(clients[n % 3], asked(stream_of(each), name=f"page-{n:04}")).start()
                for n, each in enumerate(questions)
            ]
            for client in clients:
                for prompt in (3, 0, 2):
                    candidates = client.post("/api/next", json={"prompt": PROMPTS[prompt], "k": 20}).json()["result"]
                    hold_candidates(candidates["candidates"], truth.logits(prompt))
        for reader, question in zip(readers, questions, strict=True):
            steps = [body for kind, _, body in reader.join().events if kind == "step"]
            found = [(step["id"], step["probability"], step["chance"], step["draw"]) for step in steps]
            expected = [(each.id, each.probability, each.chance, each.draw) for each in truth.text(question)]
            assert found == expected


def stream_of(question: Question) -> dict[str, Any]:
    settings = {"max_new_tokens": MADE, "seed": question.seed, **WAYS[question.way]}
    return part(prompt=PROMPTS[question.prompt], **settings)


def hold_candidates(candidates: list[dict[str, Any]], logits: np.ndarray) -> None:
    shares = softmax(logits)
    for candidate in candidates:
        assert candidate["logit"] == float(logits[candidate["id"]])
        assert candidate["probability"] == shares[candidate["id"]]


def test_a_text_cut_by_a_restart_of_the_lab_goes_on_as_if_it_had_not_been(truth: Truth) -> None:
    question, made = Question(2, "generate", seed=1, way=1), 5
    expected, found = truth.text(question), []
    for count in (made, MADE - made):
        ids = [*truth.model.tokenizer.encode_prompt(PROMPTS[2]), *(step["id"] for step in found)]
        settings = {"seed": 1, **WAYS[1], "max_new_tokens": count, "ids": ids, "first_draw": len(found)}
        with Live(capot.open()) as live, live.client() as client:
            reader = Reader(client, asked(part(prompt=PROMPTS[2], **settings))).start().join()
        found += [body for kind, _, body in reader.events if kind == "step"]
    assert [(step["id"], step["probability"]) for step in found] == [(each.id, each.probability) for each in expected]


@pytest.mark.parametrize(("lang", "prompt", "pages"), [("fr", 0, 3), ("en", 2, 2)])
def test_a_figure_is_the_same_on_every_page_that_shows_it(lang: str, prompt: int, pages: int) -> None:
    """The README, its picture and the notebook, of one prompt: a label and its share, as they were made."""
    notebook = json.loads((ROOT / f"notebooks/tour.{lang}.ipynb").read_text(encoding="utf-8"))
    told = [cell["outputs"] for cell in notebook["cells"] if cell["cell_type"] == "code"]
    texts = [
        (ROOT / ("README.md" if lang == "en" else "README.fr.md")).read_text(encoding="utf-8"),
        re.sub("<[^>]*>", " ", (ROOT / f"docs/road.{lang}.svg").read_text(encoding="utf-8")),
        *("".join(line) for outputs in told for each in outputs for line in each.get("data", {}).values()),
    ]
    shown = [shares for shares in (shares_of(text, PROMPTS[prompt]) for text in texts) if shares]
    assert len(shown) == pages and all(shares[:3] == shown[0][:3] for shares in shown), shown


def shares_of(text: str, prompt: str) -> list[tuple[str, str]]:
    """The labels under a prompt that stands alone on its line, with the percentage beside each."""
    _, found, below = text.partition(f"\n{prompt}\n") if f"\n{prompt}\n" in text else text.partition(f"\n {prompt} ")
    return re.findall(r"(·\w+)\s+([\d.,]+)\s?%", below) if found else []


@pytest.mark.parametrize("prompt", [0, 2])
def test_command_line_python_and_lab_tell_the_same_figures(truth: Truth, prompt: int) -> None:
    """The command line is another process: this is a restart as well."""
    command = [sys.executable, "-m", "capot", "next", PROMPTS[prompt], "-k", "20", "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    hold_candidates(json.loads(done.stdout)["candidates"], truth.logits(prompt))
    command = [sys.executable, "-m", "capot", "generate", PROMPTS[prompt], "--json"]
    options = ["--seed", "1", "--temperature", "0.8", "--max-new-tokens", str(MADE)]
    done = subprocess.run([*command, *options], cwd=ROOT, capture_output=True, text=True, check=True)
    expected = truth.text(Question(prompt, "generate", seed=1))
    found = json.loads(done.stdout)["tokens"]
    assert [(each["id"], each["probability"]) for each in found] == [(each.id, each.probability) for each in expected]
