"""Separate trainings in smaller parts where a GPU's memory does not suffice."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from nas_peft.machine.accelerator import release_memory, with_less_memory
from nas_peft.run.training_inputs import TrainingInputs
from nas_peft.training.packed_trainings import run_pack
from nas_peft.training.training import Training
from nas_peft.training.training_record import TrainingRecord
from nas_peft.training.trainings import run_training
from supernet import Execution, NonFiniteLoss


def training_within_memory(
    training: Training,
    inputs: TrainingInputs,
    device: str,
    *,
    on_epoch: Callable[[TrainingRecord], None] | None = None,
    state_file: Path | None = None,
    save_every: float = 15.0,
) -> tuple[TrainingRecord, bytes]:
    """Run one training as `run_training`, with twice as many micro-batches as long as memory is too little.

    The record names the training as it was asked for. ``on_epoch`` is told of each epoch once.

    Raises what `run_training` does, and ``torch.OutOfMemoryError`` where one image at a time is too much.
    """
    told = 0

    def report(record: TrainingRecord) -> None:
        nonlocal told
        assert on_epoch is not None
        assert record.curve is not None
        if len(record.curve.losses) > told:
            told = len(record.curve.losses)
            on_epoch(replace(record, training=training))

    def attempt(execution: Execution) -> tuple[TrainingRecord, bytes]:
        return run_training(
            replace(training, execution=execution),
            inputs,
            device,
            on_epoch=report if on_epoch else None,
            state_file=state_file,
            save_every=save_every,
        )

    record, tensors = with_less_memory(attempt, training.execution, training.recipe.batch_size, device)
    return replace(record, training=training), tensors


def pack_within_memory(
    trainings: Sequence[Training],
    inputs: TrainingInputs,
    device: str,
    *,
    state_files: Sequence[Path | None],
    save_every: float = 15.0,
) -> list[tuple[TrainingRecord, bytes] | NonFiniteLoss | torch.OutOfMemoryError]:
    """Run a pack as `run_pack`, with twice as many micro-batches as long as memory is too little.

    A pack that does not fit with one image of each training at a time is divided into halves, which run one
    after the other. A training that does not fit even alone has the error as its result.
    """
    if len(trainings) == 1:
        try:
            return [
                training_within_memory(
                    trainings[0], inputs, device, state_file=state_files[0], save_every=save_every
                )
            ]
        except (NonFiniteLoss, torch.OutOfMemoryError) as error:
            return [error.with_traceback(None)]  # which would hold the network

    def attempt(execution: Execution) -> list[tuple[TrainingRecord, bytes] | NonFiniteLoss]:
        changed = [replace(training, execution=execution) for training in trainings]
        return run_pack(changed, inputs, device, state_files=state_files, save_every=save_every)

    first = trainings[0]
    try:
        found = with_less_memory(attempt, first.execution, first.recipe.batch_size, device)
    except torch.OutOfMemoryError:
        pass  # the halves run when the error, and what it holds, is gone
    else:
        return [
            outcome
            if isinstance(outcome, NonFiniteLoss)
            else (replace(outcome[0], training=training), outcome[1])
            for training, outcome in zip(trainings, found, strict=True)
        ]
    release_memory(device)
    middle = len(trainings) // 2
    results: list[tuple[TrainingRecord, bytes] | NonFiniteLoss | torch.OutOfMemoryError] = []
    for half in (slice(0, middle), slice(middle, None)):
        results += pack_within_memory(
            trainings[half], inputs, device, state_files=state_files[half], save_every=save_every
        )
    return results
