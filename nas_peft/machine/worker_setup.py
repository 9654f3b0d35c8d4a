"""Set-up of Ray's workers: they do without wandb, which timm imports where it is installed."""

from __future__ import annotations

import os
from importlib.util import find_spec
from typing import Any

_OF_A_SUBMITTED_JOB = "RAY_JOB_CONFIG_JSON_ENV_VAR"
"""Environment variable of a command that was submitted to a cluster as a job, which has its own set-up."""


def without_wandb(config: Any) -> Any:
    """The job settings ``config`` (Ray's ``JobConfig``), by which workers find no wandb; changed in place.

    When it is imported, wandb makes two temporary folders, which stay: Ray kills its workers. Trackers are in
    the main process alone. One ``config`` serves one start of Ray, which rewrites it.
    """

    def leave_wandb_out() -> None:  # within a function: Ray then sends its code, and workers import nothing
        import sys

        sys.modules.setdefault("wandb", None)  # type: ignore[arg-type]  # a module that cannot be imported

    if find_spec("wandb") is not None and _OF_A_SUBMITTED_JOB not in os.environ:
        config.set_runtime_env({"worker_process_setup_hook": leave_wandb_out})
    return config
