"""``capot next``: the distribution over the next token, at one temperature or several."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from capot.cli.common import chapter
from capot.cli.settings import argument, option
from capot.cli.words import Number, ParamType

if TYPE_CHECKING:
    from capot.chapters.next.result import Prediction
    from capot.model import Model


class Temperatures(ParamType):
    """One number or several, parted by commas, or by semicolons where a comma is decimal: ``0,2;0,7``.

    A comma that stands alone, with no point anywhere, is decimal: ``0,7``.
    """

    name = "T"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[float, ...]:
        if not isinstance(value, str):
            return (value,)  # a default
        decimal = value.count(",") == 1 and "." not in value
        separator = ";" if ";" in value or decimal else ","
        parts = value.split(separator)
        return tuple(Number(float).convert(part.strip(), param, ctx) for part in parts)


def predicted(model: Model, prompt: str, *, temperature: tuple[float, ...], **given: Any) -> Prediction:
    return model.next(prompt, temperature=temperature[0], beside=temperature[1:], **given)


command = chapter(
    "next",
    argument("next", "prompt"),
    option("next", "k", metavar="K"),
    option("next", "temperature", type=Temperatures(), metavar="T", words="next.cli.several"),
    option("next", "top_k", metavar="K"),
    option("next", "top_p", metavar="P"),
    option("next", "min_p", metavar="P"),
    option("next", "rank", multiple=True, metavar="TOKEN"),
    call=predicted,
)
