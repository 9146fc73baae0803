"""The instruments of a lesson: a verb of ``Model`` with its arguments, as ``run = { verb = "next", prompt = "..." }``.

What a lesson asks of a verb is bounded, and reads no file and no hub: whoever opens a lesson of others runs it.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from capot.chapters.arguments import fits
from capot.chapters.registry import verbs
from capot.chapters.settings import Setting, takes
from capot.lessons.fields import Faults, Fields

if TYPE_CHECKING:
    from capot.model import Model
    from capot.view.result import Result

ARRAYS = ("stream", "vectors", "hidden")  # verbs whose answers are no record
REFUSED = ("chat_template", "template", "conversation")  # a program of the lesson's author, or the state of one
TEXT_CHARS = 2000  # of one argument; a prompt in the box has 512 tokens
ENTRIES = 32  # of one argument that is a list
CALLS = 4  # of one question
EXACT = ("card", "tokens", "embed")  # read in files and counted, with no pass through the network
MOST: Mapping[str, float] = {"max_new_tokens": 200, "after_stop": 200, "k": 100, "near": 20, "alternatives": 20}


@dataclass(frozen=True)
class InstrumentCall:
    """One verb with its arguments by name."""

    verb: str
    given: Mapping[str, Any]

    @property
    def exact(self) -> bool:
        """Return whether the figures are the same on every processor: computed from shapes, not measured."""
        return self.verb in EXACT or (self.verb == "memory" and bool(self.given.get("simulate")))

    def answer(self, model: Model) -> Result:
        """Return the answer of ``model``. Raises: as the verb."""
        found: Result = getattr(model, self.verb)(**self.given)
        return found

    def on(self, model: Model) -> dict[str, Any]:
        """Return the answer of ``model``, as JSON has it. Raises: as the verb."""
        return self.answer(model).to_dict()


def instruments() -> list[str]:
    """Return the names of the verbs that a lesson may call."""
    return [name for name in verbs() if name not in ARRAYS]


def read_calls(fields: Fields, *, required: bool = True) -> tuple[InstrumentCall, ...]:
    """Return the calls of ``run``: one table, or a list of them. An empty tuple where one has a fault."""
    value = fields.take("run", required=required)
    if value is None:
        return ()
    tables = value if isinstance(value, list) else [value]
    if not all(isinstance(each, dict) for each in tables) or not 1 <= len(tables) <= CALLS:
        fields.fault("run", "run_form", most=CALLS)
        return ()
    found = [_call(each, fields.line("run"), fields.faults) for each in tables]
    return tuple(call for call in found if call is not None) if None not in found else ()


def _call(table: dict[str, Any], line: int, faults: Faults) -> InstrumentCall | None:
    given = dict(table)
    verb = given.pop("verb", None)
    if verb not in instruments():
        faults.add(line, "verb_unknown", verb=str(verb), known=", ".join(instruments()))
        return None
    settings = takes(verb)
    before = len(faults)
    for name, value in given.items():
        if name not in settings:
            near = difflib.get_close_matches(name, settings, n=1, cutoff=0.0)
            faults.add(line, "setting_unknown", verb=verb, name=name, near=near[0])
        else:
            _check_setting(settings[name], value, line, faults)
    for name, setting in settings.items():
        if setting.required and name not in given:
            faults.add(line, "setting_missing", verb=verb, name=name)
    if verb in ("generate", "assistant", "chat") and given.get("temperature") != 0 and "seed" not in given:
        faults.add(line, "seed_missing", verb=verb)
    return InstrumentCall(verb, given) if len(faults) == before else None


def _check_setting(setting: Setting, value: Any, line: int, faults: Faults) -> None:
    """Note what a verb would refuse, and what it would take but no lesson may ask."""
    params = {"verb": setting.verb, "name": setting.name}
    if setting.name in REFUSED:
        faults.add(line, "setting_refused", **params)
    elif not fits(setting.type, value) or isinstance(value, dict):
        faults.add(line, "setting_kind", value=repr(value), **params)
    elif _length(value) > (TEXT_CHARS if isinstance(value, str) else ENTRIES):
        faults.add(line, "setting_long", most=TEXT_CHARS if isinstance(value, str) else ENTRIES, **params)
    elif setting.low is not None and setting.high is not None and isinstance(value, int | float):
        high = min(setting.high, MOST.get(setting.name, setting.high))
        if not setting.low <= value <= high:
            faults.add(line, "setting_range", value=value, low=setting.low, high=high, **params)
    elif setting.name == "compare":
        _check_tokenizers(value, line, faults)


def _length(value: Any) -> int:
    if isinstance(value, list):
        return max(len(value), *(len(each) * ENTRIES // TEXT_CHARS for each in value if isinstance(each, str)), 0)
    return len(value) if isinstance(value, str) else 0


def _check_tokenizers(value: Any, line: int, faults: Faults) -> None:
    """Note the tokenizers that are not in the package: others are files of this machine, or the hub's."""
    from capot.chapters.tokens.verb import packaged_names

    names = [name.strip() for name in value.split(",")] if isinstance(value, str) else value
    for name in names:
        if name not in packaged_names():
            faults.add(line, "tokenizer_outside", found=name, known=", ".join(packaged_names()))
