"""A separate training as a trial of Ray Tune: what runs in a worker process."""

from __future__ import annotations

import hashlib
import queue
import threading
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
import torch
from ray import tune

from nas_peft.module_files import SentModuleFile, import_sent_module_files
from nas_peft.trainings import Training, TrainingInputs, run_training
from search_spaces import InputError

SAVE_EVERY = 15.0
"""Seconds between two states of a training."""


@dataclass(frozen=True)
class StateFolder:
    """Where the states of unfinished trainings are: beside their records in the run folder.

    A worker on a machine that does not see the run folder has none; it is told by the configuration there,
    which has to be this run's.
    """

    run: Path
    digest: str

    @classmethod
    def of(cls, run: Path) -> StateFolder:
        """Of a run folder that is there."""
        return cls(run.resolve(), _digest(run))

    def file(self, training: Training) -> Path | None:
        """The state of ``training``, if the run folder is seen from here."""
        return state_file(self.run, training) if _digest(self.run) == self.digest else None


def state_file(run: Path, training: Training) -> Path:
    """The state of an unfinished training in a run folder."""
    return run / "trainings" / f"{training.key}.state.pt"


def _digest(run: Path) -> str:
    file = run / "config.yaml"
    return hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else ""


@dataclass(frozen=True)
class Work:
    """What the workers of a stage are told: all its trainings, and how to run them.

    Those whose numbers are ``reporting`` give their scores after each epoch, and may be stopped then.
    """

    trainings: Sequence[Training]
    reporting: frozenset[int]
    threads: int
    device: str
    module_files: Sequence[SentModuleFile]
    states: StateFolder
    save_every: float


class TrainingTrial(tune.Trainable):
    """Runs one training after another in one process, which has loaded data and backbone once.

    A result is an epoch's (``record`` so far, ``epoch``, ``loss`` on validation data) or the last
    (``finished``, ``record``, and ``tensors``, a reference to bytes, where there are any). An error of the
    training itself is a last result, because it would come again.
    """

    def setup(  # type: ignore[override]
        self, config: dict[str, Any], inputs: TrainingInputs, work: Work
    ) -> None:
        """Called once in each process; ``config`` has the ``number`` of the first training."""
        self._inputs, self._work = inputs, work
        self._epochs: _Epochs | None = None
        torch.set_num_threads(work.threads)
        self._number: int = config["number"]

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Take up another training."""
        self.cleanup()
        self._number = new_config["number"]
        return True

    def step(self) -> dict[str, Any]:
        """Train: for an epoch if its scores are wanted, otherwise to the end."""
        if self._number not in self._work.reporting:
            return self._train(None)
        if self._epochs is None:
            self._epochs = _Epochs(self._train, self._work.threads)
        return self._epochs.next()

    def cleanup(self) -> None:
        """End a training that was stopped."""
        if self._epochs is not None:
            self._epochs.stop()
            self._epochs = None

    def _train(self, report: Callable[[dict[str, Any]], None] | None) -> dict[str, Any]:
        training, work = self._work.trainings[self._number], self._work
        state = work.states.file(training)

        def on_epoch(record: dict[str, Any]) -> None:
            assert report is not None
            epoch = len(record["curve"]["losses"])
            report({"record": record, "epoch": epoch, "loss": record["val"]["loss"]})

        try:
            import_sent_module_files(work.module_files)
            record, tensors = run_training(
                training,
                self._inputs,
                work.device,
                on_epoch=on_epoch if report else None,
                state_file=state,
                save_every=work.save_every,
            )
        except Exception as error:
            record, tensors = failed(training, _reason(error)), b""
        reference = ray.put(tensors) if tensors else None
        return {"finished": True, "done": True, "record": record, "tensors": reference}


def failed(training: Training, reason: str) -> dict[str, Any]:
    """The record of a training that has failed for good."""
    return training.to_dict() | {"error": reason, "curve": None, "val": None}


def _reason(error: Exception) -> str:
    if isinstance(error, InputError):
        return str(error)
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} in {Path(last.filename).name}, line {last.lineno}: {error}"


class _Stopped(BaseException):
    """Ends a training at the end of an epoch; not an error of its own."""


class _Epochs:
    """A training in a thread of its own that waits after each epoch until the next one is asked for.

    The training loop calls, and a trial of Tune is called.
    """

    def __init__(
        self, train: Callable[[Callable[[dict[str, Any]], None]], dict[str, Any]], threads: int
    ) -> None:
        self._results: queue.Queue[dict[str, Any]] = queue.Queue()
        self._goes_on: queue.Queue[bool] = queue.Queue()
        self._thread = threading.Thread(target=self._run, args=(train, threads), daemon=True)
        self._thread.start()

    def next(self) -> dict[str, Any]:
        """The result of the next epoch, or the last result."""
        self._goes_on.put(True)
        return self._results.get()

    def stop(self) -> None:
        """End the training where it is; nothing if it has ended."""
        self._goes_on.put(False)
        self._thread.join()

    def _run(self, train: Callable[[Callable[[dict[str, Any]], None]], dict[str, Any]], threads: int) -> None:
        torch.set_num_threads(threads)  # OpenMP's number belongs to the thread
        try:
            self._wait()
            self._results.put(train(self._report))
        except _Stopped:
            pass

    def _report(self, result: dict[str, Any]) -> None:
        self._results.put(result)
        self._wait()

    def _wait(self) -> None:
        if not self._goes_on.get():
            raise _Stopped
