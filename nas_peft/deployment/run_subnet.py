"""Any subnet of a run, ready for use: the exported one, a row of the table, or a candidate of the search."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from nas_peft.deployment.row_choice import found_row
from nas_peft.front.export import inherited_subnet
from nas_peft.run.finished_search import FinishedSearch, recorded_options
from nas_peft.run.inherited_starts import InheritedStarts
from nas_peft.run.json_file import read_json
from nas_peft.run.moved_inputs import with_found_paths
from nas_peft.run.progress import StageBars
from nas_peft.run.results import AveragingResult, RowResult, SearchResult
from nas_peft.run.run import Run
from nas_peft.run.run_folder import RunFolder
from nas_peft.run.stage_records import InputsRecord
from nas_peft.run.task_inputs import TaskInputs
from nas_peft.run.version import __version__
from nas_peft.scoring.inherited_network import inherited_tensors
from nas_peft.settings.baselines_config import BaselinesConfig
from nas_peft.settings.training_config import TrainingConfig
from nas_peft.stages.probe import probe
from nas_peft.stages.supernet import read_supernets
from nas_peft.training.final_models import WiseFtModel
from nas_peft.training.image_scores import ImageScores
from nas_peft.training.ray_trainings import RayTrainings
from nas_peft.training.soups import uniform_soup
from nas_peft.training.temperature import fit_temperature
from nas_peft.training.training import Training
from nas_peft.training.trainings import restored_network
from search_spaces import InputError
from supernet import (
    Backbone,
    Preprocessing,
    Subnet,
    Supernet,
    checked_tensors,
    create_backbone,
    load_subnet,
)

TRAINING_SET_ALONE = (
    "The weights are those of a training on the training part, which the validation part scored. The row "
    "lost to another of its kind there, so that it has no final model, and no accuracy on the test part."
)
"""What the numbers mean of a row without a final model."""


def subnet_of_run(
    run: str | Path, *, row: str | None = None, candidate: int | None = None, dataset: str | None = None
) -> Subnet:
    """A subnet of the run folder ``run``, on the CPU; by default the exported one.

    ``row`` is the name or label of a row of the results table: its final model, or where the row lost to
    another of its kind on validation data, the network of its training on the training set alone
    (``training["on"]`` is then ``"train"``). ``candidate`` is a number that ``nas-peft front`` lists: with
    retrained weights if the run has them, else with weights inherited from the supernet;
    ``training["weights"]`` says which.

    ``dataset`` says where the data of the run are now, if they have moved: inherited weights and the averages
    of some rows are made of these again.

    Raises `InputError` for a folder without such a subnet, naming the command that makes its weights.
    """
    path = Path(run)
    if row is not None and candidate is not None:
        raise InputError("row and candidate both pick a subnet; give one of them")
    found = RunSubnets.of(path, dataset)
    if candidate is None:
        return found.exported_or(row)
    if found.search is None:
        raise InputError(f"'{path}' is a run of nas-peft baselines, which has no candidates; give --row")
    return found.candidate(found.search, candidate)


@dataclass(frozen=True)
class RunSubnets:
    """The subnets whose weights a run folder holds; ``search`` is ``None`` in a run of baselines."""

    config: TrainingConfig
    folder: RunFolder
    search: FinishedSearch | None = None

    @classmethod
    def of(cls, path: Path, dataset: str | None = None) -> RunSubnets:
        """The subnets of a run folder, whose relative paths are found from any working folder.

        ``dataset`` says where the data are now, if they have moved.
        """
        if "searcher" in recorded_options(path):
            search = FinishedSearch.read(path, dataset)
            return cls(search.config, search.folder, search)
        folder = RunFolder(path)
        inputs = folder.read_stage("inputs", InputsRecord)
        config = BaselinesConfig.of(**recorded_options(path))
        return cls(with_found_paths(config, path, inputs.started_in if inputs else None, dataset), folder)

    def exported_or(self, row: str | None) -> Subnet:
        """The subnet of a row, by name or label; without one the exported subnet."""
        if row is None:
            return self.exported()
        return self.row(found_row(self.results(), row))

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
        """The model of a row, of the run's first seed."""
        if row.selected:
            return self.exported()
        if row.error is not None:
            raise InputError(f"the row '{row.name}' could not be trained ({row.error}); give another --row")
        if row.averaging is not None:
            return self._average(row, row.averaging)
        if (training := self._kept(row.name, "train_val")) is not None:
            return self._trained(training, self._metrics(row))
        if (training := self._kept(row.name, "train", row.recipe)) is not None:
            return self._trained(training, self._metrics(row) | {"protocol": TRAINING_SET_ALONE})
        if getattr(self.config, "no_retrain", False):  # which a run of baselines has not
            raise InputError(
                f"the run has no weights of the row '{row.name}': with --no-retrain nothing is trained "
                "beside the supernet, and the exported subnet alone is kept; give --candidate for another "
                "one with inherited weights, or run the command without --no-retrain and with another --out"
            )
        number = row.name.removeprefix("candidate-")
        remedy = (
            f"nas-peft front {self.folder.path} --candidate {number} --retrain --export FILE trains one"
            if row.group == "searched"
            else "give a --row that has a test accuracy, or run the comparison again with another --out"
        )
        raise InputError(
            f"the run has kept no weights of the row '{row.name}', which was not the best of its kind on "
            f"validation data (earlier versions kept none of such rows); {remedy}"
        )

    def candidate(self, search: FinishedSearch, number: int) -> Subnet:
        """A candidate of the search, with retrained weights if there are any, else with inherited ones."""
        found = search.numbered(number)
        name = f"candidate-{number}"
        if self.folder.results.is_file():
            row = next((row for row in self.results().rows if row.name == name), None)
            if row is not None and row.error is None and (row.selected or self._has(row)):
                return self.row(row)
        if (training := self._kept(name, "train_val")) is not None:  # by nas-peft front --retrain
            return self._trained(training, {})
        with StageBars(quiet=True) as bars:
            return inherited_subnet(search, found, search.inputs(bars))

    def _has(self, row: RowResult) -> bool:
        kept = self._kept(row.name, "train_val") or self._kept(row.name, "train", row.recipe)
        return kept is not None

    def _metrics(self, row: RowResult) -> dict[str, Any]:
        """The first seed's accuracies and scores by the metric of the run, and what they are of."""
        for found in row.seeds:
            if found.seed == self.config.seed:
                metrics: dict[str, Any] = {
                    "val_accuracy": found.val_accuracy,
                    "test_accuracy": found.test_accuracy,
                }
                metrics |= found.by_metric(self.config.metric)
                return metrics | {"protocol": self.results().protocol}
        return {}

    def _average(self, row: RowResult, averaging: AveragingResult) -> Subnet:
        """The mean of the final models of a soup's members, or the point of WiSE-FT."""
        members = [
            self._kept(averaging.of, "train_val", {"lr": member.lr}, member.order_seed)
            for member in averaging.ingredients.get(self.config.seed, ())
        ]
        trainings = [training for training in members if training is not None]
        if not trainings or len(trainings) < len(members):
            raise InputError(
                f"the weights that the row '{row.name}' is the average of are no longer in "
                f"'{self.folder.path}/trainings'; give another --row"
            )
        first = trainings[0]
        if averaging.alpha is None:
            backbone = self._backbone()
            mean = uniform_soup([checked_tensors(self._tensors_file(training))[0] for training in trainings])
            network = self._restored(first, mean, backbone)
            about: dict[str, Any] = {"mean_of": [training.to_dict() for training in trainings]}
        else:
            from_start = averaging.begins is None
            network, backbone = self._on_line(first, averaging.alpha, from_start)
            about = {"alpha": averaging.alpha, "training": first.to_dict()}
        temperature = averaging.temperatures.get(self.config.seed)
        return self._subnet(network, backbone, about, self._metrics(row), temperature)

    def _on_line(self, training: Training, alpha: float, from_start: bool) -> tuple[Supernet, Backbone]:
        """The point of WiSE-FT; where its line begins is made again from the run's data.

        ``from_start`` is for runs of earlier versions, see `WiseFtModel`.
        """
        with StageBars(quiet=True) as bars:
            inputs: TaskInputs
            inherited = InheritedStarts()
            if self.search is not None:
                inputs = of_search = self.search.inputs(bars)
                if from_start and training.recipe.start == "inherited":
                    supernets = read_supernets(of_search, self.folder, "cpu")
                    tensors = inherited_tensors(supernets, training.architecture)
                    inherited = InheritedStarts({training.name: tensors})
            else:
                inputs = TaskInputs.of(self.config, self._backbone(), bars)
                inputs.require_unchanged(self._inputs_record())
            run = Run(inputs, self.folder, "cpu", bars)
            shared = inputs.for_trainings(probe(run).features, inherited)
            trainings, head = RayTrainings.of_run(run, shared), self.config.head_recipe()
            model = WiseFtModel(training, alpha, trainings, shared, head, from_start)
            return model.network("cpu"), inputs.backbone

    def _kept(
        self, name: str, on: str, recipe: Mapping[str, Any] | None = None, seed: int | None = None
    ) -> Training | None:
        """A training called ``name`` that starts from the run's first seed, if its tensors are kept.

        ``recipe`` has values that its recipe must have. ``seed`` is that of the order of its images, by
        default the first seed, too.
        """
        first = self.config.seed
        order = first if seed is None else seed
        wanted = (name, on, order, None if order == first else first)
        for file in sorted((self.folder.path / "trainings").glob("*.json")):
            record = read_json(file) or {}
            if (record.get("name"), record.get("on"), record.get("seed"), record.get("init_seed")) != wanted:
                continue
            training = Training.from_dict(record)
            own = training.recipe.to_dict()
            of_recipe = all(own.get(key) == value for key, value in (recipe or {}).items())
            if of_recipe and self._tensors_file(training).is_file():
                return training
        return None

    def _tensors_file(self, training: Training) -> Path:
        return self.folder.path / "trainings" / f"{training.key}.safetensors"

    def _temperature(self, training: Training) -> float | None:
        """The temperature by the validation images, of the training on the training set alone."""
        key = replace(training, on="train").key
        file = self.folder.path / "trainings" / f"{key}.val.safetensors"
        if not file.is_file():
            return None
        scores = ImageScores.read(file)
        return fit_temperature(scores.logits, scores.labels)

    def _inputs_record(self) -> InputsRecord:
        return self.folder.required_stage("inputs", InputsRecord)

    def _backbone(self) -> Backbone:
        """The run's backbone. Raises `InputError` if its weights have changed."""
        config = self.config
        backbone = create_backbone(config.backbone, config.backbone_weights, config.pixels())
        if backbone.digest != self._inputs_record().backbone["digest"]:
            raise InputError(
                f"the weights of backbone '{backbone.name}' are not those of the run "
                f"'{self.folder.path}'; put the run's weights back"
            )
        return backbone

    def _restored(self, training: Training, tensors: dict[str, Tensor], backbone: Backbone) -> Supernet:
        return restored_network(training, tensors, backbone, len(self._inputs_record().classes), "cpu")

    def _trained(self, training: Training, metrics: dict[str, Any]) -> Subnet:
        """The subnet of one training."""
        backbone = self._backbone()
        network = self._restored(training, checked_tensors(self._tensors_file(training))[0], backbone)
        return self._subnet(network, backbone, training.to_dict(), metrics, self._temperature(training))

    def _subnet(
        self,
        network: Supernet,
        backbone: Backbone,
        training: Mapping[str, Any],
        metrics: dict[str, Any],
        temperature: float | None,
    ) -> Subnet:
        recorded = self._inputs_record()
        return Subnet(
            network=network,
            backbone=backbone,
            classes=tuple(recorded.classes),
            preprocessing=Preprocessing.of(backbone.model),
            metrics=metrics,
            training={
                **training,
                "weights": "retrained",
                "dataset": recorded.dataset,
                "nas_peft": recorded.nas_peft or __version__,
            },
            temperature=temperature,
        )
