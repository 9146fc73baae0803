"""Read and check the values of a model's config.json. An error names the field.

People write these files by hand and with tools of their own: a number comes as text, as null, as a list, with
400 digits. Every reader of a configuration takes its values from here, so what leaves this module can be
computed with.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from typing import Any

from capot.errors import ModelError, shorten
from capot.i18n import Reason

Raw = Mapping[str, Any]

MAX_INT = 10**9  # of any size: the largest known, a vocabulary's or a width's, are some hundred thousand
LONGEST = 2**63  # tokens of context: some files write "without a bound" as a number that large
SMALL = 1e-9
GREAT = 10**12  # the largest base of rotary positions known is some hundred million
MAX_LAYERS = 10_000  # layers are made one by one; the deepest models have some hundreds


def text_config(raw: Raw) -> Raw:
    """Return the configuration of the text model inside a multimodal one.

    >>> text_config({"model_type": "gemma3", "text_config": {"model_type": "gemma3_text"}})["model_type"]
    'gemma3_text'
    """
    inner = raw.get("text_config")
    return {**raw, **inner} if isinstance(inner, dict) else raw


def read_model_type(raw: Raw) -> str:
    """Return ``model_type``, or "" if there is none."""
    return str(raw.get("model_type") or "")[:80]


def value_error(field: str, value: Any) -> ModelError:
    """Return the error that names a field and its value, of which no form was expected alone."""
    return ModelError("config_value", field=field, value=as_written(value))


def number_error(raw: Raw, field: str, kind: str, *, least: float, most: float) -> ModelError:
    """Return the error that names a field and says which numbers are expected.

    ``kind`` is ``whole``, ``number`` or ``positive``, where ``least`` is a billionth.
    """
    written = "given" if field in raw else "absent"
    value = as_written(raw.get(field))
    how = kind if math.isfinite(most) else "at_least"
    return ModelError(
        "config_field", field=field, value=value,
        written=_said(written, field=field, value=value), expected=_said(f"expected.{how}", least=least, most=most),
    )  # fmt: skip


def _said(key: str, **params: Any) -> Reason:
    return Reason(key, key=f"config.{key}", **params)


def as_written(value: Any) -> str:
    """Return a value as its file writes it, shortened.

    >>> as_written(None), as_written(96.0), as_written("1e6")
    ('null', '96.0', '"1e6"')
    """
    return str(shorten(json.dumps(value, ensure_ascii=False, default=str)))


def first_set(raw: Raw, *names: str) -> tuple[str, Any]:
    """Return the first of a field's names that is set, and its value; else the first that is there, and None."""
    found = next((name for name in names if raw.get(name) is not None), None)
    found = found or next((name for name in names if name in raw), names[0])
    return found, raw.get(found)


def read_int(raw: Raw, *names: str, default: int | None = None, least: int = 1, most: int = MAX_INT) -> int:
    """Return an integer from ``least`` to ``most``. Raises: ModelError ``config_field``, also if it is missing.

    >>> read_int({"n_layer": 12}, "num_hidden_layers", "n_layer"), read_int({}, "n_layer", default=4)
    (12, 4)
    """
    name, value = first_set(raw, *names)
    if value is None and default is not None:
        return default
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise number_error(raw, name, "whole", least=least, most=most)
    return value


def read_count(raw: Raw, *names: str, default: int = 0) -> int:
    """Return the first of ``names`` that is set to more than 0, else ``default``.

    Raises: ModelError ``config_field`` if it is no number.

    >>> read_count({"num_experts": 8}, "num_local_experts", "num_experts"), read_count({}, "n_shared_experts")
    (8, 0)
    """
    name = next((name for name in names if raw.get(name)), None)
    return default if name is None else read_int(raw, name, least=0)


def finite(value: Any) -> float | None:
    """Return ``value`` as a finite float, None if it is none."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    try:
        number = float(value)
    except OverflowError:  # an integer beyond all measure
        return None
    return number if math.isfinite(number) else None


def read_float(raw: Raw, *names: str, default: float, least: float = 0.0, most: float = math.inf) -> float:
    """Return a finite float from ``least`` to ``most``. Raises: ModelError ``config_field``.

    >>> read_float({"rms_norm_eps": 1e-05}, "rms_norm_eps", default=1e-06)
    1e-05
    """
    name, value = first_set(raw, *names)
    if value is None:
        return default
    number = finite(value)
    if number is None or not least <= number <= most:
        raise number_error(raw, name, "number", least=least, most=most)
    return number


def read_positive(raw: Raw, name: str, *, default: float | None = None) -> float:
    """Return a float above 0 by which a float32 can be multiplied and divided.

    Raises: ModelError ``config_field``, also if it is missing and there is no default.
    """
    number = default if raw.get(name) is None else finite(raw[name])
    if number is None or not SMALL <= number <= GREAT:
        raise number_error(raw, name, "positive", least=SMALL, most=GREAT)
    return number


def read_bool(raw: Raw, *names: str, default: bool) -> bool:
    """Return a boolean; null counts as missing. Raises: ModelError ``config_value`` for anything else."""
    name, value = first_set(raw, *names)
    if value is None:
        return default
    if not isinstance(value, bool):
        raise value_error(name, value)
    return value


def read_str(raw: Raw, *names: str, default: str = "", most: int = 200) -> str:
    """Return a string of at most ``most`` characters. Raises: ModelError ``config_value`` for anything else."""
    name, value = first_set(raw, *names)
    if value is None:
        return default
    if not isinstance(value, str) or len(value) > most:
        raise value_error(name, value)
    return value


def read_dict(raw: Raw, name: str) -> dict[str, Any]:
    """Return an object's fields, none if it is null. Raises: ModelError ``config_value`` if it is no object."""
    value = raw.get(name)
    if value is not None and not isinstance(value, dict):
        raise value_error(name, value)
    return dict(value or {})


def read_list(raw: Raw, name: str, kind: type) -> list[Any] | None:
    """Return a list of integers (``int``) or strings (``str``), or None if there is none.

    Raises: ModelError ``config_value``.

    >>> read_list({"attn_layer_indices": [3, 7]}, "attn_layer_indices", int)
    [3, 7]
    """
    value = raw.get(name)
    if value is None:
        return None
    if not isinstance(value, list) or not all(isinstance(item, kind) and not isinstance(item, bool) for item in value):
        raise value_error(name, value)
    return value


def read_per_layer(raw: Raw, name: str, kind: type, *, layers: int) -> list[Any] | None:
    """Return a list with an entry for each layer, or None if there is none.

    Raises: ModelError ``config_value``, ``config_list`` if it has more or fewer.
    """
    value = read_list(raw, name, kind)
    if value is not None and len(value) != layers:
        raise ModelError("config_list", field=name, count=len(value), layers=layers)
    return value


def token_ids(value: Any) -> tuple[int, ...]:
    """Return the ids in a number or a list of numbers; skip what is no integer.

    >>> token_ids([2, None, 3]), token_ids(7), token_ids("x")
    ((2, 3), (7,), ())
    """
    items: Iterable[Any] = value if isinstance(value, list | tuple) else [value]
    return tuple(item for item in items if isinstance(item, int) and not isinstance(item, bool))


def read_token_ids(raw: Raw, name: str) -> tuple[int, ...]:
    """Return the ids that config.json gives; skip null. Raises: ModelError ``config_value``."""
    value = raw.get(name)
    items = value if isinstance(value, list) else [value]
    if any(not isinstance(item, int | None) or isinstance(item, bool) for item in items):
        raise value_error(name, value)
    return token_ids(value)
