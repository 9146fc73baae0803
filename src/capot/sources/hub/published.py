"""What a hub says of one of its models."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Published:
    """What a hub says of one of its models, and what bringing it here takes. Sizes in bytes.

    ``gated`` is "" for a model that anyone may have, ``auto`` or ``manual`` where a licence is to
    be accepted first; it and ``downloads`` (of the last thirty days) are None where the model is
    here and the hub was not asked. ``download_bytes`` is what is still to come. ``tokenizer`` is
    ``ready`` (a tokenizer.json), ``old`` (to be converted first) or ``none``.
    """

    commit: str
    gated: str | None
    downloads: int | None
    downloaded: bool
    download_bytes: int
    download_files: int
    cache: str
    free_bytes: int | None
    fits_disk: bool | None
    tokenizer: str = "ready"
