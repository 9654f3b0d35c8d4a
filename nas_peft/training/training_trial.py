"""A separate training as a trial of Ray Tune."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import ray
from ray import tune

WORKER_ENVIRONMENT = {"env_vars": {"RAY_EXPERIMENTAL_NOSET_CUDA_VISIBLE_DEVICES": "1"}}
"""Ray's runtime environment of the workers; being their own, it keeps trials from taking their processes."""


class TrainingTrial(tune.Trainable):
    """Runs one training after another in Ray's worker processes, on the resources of the trial.

    The trial's own process is not used, because Tune ends that process with the stage. The workers have
    imported torch and loaded the data, which takes seconds, and continue with the trainings of the next
    stage. For the same reason this file does not import torch. The results are those of
    `training_worker.train_in_worker`.
    """

    def setup(  # type: ignore[override]
        self, config: dict[str, Any], work: list[Any]
    ) -> None:
        """Take the training's ``number`` and ``work``, a reference to `Work`; called once in each process."""
        self._work = work
        self._number: int = config["number"]
        self._results: Any = None

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Switch to another training."""
        self.cleanup()
        self._number = new_config["number"]
        return True

    def step(self) -> dict[str, Any]:
        """Wait for the next result of the training. Raises Ray's error if the worker died."""
        if self._results is None:
            assert self.trial_resources is not None
            resources = self.trial_resources.bundles[-1]
            worker = _worker.options(
                num_cpus=resources["CPU"],
                num_gpus=resources.get("GPU", 0),
                runtime_env=WORKER_ENVIRONMENT,
            )
            self._results = worker.remote(self._work, self._number)
        result: dict[str, Any] = ray.get(next(self._results))
        if result.get("finished"):
            result["tensors"] = next(self._results) if result["tensors"] else None
            self._results = None
            result["done"] = True
        return result

    def cleanup(self) -> None:
        """Cancel a training that was stopped."""
        if self._results is not None:
            ray.cancel(self._results)
            self._results = None


# Tune handles a dead worker; a process that has used a GPU is reused.
@ray.remote(num_returns="streaming", max_retries=0, max_calls=0)
def _worker(work: list[Any], number: int) -> Iterator[Any]:
    from nas_peft.training.training_worker import train_in_worker

    yield from train_in_worker(work[0], number)
