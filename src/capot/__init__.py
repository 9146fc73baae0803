"""capot: open the hood of any language model.

    import capot
    model = capot.open()                      # the boxed model
    model.next("The capital of Australia is") # the probability of each next token

Names are loaded at first use (PEP 562), so ``import capot`` costs nothing.
"""

from __future__ import annotations

import importlib
import sys
import types

TYPE_CHECKING = not __name__  # to a type checker True; an editor skips what a plain False guards; ``typing`` takes 5 ms
if TYPE_CHECKING:
    from typing import Any

    from capot.chapters.card import verb as card
    from capot.chapters.models import verb as models
    from capot.config import Loading, Sampling, Serving
    from capot.engines.protocol import Capability
    from capot.errors import CapotError
    from capot.model import Model, open
    from capot.view.event import ProgressEvent

__version__ = "0.1.0"

_HOMES = {
    "open": "model",
    "Model": "model",
    "Sampling": "config",
    "Loading": "config",
    "Serving": "config",
    "Capability": "engines.protocol",
    "CapotError": "errors",
    "ProgressEvent": "view.event",
}
# Chapters whose functions need no opened model, by the short names that the pages give them.
_CHAPTERS = {"card": "chapters.card.verb", "models": "chapters.models.verb"}

# Written out: a type checker reads no more than this.
__all__ = [
    "Capability", "CapotError", "Loading", "Model", "ProgressEvent", "Sampling", "Serving", "__version__", "card",
    "models", "open",
]  # fmt: skip


if not TYPE_CHECKING:  # a checker that saw it would believe in any name at all

    def __getattr__(name: str) -> Any:
        if name not in _HOMES:
            raise AttributeError(f"module 'capot' has no attribute {name!r}")
        value = getattr(importlib.import_module(f"capot.{_HOMES[name]}"), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted(__all__)


class _Chapter(types.ModuleType):
    """A chapter by its short name: ``capot.models.cached()``, ``from capot.card import describe_known``."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # what looks through all modules does not import this one
            raise AttributeError(name)
        home = _CHAPTERS[self.__name__.removeprefix("capot.")]
        return getattr(importlib.import_module(f"capot.{home}"), name)


for _name in _CHAPTERS:
    globals()[_name] = sys.modules[f"capot.{_name}"] = _Chapter(f"capot.{_name}")
