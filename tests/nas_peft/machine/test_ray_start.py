"""A trial of Ray in a process of its own: it works, says what failed, or is ended."""

from __future__ import annotations

from pathlib import Path

import pytest

from nas_peft.machine.health import ray_trial_check
from nas_peft.machine.ray_start import try_ray


@pytest.fixture(autouse=True)
def as_for_users(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_RUNTIME_ENV_HOOK", raising=False)  # of the tests' own workers
    monkeypatch.delenv("RAY_ADDRESS", raising=False)


def test_a_running_ray_does_a_task_and_goes_on(running_ray: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("RAY_ADDRESS", running_ray)
    trial = try_ray(200)
    assert (trial.fault, trial.ended) == ("", False)
    import ray

    assert ray.is_initialized()
    check = ray_trial_check(0.05)
    assert "unset RAY_ADDRESS" in check.remedy


def test_a_trial_that_takes_too_long_is_ended(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("RAY_TMPDIR", "/tmp/elsewhere")
    check = ray_trial_check(0.05)
    assert (check.fine, check.found) == (False, "no answer within 0.05 s")
    assert "raylet.out in '/tmp/elsewhere/ray/session_latest/logs'" in check.remedy


@pytest.mark.skipif(
    not Path("/proc/sys").is_dir(), reason="this system has no folder that nobody may write to"
)
def test_what_failed_is_said_in_one_line(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("RAY_TMPDIR", "/proc/sys/here")
    trial = try_ray(200)
    assert "Ray did not start on this machine in 2 attempts" in trial.fault
    assert "\n" not in trial.fault
