"""The main job: data, backbone, supernet, search, retraining, test, export."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from nas_peft.comparison_stage import Comparison
from nas_peft.config import SearchConfig
from nas_peft.devices import resolve_device
from nas_peft.inherited_stage import finish_without_retraining
from nas_peft.latency_stage import latency_stage
from nas_peft.probe_stage import probe
from nas_peft.process_group import require_devices
from nas_peft.progress import StageBars
from nas_peft.ray_scorer import require_workers, scoring
from nas_peft.results import SearchResult
from nas_peft.run_folder import RunFolder
from nas_peft.run_inputs import RunInputs
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
    workers: int = 1,
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
        workers: processes that score candidates, each with a GPU or a share of the cores; what they find
            does not depend on how many there are.

    Raises:
        InputError: a mistake in the configuration, or a loss that is not finite.
    """
    if bars is None:
        with StageBars(quiet=True) as quiet:
            return search(
                config, out, device=device, bars=quiet, storage=storage, study=study, workers=workers
            )
    device = resolve_device(device)
    require_devices(config.data_parallel, device)
    require_workers(workers, device)
    inputs = RunInputs.load(config, bars)
    folder = RunFolder.open(out, config)
    with folder.held():
        return _run(inputs, folder, bars, device, storage, study, workers)


def _run(
    inputs: RunInputs,
    folder: RunFolder,
    bars: StageBars,
    device: str,
    storage: str | None,
    study: str | None,
    workers: int,
) -> SearchResult:
    config = inputs.config
    recorded = folder.read_stage("inputs")
    if recorded is None:
        folder.write_stage("inputs", inputs.to_dict())
    else:
        inputs.require_unchanged(recorded)
    if folder.results.exists():
        return SearchResult.model_validate_json(folder.results.read_text())
    record = open_record(inputs, folder, bars, storage, study)
    stages: dict[str, Any] = {}
    try:
        recipe, features, stages["linear probe"] = probe(inputs, folder, bars, device)
        if config.front_cost == "latency":
            table, stages["latency"] = latency_stage(inputs, folder, bars, device)
            inputs = replace(inputs, latency=table)
        folds, stages["supernet"] = train_supernets(inputs, features, folder, bars, device)
    except InputError:
        folder.discard()
        raise
    with scoring(inputs, folds, workers=workers, device=device) as scorer:
        candidates, stages["search"] = search_supernet(inputs, scorer, folder, bars, record)
    ranked = [c for c in inputs.searcher().ranked(candidates) if inputs.fits(c.architecture)]
    if config.no_retrain:
        return finish_without_retraining(
            inputs, folder, bars, device, recipe, features, folds, ranked, stages
        )
    return Comparison(inputs, folder, bars, device, recipe, features).run(ranked, stages)
