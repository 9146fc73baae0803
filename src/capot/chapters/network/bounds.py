"""How much of a network is shown at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from capot.config import Slider, bounded, check, within
from capot.errors import InputError

MOST_GUESSES = 50_000  # layers times positions times k: a minute of the head of a model of a billion weights
MOST_WEIGHTS = 1_000_000  # of attention: the square of a text's tokens
ENOUGH = 0.4  # of a head's attention, to be called by it; where it goes evenly a repeated token gets 0.03
BYTES_OF_GUESS = 500  # as records and as JSON, at most
BYTES_OF_WEIGHT = 60
MOST_CELLS = 4_000  # of a grid of patches
MOST_READ = 20_000  # tokens that a grid reads again, as many as go through all layers: minutes of a billion weights
BYTES_OF_STATES = 64_000_000  # read in one pass
MOST_STATES = 128_000_000  # numbers read for one answer: eight such passes


@dataclass(frozen=True)
class Guessing:
    """How many guesses are shown at each place."""

    k: int = bounded(3, 1, 100)

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class Comparing:
    """What is shown of the two answers, before and after."""

    k: int = bounded(10, 1, 100)
    max_new_tokens: int = bounded(12, 0, 200)

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class Steering:
    """How strongly a direction is added."""

    strength: float = bounded(1.0, -100.0, 100.0, slide=Slider(-5, 5, 0.1, 0.5))

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class Places:
    """The layers and positions that are asked for, each within what there is."""

    levels: tuple[int, ...]
    positions: tuple[int, ...]

    @classmethod
    def within(cls, layers: Sequence[int] | None, positions: Sequence[int] | None, *, most: int, tokens: int) -> Places:
        """Return all layers and positions where none is named; a negative position counts from the end.

        Raises: InputError ``out_of_range``.
        """
        levels = sorted(set(layers)) if layers else range(most + 1)
        for level in levels:
            within("layers", level, 0, most)
        named = [position_within("positions", position, tokens=tokens) for position in positions or ()]
        chosen = sorted(set(named)) if positions else range(tokens)
        return cls(tuple(levels), tuple(chosen))

    def price(self, k: int, weights: int) -> int:
        """Return the bytes that the answer may hold.

        Raises: InputError ``network_too_much``, before anything is computed.
        """
        guesses = k * len(self.levels) * len(self.positions)
        for name, asked, limit in (("k", guesses, MOST_GUESSES), ("attention", weights, MOST_WEIGHTS)):
            if asked > limit:
                raise InputError("network_too_much", name=name, asked=asked, limit=limit)
        return guesses * BYTES_OF_GUESS + weights * BYTES_OF_WEIGHT


def position_within(name: str, position: int, *, tokens: int) -> int:
    """Return a position of a text, a negative one from the end. Raises: InputError ``out_of_range``."""
    within(name, position, -tokens, tokens - 1)
    return position % tokens
