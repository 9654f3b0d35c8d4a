"""Results of a run as `nas-peft compare` reads them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from nas_peft.compare.measure import Measure, Part
from nas_peft.data.embedded import EMBEDDED
from nas_peft.data.timm_datasets import is_timm_name
from nas_peft.run.json_file import first_fault, read_json
from nas_peft.run.place import require_run
from nas_peft.settings.baselines_config import BaselinesConfig
from nas_peft.settings.lists import with_lists
from nas_peft.settings.search_config import SearchConfig
from search_spaces import InputError

OF_THE_DATA = ("dataset", "data_root", "skip_bad_images", "seed", "seeds")
"""Options that may differ within a comparison: they decide the data and the repetitions."""
OTHER_ROWS = ("baselines",)
"""Options that add rows to a table and do not change the other rows."""
CARRYING_OUT = ("backbone_weights", "compile", "micro_batches", "checkpointing", "data_parallel")
"""Options that change results by rounding only, and the weights file, which is compared by its digest."""

OF_THE_READING = ("layout", "domains", "shots", "skip_bad_images", "drop_duplicates")
"""Options that decide which images of a data set a run has."""
BY_PLAN = "set by the plan"
"""The value of an option that a run's plan has set, whatever that is."""


class ComparedSeed(BaseModel):
    """One seed of a row: scores on validation data, and on the test set of its final model.

    All but the losses are fractions; each is ``None`` where it was not measured.
    """

    model_config = ConfigDict(extra="ignore")

    seed: int
    val_accuracy: float | None = None
    val_balanced_accuracy: float | None = None
    val_macro_f1: float | None = None
    val_loss: float | None = None
    test_accuracy: float | None = None
    test_balanced_accuracy: float | None = None
    test_macro_f1: float | None = None
    test_loss: float | None = None

    def score(self, measure: Measure, part: Part) -> float | None:
        """The score by a measure on the validation or the test set."""
        found: float | None = getattr(self, measure.field(part))
        return found


class ComparedRow(BaseModel):
    """One row of a run's table; rows with the same ``label`` are one method, at whatever size."""

    model_config = ConfigDict(extra="ignore")

    name: str
    label: str
    selected: bool
    seeds: list[ComparedSeed]

    def tests(self, measure: Measure) -> dict[int, float]:
        """Test scores by seed; seeds that were not tested are left out."""
        return {s.seed: score for s in self.seeds if (score := s.score(measure, "test")) is not None}


class ComparedPlan(BaseModel):
    """The time that a run was given, and the options that its plan set."""

    model_config = ConfigDict(extra="ignore")

    time: str
    set_options: dict[str, Any]


class ComparedInputs(BaseModel):
    """The record of a run's data: digest, class names, and the folder that relative paths are meant from.

    A folder with ``results.json`` alone has no record.
    """

    model_config = ConfigDict(extra="ignore")

    fingerprint: str | None = None
    classes: tuple[str, ...] | None = None
    started_in: str | None = None


