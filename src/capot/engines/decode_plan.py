"""How the kernels of an engine read the weights while they decode: what was chosen on this machine."""

from __future__ import annotations

from dataclasses import dataclass

from capot.i18n import number, percent, tr

TILE = 16  # rows that a register of the matrix unit holds; other registers take at most four rows together


@dataclass(frozen=True)
class DecodePlan:
    """The plan that was quickest here, and how quick it was beside a plain reader of the same bytes.

    ``rows`` of the weights are read at once, each ``ahead_bytes`` before they are needed; ``in_turns``: the
    threads take them in turn, instead of a piece each. ``dtype``: of the weights; ``place``: where they are read, in
    ``memory`` or, where all of them fit, in the processor's ``cache``.
    Units: bytes, bytes a second.
    """

    dtype: str
    place: str
    rows: int
    ahead_bytes: int
    in_turns: bool
    threads: int
    bytes_per_second: float
    reader_bytes_per_second: float

    @property
    def share(self) -> float:
        """Return the share of the reader's bandwidth."""
        return self.bytes_per_second / self.reader_bytes_per_second

    @property
    def tiled(self) -> bool:
        """Return whether the processor's matrix unit computes the products."""
        return self.rows >= TILE

    def words(self, lang: str | None = None) -> str:
        """Return the same in a line."""
        shares = tr(f"engines.decode.{'in_turns' if self.in_turns else 'pieces'}", lang, count=self.threads)
        speed = {"speed": number(self.bytes_per_second / 1e9, lang, 1), "share": percent(self.share, lang, 0)}
        speed["place"] = tr(f"engines.decode.{self.place}", lang)
        rows = tr(f"engines.decode.{'tiles' if self.tiled else 'rows'}", lang, rows=self.rows)
        return tr("engines.decode.plan", lang, rows=rows, ahead=self.ahead_bytes, shares=shares, **speed)
