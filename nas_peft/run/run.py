"""One run: what its stages share."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Generic, TypeVar

from nas_peft.machine.devices import Devices
from nas_peft.machine.ray_session import RayOptions
from nas_peft.run.progress import StageBars
from nas_peft.run.run_folder import RunFolder
from nas_peft.run.stage_records import StageCosts
from nas_peft.run.task_inputs import TaskInputs

Inputs = TypeVar("Inputs", bound=TaskInputs, covariant=True)


@dataclass(frozen=True)
class Run(Generic[Inputs]):
    """Everything that the stages of a run share: inputs, folder, device, bars, Ray, and the costs so far.

    Args:
        inputs: data, backbone and settings; a `SearchInputs` in a search.
        folder: where everything is kept.
        device: ``cpu`` or ``cuda``, of this process.
        bars: where progress is shown.
        ray: where separate trainings run, and what each takes.
        workers: processes that score candidates.
        worker_device: the device of the processes on Ray; that of this process if not given.
        costs: the records of the stages that have ended.
    """

    inputs: Inputs
    folder: RunFolder
    device: str
    bars: StageBars
    ray: RayOptions = field(default_factory=RayOptions)
    workers: int = 1
    worker_device: str = ""
    costs: StageCosts = field(default_factory=StageCosts)

    @property
    def devices(self) -> Devices:
        """The devices of this process and of the processes on Ray."""
        return Devices(self.device, self.worker_device or self.device)
