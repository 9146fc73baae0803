"""One model for a whole class: who has which caches, and what one learner may ask for."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from capot.config import Sampling, Serving
from capot.errors import InputError
from capot.model import Model
from capot.web.streams import Hub

MAX_LEARNERS = 1000  # remembered at once; the one seen longest ago gives its caches back


class Learners:
    """Hands each learner the same model under their own name."""

    def __init__(self, model: Model, serving: Serving) -> None:
        self.model, self.serving = model, serving
        self.known: OrderedDict[str, Model] = OrderedDict()

    def model_of(self, learner: str) -> Model:
        """The model on behalf of ``learner``: shared weights, caches of their own."""
        if learner not in self.known:
            self.known[learner] = self.model.on_behalf_of(learner)
        self.known.move_to_end(learner)
        while len(self.known) > MAX_LEARNERS:
            gone, _ = self.known.popitem(last=False)
            self.model.scheduler.forget(gone)
        return self.known[learner]

    def bounded(self, verb: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """The same arguments, within what this server allows one learner.

        Raises: InputError ``text_too_long`` or ``too_many_new_tokens``.
        """
        for name, value in arguments.items():
            texts = value if isinstance(value, (list, tuple)) else (value,)
            longest = max((len(text) for text in texts if isinstance(text, str)), default=0)
            if longest > self.serving.max_prompt_chars:
                raise InputError("text_too_long", name=name, length=longest, limit=self.serving.max_prompt_chars)
            if isinstance(value, Sampling) and value.max_new_tokens > self.serving.max_new_tokens:
                limit = self.serving.max_new_tokens
                raise InputError("too_many_new_tokens", asked=value.max_new_tokens, limit=limit)
        return arguments

    def status(self, hub: Hub) -> dict[str, Any]:
        """Load in numbers: learners seen, streams open, the scheduler's own account."""
        return {
            "learners": len(self.known),
            "streams": sum(len(stream.tickets) for stream in hub.streams.values()),
            "ended": dict(hub.ended),
            "scheduler": self.model.scheduler.status(),
        }
