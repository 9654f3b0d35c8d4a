"""The state of this process that calls of the library must leave as it was."""

from __future__ import annotations

import logging
import os
import random
import signal
import warnings
from typing import Any

import numpy as np
import torch


def state_of_the_process() -> dict[str, Any]:
    """Every global setting and stream by name, as values that can be compared later."""
    loggers = [logging.root, *(logging.getLogger(name) for name in ("optuna", "timm", "PIL", "ray"))]
    return {
        "threads": torch.get_num_threads(),
        "stream of torch": torch.get_rng_state().numpy().tobytes(),
        "stream of numpy": repr(np.random.get_state()),  # noqa: NPY002  # the legacy stream is meant
        "stream of Python": random.getstate(),
        "precision": torch.get_float32_matmul_precision(),
        "TF32": (torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "gradients": torch.is_grad_enabled(),
        "environment": dict(os.environ),
        "working directory": os.getcwd(),  # noqa: PTH109
        "signals": {number: signal.getsignal(number) for number in signal.valid_signals()},
        "warnings": list(warnings.filters),
        "logging": {one.name: (one.level, list(one.handlers), one.propagate) for one in loggers},
    }
