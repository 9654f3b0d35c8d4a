"""The work of a worker process: one separate training after another, on data loaded once."""

from __future__ import annotations

import os
import queue
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import ray
import torch

from nas_peft.machine.accelerator import end_if_broken, limit_memory, release_memory
from nas_peft.run.module_files import SentModuleFile, import_sent_module_files
from nas_peft.run.training_inputs import TrainingInputs
from nas_peft.training.state_folder import StateFolder
from nas_peft.training.training import Training
from nas_peft.training.training_record import TrainingRecord
from nas_peft.training.within_memory import pack_within_memory, training_within_memory
from search_spaces import InputError

SAVE_EVERY = 15.0
"""Seconds between two saved states of a training."""


@dataclass(frozen=True)
class Work:
    """The trainings of a stage, and how the workers are to run them.

    ``inputs`` is a reference to their `TrainingInputs`. A worker is given one of the ``packs`` at a time, by
    its index: the indices of trainings that share a process. Those whose numbers are ``reporting`` give their
    scores after each epoch, and may be stopped then; every training is then a pack of its own. ``gpu_share``
    is what a pack has of a GPU, and may allocate of its memory; 0 on a CPU.
    """

    inputs: Any
    trainings: Sequence[Training]
    packs: Sequence[tuple[int, ...]]
    reporting: frozenset[int]
    threads: int
    device: str
    gpu_share: float
    module_files: Sequence[SentModuleFile]
    states: StateFolder
    save_every: float


_loaded: dict[str, Any] = {}
"""Objects read by this process from the object store: the inputs and the work of one stage."""


def train_in_worker(work_reference: Any, number: int) -> Iterator[Any]:
    """Run the pack of this number, in Ray's way: each result becomes an object as it is there.

    A result is an epoch's (``record`` so far, ``epoch``, ``loss`` on validation data) or the last: the
    ``records`` of the pack's trainings and the bytes of their ``tensors``, empty where none are kept. An
    error of a training itself is in its record, because it would come again.
    """
    work: Work = _load("work", work_reference)
    inputs: TrainingInputs = _load("inputs", work.inputs)
    torch.set_num_threads(work.threads)
    pack = work.packs[number]
    if len(pack) > 1:
        results = _train_pack(work, inputs, pack)
    elif pack[0] not in work.reporting:
        results = [_train(work, inputs, pack[0], None)]
    else:
        epochs = _Epochs(lambda report: _train(work, inputs, pack[0], report), work.threads)
        try:
            while (result := epochs.next()) is not None:
                yield result
        finally:
            epochs.stop()
        results = [epochs.last]
    yield {"records": [record for record, _ in results], "tensors": [data for _, data in results]}


def _load(name: str, reference: Any) -> Any:
    key, value = _loaded.get(name, ("", None))
    if key != reference.hex():
        _loaded.pop(name, None)  # before the next one is loaded: data may be large
        value = ray.get(reference)
        _loaded[name] = (reference.hex(), value)
    return value


def _train(
    work: Work, inputs: TrainingInputs, number: int, report: Callable[[dict[str, Any]], None] | None
) -> tuple[TrainingRecord, bytes]:
    training = work.trainings[number]

    def on_epoch(record: TrainingRecord) -> None:
        assert report is not None
        assert record.curve is not None
        report({"record": record, "epoch": len(record.curve.losses), "loss": record.val_score().loss})

    try:
        import_sent_module_files(work.module_files)
        return training_within_memory(
            training,
            inputs,
            _device(work),
            on_epoch=on_epoch if report else None,
            state_file=work.states.file(training),
            save_every=work.save_every,
        )
    except Exception as error:
        end_if_broken(error)
        return TrainingRecord.failed(training, _reason(error)), b""
    finally:
        release_memory(work.device)  # for others on this GPU; the process stays


def _train_pack(
    work: Work, inputs: TrainingInputs, pack: tuple[int, ...]
) -> list[tuple[TrainingRecord, bytes]]:
    trainings = [work.trainings[number] for number in pack]
    try:
        import_sent_module_files(work.module_files)
        outcomes = pack_within_memory(
            trainings,
            inputs,
            _device(work),
            state_files=[work.states.file(training) for training in trainings],
            save_every=work.save_every,
        )
    except Exception as error:
        end_if_broken(error)
        return [(TrainingRecord.failed(training, _reason(error)), b"") for training in trainings]
    finally:
        release_memory(work.device)
    return [
        (TrainingRecord.failed(training, _reason(outcome)), b"")
        if isinstance(outcome, Exception)
        else outcome
        for training, outcome in zip(trainings, outcomes, strict=True)
    ]


def _device(work: Work) -> str:
    """The device of a pack, with this process's share of its memory."""
    device = _own_gpu() if work.device == "cuda" else work.device
    limit_memory(device, min(1.0, work.gpu_share))
    return device


def _own_gpu() -> str:
    """The GPU assigned by Ray. All GPUs are visible, because a reused process may be assigned another."""
    (assigned,) = ray.get_gpu_ids()
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    return f"cuda:{visible.split(',').index(str(assigned)) if visible else assigned}"


def _reason(error: Exception) -> str:
    if isinstance(error, InputError):
        return str(error)
    if not (frames := traceback.extract_tb(error.__traceback__)):
        return f"{type(error).__name__}: {error}"
    last = frames[-1]
    return f"{type(error).__name__} in {Path(last.filename).name}, line {last.lineno}: {error}"


class _Stopped(BaseException):
    """Ends a training at the end of an epoch; not an error."""


_ReportingTraining: TypeAlias = Callable[[Callable[[dict[str, Any]], None]], tuple[TrainingRecord, bytes]]


class _Epochs:
    """A training in a thread of its own that pauses after each epoch until `next` is called.

    The thread turns the training loop's callback into the generator that Ray needs.
    """

    last: tuple[TrainingRecord, bytes]

    def __init__(self, train: _ReportingTraining, threads: int) -> None:
        self._results: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self._goes_on: queue.Queue[bool] = queue.Queue()
        self._thread = threading.Thread(target=self._run, args=(train, threads), daemon=True)
        self._thread.start()

    def next(self) -> dict[str, Any] | None:
        """The result of the next epoch; ``None`` at the end, when ``last`` is set."""
        self._goes_on.put(True)
        return self._results.get()

    def stop(self) -> None:
        """End the training after its current epoch; do nothing if the training has ended."""
        self._goes_on.put(False)
        self._thread.join()

    def _run(self, train: _ReportingTraining, threads: int) -> None:
        torch.set_num_threads(threads)  # OpenMP counts its threads for each calling thread
        try:
            self._wait()
            self.last = train(self._report)
        except _Stopped:
            return
        self._results.put(None)

    def _report(self, result: dict[str, Any]) -> None:
        self._results.put(result)
        self._wait()

    def _wait(self) -> None:
        if not self._goes_on.get():
            raise _Stopped
