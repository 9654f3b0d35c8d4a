"""The main job: data, backbone, supernet, search, retraining, test, export."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from nas_peft.candidate import Candidate
from nas_peft.comparison import Row, baseline_rows, single_rows
from nas_peft.comparison_stage import Comparison
from nas_peft.config import SearchConfig
from nas_peft.devices import resolve_device
from nas_peft.inherited_stage import finish_without_retraining
from nas_peft.probe_stage import probe
from nas_peft.process_group import require_devices
from nas_peft.progress import StageBars
from nas_peft.results import SearchResult
from nas_peft.run_folder import RunFolder
from nas_peft.run_inputs import RunInputs
from nas_peft.scorer import LocalScorer
from nas_peft.search_stage import open_record, search_supernet
from nas_peft.supernet_stage import train_supernets
from search_spaces import InputError

PROTOCOL = (
    "The supernet and the compared models are trained on the training part; every choice is made on the "
    "validation part. The chosen searched subnet, the single methods and the baselines are then trained "
    "again on both, to the last epoch, and the test part is read once, by all of them."
)


def search(
    config: SearchConfig,
    out: Path | None = None,
    *,
    device: str = "auto",
    bars: StageBars | None = None,
    storage: str | None = None,
    study: str | None = None,
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

    Raises:
        InputError: a mistake in the configuration, a loss of the supernet that is not finite, or no subnet
            that could be trained.
    """
    if bars is None:
        with StageBars(quiet=True) as quiet:
            return search(config, out, device=device, bars=quiet, storage=storage, study=study)
    device = resolve_device(device)
    require_devices(config.data_parallel, device)
    inputs = RunInputs.load(config, bars)
    folder = RunFolder.open(out, config)
    inputs.require_recorded(folder)
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
    comparison = Comparison(
        inputs, folder, bars, device, recipe, features, PROTOCOL, module_files=config.module_files
    )
    return comparison.run(compared_rows(inputs, ranked), stages)


def compared_rows(inputs: RunInputs, ranked: Sequence[Candidate]) -> list[Row]:
    """The first of the candidates that are no single method of the run, the single methods, the baselines."""
    singles = inputs.single_methods()
    best = [c for c in ranked if c.architecture not in singles.values()]
    return [
        *(
            Row(f"candidate-{c.number}", "searched", "subnet", c.architecture)
            for c in best[: inputs.config.retrain]
        ),
        *single_rows(singles),
        *baseline_rows(inputs.config, inputs.backbone.depth),
    ]
