"""The record of where a result was measured."""

import platform

import torch

from nas_peft.machine.container import cores
from nas_peft.machine.environment import environment


def test_processor_cores_and_versions_are_told():
    found = environment("cpu")
    assert found["device"]
    assert found["cores"] == f"{cores():g}"
    assert found["python"] == platform.python_version()
    assert found["torch"].split("+")[0] == torch.__version__.split("+")[0]
    assert {"nas-peft", "timm", "optuna", "ray", "numpy", "peak memory"} <= found.keys()
