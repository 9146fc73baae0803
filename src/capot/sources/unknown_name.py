"""A name under which nothing can be opened, and what may have been meant by it."""

from __future__ import annotations

import difflib
import re

from capot.errors import NotFoundError, local_path
from capot.sources import shape_names
from capot.sources.hub.listing import name_from_url
from capot.sources.hub.store import name_words, similar_names
from capot.sources.published_shapes import spellings

PACKAGED = ("boxed", "scripted")  # models that need no files of the user's


def unknown_model(name: str) -> NotFoundError:
    """Return the refusal of what is no model.

    ``model_address``: the address of a model's page. ``unknown_model_near``: the package or the cache has names like
    it.
    ``unknown_model_shape``: people call a model so of which no weights are at hand, but a published shape.
    ``unknown_model``: neither.
    """
    alike = [*difflib.get_close_matches(name, PACKAGED, n=1, cutoff=0.75), *similar_names(name)]
    shown = local_path(name[:200], re.split(r"[/\\]", name.rstrip("/\\"))[-1][:200])
    if named := name_from_url(name):
        return NotFoundError("model_address", name=shown, model=named)
    if alike:
        others = ", ".join(alike)
        return NotFoundError("unknown_model_near", name=shown, near=alike[0], others=others, words=name_words(name))
    if shape := meant_shape(name):
        return NotFoundError("unknown_model_shape", name=shown, shape=shape, words=name_words(name))
    return NotFoundError("unknown_model", name=shown, words=name_words(name))


def meant_shape(name: str) -> str | None:
    """Return the published shape that people mean by ``name``: its own, or the one nearest to an unpublished model.

    >>> meant_shape("llama 3 70b"), meant_shape("GPT-3.5"), meant_shape("my-model")
    ('Llama-3-70B', 'GPT-3-175B', None)
    """
    if shape_names.is_unpublished(name):
        return next(iter(shape_names.close_matches(name, spellings())), None)
    return shape_names.match(name, spellings())
