"""What a card is made from, whoever gives it: a folder, or a hub before any download."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from capot.chapters.card.result import KnownModel
from capot.sources.hub.published import Published

if TYPE_CHECKING:
    from capot.engines.loaded import Loaded
    from capot.sources.safetensors import TensorInfo


@dataclass(frozen=True)
class Source:
    """All that a card needs to know of a model. ``tensors`` None: its weights are not there."""

    name: str
    config: Mapping[str, Any]
    tensors: Mapping[str, TensorInfo] | None = None
    chat_template: str | None = None
    ends: tuple[str, ...] = ()  # the tokens that end a text, as the chat template would write them
    readme: str = ""
    vocabulary: tuple[int, int] | None = None  # with and without added tokens
    kind: tuple[str, str] | None = None
    licence: str | None = None
    url: str | None = None
    known: tuple[KnownModel, ...] = field(default=(), repr=False)
    engine: str | None = None
    obstacle: str | None = None
    published: Published | None = None
    tied: bool | None = None  # None: as config.json says
    loaded: Loaded | None = None  # what opening its engine took, once it is open
