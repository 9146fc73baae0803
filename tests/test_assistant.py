"""The four ways asked together: one event stream, the same answers, stopped as one."""

from __future__ import annotations

import queue
import threading
from typing import Any

import pytest

import capot
from capot import assistant
from capot.config import Sampling
from capot.errors import InputError
from capot.web.events import told

QUESTION = "What is the capital of France?"


def events(model: Any, **options: Any) -> list[Any]:
    """All that is told, up to the last event."""
    heard: queue.Queue[Any] = queue.Queue()
    assistant.start(model, QUESTION, emit=heard.put, **options)
    found = [heard.get(timeout=60)]
    while not isinstance(found[-1], assistant.Finished):
        assert not isinstance(found[-1], Exception), found[-1]
        found.append(heard.get(timeout=60))
    return found


def test_together_the_ways_give_what_they_give_in_turn() -> None:
    sampling = Sampling(temperature=0, max_new_tokens=12, seed=3)
    with capot.open("scripted") as model:
        found = events(model, sampling=sampling, after_stop=4)
        alone = model.assistant(QUESTION, sampling=sampling, after_stop=4)
    together = found[-1].answers
    assert [a.kind for a in together.answers] == [a.kind for a in alone.answers]
    assert [(a.text, a.prompt, a.stop_reason) for a in together.answers] == [
        (a.text, a.prompt, a.stop_reason) for a in alone.answers
    ]
    assert together.missing == alone.missing
    assert found[-1].stop_reason == "complete"
    for answer in together.answers:
        own = [event for event in found if getattr(event, "column", None) == answer.kind]
        assert isinstance(own[-1], assistant.Answered)
        assert sum(type(getattr(event, "event", None)).__name__ == "Step" for event in own) == answer.generated_tokens


def test_each_event_says_whose_it_is() -> None:
    with capot.open("scripted") as model:
        found = events(model, sampling=Sampling(temperature=0, max_new_tokens=2))
    named = [told(event, "en") for event in found]
    assert {body["column"] for kind, body in named if kind == "started"} == set(assistant.KINDS)
    assert all("prompt_ids" in body for kind, body in named if kind == "started")
    assert sum(kind == "answered" for kind, _ in named) == 4
    kind, body = named[-1]
    assert kind == "finished" and len(body["result"]["answers"]) == 4


def test_one_stop_ends_them_all() -> None:
    heard: queue.Queue[Any] = queue.Queue()
    begun = threading.Event()

    def emit(event: Any) -> None:
        heard.put(event)
        begun.set()

    with capot.open("scripted") as model:
        work = assistant.start(
            model, QUESTION, emit=emit, sampling=Sampling(max_new_tokens=100_000, temperature=3, top_k=0)
        )
        assert begun.wait(60)
        work.cancel()
        last = heard.get(timeout=60)
        while not isinstance(last, assistant.Finished):
            last = heard.get(timeout=60)
        assert work.done
    assert last.stop_reason == "interrupted"


def test_what_is_wrong_is_said_before_anything_is_sent() -> None:
    heard: list[Any] = []
    with capot.open("scripted") as model, pytest.raises(InputError, match=r"TOML|toml"):
        assistant.start(model, QUESTION, emit=heard.append, template="= nothing")
    assert not heard
