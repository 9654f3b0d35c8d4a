"""Separate trainings one after another in this process, for tests of devices: Ray's workers are others."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from safetensors.torch import load
from simulated_gpu import bytes_in_use

from nas_peft.machine.accelerator import leave_gpu
from nas_peft.run.training_inputs import TrainingInputs
from nas_peft.training.packs import plan_packs
from nas_peft.training.training import Training
from nas_peft.training.training_record import TrainingRecord
from nas_peft.training.within_memory import pack_within_memory

left_on_the_gpu: list[int] = []
"""What the process held on the simulated GPU when trainings began, which have it for themselves."""


class InProcess:
    """The interface of `RayTrainings`, with packs as on a GPU."""

    def __init__(self, inputs: TrainingInputs, device: str, pack: int = 4) -> None:
        self.inputs, self.device, self.pack = inputs, device, pack
        self._tensors: dict[str, bytes] = {}
        self._records: dict[str, TrainingRecord] = {}

    @classmethod
    def of_run(cls, run: Any, inputs: TrainingInputs, **options: Any) -> "InProcess":
        return cls(inputs, run.devices.workers)

    def __enter__(self) -> "InProcess":
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def run(
        self,
        trainings: Sequence[Training],
        on_done: Callable[[], None],
        on_record: Callable[[TrainingRecord, bool], None] = lambda record, found: None,
    ) -> list[TrainingRecord]:
        missing = [training for training in trainings if training.key not in self._records]
        leave_gpu(self.inputs.backbone.model, self.device)  # as in `RayTrainings`
        if missing and self.device == "cuda":
            left_on_the_gpu.append(bytes_in_use())
        for pack in plan_packs(missing, self.pack):
            members = [missing[number] for number in pack]
            found = pack_within_memory(members, self.inputs, self.device, state_files=[None] * len(members))
            for training, outcome in zip(members, found, strict=True):
                assert not isinstance(outcome, Exception), outcome
                self._records[training.key], self._tensors[training.key] = outcome
        for training in trainings:
            on_record(self._records[training.key], training not in missing)
            on_done()
        return [self._records[training.key] for training in trainings]

    def tensors(self, training: Training) -> dict[str, torch.Tensor]:
        return load(self._tensors[training.key])

    def forget(self, trainings: Iterable[Training]) -> None:
        pass
