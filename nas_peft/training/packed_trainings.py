"""Separate trainings of one pack: each with the record, tensors and state of training alone."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from nas_peft.machine.peak_memory import PeakMemory
from nas_peft.run.training_inputs import TrainingInputs
from nas_peft.training.training import Training
from nas_peft.training.training_record import TrainingRecord
from nas_peft.training.trainings import (
    on_device,
    retrain_head_of,
    score_network,
    starting_network,
    tensors_to_keep,
    trained_on,
)
from supernet import Curve, NonFiniteLoss, Supernet, train_pack


def run_pack(
    trainings: Sequence[Training],
    inputs: TrainingInputs,
    device: str,
    *,
    state_files: Sequence[Path | None],
    save_every: float = 15.0,
) -> list[tuple[TrainingRecord, bytes] | NonFiniteLoss]:
    """Train all of one pack of `packs.plan_packs`, and score each as `run_training` does.

    The curve's seconds are a training's share of the pack's. Networks are scored one after another: that is
    one pass over the validation part each, where training takes as many as there are epochs.

    Returns:
        Each training's record and tensors, as `run_training` gives them, or the error by which it ended.
    """
    memory = PeakMemory(device)
    inputs = inputs.without(trainings[0].without)
    if not on_device(inputs.backbone, device):
        model = copy.deepcopy(inputs.backbone.model).to(device)
        inputs = replace(inputs, backbone=replace(inputs.backbone, model=model))
        device = str(next(model.parameters()).device)  # with its number
    outcomes: dict[int, Curve | NonFiniteLoss] = {}
    networks: dict[int, Supernet] = {}
    for number, training in enumerate(trainings):
        try:
            networks[number] = starting_network(training, inputs, device)
        except NonFiniteLoss as error:  # of the head alone
            outcomes[number] = error
    if networks:
        part, first = trained_on(trainings[0], inputs), trainings[0]
        found = train_pack(
            list(networks.values()),
            part.images,
            part.labels,
            preprocessing=inputs.preprocessing,
            recipes=[trainings[number].recipe for number in networks],
            seeds=[trainings[number].seed for number in networks],
            state_files=[state_files[number] for number in networks],
            save_every=save_every,
            execution=first.execution,
        )
        outcomes |= zip(networks, found, strict=True)
        for number, curve in zip(networks, found, strict=True):
            if isinstance(curve, NonFiniteLoss):
                continue
            try:
                retrain_head_of(networks[number], trainings[number], inputs, curve)
            except NonFiniteLoss as error:
                outcomes[number] = error
    results: list[tuple[TrainingRecord, bytes] | NonFiniteLoss] = []
    for number, training in enumerate(trainings):
        outcome = outcomes[number]
        if isinstance(outcome, NonFiniteLoss):
            results.append(outcome)
            continue
        network = networks[number]
        record = score_network(network, training, outcome, inputs, memory)
        results.append((record, tensors_to_keep(network, training)))
    return results
