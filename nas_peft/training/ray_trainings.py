"""Separate trainings as tasks of Ray, several at once; finished ones are kept in the run folder."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate
from pathlib import Path
from types import TracebackType
from typing import Any

import torch

from nas_peft.data.node_copies import copy_to_nodes
from nas_peft.machine.accelerator import leave_gpu
from nas_peft.machine.ray_session import RayOptions, RaySession
from nas_peft.run.json_file import read_json, write_json
from nas_peft.run.module_files import SentModuleFile
from nas_peft.run.run import Run
from nas_peft.run.run_folder import RunFolder
from nas_peft.run.task_inputs import TaskInputs
from nas_peft.run.training_inputs import TrainingInputs
from nas_peft.settings.methods import METHODS
from nas_peft.training.image_scores import ImageScores
from nas_peft.training.packs import pack_size, plan_packs
from nas_peft.training.training import Training
from nas_peft.training.training_record import TrainingRecord
from search_spaces.errors import DamagedFile
from supernet import TRAINABLE_SETS, checked_tensors, write_atomically


class RayTrainings:
    """Trains on Ray; a context manager that starts Ray when first needed and shuts it down at the end.

    A Ray that the caller has already started (``ray.init(address=...)``) is used and left running;
    `RayOptions` names others. Each training is a task and takes an equal share of the cores, or a GPU.
    Workers are reused; data and backbone are put into the object store once. A training whose record is in
    the run folder is not repeated, and an interrupted training resumes from its last state there. A training
    whose worker dies is retried twice. The ``module_files`` are sent to the workers, which import them first.

    With ``early_stopping`` those of ``run``'s trainings that differ in their learning rate alone compete: one
    that is behind ends early (`early_stopping.Halvings`).

    With ``keep_modules`` the trained modules of every training are stored, not only those of final models and
    of trainings with ``keep``; `forget` removes them again.

    Up to ``pack`` trainings share a process and one frozen backbone (see `packs`), and are then one task; by
    default as many as `packs.pack_size` says, but one with ``early_stopping``, which ends single trainings.
    """

    def __init__(
        self,
        folder: RunFolder,
        inputs: TrainingInputs,
        *,
        device: str,
        module_files: Sequence[Path] = (),
        ray_options: RayOptions | None = None,
        early_stopping: bool = False,
        pack: int | None = None,
        keep_modules: bool = False,
    ) -> None:
        self._folder = folder
        self._inputs = inputs
        self._device = device
        self._module_files = [SentModuleFile.of(file) for file in module_files]
        self._session = RaySession(ray_options or RayOptions())
        self._early_stopping = early_stopping
        self._pack = 1 if early_stopping else pack
        self._keep_modules = keep_modules
        self._shared: Any = None

    @classmethod
    def of_run(
        cls,
        run: Run[TaskInputs],
        inputs: TrainingInputs,
        *,
        early_stopping: bool = False,
        keep_modules: bool = False,
    ) -> RayTrainings:
        """The runner of a run's trainings."""
        return cls(
            run.folder,
            inputs,
            device=run.devices.workers,
            module_files=run.inputs.module_files,
            ray_options=run.ray_of_trainings,
            early_stopping=early_stopping,
            pack=run.inputs.config.pack,
            keep_modules=keep_modules,
        )

    def __enter__(self) -> RayTrainings:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._shared = None
        self._session.__exit__(kind, error, trace)

    def run(
        self,
        trainings: Sequence[Training],
        on_done: Callable[[], None],
        on_record: Callable[[TrainingRecord, bool], None] = lambda record, found: None,
    ) -> list[TrainingRecord]:
        """The record of each training, in order; ``on_done`` is called after each one.

        So is ``on_record``, with the record and whether it was found in the run folder.
        Nothing is stored for a training that has failed for good. Raises `InputError` if Ray cannot be
        started or reached.
        """
        records: dict[str, TrainingRecord] = {}
        missing = []
        for training in trainings:
            record = self._read(training)
            if record is None or self._lacks_tensors(training, record):
                missing.append(training)
            else:
                records[training.key] = record
                self._remove_state(training)
                on_done()
                on_record(record, True)

        def ended(training: Training, record: TrainingRecord) -> None:
            records[training.key] = record
            on_done()
            on_record(record, False)

        if missing:
            self._run_missing(missing, trainings, ended)
        return [records[training.key] for training in trainings]

    def _lacks_tensors(self, training: Training, record: TrainingRecord) -> bool:
        """Whether a finished training has to be repeated for its tensors.

        Those of final models are needed, and others where the training says so now. None are stored of a
        training that failed or was stopped early.
        """
        needed = training.keep or training.on == "train_val"
        return needed and record.failure is None and not self._tensors_file(training).exists()

    def tensors(self, training: Training) -> dict[str, torch.Tensor]:
        """The trained tensors of a final model that has run."""
        return checked_tensors(self._tensors_file(training))[0]

    def forget(self, trainings: Iterable[Training]) -> None:
        """Remove the trained tensors of ``trainings``, where they were stored; records and scores stay."""
        for training in trainings:
            self._tensors_file(training).unlink(missing_ok=True)

    def _run_missing(
        self,
        missing: list[Training],
        trainings: Sequence[Training],
        on_end: Callable[[Training, TrainingRecord], None],
    ) -> None:
        ray = self._session.connect()
        # The longest first: what ends last is then short, and no core waits for long.
        planned = sorted(trainings, key=_work, reverse=True)
        places = 0 if self._device == "cpu" else self._session.gpu_places()
        packs = plan_packs(planned, self._pack or pack_size(len(planned), places))
        resources = self._session.resources(len(packs), self._device)
        from nas_peft.training import ray_client, ray_tasks  # these import Ray, which takes seconds
        from nas_peft.training.early_stopping import competitors
        from nas_peft.training.state_folder import StateFolder
        from nas_peft.training.training_worker import SAVE_EVERY, Work

        leave_gpu(self._inputs.backbone.model, self._device)  # averages of weights are scored in between
        if self._shared is None:
            copy_to_nodes(ray, [self._inputs.train, self._inputs.val])
            self._shared = ray.put(self._inputs)
        # packs are planned from all trainings, whichever have finished
        left = {training.key for training in missing}
        of_packs = [[planned[n] for n in pack if planned[n].key in left] for pack in packs]
        missing = [training for pack in of_packs for training in pack]
        ends = list(accumulate(len(pack) for pack in of_packs))
        rivals = competitors(missing) if self._early_stopping else {}
        work = Work(
            inputs=self._shared,
            trainings=missing,
            packs=[
                tuple(range(end - len(pack), end)) for pack, end in zip(of_packs, ends, strict=True) if pack
            ],
            reporting=frozenset(rivals),
            threads=int(resources["CPU"]),
            device=self._device,
            gpu_share=resources.get("GPU", 0.0),
            module_files=self._module_files,
            states=StateFolder.of(self._folder.path),
            save_every=SAVE_EVERY,
        )

        def keep(training: Training, record: TrainingRecord, tensors: bytes) -> None:
            if record.error is None:
                of_use = self._keep_modules or training.keep or training.on != "train"
                if tensors and of_use and training.without is None:
                    write_atomically(self._tensors_file(training), tensors)
                if record.images is not None:
                    write_atomically(self._images_file(training), record.images.data)
                write_json(self._record_file(training), record.to_dict())
            self._remove_state(training)
            on_end(training, record)

        (ray_client if ray_client.connected() else ray_tasks).run(work, resources, rivals, keep)

    def _read(self, training: Training) -> TrainingRecord | None:
        """The record of a finished training; ``None`` too if it lacks the scores of its images.

        These decide with the others. Runs that an earlier version started did not keep them.
        """
        content, file = read_json(self._record_file(training)), self._images_file(training)
        if content is None or (content.get("val") is not None and not file.exists()):
            return None
        images = ImageScores.read(file) if content.get("val") is not None else None
        try:
            return TrainingRecord.from_dict(content, images)
        except (KeyError, TypeError, ValueError) as error:
            raise DamagedFile(self._record_file(training), "it is no record of a training") from error

    def _record_file(self, training: Training) -> Path:
        return self._folder.path / "trainings" / f"{training.key}.json"

    def _tensors_file(self, training: Training) -> Path:
        return self._folder.path / "trainings" / f"{training.key}.safetensors"

    def _images_file(self, training: Training) -> Path:
        return self._folder.path / "trainings" / f"{training.key}.val.safetensors"

    def _remove_state(self, training: Training) -> None:
        for file in self._record_file(training).parent.glob(f"{training.key}.state.pt*"):
            file.unlink()


def _work(training: Training) -> tuple[int, int]:
    """Sort key for the cost of a training: a linear probe is the lowest, full fine-tuning the highest."""
    return TRAINABLE_SETS[METHODS[training.method].trains].cost_rank, training.recipe.epochs
