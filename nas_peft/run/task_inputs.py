"""Inputs of every run: data, backbone and budget, loaded from the configuration and checked."""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from nas_peft.data import ImageDataset, load_dataset
from nas_peft.data.summary import data_summary
from nas_peft.run.progress import StageBars
from nas_peft.run.run_folder import RunFolder
from nas_peft.run.stage_records import InputsRecord
from nas_peft.run.training_inputs import TrainingInputs
from nas_peft.run.version import __version__
from nas_peft.settings.training_config import TrainingConfig
from search_spaces import KINDS, Architecture, Budget, InputError, count_params, head_params
from supernet import Backbone, Preprocessing, create_backbone

ALWAYS_COMPARED = ("prompt_tokens", "lora_rank", "adapter_dim", "ssf")
"""The kinds that compete alone in every run: VPT, LoRA, adapters, SSF."""


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
        preprocessing = Preprocessing.of(backbone.model)
        budget = Budget.parse(config.budget, backbone_params=backbone.params, count_head=config.count_head)
        with bars.stage("data (images)") as advance:
            dataset = load_dataset(
                config.dataset,
                to_tensor=preprocessing.to_tensor,
                seed=config.seed,
                shots=config.shots,
                skip_bad_images=config.skip_bad_images,
                drop_duplicates=config.drop_duplicates,
                layout=config.layout,
                domains=config.domains,
                max_pixels=config.max_pixels,
                root=config.data_root,
                on_progress=advance,
            )
        for remark in backbone.remarks:
            bars.say(f"backbone: {remark}")
        bars.say(data_summary(dataset.record, dataset.classes))
        return TaskInputs(config, backbone, preprocessing, budget, dataset)

    @classmethod
    def of_single_methods(cls, config: TrainingConfig, bars: StageBars) -> TaskInputs:
        """Backbone and data of a run without a search.

        Raises `InputError` for any mistake in the configuration, and if no method fits the budget.
        """
        backbone = create_backbone(config.backbone, config.backbone_weights, config.pixels())
        inputs = cls.of(config, backbone, bars)
        if not inputs.single_methods():
            least = min(
                count_params(_uniform(kind, 1, backbone.depth), backbone.shape) for kind in ALWAYS_COMPARED
            )
            needed = least + (inputs.head_params if config.count_head else 0)
            raise InputError(
                f"the budget {config.budget!r} is {inputs.budget.max_params:,} parameters, and the smallest "
                f"single method needs {needed:,}{' with the head' if config.count_head else ''}; "
                "raise the budget"
            )
        return inputs

    @property
    def head_params(self) -> int:
        """Number of elements of the classifier."""
        return head_params(self.backbone.width, len(self.dataset.classes))

    def fits(self, architecture: Architecture) -> bool:
        """Whether ``architecture`` is within the budget."""
        return self.budget.allows(architecture, self.backbone.shape, self.head_params)

    def single_methods(self) -> dict[str, Architecture]:
        """VPT, LoRA, adapters and SSF alone, by name, each at the largest uniform size within the budget.

        With ``single_sizes`` each also at half of that size, a quarter and so on, up to that many sizes.
        Names are of the form ``lora_rank-2``. A method whose smallest size exceeds the budget is left out.
        """
        limit, found = self.budget.limit(self.head_params), {}
        for kind in ALWAYS_COMPARED:

            def params(size: int, kind: str = kind) -> int:
                return count_params(_uniform(kind, size, self.backbone.depth), self.backbone.shape)

            most = KINDS[kind].max_size or max(0, limit)  # a unit of size has at least one parameter
            largest = bisect_right(range(1, most + 1), limit, key=params)
            for size in halvings(largest, self.config.single_sizes):
                found[f"{kind}-{size}"] = _uniform(kind, size, self.backbone.depth)
        return found

    @property
    def module_files(self) -> tuple[Path, ...]:
        """Python files that register module kinds: none without a search."""
        return ()

    def for_trainings(
        self, features: Tensor, inherited: Mapping[str, Mapping[str, Tensor]] | None = None
    ) -> TrainingInputs:
        """Backbone and data of the run's separate trainings; ``features (N, d)`` of train, then val.

        ``inherited`` is that of `TrainingInputs`.
        """
        data, classes = self.dataset, len(self.dataset.classes)
        return TrainingInputs(
            self.backbone, self.preprocessing, classes, data.train, data.val, features, inherited or {}
        )

    def record(self) -> InputsRecord:
        """Data and backbone, which a resumed run must find unchanged."""
        return InputsRecord(
            dataset=json.loads(json.dumps(self.dataset.record)),
            fingerprint=self.dataset.fingerprint,
            classes=list(self.dataset.classes),
            backbone=self.backbone_record(),
            nas_peft=__version__,
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


def _uniform(kind: str, size: int, depth: int) -> Architecture:
    return Architecture.uniform(depth, kind, size)


def halvings(size: int, count: int) -> list[int]:
    """``size``, half of it (rounded down) and so on while positive; at most ``count`` values."""
    return [half for i in range(count) if (half := size >> i)]
