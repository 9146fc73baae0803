"""Models that are opened again and again: the last one is there, and nothing of those before it."""

from __future__ import annotations

import gc
import shutil
import sys
import threading
import weakref
from pathlib import Path
from typing import Any

import native_helpers
import pytest
from conftest import ROOT
from lab_helpers import asgi, until

import capot
from capot.chapters.assistant import chat
from capot.config import Loading
from capot.errors import BusyError
from capot.web.opening import open_warm

BOXED = ROOT / "src" / "capot" / "boxed"


def gone(*references: weakref.ref) -> bool:
    gc.collect()
    return all(reference() is None for reference in references)


def engines_at_work() -> int:
    return sum(thread.name == "capot-engine" for thread in threading.enumerate())


def mapped() -> int:
    """Files of weights in this process's memory; 0 where nobody says."""
    maps = Path("/proc/self/maps")
    return maps.read_text(errors="replace").count("model.safetensors") if sys.platform == "linux" else 0


def test_a_model_opened_from_a_page_keeps_none_of_those_before_it() -> None:
    before, threads = mapped(), engines_at_work()
    with asgi(capot.open("scripted"), owner_key="the-owner's-own-key") as client:
        client.get("/", params={"code": "the-owner's-own-key"})
        seen: list[weakref.ref] = []
        for model in ("boxed", "scripted", "boxed", "scripted", "boxed"):
            assert "event: finished" in client.post("/api/open", json={"model": model}).text
            assert client.post("/api/next", json={"prompt": "The capital of France is"}).status_code == 200
            there = client.app.state.learners.model
            seen += [weakref.ref(there), weakref.ref(there.scheduler.engine)]
            del there
        until(lambda: gone(*seen[:-2]))
        assert seen[-2]() is client.app.state.learners.model
        until(lambda: engines_at_work() <= threads + 2)  # the first, whom the test holds, and the last
        assert mapped() <= before + 1
    until(lambda: engines_at_work() <= threads)  # the lab is closed, and so is what was opened from its page


def test_all_who_come_first_have_one_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    opened, opening, others = [], threading.Event(), threading.Event()
    truly = capot.engines.open_engine

    def slowly(*given: Any, **named: Any) -> Any:
        opened.append(threading.current_thread())
        opening.set()
        assert others.wait(60)
        return truly(*given, **named)

    monkeypatch.setattr("capot.engines.open_engine", slowly)
    with capot.open("scripted") as model:
        found: list[Any] = []
        first, second = (threading.Thread(target=lambda: found.append(model.scheduler)) for _ in range(2))
        first.start()
        assert opening.wait(60)
        second.start()
        others.set()
        first.join()
        second.join()
        assert len(opened) == 1 and found[0] is found[1]


class Page:
    """What an opening is told to."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    def __call__(self, told: object) -> None:
        self.heard.append(told.kind)


@pytest.mark.parametrize("model", ["scripted", "boxed", "org/tiny"])
def test_a_model_lets_go_of_the_page_that_opened_it(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if "/" in model:  # from the hub's cache: it has somebody to follow its downloads as well
        monkeypatch.setenv("HF_HOME", str(tmp_path))
        monkeypatch.delenv("HF_HUB_CACHE", raising=False)
        commit, store = "a" * 40, tmp_path / "hub" / "models--org--tiny"
        (store / "refs").mkdir(parents=True)
        (store / "refs" / "main").write_text(commit)
        shutil.copytree(native_helpers.make(tmp_path / "made", "llama"), store / "snapshots" / commit)
        shutil.copy(BOXED / "tokenizer.json", store / "snapshots" / commit)
    page = Page()
    held = weakref.ref(page)
    with open_warm(Loading(model=model, engine=None if model == "scripted" else "native"), tell=page) as found:
        assert page.heard.count("progress") == 4
        del page
        until(lambda: gone(held))
        found.shared.notice("native.compiling")  # whatever comes later is told to nobody
        found.watch(iter(()))
        assert found.scheduler.run([1, 2]).computed_tokens == 2


def test_a_page_that_stops_an_opening_is_let_go_of() -> None:
    class Stopped(Exception):
        pass

    class Impatient:
        def __call__(self, told: object) -> None:
            raise Stopped

    page = Impatient()
    held = weakref.ref(page)
    with pytest.raises(Stopped):
        open_warm(Loading(model="scripted"), tell=page)
    del page
    until(lambda: gone(held))


@pytest.mark.parametrize("name", ["scripted", "boxed"])
def test_a_model_that_nobody_closes_ends_with_its_last_user(name: str) -> None:
    threads, before = engines_at_work(), mapped()
    model = capot.open(name)
    other = model.on_behalf_of("someone")
    model.next("The capital", k=1)
    engine = weakref.ref(model.scheduler.engine)
    del model
    gc.collect()
    assert other.next("The capital", k=1).candidates, "the same model, for another"
    assert engine() is not None and engines_at_work() == threads + 1
    del other
    until(lambda: gone(engine) and engines_at_work() == threads)
    assert mapped() <= before


def test_a_stream_keeps_its_model_until_its_end() -> None:
    threads = engines_at_work()
    stream = capot.open("scripted").stream("le gestionnaire du r", temperature=0, max_new_tokens=3)
    gc.collect()
    assert [type(event).__name__ for event in stream][-1] == "Finished"
    del stream
    until(lambda: (gc.collect(), engines_at_work() == threads)[1])


def test_closing_by_hand_is_as_before() -> None:
    with capot.open("scripted") as model:
        scheduler = model.scheduler
        model.next("a")
        assert scheduler.leave() and scheduler.leave(), "it has a thread that ends it"
    with pytest.raises(BusyError):
        scheduler.run([1])


def test_a_text_under_way_holds_its_model() -> None:
    """Nobody else may: the engine would end, and the text with it, before the first token."""
    events = capot.open("scripted").stream("The capital of Japan is", temperature=0, max_new_tokens=3)
    gc.collect()
    assert [type(event).__name__ for event in events] == ["Started", "Step", "Step", "Step", "Finished"]
    model = capot.open("scripted")
    turn = chat.Events(model, chat.opened(model), "Hello!", template=chat.chosen(model, "stopped"))
    del model
    gc.collect()
    assert list(turn)[-1].stop_reason != "interrupted"
