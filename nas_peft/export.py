"""Writing a run's subnets as checkpoints."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from nas_peft.scorer import Fold
from nas_peft.task_inputs import TaskInputs
from nas_peft.version import __version__
from search_spaces import Architecture
from supernet import Subnet, Supernet, save_subnet


def inherited_network(folds: Sequence[Fold], architecture: Architecture) -> Supernet:
    """The subnet with the weights that it inherits: the mean over the supernets, where there are several.

    Supernets of folds start from the same weights and see most images in common, so their mean is a network
    as in model soups (Wortsman et al. 2022, arXiv 2203.05482) and takes one forward pass.
    """
    networks = [fold.supernet.extract(architecture) for fold in folds]
    tensors = [network.module_tensors(architecture) for network in networks]
    mean = {name: torch.stack([t[name] for t in tensors]).mean(dim=0) for name in tensors[0]}
    networks[0].load_module_tensors(mean)
    return networks[0].eval()


def export_subnet(
    network: Supernet, inputs: TaskInputs, file: Path, *, metrics: dict[str, Any], training: dict[str, Any]
) -> dict[str, Any]:
    """Write a subnet's checkpoint; what the record says of the file.

    ``metrics`` and ``training`` say in it what was measured and how the weights came about.
    """
    subnet = Subnet(
        network=network,
        backbone=inputs.backbone,
        classes=inputs.dataset.classes,
        preprocessing=inputs.preprocessing,
        metrics=metrics,
        training=training | {"dataset": inputs.dataset.record, "nas_peft": __version__},
    )
    save_subnet(subnet, file)
    return {"file": file.name, "bytes": file.stat().st_size, "params": subnet.params}
