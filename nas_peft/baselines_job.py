"""A comparison without a search: single methods within the budget and baselines, by the search's protocol."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

from nas_peft.machine.devices import resolve_devices
from nas_peft.machine.ray_session import RayOptions
from nas_peft.planning.estimate import expected_courses
from nas_peft.protocol.comparison_stage import compare_rows
from nas_peft.protocol.rows import baseline_rows, single_rows
from nas_peft.run.inherited_starts import InheritedStarts
from nas_peft.run.noted_options import noted_options
from nas_peft.run.progress import StageBars
from nas_peft.run.results import SearchResult
from nas_peft.run.run import Run
from nas_peft.run.run_folder import RunFolder
from nas_peft.run.task_inputs import TaskInputs
from nas_peft.settings.baselines_config import BaselinesConfig
from nas_peft.stages.lora_pruning import pruned_lora
from nas_peft.stages.noah import noah_architecture, noah_inputs
from nas_peft.stages.probe import probe
from search_spaces import InputError

PROTOCOL = (
    "The compared models are trained on the training part; every choice is made on the validation part. All "
    "are then trained again on both, to the last epoch, and the test part is read once, by all of them."
)


def compare_baselines(
    config: BaselinesConfig,
    out: Path | None = None,
    *,
    device: str = "auto",
    bars: StageBars | None = None,
    ray_options: RayOptions | None = None,
) -> SearchResult:
    """Compare single methods and baselines on a data set, export the best single method, write a run folder.

    An interrupted run resumes; the result of a finished run is read.

    Args:
        config: configuration of the comparison.
        out: the run folder; by default ``runs/DATASET-BACKBONE-HASH``, see `RunFolder.open`.
        device: ``cpu``, ``cuda``, or ``auto`` for a GPU where there is one.
        bars: progress bars; none by default.
        ray_options: the Ray to use, and the resources of each training.

    Raises:
        InputError: a mistake in the configuration or the options, no single method that could be trained, or
            a Ray that cannot be started or reached.
    """
    ray_options = ray_options or RayOptions()
    noted = noted_options(device, ray_options)
    devices = resolve_devices(device, ray_options)
    config = config.on(devices.workers)
    ray_options.require_possible(devices.workers)
    with StageBars(quiet=True) if bars is None else nullcontext(bars) as shown:
        inputs = TaskInputs.of_single_methods(config, shown)
        noah_inputs(inputs)  # raises early for inputs that NOAH's search cannot use
        folder = RunFolder.open(out, config, inputs.dataset.fingerprint, noted)
        with folder.held():
            shown.tell("run", folder=str(folder.path), config=config.to_dict())
            return _run(Run(inputs, folder, devices.here, shown, ray_options, worker_device=devices.workers))


def _run(run: Run[TaskInputs]) -> SearchResult:
    inputs = run.inputs
    inputs.require_recorded(run.folder)
    if run.folder.results.exists():
        return SearchResult.read(run.folder.results)
    run.bars.expect(expected_courses(inputs, None), measured=False)
    try:
        probed = probe(run)
    except InputError:
        run.folder.discard()
        raise
    run.costs.add("linear probe", probed.record)
    noah = noah_architecture(run, probed.features)
    lora = pruned_lora(run, probed.features)
    rows = [
        *single_rows(inputs.single_methods()),
        *baseline_rows(inputs.config, inputs.backbone.depth, noah, lora.architecture),
    ]
    return compare_rows(
        run,
        rows,
        probe=probed.recipe,
        features=probed.features,
        protocol=PROTOCOL,
        inherited=InheritedStarts(lora.inherited),
    )
