"""Packs of trainings as tasks of Ray: run in order, repeated where a worker died, stopped where behind."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any, cast

import ray
from ray import ObjectRefGenerator

from nas_peft.training.early_stopping import Halvings, Place
from nas_peft.training.training import Training
from nas_peft.training.training_record import TrainingRecord
from nas_peft.training.training_worker import Work

MAX_FAILURES = 2
"""Retries of a pack whose worker died."""

_GPU_ENVIRONMENT = {"env_vars": {"RAY_EXPERIMENTAL_NOSET_CUDA_VISIBLE_DEVICES": "1"}}
"""Ray's runtime environment of workers with GPUs: a reused process may be assigned another GPU."""

Keep = Callable[[Training, TrainingRecord, bytes], None]
"""Callback for the record of each training and its tensors (safetensors bytes, possibly empty)."""


def run(
    work: Work,
    resources: Mapping[str, float],
    places: Mapping[int, Place],
    keep: Keep,
) -> None:
    """Run each pack of ``work`` as a task on ``resources`` (``CPU`` and perhaps ``GPU``).

    ``keep`` is called in this process as each training ends. An error in ``keep``, or Ctrl-C, ends the tasks
    that still run. ``places`` are those of the competing trainings, from `early_stopping.competitors`.
    """
    tasks = _Tasks(work, resources)
    halvings = Halvings(work.trainings, places)
    failures = dict.fromkeys(range(len(work.packs)), 0)
    try:
        for pack in failures:
            tasks.start(pack)
        while (arrived := tasks.next()) is not None:
            pack, result = arrived
            trainings = [work.trainings[number] for number in work.packs[pack]]
            if isinstance(result, Exception):
                failures[pack] += 1
                if failures[pack] <= MAX_FAILURES:
                    tasks.start(pack)
                    continue
                message = f"the worker died {failures[pack]} times; last error: {_first_line(result)}"
                records = [TrainingRecord.failed(training, message) for training in trainings]
                tensors = [b""] * len(records)
            elif "records" in result:
                records, tensors = result["records"], result["tensors"]
            elif halvings.continues(work.packs[pack][0], result["epoch"], result["loss"]):
                continue
            else:
                tasks.stop(pack)
                records, tensors = [replace(result["record"], stopped_at=result["epoch"])], [b""]
            for training, record, data in zip(trainings, records, tensors, strict=True):
                keep(training, record, data)
    finally:
        tasks.kill()


class _Tasks:
    """The running and waiting tasks of a stage. Ray keeps worker processes from task to task and stage to
    stage: importing torch and loading the data takes seconds in each."""

    def __init__(self, work: Work, resources: Mapping[str, float]) -> None:
        self._work = ray.put(work)
        self._task = _worker.options(
            num_cpus=resources["CPU"],
            num_gpus=resources.get("GPU", 0),
            **({"runtime_env": _GPU_ENVIRONMENT} if "GPU" in resources else {}),
        )
        self._running: dict[ObjectRefGenerator, int] = {}

    def start(self, pack: int) -> None:
        """Queue a pack; Ray starts tasks in this order."""
        # In a list Ray passes the reference on, which a worker resolves once for all of its tasks.
        self._running[self._task.remote([self._work], pack)] = pack

    def next(self) -> tuple[int, dict[str, Any] | Exception] | None:
        """The next result of any pack, or why its task ended without one; ``None`` when all have ended."""
        while self._running:
            (first,), _ = ray.wait(list(self._running), num_returns=1)
            ready = cast(ObjectRefGenerator, first)
            try:
                reference = next(ready)
            except StopIteration:
                del self._running[ready]
                continue
            pack = self._running[ready]
            try:
                return pack, ray.get(reference)
            except ray.exceptions.RayError as error:
                del self._running[ready]
                return pack, error
        return None

    def stop(self, pack: int) -> None:
        """Stop a pack at the end of its current epoch; nothing comes from it any more."""
        for task in [task for task, number in self._running.items() if number == pack]:
            del self._running[task]
            ray.cancel(task)

    def kill(self) -> None:
        """End what still runs at once, with its worker processes."""
        for task in self._running:
            ray.cancel(task, force=True)
        self._running.clear()


# `run` repeats the task of a worker that died; a process that has used a GPU is reused.
@ray.remote(num_returns="streaming", max_retries=0, max_calls=0)
def _worker(work: list[Any], number: int) -> Iterator[Any]:
    from nas_peft.training.training_worker import train_in_worker

    yield from train_in_worker(work[0], number)


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
