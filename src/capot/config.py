"""What a user may set, each bound written once, next to its field.

>>> Sampling(temperature=0).temperature
0.0
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from capot.errors import InputError, check_unicode, shorten, wrong_kind

SHORTEST_CODE = 6  # letters and digits of an access code that is chosen by hand
TEMPERATURES = 8  # side by side: as many columns as a table is read with
SEEDS = 2**32  # seeds drawn for the user stay short enough to be read aloud


@dataclass(frozen=True)
class Slider:
    """The range, the step and the start of a page's slider."""

    low: float
    high: float
    step: float
    coarse: float
    start: float | None = None


def bounded(default: Any, low: float, high: float, **extra: Any) -> Any:
    """Return a field with inclusive bounds, checked at construction and shown by every face.

    ``most`` is a narrower upper bound for one person of a lab, ``slide`` how a page moves it.
    """
    return dataclasses.field(default=default, metadata={"low": low, "high": high, **extra})


def limits(config: type, name: str) -> tuple[float, float]:
    """Return the bounds of a field, for a check that has a message of its own.

    >>> limits(WordPlane, "near")
    (0, 100)
    """
    found = next(field.metadata for field in dataclasses.fields(config) if field.name == name)
    return found["low"], found["high"]


def check(config: Any) -> None:
    """Check the type and the bounds of each bounded field of a frozen dataclass.

    Raises: InputError ``not_a_number``, ``not_whole`` or ``out_of_range`` with name, value and bounds.
    """
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if "low" not in field.metadata or value is None:
            continue
        whole = isinstance(field.metadata["low"], int) and not field.metadata.get("real")
        # The dataclass is frozen for everybody but its own making: "3" of a form becomes 3 here.
        object.__setattr__(config, field.name, number(field.name, value, whole=whole))
        within(field.name, getattr(config, field.name), field.metadata["low"], field.metadata["high"])


def within(name: str, value: float, low: float, high: float) -> None:
    """Hold a number to inclusive bounds. Raises: InputError ``out_of_range`` with name, value and bounds."""
    if not low <= value <= high:
        raise InputError("out_of_range", name=name, value=value, low=low, high=high)


def number(name: str, value: Any, *, whole: bool) -> float:
    """Return a value as a number; 3.0 is the whole number 3.

    Raises: InputError ``not_a_number``, ``not_whole``.

    >>> number("layer", 3.0, whole=True)
    3
    """
    try:
        real = float(value)
        if isinstance(value, bool) or math.isnan(real):
            raise ValueError(value)
    except OverflowError:  # a number, beyond every bound
        beyond: int = value
        return beyond
    except (TypeError, ValueError):
        raise InputError("not_a_number", name=name, value=shorten(value)) from None
    if not whole:
        return real
    try:
        if not real.is_integer():
            raise ValueError(value)
        # Above 2**53 a float is no longer the number that was given.
        return int(value)
    except ValueError:
        raise InputError("not_whole", name=name, value=shorten(value)) from None


@dataclass(frozen=True)
class Sampling:
    """How a probability becomes a choice. Filters apply in transformers' order.

    ``temperature`` 0 means argmax; ``top_k`` 0, ``top_p`` 1 and ``min_p`` 0 filter
    nothing, ``top_p`` 0 leaves the best token alone; ``seed`` None draws one, and the seed is always reported.
    """

    temperature: float = bounded(0.7, 0.0, 100.0, slide=Slider(0, 3, 0.01, 0.25))
    max_new_tokens: int = bounded(100, 1, 1_000_000, slide=Slider(1, 500, 1, 20, start=60))
    top_k: int = bounded(0, 0, 1_000_000, slide=Slider(0, 100, 1, 10))
    top_p: float = bounded(1.0, 0.0, 1.0, slide=Slider(0.01, 1, 0.01, 0.1))
    min_p: float = bounded(0.0, 0.0, 1.0, slide=Slider(0, 1, 0.01, 0.1))
    seed: int | None = bounded(None, 0, 2**64 - 1)
    stop: Sequence[str] = ()

    def __post_init__(self) -> None:
        check(self)
        if not isinstance(self.stop, Iterable) or not getattr(self.stop, "ndim", 1):
            raise wrong_kind("stop", self.stop, expected="texts")
        stops = (self.stop,) if isinstance(self.stop, str) else tuple(self.stop)
        if any(not isinstance(stop, str) or not stop for stop in stops):
            raise InputError("empty_stop")
        for stop in stops:
            check_unicode(stop)
        # A text alone would be taken for a list of its letters.
        object.__setattr__(self, "stop", stops)

    def seeded(self) -> Sampling:
        """Return the same settings, with a random seed if there was none."""
        # Drawn once and reported, so that every text can be made again.
        if self.seed is not None:
            return self
        import secrets  # and hmac with it: not for a command's --help

        return dataclasses.replace(self, seed=secrets.randbelow(SEEDS))


