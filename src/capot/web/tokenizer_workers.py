"""Tokenize in child processes where a tokenizer's time may not be linear in its text: see ``worker_pool``.

A tokenizer that ``is_linear``, as published ones are, runs in the lab's own process and never gets here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import tokenizers

import capot
from capot.errors import ModelError, ResourceError, library_message
from capot.text.tokenizer import worker
from capot.text.tokenizer.growth import MAX_GROWTH, MIN_BOUND
from capot.text.tokenizer.vocabulary import Specials
from capot.web.worker_pool import PoolClient, PoolErrors, WorkerPool, WorkerTask
from capot.web.worker_process import WorkerProcess

BOOT = "import sys; sys.path[:0] = sys.argv[1:]; from capot.text.tokenizer.worker import main; main()"
CHARS_PER_TOKEN = 60  # that a token takes in an answer: its id, and where it begins and ends


class TokenizerProcess(WorkerProcess):
    """A worker that keeps the tokenizer it was last set up with."""

    modules = (capot, tokenizers)
    memory = worker.MEMORY

    @staticmethod
    def boot() -> str:
        return BOOT


class TokenizerWorkers(WorkerPool):
    """The workers that tokenize everybody's texts."""

    process_type = TokenizerProcess
    errors = PoolErrors(
        timed_out=lambda: ModelError("tokenizer_too_costly"),
        crashed=lambda: ModelError("tokenizer_crashed"),
        unavailable=lambda why: ResourceError("tokenizer_no_helper", reason=why),
    )

    def encode(self, task: WorkerTask, *, model: str) -> Mapping[str, Sequence[Any]]:
        """Return the ids of a text and their offsets. Raises: as ``run``; as ``FileVocabulary.encode``."""
        answer = self.run(task)
        if isinstance(answer.get("ids"), list) and isinstance(answer.get("places"), list):
            return answer
        params = answer.get("params") or {}
        if answer.get("code") == "tokenizer_grows":
            raise ModelError("tokenizer_grows", model=model, times=MAX_GROWTH)
        if answer.get("code") == "tokenizer_stops":
            raise ModelError("tokenizer_stops", model=model, reason=library_message(str(params.get("reason"))))
        late = answer.get("code") == "tokenizer_too_costly"
        raise self.errors.timed_out() if late else self.errors.crashed()


class RequestEncoder(PoolClient):
    """Encode texts in workers on behalf of one request: see ``remote.RemoteEncoder``."""

    def __init__(self, workers: TokenizerWorkers, owner: str) -> None:
        super().__init__(workers, owner)
        self._workers = workers

    def __call__(self, text: str, specials: Specials, *, setup: Mapping[str, Any]) -> Mapping[str, Sequence[Any]]:
        """Raises: as ``TokenizerWorkers.encode``; ModelError ``tokenizer_too_costly`` beyond the request's budget."""
        line = json.dumps({"text": text, "specials": specials}).encode() + b"\n"
        max_bytes = 1000 + CHARS_PER_TOKEN * max(MIN_BOUND, MAX_GROWTH * len(text.encode()))
        tokenizer = json.dumps(setup).encode() + b"\n"
        with self.task(line, max_bytes=max_bytes, seconds=worker.SECONDS, setup=tokenizer) as task:
            return self._workers.encode(task, model=str(setup["name"]))
