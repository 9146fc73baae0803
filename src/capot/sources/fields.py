"""Values of a model's config.json: each is read in the form its field has, or refused by the field's name.

People write these files by hand and with tools of their own: a number comes as text, as null, as a list, with
400 digits. Every reader of a configuration takes its values from here, so what leaves this module can be
computed with.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from capot.errors import ModelError, shown

Raw = Mapping[str, Any]

LARGEST = 10**9  # of any size: the largest known, a vocabulary's or a width's, are some hundred thousand
LONGEST = 2**63  # tokens of context: some files write "without a bound" as a number that large
SMALL, GREAT = 1e-9, 1e12  # the largest base of rotary positions known is some hundred million
MOST_LAYERS = 10_000  # layers are made one by one; the deepest models have some hundreds


def of_text(raw: Raw) -> Raw:
    """The configuration of the part that reads text, in a model that also sees or hears.

    >>> of_text({"model_type": "gemma3", "text_config": {"model_type": "gemma3_text"}})["model_type"]
    'gemma3_text'
    """
    inner = raw.get("text_config")
    return {**raw, **inner} if isinstance(inner, dict) else raw


def family(raw: Raw) -> str:
    """What kind of model it says it is; "" where it says nothing."""
    return str(raw.get("model_type") or "")[:80]


def refusal(field: str, value: Any, *, code: str = "config_field") -> ModelError:
    """The error that names a field and what stands in it."""
    told = str(shown(str(value)))
    if code == "config_value":
        return ModelError("config_value", field=field, value=told)
    return ModelError("config_field", field=field, value=told)


def found(raw: Raw, *names: str) -> tuple[str, Any]:
    """The first of a field's spellings that is set to something, and its value; else the first spelling and None."""
    return next(((name, raw[name]) for name in names if raw.get(name) is not None), (names[0], None))


def whole(raw: Raw, *names: str, default: int | None = None, least: int = 1, most: int = LARGEST) -> int:
    """A whole number from ``least`` to ``most``. Raises: ModelError ``config_field``, also where none is written.

    >>> whole({"n_layer": 12}, "num_hidden_layers", "n_layer"), whole({}, "n_layer", default=4)
    (12, 4)
    """
    name, value = found(raw, *names)
    if value is None and default is not None:
        return default
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise refusal(name, value)
    return value


def count(raw: Raw, *names: str, default: int = 0) -> int:
    """How many of something: the first of ``names`` that is set to more than nothing.

    Raises: ModelError ``config_field`` if it is no number.

    >>> count({"num_experts": 8}, "num_local_experts", "num_experts"), count({}, "n_shared_experts")
    (8, 0)
    """
    name = next((name for name in names if raw.get(name)), None)
    return default if name is None else whole(raw, name, least=0)


def finite(value: Any, field: str) -> float:
    """The number that ``field`` is set to. Raises: ModelError ``config_field`` where it is none, or endless."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            number = float(value)
        except OverflowError:  # an integer beyond all measure
            number = math.inf
        if math.isfinite(number):
            return number
    raise refusal(field, value)


def real(raw: Raw, *names: str, default: float, least: float = 0.0, most: float = math.inf) -> float:
    """A finite number from ``least`` to ``most``. Raises: ModelError ``config_field``.

    >>> real({"rms_norm_eps": 1e-05}, "rms_norm_eps", default=1e-06)
    1e-05
    """
    name, value = found(raw, *names)
    if value is None:
        return default
    number = finite(value, name)
    if not least <= number <= most:
        raise refusal(name, value)
    return number


def positive(raw: Raw, name: str, *, default: float | None = None) -> float:
    """A number above 0 that float32 can be multiplied with, and divided by.

    Raises: ModelError ``config_field``, also where none is written and no default given.
    """
    number = real(raw, name, default=0.0 if default is None else default)
    if not SMALL <= number <= GREAT:
        raise refusal(name, raw.get(name))
    return number


def flag(raw: Raw, name: str, *, default: bool) -> bool:
    """Yes or no; null says nothing. Raises: ModelError ``config_value`` for anything else."""
    value = raw.get(name)
    if value is None:
        return default
    if not isinstance(value, bool):
        raise refusal(name, value, code="config_value")
    return value


def word(raw: Raw, *names: str, default: str = "", most: int = 200) -> str:
    """A word of at most ``most`` letters. Raises: ModelError ``config_value`` for anything else."""
    name, value = found(raw, *names)
    if value is None:
        return default
    if not isinstance(value, str) or len(value) > most:
        raise refusal(name, value, code="config_value")
    return value


def table(raw: Raw, name: str) -> dict[str, Any]:
    """The fields inside a field; none where it is null. Raises: ModelError ``config_value`` where it is no table."""
    value = raw.get(name)
    if value is not None and not isinstance(value, dict):
        raise refusal(name, value, code="config_value")
    return dict(value or {})


def listed(raw: Raw, name: str, kind: type) -> list[Any] | None:
    """A list of whole numbers (``int``) or words (``str``), None where there is none.

    Raises: ModelError ``config_value``.

    >>> listed({"attn_layer_indices": [3, 7]}, "attn_layer_indices", int)
    [3, 7]
    """
    value = raw.get(name)
    if value is None:
        return None
    if not isinstance(value, list) or not all(isinstance(item, kind) and not isinstance(item, bool) for item in value):
        raise refusal(name, value, code="config_value")
    return value


def for_layers(raw: Raw, name: str, kind: type, *, layers: int) -> list[Any] | None:
    """A list with an entry for each layer, None where there is none.

    Raises: ModelError ``config_value``, ``config_list`` where it has more or fewer.
    """
    value = listed(raw, name, kind)
    if value is not None and len(value) != layers:
        raise ModelError("config_list", field=name, count=len(value), layers=layers)
    return value


def ids(value: Any) -> tuple[int, ...]:
    """The ids in a number or a list of numbers; what is none is passed over.

    >>> ids([2, None, 3]), ids(7), ids("x")
    ((2, 3), (7,), ())
    """
    items: Iterable[Any] = value if isinstance(value, list | tuple) else [value]
    return tuple(item for item in items if isinstance(item, int) and not isinstance(item, bool))


def strict_ids(raw: Raw, name: str) -> tuple[int, ...]:
    """The ids that config.json gives, null among them passed over. Raises: ModelError ``config_value``."""
    value = raw.get(name)
    items = value if isinstance(value, list) else [value]
    if any(not isinstance(item, int | None) or isinstance(item, bool) for item in items):
        raise refusal(name, value, code="config_value")
    return ids(value)
