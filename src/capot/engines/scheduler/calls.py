"""What a caller waits for: one pass, or a function run on the engine's thread."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from capot.engines.protocol import Output
from capot.engines.scheduler.job import Job, Pass


class OnePass(Job):
    """A job that ends with its first output."""

    found: Pass | None = None

    def advance(self, output: Output, pass_: Pass) -> None:
        self.found = pass_


class Call:
    """A function, its answer or its error, and the moment it is known."""

    def __init__(self, function: Callable[[], Any]) -> None:
        self.function, self.value, self.error, self.over = function, None, None, threading.Event()

    def __call__(self) -> None:
        try:
            self.value = self.function()
        except BaseException as error:
            self.error = error
        finally:
            self.over.set()

    def answer(self) -> Any:
        if self.error is not None:
            raise self.error
        return self.value
