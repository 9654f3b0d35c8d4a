"""Cores and memory that a container or a batch system leaves of the machine."""

from __future__ import annotations

import os
import re
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup")
_MEMORY = Path("/proc/meminfo")


def cores(cgroup: Path = _CGROUP) -> float:
    """The number of cores that this process may use; a container's quota may be a fraction."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = _quota(cgroup)
    return allowed if quota is None else min(allowed, quota)


def whole_cores(cgroup: Path = _CGROUP) -> int:
    """`cores`, rounded down, and at least one: as many trainings as may run side by side."""
    return max(1, int(cores(cgroup)))


def memory(cgroup: Path = _CGROUP, machine: Path = _MEMORY) -> tuple[int, int] | None:
    """Bytes of memory that this process may use, and those that are free now; ``None`` where unknown."""
    try:
        found = dict(re.findall(r"^(\w+):\s+(\d+) kB$", machine.read_text(), re.MULTILINE))
        total, free = (1024 * int(found[name]) for name in ("MemTotal", "MemAvailable"))
    except (OSError, KeyError):
        return None
    for limit, used in (
        (cgroup / "memory.max", cgroup / "memory.current"),
        (cgroup / "memory/memory.limit_in_bytes", cgroup / "memory/memory.usage_in_bytes"),
    ):
        most, now = _number(limit), _number(used)
        if most is not None and now is not None and most < total:
            return most, min(free, max(0, most - now))
    return total, free


def _quota(cgroup: Path) -> float | None:
    try:
        most, period = (cgroup / "cpu.max").read_text().split()
        return None if most == "max" else int(most) / int(period)
    except (OSError, ValueError):
        pass
    most_us, period_us = (_number(cgroup / "cpu" / f"cpu.cfs_{name}_us") for name in ("quota", "period"))
    return most_us / period_us if most_us and period_us and most_us > 0 else None


def _number(file: Path) -> int | None:
    try:
        return int(file.read_text())
    except (OSError, ValueError):
        return None
