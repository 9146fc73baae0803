"""Texts of the lab that are cut where this can be ended: with a tokenizer whose time is not known (see ``apart``).

One that is ``steady``, as published ones are, cuts in the lab's own process and never gets here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import tokenizers

import capot
from capot.errors import ModelError, ResourceError, foreign
from capot.text.tokenizer import worker
from capot.text.tokenizer.growth import FREE, MOST
from capot.text.tokenizer.vocabulary import Specials
from capot.web.desks import Desks, Errand, Lent, Refusals
from capot.web.helper import Helper

BOOT = "import sys; sys.path[:0] = sys.argv[1:]; from capot.text.tokenizer.worker import main; main()"
OF_TOKEN = 60  # characters that a token takes in an answer: its id, and where it begins and ends


class CuttingHelper(Helper):
    """A helper that keeps the tokenizer it was last asked for."""

    modules = (capot, tokenizers)
    memory = worker.MEMORY

    @staticmethod
    def boot() -> str:
        return BOOT


class Cutters(Desks):
    """Where everybody's texts are cut that may take any time."""

    kind = CuttingHelper
    refusals = Refusals(
        late=lambda: ModelError("tokenizer_too_costly"),
        crashed=lambda: ModelError("tokenizer_crashed"),
        no_helper=lambda why: ResourceError("tokenizer_no_helper", reason=why),
    )

    def cut(self, asked: Errand, *, model: str) -> Mapping[str, Sequence[Any]]:
        """The ids of a text and where each lies. Raises: as ``answer``; what ``FileVocabulary.encode`` raises."""
        answer = self.answer(asked)
        if isinstance(answer.get("ids"), list) and isinstance(answer.get("places"), list):
            return answer
        params = answer.get("params") or {}
        if answer.get("code") == "tokenizer_grows":
            raise ModelError("tokenizer_grows", model=model, times=MOST)
        if answer.get("code") == "tokenizer_stops":
            raise ModelError("tokenizer_stops", model=model, reason=foreign(str(params.get("reason"))))
        late = answer.get("code") == "tokenizer_too_costly"
        raise self.refusals.late() if late else self.refusals.crashed()


class Cutting(Lent):
    """What stands in a model for its tokenizer's own cutting on behalf of one request: see ``apart.Cutter``."""

    def __init__(self, cutters: Cutters, owner: str) -> None:
        super().__init__(cutters, owner)
        self._cutters = cutters

    def __call__(self, text: str, specials: Specials, *, opens: Mapping[str, Any]) -> Mapping[str, Sequence[Any]]:
        """Raises: as ``Cutters.cut``; ModelError ``tokenizer_too_costly`` once the request's allowance is spent."""
        line = json.dumps({"text": text, "specials": specials}).encode() + b"\n"
        most = 1000 + OF_TOKEN * max(FREE, MOST * len(text.encode()))
        tokenizer = json.dumps(opens).encode() + b"\n"
        with self.errand(line, most=most, seconds=worker.SECONDS, opens=tokenizer) as asked:
            return self._cutters.cut(asked, model=str(opens["name"]))
