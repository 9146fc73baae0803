"""Read and check the values of a model's config.json. An error names the field.

People write these files by hand and with tools of their own: a number comes as text, as null, as a list, with
400 digits. Every reader of a configuration takes its values from here, so what leaves this module can be
computed with.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from capot.errors import ModelError, shorten

Raw = Mapping[str, Any]

MAX_INT = 10**9  # of any size: the largest known, a vocabulary's or a width's, are some hundred thousand
LONGEST = 2**63  # tokens of context: some files write "without a bound" as a number that large
SMALL, GREAT = 1e-9, 1e12  # the largest base of rotary positions known is some hundred million
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


def field_error(field: str, value: Any, *, code: str = "config_field") -> ModelError:
    """Return the error that names a field and its value."""
    shown = str(shorten(str(value)))
    if code == "config_value":
        return ModelError("config_value", field=field, value=shown)
    return ModelError("config_field", field=field, value=shown)


def first_set(raw: Raw, *names: str) -> tuple[str, Any]:
    """Return the first of a field's names that is set, and its value; else the first name and None."""
    return next(((name, raw[name]) for name in names if raw.get(name) is not None), (names[0], None))


def read_int(raw: Raw, *names: str, default: int | None = None, least: int = 1, most: int = MAX_INT) -> int:
    """Return an integer from ``least`` to ``most``. Raises: ModelError ``config_field``, also if it is missing.

    >>> read_int({"n_layer": 12}, "num_hidden_layers", "n_layer"), read_int({}, "n_layer", default=4)
    (12, 4)
    """
    name, value = first_set(raw, *names)
    if value is None and default is not None:
        return default
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise field_error(name, value)
    return value


def read_count(raw: Raw, *names: str, default: int = 0) -> int:
    """Return the first of ``names`` that is set to more than 0, else ``default``.

    Raises: ModelError ``config_field`` if it is no number.

    >>> read_count({"num_experts": 8}, "num_local_experts", "num_experts"), read_count({}, "n_shared_experts")
    (8, 0)
    """
    name = next((name for name in names if raw.get(name)), None)
    return default if name is None else read_int(raw, name, least=0)


def check_finite(value: Any, field: str) -> float:
    """Return ``value`` as a finite float. Raises: ModelError ``config_field`` if it is none."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            number = float(value)
        except OverflowError:  # an integer beyond all measure
            number = math.inf
        if math.isfinite(number):
            return number
    raise field_error(field, value)


def read_float(raw: Raw, *names: str, default: float, least: float = 0.0, most: float = math.inf) -> float:
    """Return a finite float from ``least`` to ``most``. Raises: ModelError ``config_field``.

    >>> read_float({"rms_norm_eps": 1e-05}, "rms_norm_eps", default=1e-06)
    1e-05
    """
    name, value = first_set(raw, *names)
    if value is None:
        return default
    number = check_finite(value, name)
    if not least <= number <= most:
        raise field_error(name, value)
    return number


def read_positive(raw: Raw, name: str, *, default: float | None = None) -> float:
    """Return a float above 0 by which a float32 can be multiplied and divided.

    Raises: ModelError ``config_field``, also if it is missing and there is no default.
    """
    number = read_float(raw, name, default=0.0 if default is None else default)
    if not SMALL <= number <= GREAT:
        raise field_error(name, raw.get(name))
    return number


def read_bool(raw: Raw, name: str, *, default: bool) -> bool:
    """Return a boolean; null counts as missing. Raises: ModelError ``config_value`` for anything else."""
    value = raw.get(name)
    if value is None:
        return default
    if not isinstance(value, bool):
        raise field_error(name, value, code="config_value")
    return value


def read_str(raw: Raw, *names: str, default: str = "", most: int = 200) -> str:
    """Return a string of at most ``most`` characters. Raises: ModelError ``config_value`` for anything else."""
    name, value = first_set(raw, *names)
    if value is None:
        return default
    if not isinstance(value, str) or len(value) > most:
        raise field_error(name, value, code="config_value")
    return value


def read_dict(raw: Raw, name: str) -> dict[str, Any]:
    """Return an object's fields, none if it is null. Raises: ModelError ``config_value`` if it is no object."""
    value = raw.get(name)
    if value is not None and not isinstance(value, dict):
        raise field_error(name, value, code="config_value")
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
        raise field_error(name, value, code="config_value")
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
        raise field_error(name, value, code="config_value")
    return token_ids(value)
