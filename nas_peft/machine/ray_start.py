"""Trial of Ray: it is started or reached, does a task and is ended, in a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from nas_peft.machine.ray_session import RayOptions, RaySession
from search_spaces.errors import InputError

LIMIT = 60.0
"""Seconds that a trial may take; about five are enough on an idle machine."""

_TASK_LIMIT = 45.0
_FAULT = 3  # exit status of a trial that says what failed


@dataclass(frozen=True)
class RayTrial:
    """Outcome of a trial: its ``seconds``, and in ``fault`` what failed (empty if nothing did).

    ``ended`` says that the trial took too long and was ended.
    """

    seconds: float
    fault: str = ""
    ended: bool = False


def try_ray(limit: float = LIMIT) -> RayTrial:
    """Start or reach the Ray that the environment names, let it do a task, and leave it as it was.

    A Ray that the trial started ends with the trial. Nothing is imported into this process, and after
    ``limit`` seconds the trial is killed.
    """
    started = time.monotonic()
    command = [sys.executable, "-c", f"from {__name__} import main; main()"]
    options: dict[str, Any] = {
        "stdout": subprocess.PIPE,
        "stderr": subprocess.PIPE,
        "start_new_session": True,
    }
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, **options) as trial:
        try:
            said, noise = trial.communicate(timeout=limit)
        except subprocess.TimeoutExpired:
            return RayTrial(time.monotonic() - started, f"no answer within {limit:g} s", ended=True)
        finally:
            _end(trial)
    seconds = time.monotonic() - started
    if trial.returncode == 0:
        return RayTrial(seconds)
    lines = (said if trial.returncode == _FAULT else noise).decode(errors="replace").strip().splitlines()
    return RayTrial(seconds, lines[-1] if lines else f"exit status {trial.returncode}")


def _end(trial: subprocess.Popen[bytes]) -> None:
    """Kill the trial with all processes that it has started."""
    if sys.platform == "win32":
        trial.kill()
    else:
        with suppress(ProcessLookupError):
            os.killpg(trial.pid, signal.SIGKILL)


def main() -> None:
    """Try Ray in this process; say in one line what failed, and exit with a status of its own."""
    try:
        with RaySession(RayOptions()) as session:
            ray = session.connect()
            ray.get(ray.remote(num_cpus=0, max_retries=0)(_answer).remote(), timeout=_TASK_LIMIT)
    except InputError as error:
        fault = str(error)
    except Exception as error:  # of Ray, which has dozens
        fault = f"a task failed: {type(error).__name__}: {' '.join(str(error).split())}"
    else:
        return
    print(fault, flush=True)
    raise SystemExit(_FAULT)


def _answer() -> int:
    return os.getpid()
