"""A comparison without a search: single methods within the budget and baselines, by the search's protocol."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

from nas_peft.machine.devices import resolve_devices
from nas_peft.machine.ray_session import RayOptions
from nas_peft.protocol.comparison_stage import compare_rows
from nas_peft.protocol.rows import baseline_rows, single_rows
from nas_peft.run.progress import StageBars
from nas_peft.run.results import SearchResult
from nas_peft.run.run import Run
from nas_peft.run.run_folder import RunFolder
from nas_peft.run.task_inputs import TaskInputs
from nas_peft.settings.baselines_config import BaselinesConfig
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
    """Compare single methods and baselines on a data set, export the best single method, leave a run folder.

    A run that was stopped goes on where it was; a finished one is read.

    Args:
        config: what to do.
        out: the run folder; by default one under ``runs/`` that belongs to the configuration.
        device: ``cpu``, ``cuda``, or ``auto`` for a GPU where there is one.
        bars: where progress is shown; nowhere by default.
        ray_options: where separate trainings run, and what each takes.

    Raises:
        InputError: a mistake in the configuration or the options, no single method that could be trained, or
            a Ray that cannot be started or reached.
    """
    ray_options = ray_options or RayOptions()
    devices = resolve_devices(device, ray_options)
    config = config.on(devices.workers)
    ray_options.require_possible(devices.workers)
    with StageBars(quiet=True) if bars is None else nullcontext(bars) as shown:
        inputs = TaskInputs.of_single_methods(config, shown)
        noah_inputs(inputs)  # says what its search cannot work with
        folder = RunFolder.open(out, config, inputs.dataset.fingerprint)
        with folder.held():
            return _run(Run(inputs, folder, devices.here, shown, ray_options, worker_device=devices.workers))


def _run(run: Run[TaskInputs]) -> SearchResult:
    inputs = run.inputs
    inputs.require_recorded(run.folder)
    if run.folder.results.exists():
        return SearchResult.model_validate_json(run.folder.results.read_text())
    try:
        probed = probe(run)
    except InputError:
        run.folder.discard()
        raise
    run.costs.add("linear probe", probed.record)
    noah = noah_architecture(run, probed.features)
    rows = [
        *single_rows(inputs.single_methods()),
        *baseline_rows(inputs.config, inputs.backbone.depth, noah),
    ]
    return compare_rows(run, rows, probe=probed.recipe, features=probed.features, protocol=PROTOCOL)
