"""Colour in a terminal, or none: the 256-colour palette, and a pen that can be dry."""

from __future__ import annotations

from dataclasses import dataclass

TOKENS = (153, 223, 158, 225, 229, 189)  # backgrounds of the six token hues, under black
RAMP = (255, 195, 153, 117, 75, 33, 26, 25)  # one hue by lightness, from improbable to certain
SERIES = (33, 172, 36, 169, 98, 142)  # lines and points; readable on black and on white
ACCENT = 33
WARNING = 172
_BLACK, _WHITE = 16, 231


@dataclass(frozen=True)
class Pen:
    """Paints where ``color`` is true, else leaves text as it is."""

    color: bool = False

    def style(self, text: str, *codes: int | str) -> str:
        if not self.color or not text:
            return text
        return f"\x1b[{';'.join(map(str, codes))}m{text}\x1b[0m"

    def bold(self, text: str) -> str:
        return self.style(text, 1)

    def quiet(self, text: str) -> str:
        return self.style(text, 2)

    def ink(self, text: str, color: int) -> str:
        return self.style(text, 38, 5, color)

    def series(self, text: str, index: int) -> str:
        return self.ink(text, SERIES[index % len(SERIES)])

    def token(self, text: str, tone: int) -> str:
        return self.style(text, 38, 5, _BLACK, 48, 5, TOKENS[tone % len(TOKENS)])

    def weight(self, text: str, share: float) -> str:
        """Return ``text`` on the ramp at ``share`` of one."""
        # The ramp goes from light to dark: on its darker half white is what can be read.
        level = min(int(share * len(RAMP)), len(RAMP) - 1)
        return self.style(text, 38, 5, _BLACK if level < 6 else _WHITE, 48, 5, RAMP[level])
