"""Chat templates of the lab, rendered where they can be ended: two helpers for everybody.

A template is a program, a learner's or a model's. Whatever it costs, it costs a process
of its own and at most five seconds; the lab's own process only waits on a thread.

* A learner is in one helper at most, so nobody has both.
* Who comes first goes first, but whoever's last template had to be stopped waits until
  nobody else does, and all of these have one helper between them.
* A helper that was ended is replaced at once: the next one starts while nobody waits for it.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from capot.errors import BusyError, CapotError, InputError, InterruptedByUser, ModelError, ResourceError, reason
from capot.text.templates import worker
from capot.web.helper import Helper

HELPERS = 2
START_S = 60.0  # for a helper to be there: many times what it takes on a machine that is busy
ALLOWANCE_S = 30.0  # that one request may have of a helper: a conversation renders its template at every turn
REMEMBERED = 1000  # learners whose last template had to be stopped
CODES = ("template_syntax", "template_failed", "template_refused", "template_too_costly")


class RenderingAsked:
    """One rendering: whose, the line that is sent, how many bytes its answer may have, and whether it was ended."""

    def __init__(self, owner: str, line: bytes, *, most: int, seconds: float) -> None:
        self.owner, self.line, self.most, self.seconds = owner, line, most, seconds
        self.ended = ""  # why, where it was: "left", "late", "closed"
        self.took = 0.0  # seconds that a helper was at work on it
        self._helper: Helper | None = None
        self._lock = threading.Lock()

    def end(self, why: str) -> None:
        """End it from any thread: the helper that is at work on it is killed."""
        with self._lock:
            self.ended = self.ended or why
            if self._helper is not None:
                self._helper.kill()

    @contextlib.contextmanager
    def on(self, helper: Helper) -> Iterator[None]:
        """Inside the block ``helper`` is at work on it, and may be killed for it."""
        with self._lock:
            self._helper = helper
            if self.ended:
                helper.kill()
        begin = time.monotonic()
        try:
            yield
        finally:
            self.took = time.monotonic() - begin
            with self._lock:
                self._helper = None


class Desk:
    """A place for one helper, and who is served there. Its methods are for the thread that was given the desk."""

    def __init__(self, start: Callable[[], Helper]) -> None:
        self._start = start
        self.helper: Helper | None = None
        self.asked: RenderingAsked | None = None

    def answer(self, asked: RenderingAsked) -> bytes:
        """The helper's answer; nothing where it ended first. Raises: ResourceError ``template_no_helper``."""
        helper = self._there()
        with asked.on(helper):
            with contextlib.nullcontext() if helper.ready else self._within(asked, START_S):
                begun = helper.begun()
            if begun:
                with self._within(asked, asked.seconds):
                    return helper.exchange(asked.line, most=asked.most)
        if not asked.ended:
            raise ResourceError("template_no_helper", reason=f"exit {self.leave()}")
        return b""

    def _there(self) -> Helper:
        if self.helper is not None and not self.helper.alive:  # while it had nothing to do: the system ended it
            self.leave()
        if self.helper is None:
            try:
                self.helper = self._start()
            except OSError as error:
                raise ResourceError("template_no_helper", reason=reason(error)) from None
        return self.helper

    @staticmethod
    @contextlib.contextmanager
    def _within(asked: RenderingAsked, seconds: float) -> Iterator[None]:
        alarm = threading.Timer(seconds, asked.end, ["late"])
        alarm.daemon = True
        alarm.start()
        try:
            yield
        finally:
            alarm.cancel()

    def leave(self) -> int | None:
        """End the helper; how it ended, None where there was none."""
        helper, self.helper = self.helper, None
        return None if helper is None else helper.end()

    def replace(self) -> None:
        """Another helper in the place of this one; where none can be had, the next rendering says so."""
        self.leave()
        with contextlib.suppress(OSError):
            self.helper = self._start()


