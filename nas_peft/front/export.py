"""Export of a candidate of a finished search, with inherited or retrained weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nas_peft.machine.ray_session import RayOptions
from nas_peft.protocol.row_runs import best_rate
from nas_peft.protocol.rows import Row
from nas_peft.run.export import export_subnet
from nas_peft.run.finished_search import FinishedSearch
from nas_peft.run.progress import StageBars
from nas_peft.run.run import Run
from nas_peft.scoring.inherited_network import inherited_network
from nas_peft.searching.candidate import Candidate
from nas_peft.stages.probe import probe
from nas_peft.stages.supernet import read_supernets
from nas_peft.training.ray_trainings import RayTrainings
from nas_peft.training.trainings import trained_network
from search_spaces import InputError
from supernet import evaluate


def export_candidate(
    search: FinishedSearch,
    candidate: Candidate,
    file: Path,
    *,
    retrain: bool,
    device: str,
    bars: StageBars,
    ray_options: RayOptions | None = None,
    worker_device: str = "",
) -> dict[str, Any]:
    """Write the checkpoint of a candidate of a finished search; return the record of the file.

    With ``retrain`` the candidate is trained as the run trains its best candidates: on the training set, for
    the validation score, then on training and validation set, for the checkpoint. Trainings that the run has
    done are not repeated. Without ``retrain`` the checkpoint has the weights inherited from the supernet. The
    test set stays sealed: which candidate to use is a choice, and choices are made on the validation set.

    The record is that of `export_subnet`, with ``val_accuracy`` (a fraction) and ``val_loss``. Raises
    `InputError` if the data or the backbone differ from those of the run, and if the training failed.
    """
    inputs = search.inputs(bars)
    data, preprocessing, config = inputs.dataset, inputs.preprocessing, search.config
    if not retrain:
        network = inherited_network(read_supernets(inputs, search.folder, device), candidate.architecture)
        found = evaluate(
            network,
            data.val.images,
            data.val.labels,
            preprocessing=preprocessing,
            precision=config.chosen_precision,
        )
        metrics = {"val_accuracy": found.accuracy, "val_loss": found.loss}
        training: dict[str, Any] = {"weights": "inherited", "candidate": candidate.to_dict()}
        return export_subnet(network.cpu(), inputs, file, metrics=metrics, training=training) | metrics
    run = Run(inputs, search.folder, device, bars, ray_options or RayOptions(), worker_device=worker_device)
    probed = probe(run)
    shared, recipe = inputs.for_trainings(probed.features), probed.recipe
    row = Row(f"candidate-{candidate.number}", "searched", "subnet", candidate.architecture)
    rates = row.rates(config, recipe)
    tried = [t for lr in rates for t in row.trainings(config, recipe, [config.seed], "train", lr)]
    with (
        bars.counted("retraining (models)", len(tried) + 1) as bar,
        RayTrainings.of_run(run, shared) as runner,
    ):
        records = runner.run(tried, bar)
        lr = best_rate(records)
        record = records[rates.index(lr)]
        (final,) = row.trainings(config, recipe, [config.seed], "train_val", lr)
        (trained,) = runner.run([final], bar)
        if reason := trained.failure:
            raise InputError(f"candidate {candidate.number} could not be trained ({reason})")
        network = trained_network(final, runner.tensors(final), shared, "cpu")
    val = record.val_score()
    metrics = {"val_accuracy": val.accuracy, "val_loss": val.loss}
    training = final.to_dict() | {"weights": "retrained"}
    return export_subnet(network, inputs, file, metrics=metrics, training=training) | metrics
