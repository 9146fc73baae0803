"""Templates of the lab: rendered in processes that are ended, replaced, shared fairly and told nothing."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT
from lab_helpers import JSON, Live, Reader, asgi, part, scripted, until
from lab_helpers import asked as stream
from rendering_helpers import ASLEEP, COSTLY, DENIED, FOREVER, Call, Puppet, made_to, task

from capot.config import Serving
from capot.errors import BusyError, CapotError, InputError, InterruptedByUser, ModelError, ResourceError
from capot.text.templates import sandbox, worker
from capot.web import template_workers, worker_process
from capot.web.template_workers import RequestRenderer, TemplateWorkers
from capot.web.worker_process import WorkerProcess

POSIX = pytest.mark.skipif(os.name == "nt", reason="a matter of POSIX")
HELLO = {"messages": [{"role": "user", "content": "Hello"}]}
ECHO = "{{ messages[0].content }}"


@pytest.fixture
def workers() -> Iterator[TemplateWorkers]:
    running = TemplateWorkers()
    yield running
    running.close()


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A rendering has all the time it needs: a machine may be slow."""
    monkeypatch.setattr(worker, "SECONDS", 600.0)


def render(workers: TemplateWorkers, source: str, owner: str = "ann", most: int = 100_000) -> str:
    return RequestRenderer(workers, owner, max_chars=most)(source, HELLO, size=5)


def code_of(call: Callable[[], Any]) -> str:
    with pytest.raises(CapotError) as caught:
        call()
    assert caught.value.message("fr") != caught.value.message("en")
    return caught.value.code


def processes(workers: TemplateWorkers) -> list[int]:
    return [slot.worker.process.pid for slot in workers.slots if slot.worker is not None]


# One helper


def told_by(monkeypatch: pytest.MonkeyPatch, expression: str) -> Any:
    """What an expression is inside a helper that has limited itself."""
    code = f"; worker._limit_process(); print(json.dumps({expression}))"
    boot = (
        "import json, os, sys; sys.path[:0] = sys.argv[1:]; import capot; from capot.text.templates import worker"
        + code
    )
    monkeypatch.setattr(worker_process, "BOOT", boot)
    child = WorkerProcess()
    try:
        return json.loads(child.exchange(b"", max_bytes=100_000))
    finally:
        child.stop()


def test_a_helper_is_told_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "secret")
    monkeypatch.setenv("PYTHONPATH", "/nowhere")
    found = told_by(monkeypatch, "dict(os.environ)")
    assert set(found) <= {"LC_CTYPE", "__CF_USER_TEXT_ENCODING", "SYSTEMROOT"}


@POSIX
def test_a_helper_inherits_no_descriptor(monkeypatch: pytest.MonkeyPatch) -> None:
    read, write = os.pipe()
    os.set_inheritable(write, True)
    there = "[n for n in range(1024) if os.path.exists(f'/dev/fd/{n}')]"
    try:
        assert write in [n for n in range(1024) if os.path.exists(f"/dev/fd/{n}")]
        assert told_by(monkeypatch, there) == [0, 1, 2]
    finally:
        os.close(read)
        os.close(write)


@POSIX
def test_a_helper_limits_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    import resource

    niceness = told_by(monkeypatch, "os.nice(0)")
    assert niceness == min(19, os.nice(0) + worker.NICE)
    assert told_by(monkeypatch, "os.getcwd()") == "/"
    assert told_by(monkeypatch, "os.getpgid(0) == os.getpid()")  # Ctrl-C at the terminal does not reach it
    if sys.platform == "linux":
        limits = told_by(monkeypatch, "[list(__import__('resource').getrlimit(n)) for n in range(16)]")
        assert limits[resource.RLIMIT_AS] == [worker.MEMORY] * 2
        assert limits[resource.RLIMIT_CORE] == limits[resource.RLIMIT_FSIZE] == [0, 0]


@POSIX
def test_each_rendering_has_its_seconds_of_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    code = "(worker._limit_cpu_time(), __import__('resource').getrlimit(__import__('resource').RLIMIT_CPU)[0])[1]"
    assert told_by(monkeypatch, code) in range(int(worker.SECONDS), int(worker.SECONDS) + 60)


