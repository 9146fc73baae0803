"""Chat templates of the lab, rendered where they can be ended: see ``desks``.

A template is a program, a learner's or a model's. Whatever it costs, it costs a process
of its own and at most five seconds.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from capot.errors import InputError, ModelError, ResourceError
from capot.text.templates import worker
from capot.web.desks import Desks, Errand, Lent, Refusals

CODES = ("template_syntax", "template_failed", "template_refused", "template_too_costly")


class Helpers(Desks):
    """Where everybody's templates are rendered."""

    refusals = Refusals(
        late=lambda: ModelError("template_too_costly"),
        crashed=lambda: ModelError("template_crashed"),
        no_helper=lambda why: ResourceError("template_no_helper", reason=why),
    )

    def render(self, asked: Errand) -> str:
        """The text that a helper makes of a template.

        Raises: as ``answer``; ModelError and InputError as ``sandbox.render``.
        """
        answer = self.answer(asked)
        if isinstance(answer.get("text"), str):
            return str(answer["text"])
        if answer.get("code") not in CODES:
            raise ModelError("template_crashed")
        params = answer.get("params") or {}
        told = {name: str(params[name])[:300] for name in ("line", "reason") if name in params}
        raise (InputError if answer["code"] == "template_refused" else ModelError)(answer["code"], **told)


class Rendering(Lent):
    """What stands in a model for ``sandbox.render`` on behalf of one request: see ``opened.Renderer``.

    ``most`` characters and twice those of the messages may come of a template.
    """

    def __init__(self, helpers: Helpers, owner: str, *, most: int) -> None:
        super().__init__(helpers, owner)
        self._helpers, self._most = helpers, most

    def __call__(self, source: str, variables: Mapping[str, Any], *, size: int) -> str:
        """Raises: as ``Helpers.render``; ModelError ``template_too_costly`` once the request's allowance is spent."""
        most = self._most + 2 * size
        request = {"source": source, "variables": variables, "size": size, "most": most}
        line = json.dumps(request).encode() + b"\n"
        with self.errand(line, most=12 * most + 2000, seconds=worker.SECONDS) as asked:
            return self._helpers.render(asked)
