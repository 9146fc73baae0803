"""Bounds are written once and hold, with an error that says which."""

from __future__ import annotations

import math

import pytest

from capot.config import Sampling, Serving
from capot.errors import InputError


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("temperature", -1),
        ("temperature", 101),
        ("top_k", -1),
        ("top_p", -0.1),
        ("top_p", 1.1),
        ("min_p", -0.1),
        ("max_new_tokens", 0),
        ("seed", -1),
        ("seed", 2**64),
    ],
)
def test_out_of_range_is_refused_by_name(field: str, value: float) -> None:
    with pytest.raises(InputError) as caught:
        Sampling(**{field: value})
    assert caught.value.code == "out_of_range"
    assert field in caught.value.message("en") and field in caught.value.message("fr")


@pytest.mark.parametrize("value", [math.nan, "abc", True, None.__class__, 1.5])
def test_not_a_whole_number(value: object) -> None:
    with pytest.raises(InputError, match=r"whole|number"):
        Sampling(top_k=value)  # type: ignore[arg-type]


def test_nan_temperature_is_refused() -> None:
    with pytest.raises(InputError) as caught:
        Sampling(temperature=math.nan)
    assert caught.value.code == "not_a_number"


def test_types_are_settled() -> None:
    assert Sampling(temperature=1).temperature == 1.0 and isinstance(Sampling(temperature=1).temperature, float)
    assert Sampling(stop="FIN").stop == ("FIN",)
    with pytest.raises(InputError):
        Sampling(stop=("",))
    assert Sampling().seeded().seed is not None
    assert Sampling(seed=7).seeded().seed == 7
    with pytest.raises(InputError):
        Serving(port=70000)
