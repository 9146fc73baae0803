"""Read the limits of this process's control groups on Linux: memory, and time of processors.

A container, a scope of systemd, a job of Slurm or Kubernetes each put a process into a group with a limit of its own,
and a group lies inside others. /proc/self/cgroup says in which a process is, by version of the control groups:

    0::/user.slice/run.scope          version 2: memory.max, memory.current
    4:memory:/slurm/job_7             version 1: memory.limit_in_bytes, memory.usage_in_bytes
    0::/user.slice/run.scope          version 2: cpu.max, "150000 100000": 1.5 processors' time
    5:cpu,cpuacct:/slurm/job_7        version 1: cpu.cfs_quota_us over cpu.cfs_period_us

Source: https://docs.kernel.org/admin-guide/cgroup-v2.html, cgroup-v1/memory.html, and scheduler/sched-bwc.html.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class _Version:
    """Where the groups of a version lie, and its files about memory: limit, what is used, what could be dropped."""

    places: dict[str, tuple[str, ...]]  # by controller
    limit: str
    used: str
    droppable: tuple[str, ...]  # rows of memory.stat, the one that counts the groups inside first


_TWO = _Version(dict.fromkeys(("memory", "cpu"), (".", "unified")), "memory.max", "memory.current", ("inactive_file",))
_ONE = _Version(
    {"memory": ("memory",), "cpu": ("cpu", "cpu,cpuacct", "cpuacct,cpu")},
    "memory.limit_in_bytes",
    "memory.usage_in_bytes",
    ("total_inactive_file", "inactive_file"),
)


@dataclass(frozen=True)
class Limit:
    """A memory limit: bytes in all, and bytes that are still available."""

    total: int
    available: int


def memory_limits(*, root: Path, membership: Path) -> list[Limit]:
    """Return the memory limits of every group that this process is in.

    ``root`` is where groups are mounted, ``membership`` what /proc says of this process.
    """
    found = (_memory_limit(group, version) for version, group in _groups("memory", root=root, membership=membership))
    return [limit for limit in found if limit is not None]


def cpu_quotas(*, root: Path, membership: Path) -> list[float]:
    """Return the quota of every group that this process is in, in processors: 1.5 is three halves of one's time."""
    found = (_cpu_quota(group, version) for version, group in _groups("cpu", root=root, membership=membership))
    return [quota for quota in found if quota is not None]


def _groups(controller: str, *, root: Path, membership: Path) -> Iterator[tuple[_Version, Path]]:
    """Yield this process's groups for a controller and all that they lie in."""
    for version, path in _memberships(membership, controller):
        for place in version.places[controller]:
            for group in _ancestors(root / place, path):
                yield version, group


def _memberships(membership: Path, controller: str) -> list[tuple[_Version, str]]:
    """Return this process's group by version; the roots alone if the system says nothing."""
    try:
        rows = [line.split(":", 2) for line in membership.read_text(encoding="utf-8", errors="replace").splitlines()]
    except OSError:
        rows = []
    found = []
    for row in rows:
        if len(row) == 3 and (not row[1] or controller in row[1].split(",")):
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


def _cpu_quota(group: Path, version: _Version) -> float | None:
    """Return the quota of one group, or None if it does not exist or has none ("max", -1)."""
    try:
        if version is _TWO:
            quota, period = (group / "cpu.max").read_text().split()
        else:
            quota, period = ((group / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period"))
        share = int(quota) / int(period)
    except (OSError, ValueError, ArithmeticError):
        return None
    return share if share > 0 else None
