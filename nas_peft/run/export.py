"""Export of a run's subnets as checkpoints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nas_peft.run.task_inputs import TaskInputs
from nas_peft.run.version import __version__
from supernet import Subnet, Supernet, save_subnet


def subnet_of(
    network: Supernet,
    inputs: TaskInputs,
    *,
    metrics: dict[str, Any],
    training: dict[str, Any],
    temperature: float | None = None,
) -> Subnet:
    """A network of a run with all that its checkpoint records.

    ``metrics`` (the measurements), ``training`` (the origin of the weights) and ``temperature`` (that of the
    probabilities) are stored in the checkpoint.
    """
    return Subnet(
        network=network,
        backbone=inputs.backbone,
        classes=inputs.dataset.classes,
        preprocessing=inputs.preprocessing,
        metrics=metrics,
        training=training | {"dataset": inputs.dataset.record, "nas_peft": __version__},
        temperature=temperature,
    )


def export_subnet(
    network: Supernet,
    inputs: TaskInputs,
    file: Path,
    *,
    metrics: dict[str, Any],
    training: dict[str, Any],
    temperature: float | None = None,
) -> dict[str, Any]:
    """Write the checkpoint of `subnet_of` and return the record of the file."""
    subnet = subnet_of(network, inputs, metrics=metrics, training=training, temperature=temperature)
    save_subnet(subnet, file)
    return file_record(subnet, file)


def file_record(subnet: Subnet, file: Path) -> dict[str, Any]:
    """The record of a written checkpoint: name, bytes and number of parameters."""
    return {"file": file.name, "bytes": file.stat().st_size, "params": subnet.params}
