"""The record of where a result was measured."""

import os
import platform

import torch

from nas_peft.machine.environment import environment


def test_processor_cores_and_versions_are_told():
    found = environment("cpu")
    assert found["device"]
    assert found["cores"] == str(os.cpu_count())
    assert found["python"] == platform.python_version()
    assert found["torch"].split("+")[0] == torch.__version__.split("+")[0]
    assert {"nas-peft", "timm", "optuna", "ray", "numpy", "peak memory"} <= found.keys()
