"""The training of a supernet on workers of Ray: on one with a GPU, or on several together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray

from nas_peft.data.node_copies import copy_to_nodes
from nas_peft.data.part import read_only_tensor
from nas_peft.machine.ray_process_group import WorkerDied, run_on_workers
from nas_peft.machine.ray_session import RayOptions, RaySession
from nas_peft.run.module_files import SentModuleFile, import_sent_module_files
from nas_peft.stages.supernet_training import SupernetTraining
from nas_peft.training.state_folder import StateFolder
from search_spaces import InputError
from supernet import Curve
from supernet.data_parallel import Processes

ATTEMPTS = 3
"""Number of times that the training is tried; each try resumes where the last one died."""


@dataclass(frozen=True)
class Sent:
    """The message to a worker: the training, with its features as an array that processes share."""

    training: SupernetTraining
    features: NDArray[Any]
    states: StateFolder
    module_files: Sequence[SentModuleFile]


def train_on_ray(
    training: SupernetTraining,
    folder: Path,
    *,
    device: str,
    ray_options: RayOptions,
    on_epoch: Callable[[int], None],
    processes: int = 1,
) -> tuple[Curve, int | None]:
    """Train a supernet on workers of Ray, write its weights, return curve and peak memory in bytes.

    The ``processes`` train together, each with a GPU if ``device`` is cuda, on as many machines as that
    takes. When a worker dies all are replaced; their successors resume from the last state if every machine
    sees the run folder, and else start again. Raises `InputError` when that has happened `ATTEMPTS` times,
    and the errors of the training.
    """
    with RaySession(ray_options) as session:
        ray = session.connect()
        training.backbone.model.cpu()
        copy_to_nodes(ray, [training.part])
        sent = ray.put(
            Sent(
                replace(training, features=torch.empty(0)),
                training.features.numpy(),
                StateFolder.of(folder),
                [SentModuleFile.of(file) for file in training.module_files],
            )
        )
        for _ in range(ATTEMPTS):
            try:
                tensors, curve, peak = run_on_workers(
                    session, _train, sent, count=processes, device=device, on_step=on_epoch
                )
            except WorkerDied as error:
                reason = str(error)
                continue
            training.write({name: torch.from_numpy(value.copy()) for name, value in tensors.items()})
            return curve, peak
    raise InputError(
        f"the worker that trained the supernet died {ATTEMPTS} times ({reason}); it may have run out of "
        "memory: give --micro-batches, and start the same command again to go on"
    )


def _train(
    sent: Sent, device: str, on_epoch: Callable[[int], None]
) -> tuple[dict[str, NDArray[Any]], Curve, int | None]:
    """Train in a worker; tensors as numpy arrays, curve, peak memory."""
    import_sent_module_files(sent.module_files)
    training = replace(sent.training, features=read_only_tensor(sent.features))
    seen = Processes.current().all(sent.states.seen(), device)
    supernet, curve, peak = training.train_together(device, on_epoch, training.state if seen else None)
    return {name: value.numpy() for name, value in training.tensors(supernet).items()}, curve, peak
