"""Templates that cost without paying, helpers that can be held at a step, and child processes that misbehave."""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest

from capot.web import worker_process
from capot.web.worker_pool import WorkerTask

_TWICE = (
    "{% set ns = namespace(a=[], b=[]) %}{% for i in range(60) %}"
    "{% set ns.a = [ns.a, ns.a] %}{% set ns.b = [ns.b, ns.b] %}{% endfor %}"
)
_TUPLES = "{% set ns = namespace(a=()) %}{% for i in range(60) %}{% set ns.a = (ns.a, ns.a) %}{% endfor %}"
_LONG = "{% set x = ('f' * 900000) | int(0, 16) %}{% set y = ('e' * 450000) | int(0, 16) %}"

# Each takes minutes, years or gigabytes in a sandbox that counts turns of loops alone; most do so in one call in C.
COSTLY = {
    "comparison": _TWICE + "{{ ns.a == ns.b }}",
    "membership": _TWICE + "{{ ns.a in [ns.b] }}",
    "sorting": _TWICE + "{{ [ns.a, ns.b] | sort | length }}",
    "unique": _TUPLES + "{{ [ns.a] | unique | list | length }}",
    "a test": _TWICE + "{{ ns.a is eq(ns.b) }}",
    "a selecting test": _TWICE + "{{ [ns.a] | select('eq', ns.b) | list }}",
    "index": _TWICE + "{{ [ns.a].index(ns.b) }}",
    "loop.changed": _TWICE + "{% for x in [ns.a, ns.b] %}{{ loop.changed(x) }}{% endfor %}",
    "hashing": _TUPLES + "{{ {ns.a: 1} | length }}",
    "a key": _TUPLES + "{{ {}[ns.a] }}",
    "writing": _TWICE + "{{ '%s' % [ns.a] }}",
    "arguments of a macro": "{% macro f() %}{% set ns.a = varargs %}{% endmacro %}{% set ns = namespace(a=(1, 2)) %}"
    "{% for i in range(60) %}{{ f(ns.a, ns.a) }}{% endfor %}{{ {ns.a: 1} | length }}",
    "a list many times": "{% set a = range(9999) | list %}{% set b = range(9999) | list %}"
    "{{ [a] * 900000 == [b] * 900000 }}",
    "texts many times": "{{ ['a' * 900000] * 900000 == ['a' * 900000] * 900000 }}",
    "tuples a hundred thousand deep": "{% set ns = namespace(a=()) %}{% for i in range(99999) %}"
    "{% set ns.a = (ns.a,) %}{% endfor %}{{ {ns.a: 1} | length }}",
    "division": _LONG + "{{ (x // y) > 1 }}",
    "remainder": _LONG + "{{ (x % y) > 1 }}",
    "long numbers": "{{ 0x" + "f" * 320_000 + " // 0x" + "e" * 160_000 + " > 1 }}",
    "ten thousand comparisons": "{% set a = 'a' * 990000 %}{% set b = 'b' %}" + "{% if b in a %}{% endif %}" * 10_000,
    "comparisons of lists": "{% set a = range(90000) | list %}{% set b = range(90000) | list %}"
    + "{% if a == b %}{% endif %}" * 500,
    "macros": "".join(f"{{% macro m{n}(a) %}}{{{{ a }}}}{{% endmacro %}}" for n in range(4500)),
    "names": "{{ a }}" * 28_000,
    "widths": "{{ ('{0:999}' * 100000).format('a') | length }}",
    "widths of %": "{{ (('%(a)999s' * 100000) % {'a': 1}) | length }}",
    "fields": "{{ ('{0}' * 100000).format('a' * 900000) | length }}",
    "dates": "{{ strftime_now('%999Y' * 100000) | length }}",
    "a search from the end": "{% set h = 'a' * 900000 %}{{ h.rfind('ab' ~ 'a' * 449998) }}",
    "stripping": "{% set h = 'a' * 900000 %}{{ h.strip('b' * 449999 ~ 'a') | length }}",
    "trimming": "{% set h = 'a' * 900000 %}{{ h | trim('b' * 449999 ~ 'a') | length }}",
    "filters on filters": "{% set ns = namespace(g=range(100000)) %}{% for i in range(900) %}"
    "{% set ns.g = ns.g | select %}{% endfor %}{{ ns.g | list | length }}",
}

# The same, refused by name rather than by price.
DENIED = {
    "a power inside a filter": "{{ 1.5 | round(100000000, 'ceil') }}",
    "a name of many parts": "{{ range(100000) | map('string') | map(attribute='" + "0." * 100_000 + "0') | list }}",
    "a name of many parts, first": "{{ range(100000) | map('string') | selectattr('" + "0." * 100_000 + "0') | list }}",
}


def made_to(monkeypatch: pytest.MonkeyPatch, render: str) -> None:
    """Helpers whose rendering is this expression of Python instead, with ``source`` in it."""
    patched = f"from capot.text.templates import sandbox; sandbox.render = lambda source, variables, size: {render}; "
    monkeypatch.setattr(worker_process, "BOOT", worker_process.BOOT.replace("from capot", patched + "from capot", 1))


FOREVER = "sum(iter(int, 1))"  # one call in C, which holds Python's lock and never ends
ASLEEP = "__import__('time').sleep(1000)"  # the same for a test that is about another end than its time


def task(owner: str, source: str = "a") -> WorkerTask:
    line = json.dumps({"source": source, "variables": {}, "size": 1, "most": 1000}).encode() + b"\n"
    return WorkerTask(owner, line, max_bytes=20_000, seconds=600)


class Puppet:
    """Stands for a helper: it answers when the test says so, and says who is asked."""

    def __init__(self) -> None:
        self.alive, self.busy, self.dead = True, False, threading.Event()
        self.asked: list[str] = []  # the sources, in order
        self._answers = threading.Semaphore(0)
        self._told: dict[str, Any] = {}

    ready = True

    def wait_ready(self, setup: bytes = b"") -> bool:
        return True

    def exchange(self, line: bytes, *, max_bytes: int) -> bytes:
        self.asked.append(json.loads(line)["source"])
        self.busy = True
        self._answers.acquire()
        self.busy = False
        return b"" if self.dead.is_set() else json.dumps(self._told or {"text": self.asked[-1]}).encode()

    def answer(self, **told: Any) -> None:
        """Let it answer: the source itself unless something else is told."""
        self._told = told
        self._answers.release()

    def kill(self) -> None:
        self.dead.set()
        self._answers.release()

    def stop(self) -> int:
        self.alive = False
        return -9


class Call:
    """A call on a thread of its own: its result, or what it raised."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.result: Any = None
        self.error: Exception | None = None
        self.thread = threading.Thread(target=self._run, args=(function, arguments), daemon=True)
        self.thread.start()

    def _run(self, function: Any, arguments: tuple[Any, ...]) -> None:
        try:
            self.result = function(*arguments)
        except Exception as error:
            self.error = error

    def join(self) -> Call:
        self.thread.join(120)
        assert not self.thread.is_alive()
        return self
