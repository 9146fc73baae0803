"""Serve the pages' files, read once, compressed once, and named by what they hold.

Plotly's script comes out of the installed package: nothing is fetched from elsewhere.
"""

from __future__ import annotations

import functools
import gzip
import hashlib
import mimetypes
import posixpath
import re
from dataclasses import dataclass
from html import escape
from importlib import resources, util
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

STATIC = Path(str(resources.files("capot").joinpath("web", "static")))
PLOTLY = "plotly.min.js"
# On loading, Plotly adds the style sheet of its map tiles, which the policy forbids and no figure here needs.
MAP_STYLES = re.compile(rb'if\(!document\.getElementById\("[0-9a-f]{64}"\)\)')
TYPES = {".js": "text/javascript", ".css": "text/css", ".html": "text/html", ".svg": "image/svg+xml"}

COMPRESSIBLE = ("text/", "image/svg", "application/json")

FRAME = "app.js"  # the script of every page, which the page itself names
# `import "./a.js";`, `import { a } from "./a.js";`, over several lines too; what is imported when it is needed has a
# parenthesis.
IMPORTED = re.compile(r"""^(?:import|export)\s(?:[^"'();]*\sfrom\s)?["'](\.[^"']+)["']""", re.MULTILINE)

LAB_DATA = '<script type="application/json" id="lab">{}</script>'  # data, which the policy lets stand in a page


@dataclass(frozen=True)
class Asset:
    raw: bytes
    packed: bytes | None  # gzip, where it is worth it
    etag: str
    kind: str


# The stamp is part of the cache's key: a file that changed is read again, as in a checkout under work.
@functools.lru_cache(maxsize=256)
def _load(path: Path, _stamp: float) -> Asset:
    raw = path.read_bytes()
    if path.name == PLOTLY:
        raw = MAP_STYLES.sub(b"if(false)", raw)
    return _make_asset(raw, TYPES.get(path.suffix) or mimetypes.guess_type(path.name)[0] or "text/plain")


@functools.cache
def text_asset(text: str, kind: str) -> Asset:
    """Return an asset made by a program, such as the style sheet shared with the one-file pages."""
    return _make_asset(text.encode(), kind)


def _make_asset(raw: bytes, kind: str) -> Asset:
    # No time in the header, so that the same file has the same bytes everywhere.
    packed = gzip.compress(raw, 9, mtime=0) if len(raw) > 500 and kind.startswith(COMPRESSIBLE) else None
    return Asset(raw, packed, f'"{hashlib.sha256(raw).hexdigest()[:16]}"', kind)


def plotly_script() -> Path:
    """Return the path of the installed Plotly script. Finding it does not import plotly, which is slow."""
    spec = util.find_spec("plotly")
    assert spec is not None and spec.origin is not None  # a dependency of capot
    return Path(spec.origin).parent / "package_data" / PLOTLY


def find(name: str) -> Asset | None:
    """Return the asset called ``name`` under ``static``, or None. No name leads out of that folder."""
    try:
        path = plotly_script() if name == PLOTLY else (STATIC / name).resolve()
        inside = name == PLOTLY or path.is_relative_to(STATIC.resolve())
        return _load(path, path.stat().st_mtime) if inside and path.is_file() else None
    except (OSError, ValueError):  # a name that no file can have: too long, or with a zero in it
        return None


def icon() -> str:
    """Return the link to the icon. Without one a browser asks for one at the top of the host."""
    found = find("index.html")
    assert found is not None  # a file of this package
    link = re.search(r'<link rel="icon"[^>]*>', found.raw.decode())
    assert link is not None
    return link[0]


def page(root: str, lab: str, *, script: str) -> Asset:
    """Return the lab's one page, its links under ``root``, with ``lab`` as its data; ``script`` draws what it shows."""
    found = find("index.html")
    assert found is not None  # a file of this package
    # All at once: a browser reads of what a script imports only when the script is there, one round after another.
    links = "".join(f'<link rel="modulepreload" href="/static/{name}">\n' for name in scripts(FRAME, script))
    text = found.raw.decode().replace(LAB_DATA, links + LAB_DATA).replace('="/', f'="{escape(root)}/')
    return text_asset(text.replace(LAB_DATA, LAB_DATA.replace("{}", lab)), "text/html")


def scripts(*names: str) -> list[str]:
    """Return scripts under ``static``, and after them those that they import, each once."""
    found = list(dict.fromkeys(names))
    for name in found:  # which grows as it is read
        asset = find(name)
        asked = () if asset is None else _imported(asset)
        named = (posixpath.normpath(posixpath.join(posixpath.dirname(name), each)) for each in asked)
        found += [each for each in dict.fromkeys(named) if each not in found]
    return found


@functools.lru_cache(maxsize=256)
def _imported(script: Asset) -> tuple[str, ...]:
    return tuple(IMPORTED.findall(script.raw.decode()))


def respond(asset: Asset, request: Request) -> Response:
    """Return the asset as the browser wants it: nothing if unchanged, compressed if it can."""
    # "no-cache" lets a browser keep a file and makes it ask: a page and its scripts are then of one version.
    headers = {"etag": asset.etag, "cache-control": "no-cache", "vary": "accept-encoding"}
    if request.headers.get("if-none-match") == asset.etag:
        return Response(status_code=304, headers=headers)
    packed = asset.packed is not None and "gzip" in request.headers.get("accept-encoding", "")
    if packed:
        headers["content-encoding"] = "gzip"
    body = asset.packed if packed else asset.raw
    kind = f"{asset.kind}; charset=utf-8" if asset.kind.startswith("text/") else asset.kind
    return Response(body, headers=headers, media_type=kind)
