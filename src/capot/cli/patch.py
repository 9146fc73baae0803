"""``capot patch``: as any verb's command, with a line that tells how many places have been tried."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from capot.chapters.settings import takes
from capot.cli.common import chapter
from capot.cli.settings import argument, is_given, option

if TYPE_CHECKING:
    from capot.model import Model
    from capot.view.event import ProgressEvent
    from capot.view.result import Result


def call(model: Model, **given: Any) -> Result:
    from capot.cli.progress import reading

    follows = reading("patch.cli.progress")

    def tell(event: ProgressEvent) -> None:
        if follows is not None and event.total is not None:
            follows(event.done, event.total)

    answer: Result = model.patch(**{name: value for name, value in given.items() if is_given(value)}, progress=tell)
    return answer


command = chapter(
    "patch",
    argument("patch", "prompt"),
    *(option("patch", name) for name in takes("patch") if name != "prompt"),
    call=call,
)
