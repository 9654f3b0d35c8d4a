"""One run of Ray Tune over separate trainings, without Tune's output and files."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import ray
from ray import tune
from ray.tune.experiment import Trial

from nas_peft.training.early_stopping import StopCompetitors
from nas_peft.training.training import Training
from nas_peft.training.training_record import TrainingRecord
from nas_peft.training.training_trial import TrainingTrial
from nas_peft.training.training_worker import Work

MAX_FAILURES = 2
"""Retries of a training whose worker died."""

_ENVIRONMENT = {
    "RAY_AIR_NEW_OUTPUT": "0",  # the new output prints a table regardless of verbosity
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # Ctrl-C would end the run as if it had finished
    "TUNE_GLOBAL_CHECKPOINT_S": "1e9",  # a run resumes from the records in its folder
    "TUNE_MAX_PENDING_TRIALS_PG": "1",  # trials start in order, and only as many as fit
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
}

Keep = Callable[[Training, TrainingRecord, bytes], None]
"""Callback for the record of each training and its tensors (safetensors bytes, possibly empty)."""


def run(
    work: Work,
    resources: Mapping[str, float],
    places: Mapping[int, tuple[str, int]],
    keep: Keep,
) -> None:
    """Run the packs of ``work`` as trials, each training of them or several.

    ``keep`` is called in this process as each training ends; an error in ``keep`` ends the run. ``places``
    are those of the competing trainings, from `early_stopping.competitors`.
    """
    outcome = _Outcome(work, keep)
    with _silence(), tempfile.TemporaryDirectory(prefix="nas-peft-tune-") as storage:
        try:
            tune.run(
                tune.with_parameters(TrainingTrial, work=[ray.put(work)]),
                name="trainings",
                config={"number": tune.grid_search(list(range(len(work.packs))))},
                # The trial itself waits; its worker computes.
                resources_per_trial=tune.PlacementGroupFactory([{}, dict(resources)], "STRICT_PACK"),
                storage_path=storage,
                scheduler=StopCompetitors(work.trainings, places) if places else None,
                callbacks=[outcome],
                reuse_actors=True,
                max_failures=MAX_FAILURES,
                raise_on_failed_trial=False,
                verbose=0,
            )
        except Exception:
            if outcome.raised is not None:
                raise outcome.raised from None
            raise
        finally:
            outcome.remove_files()


class _Outcome(tune.Callback):
    """Receives the results of trials in the caller's process."""

    def __init__(self, work: Work, keep: Keep) -> None:
        self._work = work
        self._keep = keep
        self._files: set[Path] = set()
        self.raised: Exception | None = None
        """The error of ``keep``, of which Tune passes on the text only."""

    def on_trial_start(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """Note the folder of Tune's files."""
        self._files.add(Path(trial.local_experiment_path).parent)

    def on_trial_result(
        self, iteration: int, trials: list[Trial], trial: Trial, result: dict[str, Any], **info: Any
    ) -> None:
        """Keep trainings that have finished, or one that was stopped by the scheduler."""
        records, tensors = result.pop("records", None), result.pop("tensors", None)  # Tune would keep them
        record = result.pop("record", None)
        if not result["done"]:
            return
        if not result.get("finished"):
            records = [replace(record, stopped_at=result["epoch"])]
        try:
            data = [b""] * len(records) if tensors is None else ray.get(tensors)
        except ray.exceptions.RayError as error:
            message = f"its tensors were lost with its worker: {error}"
            self._fail(trials, trial, message)
            return
        self._end(trials, trial, records, data)

    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """Report trainings whose worker has died too often."""
        lines = Path(trial.error_file).read_text().strip().splitlines() if trial.error_file else []
        message = f"its worker died {trial.num_failures} times; the last: {lines[-1] if lines else 'unknown'}"
        self._fail(trials, trial, message)

    def _of(self, trial: Trial) -> list[Training]:
        """The trainings of a trial."""
        return [self._work.trainings[number] for number in self._work.packs[trial.config["number"]]]

    def _fail(self, trials: list[Trial], trial: Trial, message: str) -> None:
        trainings = self._of(trial)
        records = [TrainingRecord.failed(training, message) for training in trainings]
        self._end(trials, trial, records, [b""] * len(trainings))

    def _end(
        self, trials: list[Trial], trial: Trial, records: list[TrainingRecord], tensors: list[bytes]
    ) -> None:
        try:
            for training, record, data in zip(self._of(trial), records, tensors, strict=True):
                self._keep(training, record, data)
        except Exception as error:
            self.raised = error
            for other in trials:  # Tune would wait for each step to end, which is a whole training
                if other.temporary_state.ray_actor is not None:
                    ray.kill(other.temporary_state.ray_actor)
            raise

    def remove_files(self) -> None:
        """Remove the files that Tune wrote to Ray's temporary folder on this machine."""
        for folder in self._files:
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _silence() -> Iterator[None]:
    """Silence Tune: no tables, loggers, log lines or signal handlers; restore all of them at the end."""
    before = {name: os.environ.get(name) for name in _ENVIRONMENT}
    loggers = [logging.getLogger(name) for name in ("ray.tune", "ray.air", "ray.train")]
    levels = [logger.level for logger in loggers]
    in_main_thread = threading.current_thread() is threading.main_thread()
    handler = signal.getsignal(signal.SIGUSR1) if in_main_thread and hasattr(signal, "SIGUSR1") else None
    os.environ.update(_ENVIRONMENT)
    for logger in loggers:
        logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
        if handler is not None:
            signal.signal(signal.SIGUSR1, handler)
