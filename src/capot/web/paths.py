"""Under which path of its host the lab is: none, or the one that ``--root-path`` names.

A proxy that serves the lab under a path may take the path off or leave it on: both are understood.
"""

from __future__ import annotations

import re

from starlette.types import Scope

from capot.chapters.registry import CHAPTERS

FORM = re.compile(r"(?:/[A-Za-z0-9._~-]+)*")
PAGES = ("", *(chapter.name for chapter in CHAPTERS if chapter.page))
OWN = ("static", "api", *PAGES[1:])  # what a path begins with that is the lab's own, and so none that it is under


def normal(root: str) -> str | None:
    """``/capot`` for each way to write it, empty for the top of the host; None where no lab can be under it.

    >>> normal("capot/"), normal("/"), normal("/a//b"), normal("/a/../b"), normal("/static")
    ('/capot', '', None, None, None)
    """
    bare = root.strip().strip("/")
    if not bare:
        return ""
    parts = bare.split("/")
    odd = parts[0] in OWN or any(set(part) == {"."} for part in parts)
    return None if odd or not FORM.fullmatch(f"/{bare}") else f"/{bare}"


def mounted(scope: Scope, root: str) -> Scope:
    """The request with its whole path, ``root`` before the lab's own; an outer application may have set one."""
    root = root or scope.get("root_path", "")
    path = scope["path"]
    if root and (path == root or path.startswith(f"{root}/")):
        path = path[len(root) :]
    return {**scope, "path": f"{root}/{path.removeprefix('/')}", "root_path": root}


def root_of(scope: Scope) -> str:
    """The path under which the lab is, as links begin with it."""
    return str(scope.get("root_path", ""))


def inside(scope: Scope) -> str:
    """The path within the lab."""
    path: str = scope["path"]
    return path[len(root_of(scope)) :]
