"""Export of a candidate of a finished search, with inherited or retrained weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import Tensor

from nas_peft.machine.accelerator import release_memory
from nas_peft.machine.ray_session import RayOptions
from nas_peft.planning.estimate import stage_times
from nas_peft.protocol.left_out import judged, trainings_without
from nas_peft.protocol.row_runs import best_recipe
from nas_peft.protocol.rows import Row
from nas_peft.run.export import export_subnet, file_record, subnet_of
from nas_peft.run.finished_search import FinishedSearch
from nas_peft.run.inherited_starts import InheritedStarts
from nas_peft.run.progress import StageBars
from nas_peft.run.run import Run
from nas_peft.run.search_inputs import SearchInputs
from nas_peft.run.stage_records import PLAN, PlanRecord
from nas_peft.searching.candidate import Candidate
from nas_peft.stages.final_supernet import inherited_starts
from nas_peft.stages.inherited import scored_inherited
from nas_peft.stages.probe import probe
from nas_peft.stages.supernet import read_left_out, read_supernets
from nas_peft.training.image_scores import ImageScores
from nas_peft.training.metrics import evaluation_score, mean_score
from nas_peft.training.ray_trainings import RayTrainings
from nas_peft.training.scored_training import scored_training
from nas_peft.training.temperature import fit_temperature
from nas_peft.training.training_record import TrainingRecord
from nas_peft.training.trainings import trained_network
from search_spaces import InputError
from supernet import Subnet, save_subnet

INHERITED = (
    "The weights are inherited from the supernet, which was trained on the training part; the subnet was "
    "evaluated with them on the validation part."
)
RETRAINED = (
    "Accuracy and loss are those of a training on the training part, evaluated on the validation part; the "
    "weights in the file are of the same training on both."
)
"""What the numbers in the checkpoint mean."""


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

    The record is that of `export_subnet`, with ``val_accuracy`` and the other measures on validation data
    (fractions), and ``val_loss``. Raises
    `InputError` if the data or the backbone differ from those of the run, and if the training failed.
    """
    inputs = search.inputs(bars)
    config = search.config
    if not retrain:
        subnet = inherited_subnet(search, candidate, inputs, device)
        save_subnet(subnet, file)
        return file_record(subnet, file) | {k: v for k, v in subnet.metrics.items() if k.startswith("val_")}
    run = Run(inputs, search.folder, device, bars, ray_options or RayOptions(), worker_device=worker_device)
    probed = probe(run)
    of_probe = probed.recipe
    row = Row(f"candidate-{candidate.number}", "searched", "subnet", candidate.architecture)
    inherited = _starts(run, probed.features, row) if "inherited" in config.start else None
    release_memory(run.device)  # of the supernets
    shared = inputs.for_trainings(probed.features, inherited)
    recipes = row.recipes(config, of_probe)
    tried = [t for r in recipes for t in row.trainings(config, of_probe, [config.seed], "train", r)]
    domains = tuple(shared.domains)
    planned = [*tried, *trainings_without(tried, domains)]
    plan = search.folder.read_stage(PLAN, PlanRecord)
    longest = max(recipes, key=lambda r: r.epochs)
    times = stage_times(inputs, plan)
    seconds = times.separate([*((row, t.recipe) for t in planned), (row, longest)])
    bars.expect([{"retraining": seconds}], measured=plan is not None)
    with (
        bars.counted("retraining (models)", len(planned) + 1) as bar,
        RayTrainings.of_run(run, shared) as runner,
    ):

        def report(record: TrainingRecord, found: bool) -> None:
            if found:
                bars.find(1)
            if record.training.without is not None:
                return  # its images tell of another training
            name = f"candidate {candidate.number}"
            told = scored_training(record, name, eligible=True, found=found, metric=config.metric)
            bars.scored(told)

        done = {record.training.key: record for record in runner.run(planned, bar, report)}
        records = [judged(done[training.key], done, domains) for training in tried]
        recipe = best_recipe(records, config.metric)
        record = records[recipes.index(recipe)]
        (final,) = row.trainings(config, of_probe, [config.seed], "train_val", recipe)
        (trained,) = runner.run([final], bar, report)
        if reason := trained.failure:
            raise InputError(f"candidate {candidate.number} could not be trained ({reason})")
        network = trained_network(final, runner.tensors(final), shared, "cpu")
    val = record.val_score()
    metrics = {"val_accuracy": val.accuracy, "val_loss": val.loss}
    if record.images is not None:
        metrics["val_balanced_accuracy"] = mean_score("balanced-accuracy", [record.images])
        metrics["val_macro_f1"] = mean_score("macro-f1", [record.images])
    training = final.to_dict() | {"weights": "retrained"}
    written = export_subnet(
        network,
        inputs,
        file,
        metrics=metrics | {"protocol": RETRAINED},
        training=training,
        temperature=_temperature(record.images),
    )
    return written | metrics


def _starts(run: Run[SearchInputs], features: Tensor, row: Row) -> InheritedStarts:
    """What a candidate's trainings start from."""
    supernets = read_supernets(run.inputs, run.folder, run.device)
    left_out = read_left_out(run.inputs, run.folder, run.device)
    return inherited_starts(run, features, {row.name: row.architecture}, supernets, left_out)


def inherited_subnet(
    search: FinishedSearch, candidate: Candidate, inputs: SearchInputs, device: str = "cpu"
) -> Subnet:
    """A candidate with the weights inherited from the supernet, on the CPU, scored on the validation set."""
    supernets = read_supernets(inputs, search.folder, device)
    network, found = scored_inherited(inputs, supernets, candidate.architecture)
    assert found.logits is not None  # asked for
    return subnet_of(
        network.cpu(),
        inputs,
        metrics={
            "val_accuracy": found.accuracy,
            "val_balanced_accuracy": evaluation_score("balanced-accuracy", found),
            "val_macro_f1": evaluation_score("macro-f1", found),
            "val_loss": found.loss,
            "protocol": INHERITED,
        },
        training={"weights": "inherited", "candidate": candidate.to_dict()},
        temperature=_temperature(ImageScores.of(found.logits, inputs.dataset.val.labels)),
    )


def _temperature(scores: ImageScores | None) -> float | None:
    return None if scores is None else fit_temperature(scores.logits, scores.labels)
