"""A supernet that is trained, or read from the run folder where that has been done."""

from __future__ import annotations

from collections.abc import Callable

from nas_peft.machine.accelerator import leave_gpu, return_freed_memory
from nas_peft.machine.process_group import run_together
from nas_peft.machine.ray_session import LOCAL
from nas_peft.run.run import Run
from nas_peft.run.run_folder import RunFolder
from nas_peft.run.search_inputs import SearchInputs
from nas_peft.run.stage_records import SupernetRecord
from nas_peft.stages.supernet_on_ray import train_on_ray
from nas_peft.stages.supernet_training import SupernetTraining
from supernet import Supernet


def is_trained(folder: RunFolder, training: SupernetTraining) -> bool:
    """Whether a supernet and its record are in the run folder."""
    return folder.read_stage(training.name, SupernetRecord) is not None and training.weights.exists()


def trained_supernet(
    run: Run[SearchInputs], training: SupernetTraining, on_epoch: Callable[[int], None]
) -> tuple[Supernet, SupernetRecord]:
    """The trained supernet and its record, read from the run folder if both are there.

    With ``data_parallel`` that many processes train it: workers of the Ray at an address if one is given,
    else processes of this machine. ``on_epoch`` is told the number of epochs that are done.
    """
    record = run.folder.read_stage(training.name, SupernetRecord)
    if record is not None and training.weights.exists():
        return training.read(run.device), record
    processes = run.inputs.config.data_parallel
    if run.devices.elsewhere or (processes > 1 and run.ray.place.address != LOCAL):
        curve, peak = train_on_ray(
            training,
            run.folder.path,
            device=run.devices.workers,
            ray_options=run.ray,
            on_epoch=on_epoch,
            processes=processes,
        )
        supernet = training.read(run.device)
    elif processes == 1:
        supernet, curve, peak = training.run(run.device, on_epoch)
    else:
        leave_gpu(training.backbone.model, run.device)
        curve, peak = run_together(training, processes, run.device, on_epoch)
        supernet = training.read(run.device)
    record = SupernetRecord(
        seconds=curve.seconds, image_passes=curve.image_passes, peak_memory=peak, losses=curve.losses
    )
    run.folder.write_stage(training.name, record)
    training.state.unlink(missing_ok=True)
    return_freed_memory()
    return supernet, record
