"""Checks of the machine: each fault is found where it is made, with what to do about it."""

from __future__ import annotations

import os
from importlib.metadata import version
from pathlib import Path

import pytest

from nas_peft.machine import health
from nas_peft.machine.health import (
    Check,
    extra_checks,
    folder_checks,
    machine_checks,
    network_check,
    package_checks,
    ray_checks,
)

NOBODY = "http://127.0.0.1:1"


def named(name: str, *checks: Check) -> Check:
    (found,) = (check for check in checks if check.name == name)
    return found


def test_this_installation_is_fine():
    checks = list(package_checks())
    assert [check for check in checks if not check.fine] == []
    assert named("torch", *checks).found.startswith(version("torch"))
    assert "at least" in named("timm", *checks).found


def test_an_old_or_missing_library_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch):
    lines = [
        "torch>=99.0",
        "no-such-library[client]>=1.2",
        "peft>=0.15; extra == 'peft'",
        "odd-one; extra == 'odd'",
    ]
    monkeypatch.setattr(health, "requires", lambda name: lines)
    checks = list(package_checks())
    assert named("torch", *checks).fine is False
    assert named("torch", *checks).remedy == "pip install -U 'torch>=99.0'"
    assert named("no-such-library", *checks) == Check(
        "no-such-library", False, "not installed", "pip install 'no-such-library>=1.2'"
    )
    assert [check.name for check in checks] == ["python", "torch", "no-such-library"]
    extras = list(extra_checks())
    assert named("extra odd", *extras) == Check(
        "extra odd", None, "without odd-one", "pip install 'nas-peft[odd]' if you need it"
    )
    assert [check.name for check in extras] == ["extra odd", "extra peft"]


@pytest.mark.slow
def test_the_machine_is_described(monkeypatch: pytest.MonkeyPatch):
    checks = list(machine_checks())
    assert [check.name for check in checks] == ["system", "cores", "memory", "gpu"]
    assert float(named("cores", *checks).found.split()[0]) <= (os.cpu_count() or 1)
    monkeypatch.setattr(health, "LEAST_MEMORY", 2**60)
    short = named("memory", *machine_checks())
    assert short.fine is False
    assert "end other programs" in short.remedy


def test_folders_are_written_to_and_nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (check,) = folder_checks({"runs": tmp_path / "not" / "yet"})
    assert check.fine
    assert f"'{tmp_path}'" in check.found
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr(health, "LEAST_DISK", 2**70)
    (full,) = folder_checks({"runs": tmp_path})
    assert (full.fine, full.remedy.startswith("free at least")) == (False, True)


@pytest.mark.skipif(
    not Path("/proc/sys").is_dir(), reason="this system has no folder that nobody may write to"
)
def test_a_folder_that_cannot_be_written_to():
    (check,) = folder_checks({"cache": Path("/proc/sys/here")})
    assert check.fine is False
    assert "cannot be written to" in check.found
    assert "give another folder" in check.remedy


def test_ray_starts_here_if_its_socket_has_a_short_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setenv("RAY_TMPDIR", "/tmp")
    assert named("ray start", *ray_checks()).fine
    monkeypatch.setenv("RAY_TMPDIR", f"/tmp/{'long' * 20}")
    long = named("ray start", *ray_checks())
    assert long.fine is False
    assert "set RAY_TMPDIR to a shorter one" in long.remedy
    assert named("shared memory", *ray_checks(tmp_path)).found.endswith("free")
    assert [check.name for check in ray_checks(tmp_path / "nothing")] == ["ray start"]


def test_a_ray_that_does_not_answer(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    (check,) = ray_checks()
    assert check.fine is False
    assert "RAY_ADDRESS is '127.0.0.1:1', and nothing answers there" in check.remedy


def test_no_network_is_no_fault():
    check = network_check(NOBODY)
    assert check.fine is None
    assert "does not answer" in check.found
