"""What a function's annotations say, the names included that its module imports for type checkers alone."""

from __future__ import annotations

import builtins
import inspect
import typing
from collections.abc import Callable, Mapping
from typing import Any


def hints_of(function: Callable[..., Any]) -> dict[str, Any]:
    """Return a function's annotations; ``object`` stands for what its module imports for type checkers alone."""
    return typing.get_type_hints(function, localns=_Known(vars(inspect.getmodule(function))))


class _Known(dict[str, Any]):
    """The names that an annotation may hold."""

    def __init__(self, module: Mapping[str, Any]) -> None:
        super().__init__()
        self._module = module

    def __missing__(self, name: str) -> Any:
        if name in self._module or hasattr(builtins, name):
            raise KeyError(name)  # found where Python looks next
        return object
