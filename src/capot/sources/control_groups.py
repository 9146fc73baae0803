"""Read the memory limits of this process's control groups on Linux.

A container, a scope of systemd, a job of Slurm or Kubernetes each put a process into a group with a limit of its own,
and a group lies inside others. /proc/self/cgroup says in which a process is, by version of the control groups:

    0::/user.slice/run.scope          version 2: memory.max, memory.current
    4:memory:/slurm/job_7             version 1: memory.limit_in_bytes, memory.usage_in_bytes

Source: https://docs.kernel.org/admin-guide/cgroup-v2.html, and cgroup-v1/memory.html.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class _Version:
    """Where groups lie, and the files of one: its limit, what is used, and what of it could be dropped."""

    places: tuple[str, ...]
    limit: str
    used: str
    droppable: tuple[str, ...]  # rows of memory.stat, the one that counts the groups inside first


_TWO = _Version((".", "unified"), "memory.max", "memory.current", ("inactive_file",))
_ONE = _Version(("memory",), "memory.limit_in_bytes", "memory.usage_in_bytes", ("total_inactive_file", "inactive_file"))


@dataclass(frozen=True)
class Limit:
    """A memory limit: bytes in all, and bytes that are still available."""

    total: int
    available: int


def memory_limits(*, root: Path, membership: Path) -> list[Limit]:
    """Return the limits of every group that this process is in.

    ``root`` is where groups are mounted, ``membership`` what /proc says of this process.
    """
    found = (
        _memory_limit(group, version)
        for version, path in _memberships(membership)
        for place in version.places
        for group in _ancestors(root / place, path)
    )
    return [limit for limit in found if limit is not None]


def _memberships(membership: Path) -> list[tuple[_Version, str]]:
    """Return this process's group by version; the roots alone if the system says nothing."""
    try:
        rows = [line.split(":", 2) for line in membership.read_text(encoding="utf-8", errors="replace").splitlines()]
    except OSError:
        rows = []
    found = []
    for row in rows:
        if len(row) == 3 and (not row[1] or "memory" in row[1].split(",")):
            found.append((_ONE if row[1] else _TWO, row[2]))
    return found or [(_TWO, "/"), (_ONE, "/")]


def _ancestors(root: Path, path: str) -> Iterator[Path]:
    """Return a group and its ancestors. In a container the path may be the host's: skip what does not exist."""
    parts = [part for part in path.split("/") if part not in ("", ".", "..")]
    for depth in range(len(parts), -1, -1):
        yield root.joinpath(*parts[:depth])


def _memory_limit(group: Path, version: _Version) -> Limit | None:
    """Return the limit of one group, or None if it does not exist or has no limit ("max")."""
    try:
        total = int((group / version.limit).read_text())
        used = int((group / version.used).read_text())
        words = (group / "memory.stat").read_text().split()
    except (OSError, ValueError):
        return None
    row = next((name for name in version.droppable if name in words[:-1]), None)
    droppable = words[words.index(row) + 1] if row else "0"
    return Limit(total, max(0, total - used + (int(droppable) if droppable.isdecimal() else 0)))
