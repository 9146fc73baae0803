"""Work that a lab lends to other processes, so that it can be ended: a few helpers for everybody.

A call into a library may hold Python's lock for as long as it lasts, and no thread ends it
from beside. A process can be killed. The lab's own process only waits on a thread.

* A learner is in one helper at most, so nobody has all of them.
* Who comes first goes first, but whoever's last work had to be stopped waits until
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
from dataclasses import dataclass
from typing import Any

from capot.errors import BusyError, CapotError, InterruptedByUser, reason
from capot.web.helper import Helper

HELPERS = 2
START_S = 60.0  # for a helper to be there: many times what it takes on a machine that is busy
ALLOWANCE_S = 30.0  # that one request may have of the helpers of a kind: a conversation cuts and renders at every turn
REMEMBERED = 1000  # learners whose last work had to be stopped


@dataclass(frozen=True)
class Refusals:
    """What is said of a work that took too long, that broke its process, and of a process that cannot be had."""

    late: Callable[[], CapotError]
    crashed: Callable[[], CapotError]
    no_helper: Callable[[Any], CapotError]


class Errand:
    """One work: whose, the line that is sent, how many bytes its answer may have, and whether it was ended.

    ``opens`` is a line that the helper must have been sent before, and which it keeps.
    """

    def __init__(self, owner: str, line: bytes, *, most: int, seconds: float, opens: bytes = b"") -> None:
        self.owner, self.line, self.most, self.seconds, self.opens = owner, line, most, seconds, opens
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

    def __init__(self, start: Callable[[], Helper], refusals: Refusals) -> None:
        self._start, self._refusals = start, refusals
        self.helper: Helper | None = None
        self.asked: Errand | None = None

    def answer(self, asked: Errand) -> bytes:
        """The helper's answer; nothing where it ended first. Raises: ``Refusals.no_helper``."""
        helper = self._there()
        with asked.on(helper):
            with contextlib.nullcontext() if helper.ready and not asked.opens else self._within(asked, START_S):
                begun = helper.begun(asked.opens)
            if begun:
                with self._within(asked, asked.seconds):
                    return helper.exchange(asked.line, most=asked.most)
        if not asked.ended:
            raise self._refusals.no_helper(f"exit {self.leave()}")
        return b""

    def _there(self) -> Helper:
        if self.helper is not None and not self.helper.alive:  # while it had nothing to do: the system ended it
            self.leave()
        if self.helper is None:
            try:
                self.helper = self._start()
            except OSError as error:
                raise self._refusals.no_helper(reason(error)) from None
        return self.helper

    @staticmethod
    @contextlib.contextmanager
    def _within(asked: Errand, seconds: float) -> Iterator[None]:
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
        """Another helper in the place of this one; where none can be had, the next work says so."""
        self.leave()
        with contextlib.suppress(OSError):
            self.helper = self._start()


class Desks:
    """The helpers of a lab for one kind of work. Nothing is started before there is any."""

    refusals: Refusals
    kind: type[Helper] = Helper

    def __init__(self, *, count: int = HELPERS, start: Callable[[], Helper] | None = None) -> None:
        self.desks = [Desk(start or self.kind, self.refusals) for _ in range(count)]
        self.waiting: list[Errand] = []
        self._stopped: OrderedDict[str, None] = OrderedDict()  # whose last work had to be stopped
        self._closed = False
        self._changed = threading.Condition()

    def answer(self, asked: Errand) -> Mapping[str, Any]:
        """What a helper answers; waits for its turn.

        Raises: what ``refusals`` hold; InterruptedByUser where its learner left; BusyError ``closed``.
        """
        desk, spoilt = self._desk(asked), False
        try:
            answer = _read(desk.answer(asked))
            spoilt = answer is None or str(answer.get("code")).endswith("_too_costly")
            if (answer is None or answer.get("worn") or asked.ended) and not self._closed:
                desk.replace()  # also where it was killed an instant after its answer
            if answer is None:
                raise self._ended(asked)
            return answer
        finally:
            self._leave(desk, asked, spoilt=spoilt)

    def end(self, asked: Errand, why: str = "left") -> None:
        """End one work, under way or waiting."""
        asked.end(why)
        with self._changed:
            self._changed.notify_all()

    def close(self) -> None:
        """End every work and every helper, and wait until they are gone. Closing twice is harmless."""
        with self._changed:
            self._closed = True
            there = [*self.waiting, *(desk.asked for desk in self.desks if desk.asked is not None)]
        for asked in there:
            self.end(asked, "closed")
        with self._changed:
            self._changed.wait_for(lambda: not any(desk.asked for desk in self.desks))
            for desk in self.desks:
                desk.leave()

    def _desk(self, asked: Errand) -> Desk:
        """Wait for a desk, and take it."""
        with self._changed:
            self.waiting.append(asked)
            try:
                self._changed.wait_for(lambda: self._closed or asked.ended or self._next() is asked)
                if self._closed:
                    asked.end("closed")
                if asked.ended:
                    raise self._ended(asked)
                desk = next(desk for desk in self.desks if desk.asked is None)
                desk.asked = asked
                return desk
            finally:
                self.waiting.remove(asked)
                self._changed.notify_all()  # another may be the next one now

    def _next(self) -> Errand | None:
        """Who is served next, if anybody may be."""
        served = {desk.asked.owner for desk in self.desks if desk.asked is not None}
        if len(served) == len(self.desks):
            return None
        one_stopped = any(owner in self._stopped for owner in served)
        free = [each for each in self.waiting if each.owner not in served]
        well = [each for each in free if each.owner not in self._stopped]
        return next(iter(well or ([] if one_stopped else free)), None)

    def _leave(self, desk: Desk, asked: Errand, *, spoilt: bool) -> None:
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

    def _ended(self, asked: Errand) -> CapotError:
        if asked.ended == "late":
            return self.refusals.late()
        if asked.ended == "left":
            return InterruptedByUser("interrupted")
        return self.refusals.crashed() if asked.ended == "" else BusyError("closed")


def _read(line: bytes) -> dict[str, Any] | None:
    """A helper's answer; None where it is none."""
    try:
        answer = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return answer if isinstance(answer, dict) else None


class Lent:
    """What one request has of the helpers: a time in all, and works that end when its learner leaves."""

    def __init__(self, desks: Desks, owner: str) -> None:
        self._desks, self._owner = desks, owner
        self._left, self._allowance = False, ALLOWANCE_S
        self._asked: set[Errand] = set()

    @contextlib.contextmanager
    def errand(self, line: bytes, *, most: int, seconds: float, opens: bytes = b"") -> Iterator[Errand]:
        """A work of this request, for as long as the block lasts. Raises: ``Refusals.late`` once its time is spent."""
        if self._allowance <= 0:
            raise self._desks.refusals.late()
        asked = Errand(self._owner, line, most=most, seconds=min(seconds, self._allowance), opens=opens)
        self._asked.add(asked)
        try:
            if self._left:
                asked.end("left")
            yield asked
        finally:
            self._asked.discard(asked)
            self._allowance -= asked.took

    def cancel(self) -> None:
        """End what is under way, from any thread, and what is still to come."""
        self._left = True
        for asked in list(self._asked):
            self._desks.end(asked)
