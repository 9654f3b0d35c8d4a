"""The training of a supernet on a Ray worker, for a run started on a machine without a GPU."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nas_peft.machine.accelerator import with_less_memory
from nas_peft.machine.ray_session import RayOptions, RaySession
from nas_peft.run.module_files import SentModuleFile, import_sent_module_files
from nas_peft.stages.supernet_training import SupernetTraining
from nas_peft.training.state_folder import StateFolder
from search_spaces import InputError
from supernet import Curve

ATTEMPTS = 3
"""Number of workers that may try the training, one after another; each resumes where the last one died."""

_PATIENCE = 1.0  # seconds to wait for an epoch before checking whether the worker has ended


@dataclass(frozen=True)
class Sent:
    """The message to the worker: the training and how to run it."""

    training: SupernetTraining
    states: StateFolder
    module_files: Sequence[SentModuleFile]
    device: str
    threads: int


def train_on_ray(
    training: SupernetTraining,
    folder: Path,
    *,
    device: str,
    ray_options: RayOptions,
    on_epoch: Callable[[int], None],
) -> tuple[Curve, int | None]:
    """Train a supernet on one worker with a GPU, write its weights, return curve and peak memory in bytes.

    A worker that dies is replaced; its successor resumes from the last state if its machine sees the run
    folder, and else starts again. Raises `InputError` when `ATTEMPTS` workers have died, and the errors of
    the training.
    """
    with RaySession(ray_options) as session:
        ray = session.connect()
        from ray.util.queue import Empty, Queue

        resources = session.resources(1, device)
        training.backbone.model.cpu()
        sent = ray.put(
            Sent(
                training,
                StateFolder.of(folder),
                [SentModuleFile.of(file) for file in training.module_files],
                device,
                int(resources["CPU"]),
            )
        )
        task = ray.remote(num_cpus=resources["CPU"], num_gpus=resources.get("GPU", 0), max_retries=0)(_train)
        for _ in range(ATTEMPTS):
            queue = Queue(actor_options={"num_cpus": 0})
            running = task.remote([sent], queue)
            try:
                while True:
                    ended = bool(ray.wait([running], timeout=0)[0])
                    try:
                        on_epoch(queue.get(timeout=_PATIENCE))
                    except Empty:
                        if ended:
                            break
                tensors, curve, peak = ray.get(running)
            except (ray.exceptions.WorkerCrashedError, ray.exceptions.NodeDiedError) as error:
                reason = str(error).strip().splitlines()[0]
                continue
            except ray.exceptions.RayTaskError as error:
                raise error.cause from None
            finally:
                ray.cancel(running, force=True)
                queue.shutdown(force=True)
            training.write({name: torch.from_numpy(value.copy()) for name, value in tensors.items()})
            return curve, peak
    raise InputError(
        f"the worker that trained the supernet died {ATTEMPTS} times ({reason}); it may have run out of "
        "memory: give --micro-batches, and start the same command again to go on"
    )


def _train(sent: list[Any], queue: Any) -> tuple[dict[str, Any], Curve, int | None]:
    """Train in the worker, putting each epoch into ``queue``; tensors as numpy arrays, curve, peak memory."""
    import ray

    work: Sent = ray.get(sent[0])
    import_sent_module_files(work.module_files)
    torch.set_num_threads(work.threads)
    training = work.training
    state = training.state if work.states.seen() else None
    supernet, curve, peak = with_less_memory(
        lambda execution: training.train(execution, work.device, queue.put, state),
        training.execution,
        training.recipe.batch_size,
        work.device,
    )
    tensors: dict[str, Tensor] = training.tensors(supernet)
    return {name: value.numpy() for name, value in tensors.items()}, curve, peak
