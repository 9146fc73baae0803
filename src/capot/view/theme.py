"""The colours, in one place: paper and ink, one accent, six token hues, one ramp, six series.

Both themes are designed; dark is not inverted light. ``css`` writes them as custom
properties for a page, a notebook or the lab; the Plotly figures take the same names.

The six hues of tokens, and of series, also differ in lightness: they stay apart, and
neighbours more so, for eyes without red, green or blue cones (a test simulates them).
Tokens carry borders as well; a probability is the lightness of one hue.
"""

from __future__ import annotations

from collections.abc import Mapping

Theme = Mapping[str, str]
HUES = 6  # hues that tokens, and series, cycle through
STEPS = 10  # lightness steps of a probability
_DARK_INK, _LIGHT_INK = "#0b0d10", "#ffffff"


def _theme(base: Theme, *, tokens: str, borders: str, series: str, ramp: str) -> Theme:
    colors = dict(base)
    for prefix, listed in (("t", tokens), ("b", borders), ("s", series)):
        colors |= {f"{prefix}{index}": f"#{code}" for index, code in enumerate(listed.split())}
    for step in range(STEPS):
        shade = _interpolate([f"#{code}" for code in ramp.split()], step / (STEPS - 1))
        colors[f"w{step}"] = shade
        colors[f"v{step}"] = max((_DARK_INK, _LIGHT_INK), key=lambda ink: contrast(ink, shade))
    return colors


def _interpolate(stops: list[str], share: float) -> str:
    """Return the colour at ``share`` of a path through ``stops``, in sRGB."""
    place = share * (len(stops) - 1)
    left = min(int(place), len(stops) - 2)
    pairs = zip(_channels(stops[left]), _channels(stops[left + 1]), strict=True)
    return "#" + "".join(f"{round(a + (b - a) * (place - left)):02x}" for a, b in pairs)


def _channels(color: str) -> tuple[int, int, int]:
    return int(color[1:3], 16), int(color[3:5], 16), int(color[5:7], 16)


def contrast(one: str, other: str) -> float:
    """Return the contrast ratio of two colours, from 1 to 21 (WCAG 2.2, relative luminance).

    >>> round(contrast("#000000", "#ffffff"))
    21
    """
    dark, light = sorted((_luminance(one), _luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def _luminance(color: str) -> float:
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (v / 255 for v in _channels(color))]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


LIGHT = _theme(
    {
        "paper": "#fbfaf7",
        "panel": "#ffffff",
        "ink": "#1d2127",
        "quiet": "#59606a",
        "line": "#dedad1",
        "accent": "#0f5f8c",
        "soft": "#e2edf4",
        "mark": "#b3541e",
        "warn": "#fff3d6",
        "warn-line": "#96600f",
    },
    tokens="d3eefe eec079 a5d7ad e2b3d5 f0fcd7 d4b4fb",
    borders="4d84cf b97a10 2f8f6b c4547f 8f8710 7f64c9",
    series="547bff ae810a 184221 c747ab 849158 530a65",
    ramp="f1f6fa 7db4d8 0b4a73",
)
DARK = _theme(
    {
        "paper": "#14171b",
        "panel": "#1b1f25",
        "ink": "#e8e6e1",
        "quiet": "#a5acb6",
        "line": "#363d46",
        "accent": "#6bb6e3",
        "soft": "#1f3443",
        "mark": "#f0a35e",
        "warn": "#352a12",
        "warn-line": "#d9a441",
    },
    tokens="465969 462a03 296c4f 4c0234 5e6213 3a1253",
    borders="5d92d6 c8923a 4aa986 d27ba3 aba63c 9c86dc",
    series="b6e5ff f8a814 699b65 d04eb5 f9ecb6 9364ef",
    ramp="20272e 2d6a93 a5d8f7",
)
# Where the page around chooses: the lab, JupyterLab, VS Code, Colab.
_LIGHT_HOSTS = (
    '[data-theme="light"] .capot, .capot[data-theme="light"], [data-jp-theme-light="true"] .capot, '
    '.vscode-light .capot, [theme="light"] .capot'
)
_DARK_HOSTS = (
    '[data-theme="dark"] .capot, .capot[data-theme="dark"], [data-jp-theme-light="false"] .capot, '
    '.vscode-dark .capot, [theme="dark"] .capot'
)


def css() -> str:
    """Return the custom properties under ``.capot``: by the reader's system, unless the host page chose."""
    light, dark = _properties(LIGHT, "light"), _properties(DARK, "dark")
    return (
        f".capot{{{light}}}\n"
        f"@media (prefers-color-scheme: dark){{.capot{{{dark}}}}}\n"
        f"{_LIGHT_HOSTS}{{{light}}}\n{_DARK_HOSTS}{{{dark}}}\n"
        f"@media print{{.capot.capot.capot{{{light}}}}}\n"
    )


def _properties(theme: Theme, scheme: str) -> str:
    return f"color-scheme:{scheme};" + ";".join(f"--{name}:{color}" for name, color in theme.items())


def series_color(theme: Theme, index: int) -> str:
    return theme[f"s{index % HUES}"]


def lightness_step(share: float) -> int:
    """Return the lightness step of a share of one: 0 improbable, ``STEPS - 1`` certain."""
    return min(int(min(max(share, 0.0), 1.0) * STEPS), STEPS - 1) if share == share else 0
