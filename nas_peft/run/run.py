"""A run: the context its stages share."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
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
        ray: Ray of the processes beside this one, and the resources of each as the user gave them.
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
    def ray_of_trainings(self) -> RayOptions:
        """Ray of the separate trainings, with the share of a GPU that the plan gives each of them."""
        share = None if self.plan is None else self.plan.speeds.gpu_share
        if share is None or self.ray.gpus_per_trial is not None:
            return self.ray
        return replace(self.ray, gpus_per_trial=share)

    @property
    def devices(self) -> Devices:
        """Devices of this process and of the processes on Ray."""
        return Devices(self.device, self.worker_device or self.device)
