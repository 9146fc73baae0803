"""What happens around every verb of ``Model``: a closed model says so, arguments are held to their
kinds, the model's own language is spoken."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from capot.chapters.arguments import Arguments
from capot.chapters.chapter import ModelVerb
from capot.errors import BusyError, InputError, named_call, use_language


def called(method: Callable[..., Any], *, call: str, command: str, behind: ModelVerb) -> Callable[..., Any]:
    """Return ``method`` with its arguments checked first; what it answers, and what it raises, is in ``self.lang``.

    ``call`` and ``command`` are how Python and a terminal write it, for the hints of its errors.
    """

    @functools.wraps(method)
    def verb(self: Any, /, *args: Any, **given: Any) -> Any:
        with named_call(call, command), use_language(self.lang):
            if self.closed:
                raise BusyError("closed")
            try:
                found = method(**arguments().bind(self, *args, **given))
            except InputError as error:
                arguments().propose(error)
                raise
        from capot.view.result import Result  # what a verb answered has loaded it; a command's --help needs none

        if isinstance(found, Result):
            return found.in_language(self.lang)
        if hasattr(found, "lang"):  # a stream tells what it has later
            found.lang = self.lang
        return found

    @functools.cache
    def arguments() -> Arguments:
        return Arguments(method, call=call, example=behind.example, beside=behind.beside)

    return verb