class ComparedRun(BaseModel):
    """The fields of ``results.json`` that a comparison needs, and of ``stages/inputs.json``.

    All other fields are ignored.
    """

    model_config = ConfigDict(extra="ignore")

    run: str
    protocol: str
    config: dict[str, Any]
    dataset: dict[str, Any]
    backbone: dict[str, Any]
    rows: list[ComparedRow]
    stages: dict[str, dict[str, Any]] = {}
    plan: ComparedPlan | None = None
    inputs: ComparedInputs = ComparedInputs()

    @classmethod
    def read(cls, path: Path) -> ComparedRun:
        """Read a run folder. Raises `InputError` if it is not a run folder or the run has not ended."""
        require_run(path)
        file = path / "results.json"
        if not file.is_file():
            raise InputError(
                f"the run '{path}' has not ended: it has no results.json; start its nas-peft search command "
                "again to resume, or leave the run out"
            )
        record = path / "stages" / "inputs.json"
        try:
            run = cls.model_validate(read_json(file))
            file = record
            inputs = ComparedInputs.model_validate(read_json(record) or {})
        except ValidationError as error:
            raise InputError(
                f"'{file}' is not the {'record' if file == record else 'result'} of a run: "
                f"{first_fault(error)}; leave the run out, or search anew with another --out"
            ) from error
        return run.model_copy(update={"run": str(path), "inputs": inputs})

    @property
    def short_name(self) -> str:
        """Last component of the data set's name: ``dtd`` of ``vtab/dtd/``."""
        return Path(self.spec).name or self.spec

    @property
    def spec(self) -> str:
        """The data set as ``--dataset`` named it."""
        return str(self.config["dataset"])

    @property
    def seed(self) -> int:
        """Seed of the run's splits, supernet and search."""
        return int(self.config["seed"])

    @property
    def seconds(self) -> float:
        """Seconds of all stages."""
        return float(sum(stage.get("seconds", 0.0) for stage in self.stages.values()))

    @property
    def test_images(self) -> int:
        """Number of images in the test set."""
        return int(self.dataset["counts"]["test"])

    @property
    def place(self) -> str:
        """The data set's whole path, or its name where that is no path."""
        if self.spec in EMBEDDED or is_timm_name(self.spec):
            return self.spec
        return os.path.normpath(Path(self.inputs.started_in or "") / Path(self.spec).expanduser())

    @property
    def fingerprint(self) -> str | None:
        """Digest of the images in their parts; ``None`` if the run has no record of its inputs."""
        return self.inputs.fingerprint

    @property
    def class_count(self) -> int:
        """Number of classes."""
        return int(self.dataset["classes"])

    @property
    def counts(self) -> dict[str, int]:
        """Numbers of images by part."""
        return dict(self.dataset["counts"])

    @property
    def images(self) -> int:
        """Number of images in all parts, with the copies that the run has dropped."""
        dropped = (self.dataset.get("duplicates") or {}).get("dropped") or {}
        return int(sum(self.counts.values()) + sum(dropped.values()))

    @property
    def splits(self) -> dict[str, str]:
        """How each part was made, in words that name the seed if that decides."""
        return dict(self.dataset.get("splits") or {})

    def reading(self) -> dict[str, Any]:
        """All but the splits that decides which images a run makes of a folder, and their pixels."""
        return {name: self.config.get(name) for name in OF_THE_READING} | {"backbone": self.backbone["name"]}

    def settings(self) -> dict[str, Any]:
        """Settings that two comparable runs share: backbone, protocol, and options by name.

        An option that the run's version did not have counts as its default.
        """
        config = SearchConfig if "searcher" in self.config else BaselinesConfig
        defaults = {n: f.get_default() for n, f in config.model_fields.items() if not f.is_required()}
        options = config.model_construct(**defaults).to_dict() | with_lists(config, self.config)
        backbone = f"{self.backbone['name']} ({self.backbone['digest'][:12]})"
        told_otherwise = (*OF_THE_DATA, *OTHER_ROWS, *CARRYING_OUT, "backbone")
        rest = {name: options[name] for name in sorted(options) if name not in told_otherwise}
        return {"backbone": backbone, "protocol": self.protocol, **rest}

    def procedure(self) -> dict[str, Any]:
        """Settings that runs on several data sets share: the options that a plan set count as its time.

        So runs of one command on several data sets are comparable, whatever their plans.
        """
        if self.plan is None:
            return self.settings()
        planned = dict.fromkeys(self.plan.set_options, BY_PLAN)
        own = {name: planned.get(name, value) for name, value in self.settings().items()}
        return own | {"time": self.plan.time}

    def comparable_with(self, other: ComparedRun) -> bool:
        """Whether both runs have one procedure, or plans of two times that set the same options."""
        return self.procedure() == other.procedure() or self.settings() == other.settings()


def setting_text(settings: Mapping[str, Any], name: str) -> str:
    """The value of a setting as a command line would have it, or why there is none."""
    if name not in settings:
        return "no option of the command"
    value = settings[name]
    if isinstance(value, list | tuple):
        return ",".join(map(str, value)) or "none"
    return "not given" if value is None else str(value)


def planned_differences(runs: Sequence[ComparedRun]) -> tuple[str, ...]:
    """Names of the options that plans of one time set to different values in the runs."""
    planned = [run.plan.set_options for run in runs if run.plan is not None]
    names = dict.fromkeys(name for options in planned for name in options)
    return tuple(n for n in names if any(o.get(n) != planned[0].get(n) for o in planned))
