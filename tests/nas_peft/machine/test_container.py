"""Limits of a container, read from files of the kernel as they are in containers."""

from __future__ import annotations

from pathlib import Path

import pytest

from nas_peft.machine.container import cores, memory, whole_cores

GIB = 2**30


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A machine of 8 GiB, 6 of them free."""
    file = tmp_path / "meminfo"
    file.write_text(f"MemTotal: {8 * 2**20} kB\nMemFree: 1 kB\nMemAvailable: {6 * 2**20} kB\n")
    return file


def write(folder: Path, **files: str) -> None:
    for name, text in files.items():
        file = folder / name.replace("__", "/").replace("_DOT_", ".")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{text}\n")


def test_without_a_container_the_machine_is_all_there_is(tmp_path: Path, machine: Path):
    assert cores(tmp_path) >= 1
    assert memory(tmp_path, machine) == (8 * GIB, 6 * GIB)
    write(tmp_path, cpu_DOT_max="max 100000", memory_DOT_max="max", memory_DOT_current="5")
    assert cores(tmp_path) == cores(tmp_path / "nothing")
    assert memory(tmp_path, machine) == (8 * GIB, 6 * GIB)


def test_a_quota_of_cores_may_be_a_fraction(tmp_path: Path):
    write(tmp_path / "new", cpu_DOT_max="50000 100000")
    assert cores(tmp_path / "new") == 0.5
    assert whole_cores(tmp_path / "new") == 1
    write(tmp_path / "old", cpu__cpu_DOT_cfs_quota_us="75000", cpu__cpu_DOT_cfs_period_us="100000")
    assert cores(tmp_path / "old") == 0.75
    write(tmp_path / "free", cpu__cpu_DOT_cfs_quota_us="-1", cpu__cpu_DOT_cfs_period_us="100000")
    assert cores(tmp_path / "free") >= 1


def test_a_limit_of_memory_is_less_what_is_used(tmp_path: Path, machine: Path):
    write(tmp_path / "new", memory_DOT_max=str(4 * GIB), memory_DOT_current=str(3 * GIB))
    assert memory(tmp_path / "new", machine) == (4 * GIB, GIB)
    old = {"memory__memory_DOT_limit_in_bytes": str(2 * GIB), "memory__memory_DOT_usage_in_bytes": str(GIB)}
    write(tmp_path / "old", **old)
    assert memory(tmp_path / "old", machine) == (2 * GIB, GIB)


def test_memory_that_the_page_cache_gives_back_is_free(tmp_path: Path, machine: Path):
    """A container that has read its images has little else: 3 GiB of these 3.5 are pages of files."""
    stat = f"anon 1\ninactive_file {3 * GIB}\nactive_file 7"
    new = {"memory_DOT_max": str(4 * GIB), "memory_DOT_current": str(int(3.5 * GIB)), "memory_DOT_stat": stat}
    write(tmp_path / "new", **new)
    assert memory(tmp_path / "new", machine) == (4 * GIB, 3.5 * GIB)
    old = {
        "memory__memory_DOT_limit_in_bytes": str(2 * GIB),
        "memory__memory_DOT_usage_in_bytes": str(2 * GIB),
        "memory__memory_DOT_stat": f"inactive_file 5\ntotal_inactive_file {GIB}",
    }
    write(tmp_path / "old", **old)
    assert memory(tmp_path / "old", machine) == (2 * GIB, GIB)


def test_limits_of_the_groups_around_a_process_hold(tmp_path: Path, machine: Path):
    """A batch system limits the group of a job, somewhere above that of the process."""
    own, job = tmp_path / "own", "slurm__job_7__"
    limits = {f"{job}memory_DOT_max": str(4 * GIB), f"{job}memory_DOT_current": str(GIB)}
    step = {f"{job}step_0__memory_DOT_max": str(5 * GIB), f"{job}step_0__memory_DOT_current": str(3 * GIB)}
    write(tmp_path / "new", **limits, **step, **{f"{job}cpu_DOT_max": "50000 100000"})
    own.write_text("3:cpu,cpuacct:/slurm/job_8\n0::/slurm/job_7/step_0\n")
    assert memory(tmp_path / "new", machine, own) == (4 * GIB, 2 * GIB)
    assert cores(tmp_path / "new", own) == 0.5
    quota = {"cpu__slurm__job_8__cpu_DOT_cfs_quota_us": "25000"}
    write(tmp_path / "old", **quota, cpu__slurm__job_8__cpu_DOT_cfs_period_us="100000")
    assert cores(tmp_path / "old", own) == 0.25
    own.write_text("0::/../slurm/job_7\n")  # of another name space
    assert memory(tmp_path / "new", machine, own) == (8 * GIB, 6 * GIB)


def test_an_unreadable_machine_has_no_numbers(tmp_path: Path):
    assert memory(tmp_path, tmp_path / "nothing") is None
