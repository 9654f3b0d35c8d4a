"""Ray's workers leave wandb out, and with it the temporary folders that it makes when it is imported."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from nas_peft.machine.worker_setup import without_wandb


def test_the_settings_are_those_of_workers_without_wandb(monkeypatch: pytest.MonkeyPatch) -> None:
    from ray.job_config import JobConfig

    monkeypatch.setattr("nas_peft.machine.worker_setup.find_spec", lambda name: object())
    hook = without_wandb(JobConfig()).runtime_env["worker_process_setup_hook"]
    monkeypatch.delitem(sys.modules, "wandb", raising=False)
    hook()
    with pytest.raises(ImportError):
        import wandb  # noqa: F401
    monkeypatch.setenv("RAY_JOB_CONFIG_JSON_ENV_VAR", "{}")
    assert not without_wandb(JobConfig()).runtime_env
    monkeypatch.delenv("RAY_JOB_CONFIG_JSON_ENV_VAR")
    monkeypatch.setattr("nas_peft.machine.worker_setup.find_spec", lambda name: None)
    assert not without_wandb(JobConfig()).runtime_env


PROGRAM = """
from nas_peft.machine.ray_session import LOCAL, RayOptions, RaySession

def imported():
    import sys
    import timm
    return sys.modules.get("wandb", "absent") is None

with RaySession(RayOptions(LOCAL)) as session:
    ray = session.connect()
    print(ray.get(ray.remote(num_cpus=0)(imported).remote()))
"""


@pytest.mark.thorough
def test_workers_import_timm_and_leave_no_folder(
    run_program: Callable[..., CompletedProcess[str]], tmp_path: Path
) -> None:
    pytest.importorskip("wandb")
    own = {"TMPDIR": str(tmp_path), "RAY_TMPDIR": tempfile.gettempdir()}  # Ray needs a short path
    env = {name: value for name, value in os.environ.items() if name != "RAY_RUNTIME_ENV_HOOK"} | own
    done = run_program("-c", PROGRAM, env=env)
    assert (done.returncode, done.stdout) == (0, "True\n"), done.stderr
    assert not list(tmp_path.glob("*wandb*"))
