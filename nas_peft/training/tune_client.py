"""Ray Tune through Ray's client: it runs on the cluster, and what it finds is brought here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import ray
from ray.util.queue import Empty, Queue

from nas_peft.training import tune_run
from nas_peft.training.training_record import TrainingRecord
from nas_peft.training.training_worker import Work
from nas_peft.training.tune_run import Keep

_PATIENCE = 1.0  # seconds to wait for a result before looking whether the run has ended


def connected() -> bool:
    """Whether Ray is reached through its client (``ray://HOST:PORT``)."""
    return bool(ray.util.client.ray.is_connected())  # type: ignore[no-untyped-call]


def run(
    work: Work, resources: Mapping[str, float], places: Mapping[int, tuple[str, int]], keep: Keep
) -> None:
    """As `tune_run.run`, which a task of the cluster calls; its results come through a queue, one by one.

    The client would run Tune there by itself, and leave what it finds there too.
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


# A repeated run would give results twice; the run folder is what a new start goes on from.
@ray.remote(num_cpus=0, max_retries=0)
def _run_there(work: Work, resources: dict[str, float], places: dict[int, Any], queue: Queue) -> None:
    numbers = {training.key: number for number, training in enumerate(work.trainings)}

    def keep(training: Any, record: TrainingRecord, tensors: bytes) -> None:
        queue.put((numbers[training.key], record, tensors))

    tune_run.run(work, resources, places, keep)
