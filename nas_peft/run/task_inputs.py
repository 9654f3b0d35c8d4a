"""Inputs of every run: data, backbone and budget, loaded from the configuration and checked."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor
from typing_extensions import Self

from nas_peft.data import ImageDataset, load_dataset
from nas_peft.data.larger_images import FACTOR, may_be_larger, with_larger_images
from nas_peft.data.picture_sizes import PictureSizes
from nas_peft.data.summary import data_summary
from nas_peft.machine.accelerator import return_freed_memory
from nas_peft.run.inherited_starts import InheritedStarts
from nas_peft.run.planned_budget import budget_of
from nas_peft.run.progress import StageBars
from nas_peft.run.run_folder import RunFolder
from nas_peft.run.single_methods import (
    ALWAYS_COMPARED,
    alone,
    halvings,
    largest_alone,
    require_known,
)
from nas_peft.run.stage_records import InputsRecord
from nas_peft.run.training_inputs import TrainingInputs
from nas_peft.run.version import __version__
from nas_peft.settings.baselines import BASELINES
from nas_peft.settings.training_config import DEFAULT_BACKBONE, FOR_REAL_USE, TrainingConfig
from search_spaces import KINDS, Architecture, Budget, InputError, count_params, head_params
from supernet import Backbone, Preprocessing, create_backbone


@dataclass(frozen=True)
class TaskInputs:
    """Inputs shared by the stages of a run, never changed."""

    config: TrainingConfig
    backbone: Backbone
    preprocessing: Preprocessing
    budget: Budget
    dataset: ImageDataset

    @classmethod
    def of(cls, config: TrainingConfig, backbone: Backbone, bars: StageBars) -> TaskInputs:
        """Load the data for a backbone. Raises `InputError` for any mistake in the configuration."""
        require_known(config.singles or ())
        for name in config.singles or ():
            alone(name, 1, backbone.shape)  # reports a kind that the backbone cannot have
        for kind in (kind for name in config.baselines for kind in BASELINES[name].kinds):
            KINDS[kind].require_backbone(backbone.shape)
        preprocessing = Preprocessing.of(backbone.model)
        budget = Budget.parse(config.budget, backbone_params=backbone.params, count_head=config.count_head)
        sizes = PictureSizes(preprocessing.to_tensor)
        with bars.stage("data (images)") as advance:
            dataset = load_dataset(
                config.dataset,
                to_tensor=sizes.to_tensor,
                seed=config.seed,
                shots=config.shots,
                skip_bad_images=config.skip_bad_images,
                drop_duplicates=config.drop_duplicates,
                layout=config.layout,
                domains=config.domains,
                max_pixels=config.max_pixels,
                root=config.data_root,
                on_progress=advance,
                say=bars.say,
                recognised_by=preprocessing.to_tensor,
            )
        for remark in backbone.remarks:
            bars.say(f"backbone: {remark}")
        _, *seen = preprocessing.input_size
        if backbone.name == DEFAULT_BACKBONE and (usual := sizes.shrunk(*seen)):
            bars.say(
                f"backbone: images of about {usual} pixels are shrunk to {seen[0]}x{seen[1]} for "
                f"{DEFAULT_BACKBONE}, a small backbone for trying the tool; for real use give "
                f"another, such as --backbone {FOR_REAL_USE} (nas-peft backbones lists them)"
            )
        bars.say(data_summary(dataset.record, dataset.classes, dataset.kept))
        found = TaskInputs(config, backbone, preprocessing, budget, dataset).with_larger_images(bars)
        return_freed_memory()
        return found

    @classmethod
    def of_single_methods(cls, config: TrainingConfig, bars: StageBars) -> TaskInputs:
        """Backbone and data of a run without a search.

        Raises `InputError` for any mistake in the configuration, and if no method fits the budget.
        """
        backbone = create_backbone(config.backbone, config.backbone_weights, config.pixels())
        inputs = cls.of(config, backbone, bars)
        if not inputs.single_methods():
            shape = backbone.shape
            least = min(count_params(alone(kind, 1, shape), shape) for kind in ALWAYS_COMPARED)
            needed = least + (inputs.head_params if config.count_head else 0)
            raise InputError(
                f"the budget {config.budget!r} is {inputs.budget.max_params:,} parameters, and the smallest "
                f"single method needs {needed:,}{' with the head' if config.count_head else ''}; "
                "raise the budget"
            )
        return inputs

    def under(self, config: TrainingConfig) -> TaskInputs:
        """The same data and backbone with the options and the budget of another configuration."""
        budget = Budget.parse(
            config.budget, backbone_params=self.backbone.params, count_head=config.count_head
        )
        return TaskInputs(config, self.backbone, self.preprocessing, budget, self.dataset)

    @property
    def planned_budget(self) -> str:
        """The budget that a plan sets where the user gives none."""
        head = self.head_params if self.config.count_head else 0
        return budget_of(self.backbone.shape, self.backbone.params, head)

    def with_larger_images(self, bars: StageBars) -> Self:
        """The same inputs with larger copies of the training images, if crops are cut and gain by them."""
        if not self.config.cuts_crops or not may_be_larger(self.dataset):
            return self
        larger = self.preprocessing.enlarged(FACTOR)
        with bars.stage("larger copies for crops (images)") as advance:
            return replace(self, dataset=with_larger_images(self.dataset, larger.to_tensor, advance))

    @property
    def head_params(self) -> int:
        """Number of elements of the classifier."""
        return head_params(self.backbone.width, len(self.dataset.classes))

    def fits(self, architecture: Architecture) -> bool:
        """Whether ``architecture`` is within the budget."""
        return self.budget.allows(architecture, self.backbone.shape, self.head_params)

    def single_methods(self) -> dict[str, Architecture]:
        """VPT, LoRA, adapters and SSF alone, by name, each at the largest uniform size within the budget.

        With ``singles`` those that it names. With ``single_sizes`` each also at half of that size, a quarter
        and so on, up to that many sizes. Names are of the form ``lora_rank-2``. A method whose smallest size
        exceeds the budget is left out.
        """
        limit, shape, found = self.budget.limit(self.head_params), self.backbone.shape, {}
        for name in self.config.singles or ALWAYS_COMPARED:
            for size in halvings(largest_alone(name, shape, limit), self.config.single_sizes):
                found[f"{name}-{size}"] = alone(name, size, shape)
        return found

    @property
    def module_files(self) -> tuple[Path, ...]:
        """Python files that register module kinds: none without a search."""
        return ()

    def for_trainings(self, features: Tensor, inherited: InheritedStarts | None = None) -> TrainingInputs:
        """Backbone and data of the run's separate trainings; ``features (N, d)`` of train, then val.

        ``inherited`` is that of `TrainingInputs`.
        """
        data, classes = self.dataset, len(self.dataset.classes)
        return TrainingInputs(
            self.backbone,
            self.preprocessing,
            classes,
            data.train,
            data.val,
            features,
            inherited or InheritedStarts(),
        )

    def record(self) -> InputsRecord:
        """Data and backbone, which a resumed run must find unchanged."""
        return InputsRecord(
            dataset=json.loads(json.dumps(self.dataset.record)),
            fingerprint=self.dataset.fingerprint,
            classes=list(self.dataset.classes),
            backbone=self.backbone_record(),
            nas_peft=__version__,
            started_in=str(Path.cwd()),
        )

    def backbone_record(self) -> dict[str, Any]:
        """Name, source, digest and size of the backbone."""
        b = self.backbone
        return {"name": b.name, "weights": b.weights, "digest": b.digest, "params": b.params}

    def require_recorded(self, folder: RunFolder) -> None:
        """Record the inputs in the run folder, or compare them by `require_unchanged` if recorded."""
        recorded = folder.read_stage("inputs", InputsRecord)
        if recorded is None:
            folder.write_stage("inputs", self.record())
        else:
            self.require_unchanged(recorded)

    def require_unchanged(self, recorded: InputsRecord) -> None:
        """Raise `InputError` if the run was started with other data, another backbone or another space."""
        if changed := recorded.changed(self.record()):
            raise InputError(
                f"the run was started with another {', '.join(changed)} (the files have changed since); "
                "give another --out to start anew"
            )
