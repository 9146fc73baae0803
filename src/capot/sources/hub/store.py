"""Read and write the cache in the layout of huggingface_hub, so that each finds the other's files.

    models--org--name/
        refs/main                      the commit that a branch stood for when last asked
        blobs/<etag>                   a file's bytes, under the hub's name for them
        blobs/<etag>.incomplete        what has come of one so far
        snapshots/<commit>/<file>      a link to its blob (a copy where links cannot be made)
        .no_exist/<commit>/<file>      empty: the hub has no such file at this commit
    .locks/models--org--name/<etag>.lock

Source of the layout: https://huggingface.co/docs/huggingface_hub/guides/manage-cache
"""

from __future__ import annotations

import contextlib
import difflib
import os
import re
import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from capot.sources.hub import settings

COMMIT = re.compile(r"[0-9a-f]{40}")
_FOLDER = re.compile(r"models--(.+)")


@dataclass(frozen=True)
class Store:
    """The folder of one model in the cache, there or not yet."""

    folder: Path
    locks: Path

    @classmethod
    def of(cls, name: str) -> Store:
        folder = "models--" + name.replace("/", "--")
        return cls(settings.cache_folder() / folder, settings.cache_folder() / ".locks" / folder)

    def commit(self, revision: str) -> str | None:
        """Return the commit of ``revision``, or None if the cache does not know it."""
        if COMMIT.fullmatch(revision):
            return revision
        try:
            found = self.folder.joinpath("refs", *revision.split("/")).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError):
            return None
        return found if COMMIT.fullmatch(found) else None

    def snapshot(self, commit: str) -> Path:
        return self.folder / "snapshots" / commit

    def blob(self, etag: str) -> Path:
        return self.folder / "blobs" / etag

    def partial(self, etag: str) -> Path:
        return self.folder / "blobs" / f"{etag}.incomplete"

    def remember(self, revision: str, commit: str) -> None:
        """Write the commit of a branch to ``refs``. A commit stands for itself."""
        # Written beside and renamed: a reader never finds half a commit.
        if revision != commit and self.commit(revision) != commit:
            path = self.folder.joinpath("refs", *revision.split("/"))
            path.parent.mkdir(parents=True, exist_ok=True)
            fresh = _temporary_path(path)
            fresh.write_text(commit, encoding="utf-8")
            fresh.replace(path)

    def absent(self, commit: str, name: str) -> None:
        """Record that the hub has no such file. A read-only cache records nothing, and the hub is asked again."""
        path = self.folder / ".no_exist" / commit / name
        with contextlib.suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()

    def known_absent(self, commit: str, name: str) -> bool:
        return (self.folder / ".no_exist" / commit / name).is_file()

    def link(self, etag: str, commit: str, name: str, *, fresh: bool = False) -> None:
        """Let ``name`` of ``commit`` be the bytes of ``etag``; ``fresh``: nothing else leans on them yet.

        Made beside and moved into its place: several processes may do so at once, and others may be reading.
        """
        pointer = self.snapshot(commit) / name
        blob = self.blob(etag)
        pointer.parent.mkdir(parents=True, exist_ok=True)
        beside = _temporary_path(pointer)
        try:
            if os.environ.get("HF_HUB_DISABLE_SYMLINKS"):
                raise OSError
            # Relative, so that a cache can be moved or mounted elsewhere.
            beside.symlink_to(os.path.relpath(blob, pointer.parent))
        except OSError:  # Windows without developer mode
            if not fresh:
                shutil.copyfile(blob, beside)
        # Where links cannot be made the bytes themselves go to the snapshot, once; copying would double them.
        (blob if fresh and not beside.is_symlink() else beside).replace(pointer)

    @contextlib.contextmanager
    def lock(self, etag: str) -> Iterator[bool]:
        """Try to lock a blob, and yield whether it worked: False while another process downloads it."""
        self.locks.mkdir(parents=True, exist_ok=True)
        with (self.locks / f"{etag}.lock").open("a+b") as file:
            # The lock belongs to the open file, and goes with its process, however that ends.
            yield _try_lock(file.fileno())  # given back as the file closes


def _temporary_path(path: Path) -> Path:
    """Return a unique path beside ``path``, for a file that will replace it."""
    return path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}.tmp")


def _try_lock(handle: int) -> bool:
    """Take the system's lock of an open file, the same as the package ``filelock`` takes."""
    try:
        if os.name == "nt":
            import msvcrt

            os.lseek(handle, 0, os.SEEK_SET)
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
        else:
            import fcntl

            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except PermissionError:  # how Windows says that it is taken
        return os.name != "nt"
    except OSError:  # a file system without locks
        return True
    return True


def cached_names() -> list[str]:
    """Return the names of the cached models in alphabetical order."""
    try:
        folders = [entry.name for entry in settings.cache_folder().iterdir() if entry.is_dir()]
    except OSError:
        return []
    found = (_FOLDER.fullmatch(folder) for folder in folders)
    return sorted(match[1].replace("--", "/", 1) for match in found if match)


def similar_names(name: str) -> list[str]:
    """Return other cached models with a name like ``name``, the most similar first."""
    wanted = _base_name(name)
    scored = [
        (difflib.SequenceMatcher(None, wanted, _base_name(other)).ratio(), other)
        for other in cached_names()
        if other != name
    ]
    return [other for score, other in sorted(scored, key=lambda pair: -pair[0]) if score >= 0.6][:3]


def _base_name(name: str) -> str:
    return name_words(name).casefold()


def name_words(name: str) -> str:
    """Return the part of a name that distinguishes a model from its owner's others.

    >>> name_words("org/tiny-1B"), name_words("https://hub.example/org/tiny/")
    ('tiny-1B', 'tiny')
    """
    return name.strip("/").rpartition("/")[2][:100]
