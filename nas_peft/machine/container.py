"""Cores and memory that a container or a batch system leaves of the machine."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

_CGROUP = Path("/sys/fs/cgroup")
_OWN = Path("/proc/self/cgroup")
_MEMORY = Path("/proc/meminfo")


def cores(cgroup: Path = _CGROUP, own: Path = _OWN) -> float:
    """The number of cores that this process may use; a container's quota may be a fraction.

    ``own`` is the kernel's file of the groups of this process below ``cgroup``. A limit of a group holds for
    all groups in it.
    """
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quotas = [_quota(group) for group in _groups(cgroup, own)]
    quotas += [_quota_of_version_1(group) for group in _groups(cgroup, own, "cpu")]
    return min([allowed, *(quota for quota in quotas if quota is not None)])


def whole_cores(cgroup: Path = _CGROUP) -> int:
    """`cores`, rounded down, and at least one: as many trainings as may run side by side."""
    return max(1, int(cores(cgroup)))


def memory(cgroup: Path = _CGROUP, machine: Path = _MEMORY, own: Path = _OWN) -> tuple[int, int] | None:
    """Bytes of memory that this process may use, and those that are free now; ``None`` where unknown.

    Of a group's memory, what the page cache would give back counts as free. ``own`` is as for `cores`.
    """
    try:
        found = dict(re.findall(r"^(\w+):\s+(\d+) kB$", machine.read_text(), re.MULTILINE))
        total, free = (1024 * int(found[name]) for name in ("MemTotal", "MemAvailable"))
    except (OSError, KeyError):
        return None
    of_groups = [_of_group(group, "max", "current", "inactive_file") for group in _groups(cgroup, own)]
    of_groups += [
        _of_group(group, "limit_in_bytes", "usage_in_bytes", "total_inactive_file")
        for group in _groups(cgroup, own, "memory")
    ]
    limits = [(most, left) for most, left in filter(None, of_groups) if most < total]
    return min([total, *(most for most, _ in limits)]), min([free, *(left for _, left in limits)])


def _groups(cgroup: Path, own: Path, controller: str = "") -> Iterator[Path]:
    """The folder of this process's group, and those above it, as far as they are seen.

    ``controller`` has a hierarchy of its own in the first version of cgroups; without one it is the second's.
    """
    root = cgroup / controller
    try:
        lines = [line.split(":", 2) for line in own.read_text().splitlines()]
    except OSError:  # another system
        lines = []
    path = next((line[2] for line in lines if len(line) == 3 and controller in line[1].split(",")), "/")
    inside = PurePosixPath(path.lstrip("/"))
    if ".." not in inside.parts:  # else it is not below the folder that is seen
        yield from (root / group for group in (inside, *inside.parents) if group != PurePosixPath())
    yield root


def _of_group(group: Path, limit: str, used: str, reclaimable: str) -> tuple[int, int] | None:
    """Limit of a group's memory and bytes that are left of it."""
    most, now = _number(group / f"memory.{limit}"), _number(group / f"memory.{used}")
    if most is None or now is None:
        return None
    try:
        found = re.search(rf"^{reclaimable} (\d+)$", (group / "memory.stat").read_text(), re.MULTILINE)
    except OSError:
        found = None
    return most, min(most, max(0, most - now + (int(found[1]) if found else 0)))


def _quota(group: Path) -> float | None:
    try:
        most, period = (group / "cpu.max").read_text().split()
        return None if most == "max" else int(most) / int(period)
    except (OSError, ValueError):
        return None


def _quota_of_version_1(group: Path) -> float | None:
    most, period = (_number(group / f"cpu.cfs_{name}_us") for name in ("quota", "period"))
    return most / period if most and period and most > 0 else None


def _number(file: Path) -> int | None:
    try:
        return int(file.read_text())
    except (OSError, ValueError):
        return None
