"""Export of a run's subnets as checkpoints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nas_peft.run.task_inputs import TaskInputs
from nas_peft.run.version import __version__
from supernet import Subnet, Supernet, save_subnet


def export_subnet(
    network: Supernet,
    inputs: TaskInputs,
    file: Path,
    *,
    metrics: dict[str, Any],
    training: dict[str, Any],
    temperature: float | None = None,
) -> dict[str, Any]:
    """Write a subnet's checkpoint and return the record of the file.

    ``metrics`` (the measurements), ``training`` (the origin of the weights) and ``temperature`` (that of the
    probabilities) are stored in the checkpoint.
    """
    subnet = Subnet(
        network=network,
        backbone=inputs.backbone,
        classes=inputs.dataset.classes,
        preprocessing=inputs.preprocessing,
        metrics=metrics,
        training=training | {"dataset": inputs.dataset.record, "nas_peft": __version__},
        temperature=temperature,
    )
    save_subnet(subnet, file)
    return {"file": file.name, "bytes": file.stat().st_size, "params": subnet.params}