@dataclass(frozen=True)
class Plan:
    """What is generated besides the settings of ``Sampling``."""

    first_draw: int = bounded(0, 0, 2**62)
    alternatives: int = bounded(5, 0, 100)
    after_stop: int = bounded(0, 0, 10_000, slide=Slider(0, 200, 1, 10, start=40))
    made: int = 0  # how many of the last ids are text made before

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class Showing:
    """How much of a distribution is shown."""

    k: int = bounded(10, 1, 1_000_000, most=10_000)
    beside: Sequence[float] = ()

    def __post_init__(self) -> None:
        check(self)
        if len(self.beside) + 1 > TEMPERATURES:
            raise InputError("too_many_temperatures", count=len(self.beside) + 1, most=TEMPERATURES)


@dataclass(frozen=True)
class WordPlane:
    """How words are drawn, and how many neighbours of each are looked for."""

    dimensions: int = bounded(2, 2, 3)
    near: int = bounded(5, 0, 100, slide=Slider(0, 20, 1, 5))

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class Prices:
    """What tokens cost. Units: per million tokens."""

    price_in: float = bounded(0.0, 0, 1_000_000_000, real=True)
    price_out: float = bounded(0.0, 0, 1_000_000_000, real=True)

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class Loading:
    """Which model to open and how. ``engine`` None lets capot choose."""

    model: str = "boxed"
    engine: str | None = None
    device: str | None = None
    dtype: str | None = None
    revision: str | None = None
    trust_remote_code: bool = False
    compiled: bool = False  # transformers alone: the passes that decode one text, joined into one launch


@dataclass(frozen=True)
class Serving:
    """Where the lab listens and what one learner may ask of it."""

    host: str = "127.0.0.1"
    port: int = bounded(8420, 0, 65535)
    open_browser: bool = True
    access_code: str | None = None
    allowed_hosts: tuple[str, ...] = ()
    trusted_proxies: tuple[str, ...] = ()  # addresses and networks, whose word on a visitor's address counts
    root_path: str = ""  # under which path of its host a proxy serves the lab
    lessons: str | None = None  # a folder of lessons, in the place of the packaged ones
    max_prompt_chars: int = bounded(200_000, 1, 10_000_000)
    max_new_tokens: int = bounded(1000, 1, 1_000_000)
    max_streams: int = bounded(8, 1, 1000)
    max_texts: int = bounded(512, 1, 100_000)  # in the whole lab: who makes themself many learners meets this one
    max_learners: int = bounded(1000, 1, 1_000_000)  # remembered at once; of those with nothing under way the last goes
    max_served_texts: int = bounded(64, 1, 100_000)  # under way at a server that has the model; the others wait in turn
    max_cache_bytes: int = bounded(512_000_000, 1_000_000, 10**13)
    idle_s: float = bounded(300.0, 0.01, 10**7)  # after which a learner's caches are given back
    max_learners_of_address: int = bounded(128, 1, 10_000)  # with something under way: some classes behind one router
    max_upload_bytes: int = bounded(12_000_000, 4_000_000, 10**10)  # bodies of one learner's requests under way
    max_connections: int = bounded(1000, 8, 100_000)  # in all; fewer where descriptors do not allow them
    max_connections_of_address: int = bounded(256, 6, 100_000)  # thirty learners behind one router, with six each
    headers_s: float = bounded(20.0, 0.1, 3600.0)  # for the head of a request, from its first byte or the connection
    body_s: float = bounded(60.0, 0.1, 3600.0)  # for a whole body
    idle_connection_s: float = bounded(30.0, 0.1, 3600.0)  # between two requests
    stalled_s: float = bounded(30.0, 0.1, 3600.0)  # without a byte taken of an answer

    def __post_init__(self) -> None:
        check(self)
