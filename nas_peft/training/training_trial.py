"""A separate training as a trial of Ray Tune."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import ray
from ray import tune

WORKER_ENVIRONMENT = {"env_vars": {"RAY_EXPERIMENTAL_NOSET_CUDA_VISIBLE_DEVICES": "1"}}
"""Ray's setting of the workers: an environment of their own keeps trials from taking their processes."""


class TrainingTrial(tune.Trainable):
    """Has one training after another done by Ray's own worker processes, on the resources of the trial.

    Not in its own process, which Tune ends with the stage: the workers have imported torch and loaded the
    data, which takes seconds, and go on to the trainings of the next stage. For the same reason this file
    imports no torch. The results are those of `training_worker.train_in_worker`.
    """

    def setup(  # type: ignore[override]
        self, config: dict[str, Any], work: list[Any]
    ) -> None:
        """Once in each process: ``number`` of the training, and ``work``, a reference to `Work`."""
        self._work = work
        self._number: int = config["number"]
        self._results: Any = None

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Take up another training."""
        self.cleanup()
        self._number = new_config["number"]
        return True

    def step(self) -> dict[str, Any]:
        """Wait for the next result of the training. Raises what has become of its worker if that died."""
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
        """End a training that was stopped."""
        if self._results is not None:
            ray.cancel(self._results)
            self._results = None


# A dead worker is Tune's to see, and a process that has used a GPU goes on.
@ray.remote(num_returns="streaming", max_retries=0, max_calls=0)
def _worker(work: list[Any], number: int) -> Iterator[Any]:
    from nas_peft.training.training_worker import train_in_worker

    yield from train_in_worker(work[0], number)
