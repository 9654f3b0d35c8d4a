"""Runs separate trainings as Ray tasks, several at once, and keeps what has finished."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import torch
from safetensors.torch import load

from nas_peft.module_files import import_module_files
from nas_peft.run_folder import RunFolder, read_json, write_json
from nas_peft.trainings import Training, TrainingInputs, run_training
from search_spaces import InputError
from supernet import write_atomically


class RayTrainings:
    """Trains on Ray; a context manager that starts Ray when first needed and shuts it down at the end.

    A Ray that the caller has started already (``ray.init(address=...)``) is used and left running. Each
    training takes an equal share of the cores, or one GPU where there are any; workers are reused, and the
    data and the backbone are put into the object store once. A training whose record lies in the run folder
    is not repeated. Workers import ``module_files`` first, by their absolute paths.
    """

    def __init__(
        self, folder: RunFolder, inputs: TrainingInputs, *, device: str, module_files: Sequence[Path] = ()
    ) -> None:
        self._folder = folder
        self._inputs = inputs
        self._device = device
        self._module_files = [file.resolve() for file in module_files]
        self._started = False
        self._shared: Any = None

    def __enter__(self) -> RayTrainings:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._started:
            import ray

            ray.shutdown()
            self._started = False
        self._shared = None

    def run(self, trainings: Sequence[Training], on_done: Callable[[], None]) -> list[dict[str, Any]]:
        """The record of each training, in order; ``on_done`` is called as each is there.

        A training that raised `InputError` (`supernet.NonFiniteLoss`) has a record with the message as
        ``error``, and neither curve nor score; it is not kept, so that a later run tries again.
        """
        records: dict[str, dict[str, Any]] = {}
        missing = []
        for training in trainings:
            record = read_json(self._record_file(training))
            if record is None:
                missing.append(training)
            else:
                records[training.key] = record
                on_done()
        if missing:
            self._run_missing(missing, len(trainings), records, on_done)
        return [records[training.key] for training in trainings]

    def tensors(self, training: Training) -> dict[str, torch.Tensor]:
        """The trained tensors of a final model that has run."""
        return load((self._folder.path / "trainings" / f"{training.key}.safetensors").read_bytes())

    def _run_missing(
        self,
        missing: list[Training],
        of: int,
        records: dict[str, dict[str, Any]],
        on_done: Callable[[], None],
    ) -> None:
        ray = self._start()
        # Sums depend on the number of threads in their last bits, so a resumed run must use as many.
        cpus = max(1, int(ray.cluster_resources().get("CPU", 1)) // of)
        gpus = 1 if self._device == "cuda" else 0
        remote = ray.remote(num_cpus=cpus, num_gpus=gpus, max_retries=2)(_train_in_worker)
        pending = {remote.remote(t, self._shared, cpus, self._device, self._module_files): t for t in missing}
        try:
            while pending:
                (done,), _ = ray.wait(list(pending), num_returns=1)
                training = pending.pop(done)
                try:
                    record, tensors = ray.get(done)
                except ray.exceptions.RayTaskError as error:
                    if not isinstance(error.cause, InputError):
                        raise error.cause from None
                    failed = {"curve": None, "val": None, "error": str(error.cause)}
                    records[training.key] = training.to_dict() | failed
                    on_done()
                    continue
                if tensors:
                    write_atomically(self._folder.path / "trainings" / f"{training.key}.safetensors", tensors)
                write_json(self._record_file(training), record)
                records[training.key] = record
                on_done()
        finally:
            for task in pending:
                ray.cancel(task, force=True)

    def _start(self) -> Any:
        # Without these Ray prints a warning about GPUs, and sends usage statistics.
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        import ray

        if not ray.is_initialized():
            ray.init(include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
            self._started = True
        if self._shared is None:
            self._inputs.backbone.model.cpu()
            self._shared = ray.put(self._inputs)
        return ray

    def _record_file(self, training: Training) -> Any:
        return self._folder.path / "trainings" / f"{training.key}.json"


def _train_in_worker(
    training: Training, inputs: TrainingInputs, threads: int, device: str, module_files: list[Path]
) -> tuple[dict[str, Any], bytes]:
    import_module_files(module_files)
    torch.set_num_threads(threads)
    return run_training(training, inputs, device)
