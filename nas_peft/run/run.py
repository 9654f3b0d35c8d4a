"""A run: the context its stages share."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Generic, TypeVar

from nas_peft.machine.devices import Devices
from nas_peft.machine.ray_session import RayOptions
from nas_peft.run.progress import StageBars
from nas_peft.run.run_folder import RunFolder
from nas_peft.run.stage_records import PlanRecord, StageCosts
from nas_peft.run.task_inputs import TaskInputs

Inputs = TypeVar("Inputs", bound=TaskInputs, covariant=True)


@dataclass(frozen=True)
class Run(Generic[Inputs]):
    """Context shared by the stages of a run: inputs, folder, device, progress bars, Ray, and costs so far.

    Args:
        inputs: data, backbone and settings; a `SearchInputs` in a search.
        folder: the run folder.
        device: ``cpu`` or ``cuda``, of this process.
        bars: progress bars.
        ray: Ray of the separate trainings, and the resources of each.
        workers: number of processes that score candidates.
        worker_device: device of the processes on Ray; by default that of this process.
        costs: records of the finished stages.
        plan: the plan that set the options of ``inputs``, in a run with a time.
    """

    inputs: Inputs
    folder: RunFolder
    device: str
    bars: StageBars
    ray: RayOptions = field(default_factory=RayOptions)
    workers: int = 1
    worker_device: str = ""
    costs: StageCosts = field(default_factory=StageCosts)
    plan: PlanRecord | None = None

    @property
    def devices(self) -> Devices:
        """Devices of this process and of the processes on Ray."""
        return Devices(self.device, self.worker_device or self.device)
