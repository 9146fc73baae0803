"""Search the hub for causal language models, by words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from capot.errors import NetworkError, UnsupportedError
from capot.sources.hub import settings
from capot.sources.hub.listing import check_causal, gate_kind, is_name
from capot.sources.hub.refusals import Subject
from capot.sources.hub.requests import get_json
from capot.sources.safetensors import DTYPES

TOLD = ("safetensors", "gated", "downloads", "cardData", "config", "tags")  # what is asked of each model


@dataclass(frozen=True)
class SearchHit:
    """A model that a search found. ``dtypes``: how many numbers its weights hold in each type."""

    name: str
    gated: str
    downloads: int
    licence: str | None
    tags: tuple[str, ...]
    dtypes: Mapping[str, int]
    chat_template: str | None
    ends: tuple[str, ...]

    @property
    def parameters(self) -> int:
        return sum(self.dtypes.values())

    @property
    def nbytes(self) -> int:
        return round(sum(count * bytes_per_value(dtype) for dtype, count in self.dtypes.items()))

    @property
    def dtype(self) -> str:
        """Return the type of most of the weights' bytes, as the files spell it."""
        return max(self.dtypes, key=lambda dtype: self.dtypes[dtype] * bytes_per_value(dtype), default="")


def bytes_per_value(dtype: str) -> float:
    """Return the bytes of one number of a safetensors type; 2 for an unknown type."""
    return DTYPES.get(dtype, (16,))[0] / 8


def search(words: str, *, limit: int) -> list[SearchHit]:
    """Return at most ``limit`` causal models in safetensors, the most downloaded first.

    Raises: as ``requests.get_json``; NetworkError ``hub_not_a_hub``.
    """
    asked = {
        "search": words,
        "pipeline_tag": "text-generation",
        "filter": "safetensors",
        "sort": "downloads",
        "limit": 2 * limit,  # some will not be for us
        "expand": TOLD,
    }
    answer = get_json(f"{settings.endpoint()}/api/models?{urlencode(asked, doseq=True)}", Subject())
    if not isinstance(answer, list):
        raise NetworkError("hub_not_a_hub", host=settings.endpoint())
    return list(_causal(answer))[:limit]


def _causal(answer: list[Any]) -> Iterator[SearchHit]:
    for entry in answer:
        if not (isinstance(entry, dict) and isinstance(entry.get("id"), str) and is_name(entry["id"])):
            continue
        found = parse_entry(entry)
        try:
            # The same rule as at opening: what could not be opened is not offered.
            check_causal(found.name, _table(entry, "config"))
        except UnsupportedError:
            continue
        if found.parameters:
            yield found


def parse_entry(entry: Mapping[str, Any]) -> SearchHit:
    """Parse the hub's record of one model, from a search or from its own page."""
    counts = _table(_table(entry, "safetensors"), "parameters")
    listed = entry.get("tags")
    tags = tuple(tag for tag in listed if isinstance(tag, str)) if isinstance(listed, list) else ()
    tokenizer = _table(_table(entry, "config"), "tokenizer_config")
    template, end = tokenizer.get("chat_template"), tokenizer.get("eos_token")
    end = end.get("content") if isinstance(end, dict) else end
    downloads = entry.get("downloads")
    return SearchHit(
        name=str(entry["id"]),
        gated=gate_kind(entry),
        downloads=downloads if isinstance(downloads, int) else 0,
        licence=_licence(_table(entry, "cardData"), tags),
        tags=tags,
        dtypes={str(name): count for name, count in counts.items() if isinstance(count, int) and 0 < count < 2**50},
        chat_template=template if isinstance(template, str) else None,
        ends=(end,) if isinstance(end, str) and end else (),
    )


def _table(entry: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = entry.get(key)
    return found if isinstance(found, dict) else {}


def _licence(card: Mapping[str, Any], tags: tuple[str, ...]) -> str | None:
    stated, name = card.get("license"), card.get("license_name")
    if stated == "other" and isinstance(name, str):
        return name
    if isinstance(stated, str):
        return stated
    return next((tag.removeprefix("license:") for tag in tags if tag.startswith("license:")), None)
