"""The main job: data, backbone, supernet, search, retraining, test, export."""

from __future__ import annotations

from pathlib import Path

from nas_peft.comparison_stage import Comparison
from nas_peft.config import SearchConfig
from nas_peft.devices import resolve_device
from nas_peft.inherited_stage import finish_without_retraining
from nas_peft.probe_stage import probe
from nas_peft.process_group import require_devices
from nas_peft.progress import StageBars
from nas_peft.ray_session import RayOptions
from nas_peft.results import SearchResult
from nas_peft.run_folder import RunFolder
from nas_peft.run_inputs import RunInputs
from nas_peft.scorer import LocalScorer
from nas_peft.search_stage import open_record, search_supernet
from nas_peft.supernet_stage import train_supernets
from search_spaces import InputError


def search(
    config: SearchConfig,
    out: Path | None = None,
    *,
    device: str = "auto",
    bars: StageBars | None = None,
    storage: str | None = None,
    study: str | None = None,
    ray_options: RayOptions | None = None,
) -> SearchResult:
    """Search the subnet for a data set, compare it with the baselines, and leave a run folder.

    The supernet and the separate trainings that choose use the training part, and every choice is made on
    the validation part; then the chosen subnet and the baselines are trained again on both, and the test part
    is opened once. A run that was stopped goes on where it was; a finished one is read.

    Args:
        config: what to do.
        out: the run folder; by default one under ``runs/`` that belongs to the configuration.
        device: ``cpu``, ``cuda``, or ``auto`` for a GPU where there is one.
        bars: where progress is shown; nowhere by default.
        storage: where Optuna records the search: a URL, or a journal file; the run folder's by default.
        study: the study's name there; the run folder's by default.
        ray_options: where separate trainings run, and what each takes.

    Raises:
        InputError: a mistake in the configuration or the options, a loss that is not finite, or a Ray that
            cannot be started or reached.
    """
    if bars is None:
        with StageBars(quiet=True) as quiet:
            return search(
                config,
                out,
                device=device,
                bars=quiet,
                storage=storage,
                study=study,
                ray_options=ray_options,
            )
    device = resolve_device(device)
    ray_options = ray_options or RayOptions()
    if config.no_retrain and ray_options != RayOptions():
        raise InputError(
            "with no_retrain nothing is trained on Ray, and ray_address, cpus_per_trial or gpus_per_trial is "
            "given; leave out one or the other"
        )
    ray_options.require_possible(device)
    require_devices(config.data_parallel, device)
    inputs = RunInputs.load(config, bars)
    folder = RunFolder.open(out, config)
    recorded = folder.read_stage("inputs")
    if recorded is None:
        folder.write_stage("inputs", inputs.to_dict())
    else:
        inputs.require_unchanged(recorded)
    if folder.results.exists():
        return SearchResult.model_validate_json(folder.results.read_text())
    record = open_record(inputs, folder, bars, storage, study)
    try:
        recipe, features, probe_stage = probe(inputs, folder, bars, device)
        folds, supernet_stage = train_supernets(inputs, features, folder, bars, device)
    except InputError:
        folder.discard()
        raise
    scorer = LocalScorer(folds, inputs.preprocessing, config.precision)
    candidates, search_stage = search_supernet(inputs, scorer, folder, bars, record)
    stages = {"linear probe": probe_stage, "supernet": supernet_stage, "search": search_stage}
    ranked = [c for c in inputs.searcher().ranked(candidates) if inputs.fits(c.architecture)]
    if config.no_retrain:
        return finish_without_retraining(
            inputs, folder, bars, device, recipe, features, folds, ranked, stages
        )
    comparison = Comparison(inputs, folder, bars, device, recipe, features, ray_options)
    return comparison.run(ranked, stages)