class Helpers:
    """The helpers of a lab. Nothing is started before the first template."""

    def __init__(self, *, count: int = HELPERS, start: Callable[[], Helper] = Helper) -> None:
        self.desks = [Desk(start) for _ in range(count)]
        self.waiting: list[RenderingAsked] = []
        self._stopped: OrderedDict[str, None] = OrderedDict()  # whose last template had to be stopped
        self._closed = False
        self._changed = threading.Condition()

    def render(self, asked: RenderingAsked) -> str:
        """The text that a helper makes of a template; waits for its turn.

        Raises: ModelError and InputError as ``sandbox.render``; ModelError ``template_crashed``;
        ResourceError ``template_no_helper``; InterruptedByUser where its learner left; BusyError ``closed``.
        """
        desk, spoilt = self._desk(asked), False
        try:
            answer = _read(desk.answer(asked))
            spoilt = answer is None or answer.get("code") == "template_too_costly"
            if (answer is None or answer.get("worn") or asked.ended) and not self._closed:
                desk.replace()  # also where it was killed an instant after its answer
            return _text(answer, asked)
        finally:
            self._leave(desk, asked, spoilt=spoilt)

    def end(self, asked: RenderingAsked, why: str = "left") -> None:
        """End one rendering, at work or waiting."""
        asked.end(why)
        with self._changed:
            self._changed.notify_all()

    def close(self) -> None:
        """End every rendering and every helper, and wait until they are gone. Closing twice is harmless."""
        with self._changed:
            self._closed = True
            there = [*self.waiting, *(desk.asked for desk in self.desks if desk.asked is not None)]
        for asked in there:
            self.end(asked, "closed")
        with self._changed:
            self._changed.wait_for(lambda: not any(desk.asked for desk in self.desks))
            for desk in self.desks:
                desk.leave()

    def _desk(self, asked: RenderingAsked) -> Desk:
        """Wait for a desk, and take it."""
        with self._changed:
            self.waiting.append(asked)
            try:
                self._changed.wait_for(lambda: self._closed or asked.ended or self._next() is asked)
                if self._closed:
                    asked.end("closed")
                if asked.ended:
                    raise _ended(asked)
                desk = next(desk for desk in self.desks if desk.asked is None)
                desk.asked = asked
                return desk
            finally:
                self.waiting.remove(asked)
                self._changed.notify_all()  # another may be the next one now

    def _next(self) -> RenderingAsked | None:
        """Who is served next, if anybody may be."""
        served = {desk.asked.owner for desk in self.desks if desk.asked is not None}
        if len(served) == len(self.desks):
            return None
        one_stopped = any(owner in self._stopped for owner in served)
        free = [each for each in self.waiting if each.owner not in served]
        well = [each for each in free if each.owner not in self._stopped]
        return next(iter(well or ([] if one_stopped else free)), None)

    def _leave(self, desk: Desk, asked: RenderingAsked, *, spoilt: bool) -> None:
        with self._changed:
            self._stopped.pop(asked.owner, None)
            if spoilt:
                self._stopped[asked.owner] = None
                while len(self._stopped) > REMEMBERED:
                    self._stopped.popitem(last=False)
            desk.asked = None
            if self._closed:
                desk.leave()
            self._changed.notify_all()


class Rendering:
    """What stands in a model for ``sandbox.render`` on behalf of one request: see ``opened.Renderer``.

    ``most`` characters and twice those of the messages may come of a template.
    """

    def __init__(self, helpers: Helpers, owner: str, *, most: int) -> None:
        self._helpers, self._owner, self._most = helpers, owner, most
        self._left, self._allowance = False, ALLOWANCE_S
        self._asked: set[RenderingAsked] = set()

    def __call__(self, source: str, variables: Mapping[str, Any], *, size: int) -> str:
        """Raises: as ``Helpers.render``; ModelError ``template_too_costly`` once the request's allowance is spent."""
        most = self._most + 2 * size
        request = {"source": source, "variables": variables, "size": size, "most": most}
        line = json.dumps(request).encode() + b"\n"
        asked = RenderingAsked(self._owner, line, most=12 * most + 2000, seconds=min(worker.SECONDS, self._allowance))
        if self._allowance <= 0:
            raise ModelError("template_too_costly")
        self._asked.add(asked)
        try:
            if self._left:
                asked.end("left")
            return self._helpers.render(asked)
        finally:
            self._asked.discard(asked)
            self._allowance -= asked.took

    def cancel(self) -> None:
        """End what is being rendered, from any thread."""
        self._left = True
        for asked in list(self._asked):
            self._helpers.end(asked)


def _read(line: bytes) -> dict[str, Any] | None:
    """A helper's answer; None where it is none."""
    try:
        answer = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return answer if isinstance(answer, dict) else None


def _text(answer: Mapping[str, Any] | None, asked: RenderingAsked) -> str:
    """The answer's text. Raises: what the answer says, or why there is none."""
    if answer is None:
        raise _ended(asked)
    text = answer.get("text")
    if isinstance(text, str):
        return text
    if answer.get("code") not in CODES:
        raise ModelError("template_crashed")
    params = answer.get("params") or {}
    told = {name: str(params[name])[:300] for name in ("line", "reason") if name in params}
    raise (InputError if answer["code"] == "template_refused" else ModelError)(answer["code"], **told)


def _ended(asked: RenderingAsked) -> CapotError:
    if asked.ended == "late":
        return ModelError("template_too_costly")
    if asked.ended == "left":
        return InterruptedByUser("interrupted")
    return ModelError("template_crashed") if asked.ended == "" else BusyError("closed")
