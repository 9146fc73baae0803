"""Render the lab's chat templates in child processes: see ``worker_pool``.

A template is a program, written by a learner or by a model's authors. Whatever it costs, it costs a process of its
own, and five seconds at most.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from capot.errors import InputError, ModelError, ResourceError
from capot.text.templates import worker
from capot.web.worker_pool import PoolClient, PoolErrors, WorkerPool, WorkerTask

# The errors of ``sandbox.render``. A worker is not trusted: any other code counts as a crash.
TEMPLATE_ERRORS = ("template_syntax", "template_failed", "template_refused", "template_too_costly")


class TemplateWorkers(WorkerPool):
    """The workers that render everybody's templates."""

    errors = PoolErrors(
        timed_out=lambda: ModelError("template_too_costly"),
        crashed=lambda: ModelError("template_crashed"),
        unavailable=lambda why: ResourceError("template_no_helper", reason=why),
    )

    def render(self, task: WorkerTask) -> str:
        """Return the text that a worker makes of a template.

        Raises: as ``run``; ModelError and InputError as ``sandbox.render``.
        """
        answer = self.run(task)
        if isinstance(answer.get("text"), str):
            return str(answer["text"])
        if answer.get("code") not in TEMPLATE_ERRORS:
            raise ModelError("template_crashed")
        params = answer.get("params") or {}
        # Cut and as text: a worker may send anything.
        shown = {name: str(params[name])[:300] for name in ("line", "reason") if name in params}
        raise (InputError if answer["code"] == "template_refused" else ModelError)(answer["code"], **shown)


class RequestRenderer(PoolClient):
    """Replace ``sandbox.render`` in the model of one request: see ``templates.message.Renderer``.

    A rendered text may have ``max_chars`` characters besides twice those of its messages.
    """

    def __init__(self, workers: TemplateWorkers, owner: str, *, max_chars: int) -> None:
        super().__init__(workers, owner)
        self._workers = workers
        self._max_chars = max_chars

    def __call__(self, source: str, variables: Mapping[str, Any], *, size: int) -> str:
        """Raises: as ``TemplateWorkers.render``; ModelError ``template_too_costly`` beyond the request's budget."""
        most = self._max_chars + 2 * size
        request = {"source": source, "variables": variables, "size": size, "most": most}
        line = json.dumps(request).encode() + b"\n"
        # JSON writes a character of the answer in 12 bytes at most: a surrogate pair of two \uXXXX.
        with self.task(line, max_bytes=12 * most + 2000, seconds=worker.SECONDS) as task:
            return self._workers.render(task)
