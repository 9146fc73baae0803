"""What the cache holds of each model, and taking one out of it."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from capot.errors import InputError, NotFoundError, local, reason
from capot.sources.hub.listing import SETTINGS
from capot.sources.hub.store import COMMIT, Store, names, near


@dataclass(frozen=True)
class Kept:
    """A model's part of the disk. ``unfinished`` is of files whose download stopped. Units: bytes."""

    name: str
    commit: str | None  # of its main branch, else the one last brought
    nbytes: int
    unfinished: int


def kept() -> list[Kept]:
    """Every model of the cache, in alphabetical order."""
    weighed = (_weighed(name) for name in names())
    return [model for model in weighed if model.commit or model.unfinished]  # not what was only asked about


def _weighed(name: str) -> Kept:
    store, sizes = Store.of(name), dict(_sizes(Store.of(name).folder))
    unfinished = sum(size for path, size in sizes.items() if path.suffix == ".incomplete")
    return Kept(name, _main(store) or _last(store), sum(sizes.values()), unfinished)


def _sizes(folder: Path) -> Iterator[tuple[Path, int]]:
    """The files below ``folder`` and their bytes; a link weighs nothing, what it leads to is met elsewhere."""
    for where, _, files in os.walk(folder):
        for file in files:
            path = Path(where, file)
            with contextlib.suppress(OSError):  # gone meanwhile
                yield path, 0 if path.is_symlink() else path.stat().st_size


def _main(store: Store) -> str | None:
    commit = store.commit("main")
    return commit if commit and (store.snapshot(commit) / SETTINGS[0]).is_file() else None


def _last(store: Store) -> str | None:
    folder = store.folder / "snapshots"
    found = [path for path in folder.glob("*") if COMMIT.fullmatch(path.name) and (path / SETTINGS[0]).is_file()]
    return max(found, key=lambda path: path.stat().st_mtime).name if found else None


def find(name: str) -> Kept:
    """One model of the cache, its capitals as they may be.

    Raises: NotFoundError ``hub_not_here``, ``hub_not_here_near``.
    """
    same = [other for other in names() if other.casefold() == name.casefold()]
    if same:
        return _weighed(same[0])
    alike = near(name)
    if alike:
        raise NotFoundError("hub_not_here_near", name=name, near=alike[0], others=", ".join(alike))
    raise NotFoundError("hub_not_here", name=name)


def remove(name: str) -> Kept:
    """Take a model out of the cache, all its revisions; what it was.

    Raises: as ``find``; InputError ``hub_linked``, ``cannot_write``.
    """
    found = find(name)
    store = Store.of(found.name)
    if store.folder.is_symlink():  # what lies elsewhere, somebody put there
        where, target = local(store.folder, found.name), local(store.folder.resolve(), "–")
        raise InputError("hub_linked", name=found.name, path=where, target=target)
    try:
        shutil.rmtree(store.folder)
    except OSError as error:
        raise InputError("cannot_write", path=local(store.folder, found.name), reason=reason(error)) from None
    shutil.rmtree(store.locks, ignore_errors=True)
    return found
