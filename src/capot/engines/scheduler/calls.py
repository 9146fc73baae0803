"""What a caller waits for: one pass, or a function run on the engine's thread."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar, cast

from capot.engines.protocol import Output
from capot.engines.scheduler.job import Job, Pass

T = TypeVar("T")


class OnePass(Job):
    """A job that ends with its first output."""

    found: Pass | None = None

    def advance(self, output: Output, pass_: Pass) -> None:
        self.found = pass_


class Call(Generic[T]):
    """A function, its answer or its error, and the moment it is known."""

    def __init__(self, function: Callable[[], T]) -> None:
        self.function, self.over = function, threading.Event()
        self.value: T | None = None
        self.error: BaseException | None = None

    def __call__(self) -> None:
        try:
            self.value = self.function()
        except BaseException as error:
            self.error = error
        finally:
            self.over.set()

    def answer(self) -> T:
        if self.error is not None:
            raise self.error
        return cast(T, self.value)
