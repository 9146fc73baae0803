"""capot: open the hood of any language model.

    import capot
    model = capot.open()                      # the boxed model
    model.next("The capital of Australia is") # the probability of each next token

Names are loaded at first use (PEP 562), so ``import capot`` costs nothing.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "open": "model",
    "Model": "model",
    "Sampling": "config",
    "Loading": "config",
    "Serving": "config",
    "Capability": "engine",
    "CapotError": "errors",
}

__all__ = ["__version__", *_HOMES]  # noqa: PLE0604 - the keys are strings


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'capot' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"capot.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
