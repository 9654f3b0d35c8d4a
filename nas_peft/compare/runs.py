"""Results of a run as `nas-peft compare` reads them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from nas_peft.compare.measure import Measure, Part
from nas_peft.run.json_file import first_fault, read_json
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


class ComparedRun(BaseModel):
    """The fields of ``results.json`` that a comparison needs; all other fields are ignored."""

    model_config = ConfigDict(extra="ignore")

    run: str
    protocol: str
    config: dict[str, Any]
    dataset: dict[str, Any]
    backbone: dict[str, Any]
    rows: list[ComparedRow]
    stages: dict[str, dict[str, Any]] = {}
    plan: ComparedPlan | None = None

    @classmethod
    def read(cls, path: Path) -> ComparedRun:
        """Read a run folder. Raises `InputError` if it is not a run folder or the run has not ended."""
        if not (path / "config.yaml").is_file():
            raise InputError(
                f"'{path}' is not a run folder: it has no config.yaml; give one of nas-peft search"
            )
        file = path / "results.json"
        if not file.is_file():
            raise InputError(
                f"the run '{path}' has not ended: it has no results.json; start its nas-peft search command "
                "again to resume, or leave the run out"
            )
        try:
            run = cls.model_validate(read_json(file))
        except ValidationError as error:
            raise InputError(
                f"'{file}' is not the result of a run: {first_fault(error)}; leave the run out, "
                "or search anew with another --out"
            ) from error
        return run.model_copy(update={"run": str(path)})

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
    def data(self) -> tuple[Any, ...]:
        """Number of classes, and numbers of images by part: equal for two runs on the same data."""
        return (self.dataset["classes"], *sorted(self.dataset["counts"].items()))

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
        own = {name: value for name, value in self.settings().items() if name not in self.plan.set_options}
        return own | {"time": self.plan.time}

    def comparable_with(self, other: ComparedRun) -> bool:
        """Whether both runs have one procedure, or plans of two times that set the same options."""
        return self.procedure() == other.procedure() or self.settings() == other.settings()


def planned_differences(runs: Sequence[ComparedRun]) -> tuple[str, ...]:
    """Names of the options that plans of one time set to different values in the runs."""
    planned = [run.plan.set_options for run in runs if run.plan is not None]
    names = dict.fromkeys(name for options in planned for name in options)
    return tuple(n for n in names if any(o.get(n) != planned[0].get(n) for o in planned))
