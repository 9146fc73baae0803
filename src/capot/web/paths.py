"""Serve the lab under a path of its host: none, or the one that ``--root-path`` names.

A proxy that serves the lab under a path may strip the path or leave it: both work.
"""

from __future__ import annotations

import re

from starlette.types import Scope

from capot.chapters.registry import CHAPTERS

ROOT_PATTERN = re.compile(r"(?:/[A-Za-z0-9._~-]+)*")
COURSE = "course"  # the guided mode, beside the chapters
PAGES = ("", COURSE, *(chapter.name for chapter in CHAPTERS if chapter.page))
RESERVED_NAMES = (
    "static",
    "api",
    *PAGES[1:],
)  # what a path begins with that is the lab's own, and so none that it is under


def normalize_root(root: str) -> str | None:
    """Return ``/capot`` for each way to write it, or "" for the top of the host; None if it cannot be a root.

    >>> normalize_root("capot/"), normalize_root("/"), normalize_root("/a//b"), normalize_root("/static")
    ('/capot', '', None, None)
    """
    bare = root.strip().strip("/")
    if not bare:
        return ""
    parts = bare.split("/")
    odd = parts[0] in RESERVED_NAMES or any(set(part) == {"."} for part in parts)
    return None if odd or not ROOT_PATTERN.fullmatch(f"/{bare}") else f"/{bare}"


def with_root(scope: Scope, root: str) -> Scope:
    """Return the request with its full path: ``root``, or an outer application's, before the lab's own."""
    root = root or scope.get("root_path", "")
    path = scope["path"]
    if root and (path == root or path.startswith(f"{root}/")):
        path = path[len(root) :]
    return {**scope, "path": f"{root}/{path.removeprefix('/')}", "root_path": root}


def root_of(scope: Scope) -> str:
    """Return the path under which the lab is, with which links begin."""
    return str(scope.get("root_path", ""))


def path_in_lab(scope: Scope) -> str:
    """Return the path below the lab's root."""
    path: str = scope["path"]
    return path[len(root_of(scope)) :]
