"""Trainings through Ray's client: a task on the cluster runs them and sends the results back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import ray
from ray.util.queue import Empty, Queue

from nas_peft.training import ray_tasks
from nas_peft.training.early_stopping import Place
from nas_peft.training.ray_tasks import Keep
from nas_peft.training.training_record import TrainingRecord
from nas_peft.training.training_worker import Work

_PATIENCE = 1.0  # seconds to wait for a result before checking whether the run has ended


def connected() -> bool:
    """Whether Ray is reached through its client (``ray://HOST:PORT``)."""
    return bool(ray.util.client.ray.is_connected())  # type: ignore[no-untyped-call]


def run(work: Work, resources: Mapping[str, float], places: Mapping[int, Place], keep: Keep) -> None:
    """Call `ray_tasks.run` in a task on the cluster, which sends its results through a queue, one by one.

    Ray's client knows no tasks with several results.
    """
    queue = Queue(actor_options={"num_cpus": 0})
    running = _run_there.remote(work, dict(resources), dict(places), queue)
    try:
        while True:
            ended = bool(ray.wait([running], timeout=0)[0])
            try:
                number, record, tensors = queue.get(timeout=_PATIENCE)
            except Empty:
                if ended:
                    break
            else:
                keep(work.trainings[number], record, tensors)
        ray.get(running)
    finally:
        ray.cancel(running, force=True)
        queue.shutdown(force=True)


# A retry would send results twice; the same command resumes from the run folder.
@ray.remote(num_cpus=0, max_retries=0)
def _run_there(work: Work, resources: dict[str, float], places: dict[int, Any], queue: Queue) -> None:
    numbers = {training.key: number for number, training in enumerate(work.trainings)}

    def keep(training: Any, record: TrainingRecord, tensors: bytes) -> None:
        queue.put((numbers[training.key], record, tensors))

    ray_tasks.run(work, resources, places, keep)
