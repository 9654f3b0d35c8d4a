"""Any subnet of a run, ready for use: the exported one, a row of the table, or a candidate of the search."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from safetensors.torch import load_file

from nas_peft.run.finished_search import FinishedSearch, recorded_options
from nas_peft.run.json_file import read_json
from nas_peft.run.progress import StageBars
from nas_peft.run.results import RowResult, SearchResult
from nas_peft.run.run_folder import RunFolder
from nas_peft.run.stage_records import InputsRecord
from nas_peft.settings.baselines_config import BaselinesConfig
from nas_peft.settings.training_config import TrainingConfig
from nas_peft.training.image_scores import ImageScores
from nas_peft.training.temperature import fit_temperature
from nas_peft.training.training import Training
from nas_peft.training.trainings import restored_network
from search_spaces import InputError
from search_spaces.errors import unknown_name
from supernet import Preprocessing, Subnet, create_backbone, load_subnet


def subnet_of_run(run: str | Path, *, row: str | None = None, candidate: int | None = None) -> Subnet:
    """A subnet of the run folder ``run``, on the CPU; by default the exported one.

    ``row`` is the name or label of a row of the results table whose final model the run has kept.
    ``candidate`` is a number that ``nas-peft front`` lists: with retrained weights if the run has them, else
    with weights inherited from the supernet; ``training["weights"]`` says which.

    Raises `InputError` for a folder without such a subnet, naming the command that makes its weights.
    """
    path = Path(run)
    if row is not None and candidate is not None:
        raise InputError("row and candidate both pick a subnet; give one of them")
    if "searcher" in recorded_options(path):
        search = FinishedSearch.read(path)
        found = _RunSubnets(search.config, search.folder)
        return found.exported_or(row) if candidate is None else found.candidate(search, candidate)
    if candidate is not None:
        raise InputError(f"'{path}' is a run of nas-peft baselines, which has no candidates; give --row")
    return _RunSubnets(BaselinesConfig.of(**recorded_options(path)), RunFolder(path)).exported_or(row)


@dataclass(frozen=True)
class _RunSubnets:
    """The subnets whose weights a run folder holds."""

    config: TrainingConfig
    folder: RunFolder

    def exported_or(self, row: str | None) -> Subnet:
        """The subnet of a row, by name or label; without one the exported subnet."""
        if row is None:
            return self.exported()
        return self.row(_found_row(self.results(), row))

    def exported(self) -> Subnet:
        """The subnet that the run has exported."""
        if not self.folder.subnet.is_file():
            raise InputError(
                f"'{self.folder.path}' has exported no subnet yet; start its command again to resume"
            )
        return load_subnet(self.folder.subnet, backbone_weights=self.config.backbone_weights)

    def results(self) -> SearchResult:
        """The content of ``results.json``."""
        if not self.folder.results.is_file():
            raise InputError(f"'{self.folder.path}' has no results yet; start its command again to resume")
        return SearchResult.read(self.folder.results)

    def row(self, row: RowResult) -> Subnet:
        """The final model of a row, of the run's first seed."""
        if row.selected:
            return self.exported()
        if row.averaging is not None:
            raise InputError(
                f"the row '{row.name}' is an average of several trainings, whose weights are kept only where "
                "the run exports it; give another --row"
            )
        training = self.final_training(row.name)
        if training is None:
            number = row.name.removeprefix("candidate-")
            remedy = (
                f"nas-peft front {self.folder.path} --candidate {number} --retrain --export FILE trains one"
                if row.group == "searched"
                else "give a --row that has a test accuracy, of a run with retraining"
            )
            raise InputError(
                f"the run has kept no final model of the row '{row.name}', which was not the best of its "
                f"kind on validation data; {remedy}"
            )
        of_seed = next((s for s in row.seeds if s.seed == self.config.seed), None)
        metrics = (
            {}
            if of_seed is None
            else {
                "val_accuracy": of_seed.val_accuracy,
                "test_accuracy": of_seed.test_accuracy,
            }
        )
        return self.trained(training, metrics)

    def candidate(self, search: FinishedSearch, number: int) -> Subnet:
        """A candidate of the search, with retrained weights if there are any, else with inherited ones."""
        found = search.numbered(number)
        name = f"candidate-{number}"
        if self.folder.results.is_file():
            rows = {row.name: row for row in self.results().rows}
            if name in rows and rows[name].selected:
                return self.exported()
        if (training := self.final_training(name)) is not None:
            return self.trained(training, {})
        from nas_peft.scoring.inherited_network import inherited_network
        from nas_peft.stages.supernet import read_supernets

        with StageBars(quiet=True) as bars:
            inputs = search.inputs(bars)
        network = inherited_network(read_supernets(inputs, search.folder, "cpu"), found.architecture)
        training_record = {
            "weights": "inherited",
            "candidate": found.to_dict(),
            "dataset": inputs.dataset.record,
        }
        metrics = {"val_accuracy": found.accuracy, "val_loss": found.loss}
        return Subnet(
            network, inputs.backbone, inputs.dataset.classes, inputs.preprocessing, metrics, training_record
        )

    def final_training(self, name: str) -> Training | None:
        """The final training called ``name`` whose tensors are in the run folder, of the run's first seed."""
        for file in sorted((self.folder.path / "trainings").glob("*.json")):
            record = read_json(file) or {}
            named = (record.get("name"), record.get("on"), record.get("seed"), record.get("init_seed"))
            if named == (name, "train_val", self.config.seed, None):
                training = Training.from_dict(record)
                if self.tensors_file(training).is_file():
                    return training
        return None

    def tensors_file(self, training: Training) -> Path:
        """The file of a final training's weights."""
        return self.folder.path / "trainings" / f"{training.key}.safetensors"

    def scores_file(self, training: Training) -> Path:
        """The file of the same training on the training set alone, which the validation set scored."""
        return self.folder.path / "trainings" / f"{replace(training, on='train').key}.val.safetensors"

    def trained(self, training: Training, metrics: dict[str, Any]) -> Subnet:
        """The subnet of a final training."""
        recorded = self.folder.required_stage("inputs", InputsRecord)
        config = self.config
        backbone = create_backbone(config.backbone, config.backbone_weights, config.pixels())
        if backbone.digest != recorded.backbone["digest"]:
            raise InputError(
                f"the weights of backbone '{backbone.name}' are not those of the run "
                f"'{self.folder.path}'; put the run's weights back"
            )
        tensors = load_file(self.tensors_file(training))
        file = self.scores_file(training)
        scores = ImageScores(file.read_bytes()) if file.is_file() else None
        network = restored_network(training, tensors, backbone, len(recorded.classes), "cpu")
        return Subnet(
            network=network,
            backbone=backbone,
            classes=tuple(recorded.classes),
            preprocessing=Preprocessing.of(backbone.model),
            metrics=metrics,
            training=training.to_dict() | {"weights": "retrained", "dataset": recorded.dataset},
            temperature=None if scores is None else fit_temperature(scores.logits, scores.labels),
        )


def _found_row(results: SearchResult, name: str) -> RowResult:
    """The row with a name, or with a label that no other row has."""
    by_name = {row.name: row for row in results.rows}
    if name in by_name:
        return by_name[name]
    labelled = [row for row in results.rows if row.label == name]
    if len(labelled) == 1:
        return labelled[0]
    if labelled:
        names = ", ".join(row.name for row in labelled)
        raise InputError(f"{len(labelled)} rows are called '{name}'; give one of their names: {names}")
    raise unknown_name("row", name, by_name, "Give one of them to --row.")