def test_a_helper_loads_nothing_heavy(monkeypatch: pytest.MonkeyPatch) -> None:
    found = {name.split(".")[0] for name in told_by(monkeypatch, "sorted(sys.modules)")}
    assert not found & {"numba", "numpy", "torch", "transformers", "tokenizers", "fastapi", "uvicorn", "plotly"}


def test_a_helper_finds_what_its_parent_has_found(tmp_path: Path) -> None:
    """A checkout, an archive or a folder of the user's own is on no path that an isolated Python looks at."""
    archive = tmp_path / "capot.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        for path in (ROOT / "src" / "capot").rglob("*.py"):
            packed.write(path, path.relative_to(ROOT / "src"))
    code = (
        f"import sys; sys.path.insert(0, {str(archive)!r}); from capot.web import worker_process; "
        "boot = 'print(sys.modules[\"capot\"].__file__, flush=True)'; "
        "worker_process.BOOT = worker_process.BOOT.replace('main()', boot); "
        "child = worker_process.WorkerProcess(); print(child.exchange(b'', max_bytes=1000).decode()); child.stop()"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert answer.stdout.strip() == str(archive / "capot" / "__init__.py")


def test_what_an_isolated_python_finds_by_itself_is_not_told() -> None:
    import pytest as installed  # a package of the environment's own folder

    assert worker_process.import_paths((installed,)) == (
        [] if os.name != "nt" else [str(Path(installed.__file__).parent.parent)]
    )


def test_a_helper_ends_with_its_lab() -> None:
    child = WorkerProcess()
    assert child.wait_ready() and child.alive
    assert child.process.stdin is not None
    child.process.stdin.close()  # which the system does for a lab that was killed
    assert child.process.wait() == 0
    child.stop()


@POSIX
def test_ctrl_c_is_for_the_lab(workers: TemplateWorkers, patient: None) -> None:
    assert render(workers, ECHO) == "Hello"
    [child] = processes(workers)
    os.kill(child, signal.SIGINT)
    assert render(workers, ECHO) == "Hello" and processes(workers) == [child]


# What a template says, and what is said of one that ends its helper


def test_a_template_is_rendered_as_in_process(workers: TemplateWorkers, patient: None) -> None:
    odd = {"messages": [{"role": "user", "content": "é\ud800🤗\n"}], "bos_token": "<s>", "tools": None}
    source = "{{ bos_token }}{% for m in messages %}{{ m.content }}{{ m | tojson }}{% endfor %}{{ tools is none }}"
    assert RequestRenderer(workers, "ann", max_chars=1000)(source, odd, size=4) == sandbox.render(source, odd, size=4)


def test_errors_are_told_as_in_process(workers: TemplateWorkers, patient: None) -> None:
    for source in ("a\n{% if %}", "{{ raise_exception('no system here') }}", "{{ 1 / 0 }}", "{{ 'a' * 10 ** 10 }}"):
        with pytest.raises(CapotError) as here:
            sandbox.render(source, HELLO, size=5)
        with pytest.raises(CapotError) as there:
            render(workers, source)
        assert type(there.value) is type(here.value)
        assert there.value.to_dict("fr") == here.value.to_dict("fr")


@pytest.mark.parametrize("name", COSTLY)
def test_what_costs_much_is_stopped_in_process(name: str) -> None:
    assert code_of(lambda: sandbox.render(COSTLY[name], HELLO, size=5)) == "template_too_costly"


@pytest.mark.parametrize("name", ["comparison", "division", "ten thousand comparisons", "macros", "widths"])
def test_what_costs_much_is_stopped_in_a_helper(name: str, workers: TemplateWorkers) -> None:
    assert code_of(lambda: render(workers, COSTLY[name])) == "template_too_costly"
    assert processes(workers)  # another one, which is there for the next


@pytest.mark.parametrize("name", DENIED)
def test_what_costs_much_is_denied(name: str) -> None:
    assert code_of(lambda: sandbox.render(DENIED[name], HELLO, size=5)) == "template_failed"


def test_one_call_that_never_ends_is_killed(workers: TemplateWorkers, monkeypatch: pytest.MonkeyPatch) -> None:
    made_to(monkeypatch, f"{FOREVER} if source == 'x' else 'well'")
    monkeypatch.setattr(template_workers.worker, "SECONDS", 0.1)
    assert code_of(lambda: render(workers, "x")) == "template_too_costly"
    monkeypatch.setattr(template_workers.worker, "SECONDS", 600.0)
    assert render(workers, "y") == "well"


@pytest.mark.parametrize("death", ["os._exit(3)", "os.kill(os.getpid(), 11)"])
def test_a_helper_that_dies_is_told_and_replaced(
    death: str, workers: TemplateWorkers, patient: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    made_to(monkeypatch, f"__import__('os').{death.removeprefix('os.')}".replace("os.getpid", "__import__('os').getpid")
            + " if source == 'x' else 'well'")  # fmt: skip
    assert render(workers, "y") == "well"
    [before] = processes(workers)
    assert code_of(lambda: render(workers, "x")) == "template_crashed"
    [after] = processes(workers)
    assert after != before
    with pytest.raises(ChildProcessError):  # no zombie: somebody has waited for it
        os.waitpid(before, os.WNOHANG)
    assert render(workers, "y") == "well" and processes(workers) == [after]


def test_a_helper_that_the_system_ended_meanwhile_is_nobodys_fault(workers: TemplateWorkers, patient: None) -> None:
    assert render(workers, ECHO) == "Hello"
    [process] = [slot.worker.process for slot in workers.slots if slot.worker is not None]
    process.kill()
    until(lambda: process.poll() is not None)
    assert render(workers, ECHO) == "Hello"


@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_AS is a matter of Linux")
def test_memory_is_limited(workers: TemplateWorkers, patient: None, monkeypatch: pytest.MonkeyPatch) -> None:
    made_to(monkeypatch, "str(bytearray(2**31)) if source == 'x' else 'well'")
    assert code_of(lambda: render(workers, "x")) == "template_too_costly"
    assert render(workers, "y") == "well"


def test_a_stack_that_runs_out_is_told(
    workers: TemplateWorkers, patient: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    made_to(monkeypatch, "sandbox.render(source, variables, size) if source == 'x' else 'well'")
    assert code_of(lambda: render(workers, "x")) == "template_too_costly"
    assert render(workers, "y") == "well"


def test_a_text_longer_than_a_prompt_is_refused(workers: TemplateWorkers, patient: None) -> None:
    assert render(workers, "{{ 'a' * 110 }}", most=100) == "a" * 110  # twice the messages are added
    assert code_of(lambda: render(workers, "{{ 'a' * 111 }}", most=100)) == "template_too_costly"


@pytest.mark.parametrize("line", ["[1]", "{}", "nonsense", '{"text": 3}', '{"code": "internal"}', "[" * 100_000])
def test_a_helper_is_not_believed(line: str) -> None:
    made: list[Puppet] = []

    class Liar(Puppet):
        def __init__(self) -> None:
            super().__init__()
            made.append(self)

        def exchange(self, _: bytes, *, max_bytes: int) -> bytes:
            return line.encode()

    assert code_of(lambda: TemplateWorkers(start=Liar).render(task("ann"))) == "template_crashed"


def test_no_helper_can_be_had(monkeypatch: pytest.MonkeyPatch, workers: TemplateWorkers, patient: None) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(sys, "executable", "/nowhere/python")
        patched.setattr(sys, "_base_executable", "/nowhere/python", raising=False)
        with pytest.raises(ResourceError) as caught:
            render(workers, ECHO)
        assert caught.value.code == "template_no_helper" and "no such file" in caught.value.message("en")
    with monkeypatch.context() as patched:
        patched.setattr(worker_process, "BOOT", "raise SystemExit(7)")
        with pytest.raises(ResourceError) as caught:
            render(workers, ECHO)
        assert caught.value.code == "template_no_helper" and "7" in caught.value.message("fr")
    assert render(workers, ECHO) == "Hello"


def test_one_request_has_one_allowance(
    monkeypatch: pytest.MonkeyPatch, workers: TemplateWorkers, patient: None
) -> None:
    request = RequestRenderer(workers, "ann", max_chars=100)
    assert request(ECHO, HELLO, size=5) == "Hello"
    monkeypatch.setattr(request, "_budget_s", 0.0)
    assert code_of(lambda: request(ECHO, HELLO, size=5)) == "template_too_costly"
    assert render(workers, ECHO) == "Hello"


# Two workers for everybody


@pytest.fixture
def puppets() -> Iterator[TemplateWorkers]:
    running = TemplateWorkers(start=Puppet)
    yield running
    running.close()


def at_work(workers: TemplateWorkers) -> dict[str, Puppet]:
    """Who is served, and by whom."""
    found = {slot.task.owner: slot.worker for slot in workers.slots if slot.task is not None}
    return {owner: puppet for owner, puppet in found.items() if puppet is not None and puppet.busy}


def ask(workers: TemplateWorkers, owner: str, source: str = "a") -> Call:
    """A rendering on a thread; returns once it is at work or waits."""
    one = task(owner, source)
    call = Call(workers.render, one)
    call.task = one
    until(lambda: one in workers.waiting or any(slot.task is one for slot in workers.slots))
    return call


def test_nothing_is_started_before_the_first_template(puppets: TemplateWorkers) -> None:
    assert [slot.worker for slot in puppets.slots] == [None, None]


def test_a_learner_is_in_one_helper_at_most(puppets: TemplateWorkers) -> None:
    first, second = ask(puppets, "ann", "1"), ask(puppets, "ann", "2")
    other = ask(puppets, "bob", "3")  # later, but ann is served already
    serving = until(lambda: at_work(puppets) if len(at_work(puppets)) == 2 else None)
    assert serving["ann"].asked == ["1"] and serving["bob"].asked == ["3"]
    assert len(puppets.waiting) == 1
    serving["bob"].answer()
    assert other.join().result == "3"
    assert puppets.waiting  # a helper is free, and it is still not ann's turn
    serving["ann"].answer()
    assert first.join().result == "1"
    until(lambda: not puppets.waiting)
    until(lambda: at_work(puppets).get("ann")).answer()
    assert second.join().result == "2"


def test_who_comes_first_goes_first(puppets: TemplateWorkers) -> None:
    calls = {name: ask(puppets, name, name) for name in ("ann", "bob", "eve", "dan")}
    for name in ("ann", "bob", "eve", "dan"):
        until(lambda name=name: at_work(puppets).get(name)).answer(text=name)
        assert calls[name].join().result == name


def test_who_keeps_killing_helpers_keeps_nobody_out(puppets: TemplateWorkers) -> None:
    for name in ("ann", "bob"):  # both have had a helper killed
        call = ask(puppets, name)
        until(lambda name=name: at_work(puppets).get(name))
        call.task.end("late")
        assert call.join().error.code == "template_too_costly"
    again = [ask(puppets, name, "again") for name in ("ann", "ann", "bob", "bob")]
    until(lambda: at_work(puppets))
    honest = [ask(puppets, name, name) for name in ("eve", "dan")]
    for call in honest:  # the second helper is free, though four came before; one after the other has it
        until(lambda call=call: at_work(puppets).get(call.task.owner)).answer()
        assert call.join().result == call.task.owner
    assert len([owner for owner in at_work(puppets) if owner in ("ann", "bob")]) == 1
    for _ in again:  # they are served in the end; of those still in disgrace one at a time
        serving = until(lambda: at_work(puppets))
        assert sum(owner in puppets._stopped_owners for owner in serving) <= 1
        before = sum(not call.thread.is_alive() for call in again)
        next(iter(serving.values())).answer()
        until(lambda before=before: sum(not call.thread.is_alive() for call in again) > before)
    assert [call.result for call in again] == ["again"] * 4


def test_who_was_stopped_once_and_then_behaves_is_like_all(puppets: TemplateWorkers) -> None:
    bad = ask(puppets, "ann")
    until(lambda: at_work(puppets).get("ann"))
    bad.task.end("late")
    bad.join()
    assert list(puppets._stopped_owners) == ["ann"]
    good = ask(puppets, "ann")
    until(lambda: at_work(puppets).get("ann")).answer()
    assert good.join().result == "a" and not puppets._stopped_owners


def test_who_leaves_ends_what_is_at_work_and_what_waits(puppets: TemplateWorkers) -> None:
    request = RequestRenderer(puppets, "ann", max_chars=100)
    working = Call(lambda: request("1", {}, size=1))
    puppet = until(lambda: at_work(puppets).get("ann"))
    waiting = ask(puppets, "ann", "2")
    request.cancel()
    assert isinstance(working.join().error, InterruptedByUser) and puppet.dead.is_set()
    until(lambda: at_work(puppets).get("ann")).answer()
    assert waiting.join().result == "2"  # another request's
    late = Call(lambda: request("3", {}, size=1)).join()  # of one who has left already
    assert isinstance(late.error, InterruptedByUser)


def test_a_helper_that_is_killed_after_its_answer_is_replaced() -> None:
    made: list[Puppet] = []

    class Late(Puppet):
        def __init__(self) -> None:
            super().__init__()
            made.append(self)

        def exchange(self, line: bytes, *, max_bytes: int) -> bytes:
            late.end("late")
            return b'{"text": "well"}'

    late, workers = task("ann"), TemplateWorkers(start=Late)
    assert workers.render(late) == "well"
    assert made[0].dead.is_set() and not made[0].alive and workers.slots[0].worker is made[1]
    workers.close()


def test_a_wait_ends_when_its_learner_leaves(puppets: TemplateWorkers) -> None:
    held = [ask(puppets, name) for name in ("ann", "bob")]
    waiting = ask(puppets, "eve")
    puppets.end(waiting.task)
    assert isinstance(waiting.join().error, InterruptedByUser) and not puppets.waiting
    for name in ("ann", "bob"):
        until(lambda name=name: at_work(puppets).get(name)).answer()
    assert [call.join().result for call in held] == ["a", "a"]


def test_closing_ends_everything(puppets: TemplateWorkers) -> None:
    calls = [ask(puppets, name) for name in ("ann", "bob", "eve")]
    until(lambda: len(at_work(puppets)) == 2)
    served = list(at_work(puppets).values())
    puppets.close()
    for call in calls:
        assert isinstance(call.join().error, BusyError)
    assert not any(puppet.alive for puppet in served) and not any(slot.worker for slot in puppets.slots)
    assert isinstance(ask_closed(puppets), BusyError)


def ask_closed(workers: TemplateWorkers) -> Exception | None:
    return Call(workers.render, task("ann")).join().error


def test_closing_leaves_no_process(monkeypatch: pytest.MonkeyPatch, patient: None) -> None:
    made_to(monkeypatch, ASLEEP)
    workers = TemplateWorkers()
    call = ask(workers, "ann", "x")
    process = worker_at_work(workers)
    workers.close()
    assert isinstance(call.join().error, BusyError)
    assert process.returncode is not None
    workers.close()  # harmless


# The lab


@pytest.fixture
def nothing_here(monkeypatch: pytest.MonkeyPatch, patient: None) -> None:
    """Whoever renders a template in the lab's own process is caught."""

    def caught(*_: Any, **__: Any) -> str:
        raise AssertionError("rendered in the lab's process")

    monkeypatch.setattr(sandbox, "compiled", caught)


MINE = "{% for m in messages %}[{{ m.role }}] {{ m.content }}\n{% endfor %}[assistant]"


def test_no_route_renders_in_the_labs_process(nothing_here: None) -> None:
    texts = {"chat_template": MINE, "max_new_tokens": 3, "temperature": 0}
    with asgi(scripted()) as client:
        for path, body in (
            ("/api/chat", {"messages": ["Hello"], **texts}),
            ("/api/assistant", {"question": "Hello", **texts}),
            ("/api/page/chat", {"messages": ["Hello"], **texts}),
            ("/api/chat", {"messages": ["Hello"], "max_new_tokens": 3}),  # the model's own
            ("/api/stream", stream(part("a", "chat", messages=["Hello"], **texts))),
            ("/api/stream", stream(part("a", "assistant", question="Hello", **texts), name="page-0002")),
        ):
            answer = client.post(path, json=body)
            assert answer.status_code == 200 and "event: error" not in answer.text, answer.text
        made = client.post("/api/assistant", json={"question": "Hello", **texts}).json()["result"]["answers"]
        assert made[-1]["kind"] == "chat_template" and made[-1]["prompt"] == "[user] Hello\n[assistant]"
        assert client.app.state.learners.template_workers.slots[0].worker is not None


def test_the_library_renders_in_process() -> None:
    with scripted() as model:
        assert model.renderer is sandbox.render
        made = model.chat(["Hello"], chat_template=MINE, max_new_tokens=1, seed=1)
        assert made.turns[0].prompt == "[user] Hello\n[assistant]"


def test_the_page_is_told_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    made_to(monkeypatch, FOREVER)
    monkeypatch.setattr(template_workers.worker, "SECONDS", 0.1)
    with asgi(scripted()) as client:
        for path, body in (
            ("/api/chat", {"messages": ["Hello"], "chat_template": "x"}),
            ("/api/assistant", {"question": "Hello", "chat_template": "x"}),
            ("/api/stream", stream(part("a", "chat", messages=["Hello"], chat_template="x"))),
        ):
            answer = client.post(path, json=body, headers={"x-capot-lang": "fr"})
            assert answer.status_code == 422 and answer.json()["error"]["code"] == "template_too_costly"
            assert "arrêté" in answer.json()["error"]["message"]


ENDLESS = {"messages": ["Hello"], "chat_template": "x"}


def worker_at_work(workers: TemplateWorkers) -> subprocess.Popen[bytes]:
    """The first helper that has begun to render."""
    return until(
        lambda: next((d.worker.process for d in workers.slots if d.worker and d.worker.ready and d.task), None)
    )


@pytest.mark.parametrize("path", ["/api/chat", "/api/stream"])
def test_a_closed_tab_ends_its_template(path: str, monkeypatch: pytest.MonkeyPatch, patient: None) -> None:
    made_to(monkeypatch, f"{ASLEEP} if source == 'x' else 'well'")
    body = ENDLESS if path == "/api/chat" else stream(part("a", "chat", **ENDLESS))
    well = {"messages": ["Hello"], "chat_template": "y", "max_new_tokens": 1}
    with Live(scripted(), Serving(access_code="class-code")) as live:  # noqa: SIM117 - the clients are of this lab
        with live.client("class-code") as leaving, live.client("class-code") as other:
            connection = http.client.HTTPConnection(*live.listener.getsockname())
            cookie = "; ".join(f"{name}={value}" for name, value in leaving.cookies.items())
            connection.request("POST", path, json.dumps(body), JSON | {"cookie": cookie})
            process = worker_at_work(live.app.state.learners.template_workers)
            assert other.post("/api/chat", json=well).json()["ok"]  # the other helper
            connection.close()
            until(lambda: process.returncode is not None)
            until(lambda: not any(slot.task for slot in live.app.state.learners.template_workers.slots))
            assert leaving.post("/api/chat", json=well).json()["ok"]
            assert not live.app.state.streams.streams


def test_the_stop_button_ends_a_template(monkeypatch: pytest.MonkeyPatch, patient: None) -> None:
    made_to(monkeypatch, f"{ASLEEP} if source == 'x' else 'well'")
    with Live(scripted()) as live, live.client() as client:
        parts = [part("a", "chat", **ENDLESS), part("b", "generate", prompt="a", max_new_tokens=2, seed=1)]
        reader = Reader(client, stream(*parts)).start()
        worker_at_work(live.app.state.learners.template_workers)
        assert client.post("/api/stop", json={"name": "page-0001", "tag": "a"}).json()["result"] == {"stopped": True}
        told = {tag: (kind, body) for kind, tag, body in reader.join().events}
        assert told["a"][0] == "error" and told["a"][1]["error"]["code"] == "interrupted"
        assert told["b"][0] == "finished" and told["b"][1]["stop_reason"] == "max_new_tokens"


def test_a_lab_that_ends_ends_its_helpers(monkeypatch: pytest.MonkeyPatch, patient: None) -> None:
    made_to(monkeypatch, ASLEEP)
    with Live(scripted()) as live, live.client() as client:
        reader = Reader(client, ENDLESS, path="/api/chat").start()
        process = worker_at_work(live.app.state.learners.template_workers)
    assert process.returncode is not None  # at the end of the block: the lab was closed while a template was at work
    reader.thread.join(60)
    assert not reader.thread.is_alive()


def test_kinds_of_errors_that_a_helper_may_name() -> None:
    told = {"template_refused": InputError, "template_failed": ModelError, "template_syntax": ModelError}
    for code, kind in told.items():
        workers = TemplateWorkers(start=Puppet)
        call = ask(workers, "ann")
        until(lambda workers=workers: at_work(workers).get("ann")).answer(
            code=code, params={"reason": "r" * 999, "line": 3, "path": "/etc"}
        )
        error = call.join().error
        assert type(error) is kind and error.code == code
        assert error.params == {"reason": "r" * 300, "line": "3"}
        workers.close()
