"""Find the files that a model's name means: a folder's, or those of the hub."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from capot.errors import InputError, local_path
from capot.sources.checkpoint import Checkpoint
from capot.sources.hub.events import Watch


def located(name: str, *, boxed: Path, revision: str | None, remote_code: bool, watch: Watch) -> Checkpoint:
    """Return a folder's checkpoint where there is one by that name, else the hub's; ``boxed`` is the packaged one.

    Raises: NotFoundError ``unknown_model``, ``model_address``; InputError ``revision_of_folder``; as
    ``HubCheckpoint.of``.
    """
    folder = boxed if name == "boxed" else Path(os.path.expanduser(name))
    if _is_folder(folder):
        if revision is not None:
            shown = local_path(name, folder.resolve().name)
            raise InputError("revision_of_folder", name=shown, revision=revision)
        return Checkpoint.open(folder, name="boxed" if name == "boxed" else folder.resolve().name)
    from capot.sources.hub.listing import is_name

    if not is_name(name):
        from capot.sources.unknown_name import unknown_model

        raise unknown_model(name)
    from capot.sources.hub.checkpoint import HubCheckpoint

    return HubCheckpoint.of(name, revision=revision, remote_code=remote_code, watch=watch)


def _is_folder(path: Path) -> bool:
    with contextlib.suppress(OSError):  # a name longer than any file's
        return path.is_dir()
    return False
