"""The stage that probes the pretrained features linearly and chooses the probe's learning rate."""

from __future__ import annotations

import time
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from nas_peft.machine.peak_memory import PeakMemory
from nas_peft.run.progress import StageBars
from nas_peft.run.run_folder import RunFolder
from nas_peft.run.task_inputs import TaskInputs
from nas_peft.training.trainings import probe_head
from search_spaces import Architecture
from supernet import Recipe, Supernet, pooled_features

LEARNING_RATES = (3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1)


def probe(
    inputs: TaskInputs, folder: RunFolder, bars: StageBars, device: str
) -> tuple[Recipe, Tensor, dict[str, Any]]:
    """The recipe of linear probes on this data, the pretrained features (train, then val), the record.

    Unless the configuration gives one, the learning rate is that of `LEARNING_RATES` with the lowest
    validation loss: how strongly a linear probe should fit depends on the data, and on cached features the
    choice costs seconds.
    """
    config, data = inputs.config, inputs.dataset
    started, memory = time.perf_counter(), PeakMemory(device)
    with bars.stage("linear probe (learning rates)") as advance:
        network = Supernet(
            inputs.backbone.model.to(device), Architecture.empty(inputs.backbone.depth), len(data.classes)
        )
        both = data.train_val
        features = pooled_features(network, both.images, inputs.preprocessing, precision=config.precision)
        of_train, of_val = features[: len(data.train)], features[len(data.train) :]
        stage = folder.read_stage("probe")
        if stage is None:
            rates = [config.linear_lr] if config.linear_lr else list(LEARNING_RATES)
            losses = []
            for lr in rates:
                network.reset(config.seed)
                recipe = config.linear_recipe(lr)
                probe_head(
                    network,
                    data.train.labels,
                    of_train,
                    inputs.preprocessing,
                    recipe,
                    config.seed,
                    execution=config.execution("linear"),
                )
                logits = network.head(of_val)
                losses.append(float(F.cross_entropy(logits, data.val.labels.to(device)).detach()))
                advance(len(losses), len(rates))
            stage = {
                "lrs": rates,
                "val_losses": losses,
                "lr": rates[losses.index(min(losses))],
                "seconds": time.perf_counter() - started,
                "image_passes_forward": len(features),
                "peak_memory": memory.bytes,
            }
            folder.write_stage("probe", stage)
        advance(len(stage["lrs"]), len(stage["lrs"]))
    return config.linear_recipe(stage["lr"]), features.cpu(), stage
