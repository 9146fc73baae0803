"""List the cached models, and remove one."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from capot.errors import InputError, NotFoundError, local_path, os_reason
from capot.sources.hub.listing import SETTINGS
from capot.sources.hub.store import COMMIT, Store, cached_names, similar_names


@dataclass(frozen=True)
class CacheEntry:
    """A cached model. ``unfinished`` counts files whose download stopped. Units: bytes."""

    name: str
    commit: str | None  # of its main branch, else the one last brought
    nbytes: int
    unfinished: int


def cached_models() -> list[CacheEntry]:
    """Return every cached model, in alphabetical order."""
    weighed = (_measured(name) for name in cached_names())
    return [model for model in weighed if model.commit or model.unfinished]  # not what was only asked about


def _measured(name: str) -> CacheEntry:
    store = Store.of(name)
    sizes = dict(_file_sizes(Store.of(name).folder))
    unfinished = sum(size for path, size in sizes.items() if path.suffix == ".incomplete")
    return CacheEntry(name, _main(store) or _last(store), sum(sizes.values()), unfinished)


def _file_sizes(folder: Path) -> Iterator[tuple[Path, int]]:
    """Return the files below ``folder`` and their bytes. A link counts as 0: its target is counted elsewhere."""
    for where, _, files in os.walk(folder):
        for file in files:
            # Bytes are in ``blobs``, and snapshots are links to them: each counts once.
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


def find(name: str) -> CacheEntry:
    """Return a cached model by its name, in any case.

    Raises: NotFoundError ``hub_not_here``, ``hub_not_here_near``.
    """
    same = [other for other in cached_names() if other.casefold() == name.casefold()]
    if same:
        return _measured(same[0])
    alike = similar_names(name)
    if alike:
        raise NotFoundError("hub_not_here_near", name=name, near=alike[0], others=", ".join(alike))
    raise NotFoundError("hub_not_here", name=name)


def remove(name: str) -> CacheEntry:
    """Remove all revisions of a model from the cache, and return what it was.

    Raises: as ``find``; InputError ``hub_linked``, ``cannot_write``.
    """
    found = find(name)
    # All revisions share blobs, so one alone cannot be taken out without asking who else needs its files.
    store = Store.of(found.name)
    if store.folder.is_symlink():  # what lies elsewhere, somebody put there
        where = local_path(store.folder, found.name)
        target = local_path(store.folder.resolve(), "–")
        raise InputError("hub_linked", name=found.name, path=where, target=target)
    try:
        shutil.rmtree(store.folder)
    except OSError as error:
        raise InputError("cannot_write", path=local_path(store.folder, found.name), reason=os_reason(error)) from None
    shutil.rmtree(store.locks, ignore_errors=True)
    return found
