"""The result of a run, as it stands in ``results.json``."""

from __future__ import annotations

from statistics import fmean, stdev
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from nas_peft.run.stage_records import OpeningRecord, StageRecord


class RunResult(BaseModel):
    """One training of one row, also at learning rates that were not chosen.

    With ``on="train"`` it was scored on the validation part; with ``on="train_val"`` it is a final model,
    which the test part was read by. ``image_passes`` are forward and backward, ``losses`` the mean training
    loss by epoch. ``stopped_at`` is the epoch after which it was stopped early, ``error`` why it failed.
    """

    model_config = ConfigDict(extra="forbid")

    on: Literal["train", "train_val"]
    seed: int
    lr: float
    chosen: bool
    params: int
    val_accuracy: float | None
    val_loss: float | None
    test_accuracy: float | None
    test_loss: float | None
    image_passes: int
    seconds: float
    losses: list[float]
    stopped_at: int | None
    error: str | None


class SeedResult(BaseModel):
    """One seed of one row. Accuracies are fractions; the test was taken by the final model of that seed.

    ``val_*`` come from a training on the training part, ``test_*`` from one on training and validation part,
    both at the learning rate ``lr`` (``None`` for inherited weights); ``image_passes`` (forward and backward)
    and ``seconds`` are of both together, ``losses`` are the final model's mean training loss by epoch.
    """

    model_config = ConfigDict(extra="forbid")

    seed: int
    lr: float | None
    val_accuracy: float
    val_loss: float
    test_accuracy: float | None
    test_loss: float | None
    image_passes: int
    seconds: float
    losses: list[float]


class IngredientResult(BaseModel):
    """A training whose weights are averaged: the seed of the order of its images, and its learning rate."""

    model_config = ConfigDict(extra="forbid")

    order_seed: int
    lr: float


class AveragingResult(BaseModel):
    """Ingredients of a row of averages, chosen on validation data: trainings of the row ``of``.

    ``ingredients`` are those of each seed's final model. Soups are their mean; WiSE-FT has one, and is the
    point ``alpha`` of the line from the network before its training (0) to that after it (1).
    """

    model_config = ConfigDict(extra="forbid")

    of: str
    way: Literal["uniform-soup", "greedy-soup", "wise-ft"]
    alpha: float | None
    ingredients: dict[int, list[IngredientResult]]


class RowResult(BaseModel):
    """One row of the table.

    ``params`` is all that is trained: ``module_params`` (with what is trained of the backbone) and the head.
    ``bytes`` are those of these tensors in float32, ``flops`` the floating point operations of a forward pass
    on one image, see `search_spaces.count_flops`. ``seeds`` are the trainings that count, ``runs`` all.
    Rows without a test accuracy are searched subnets that lost to another one on validation data, and those
    that failed, of which ``error`` says why; they have no seeds. ``averaging`` is there for averages of other
    trainings, whose costs they have too.
    """

    model_config = ConfigDict(extra="forbid")

    name: str
    label: str
    group: Literal["searched", "single", "baseline"]
    method: str
    architecture: dict[str, Any]
    description: str
    module_params: int
    head_params: int
    params: int
    bytes: int
    flops: int
    recipe: dict[str, Any]
    selected: bool
    averaging: AveragingResult | None
    seeds: list[SeedResult]
    runs: list[RunResult]
    error: str | None

    @property
    def tested(self) -> bool:
        """Whether it was among the final models."""
        return bool(self.seeds) and all(s.test_accuracy is not None for s in self.seeds)

    def mean(self, metric: str) -> float:
        """Mean of a field of `SeedResult` over seeds."""
        return fmean(getattr(s, metric) for s in self.seeds)

    def std(self, metric: str) -> float | None:
        """Standard deviation over seeds; ``None`` for one seed."""
        return stdev(getattr(s, metric) for s in self.seeds) if len(self.seeds) > 1 else None


class PairedComparison(BaseModel):
    """The best searched subnet minus the best single method on the test part; both chosen by validation.

    ``differences`` of accuracy by seed, their mean ``difference`` and its ``standard_error`` (``None`` for
    one seed). Of ``images`` of the first seed ``searched_only`` are right with the searched subnet only, and
    ``single_only`` the other way; ``p_value`` is of McNemar's exact test.
    """

    model_config = ConfigDict(extra="forbid")

    searched: str
    single: str
    seeds: list[int]
    differences: list[float]
    difference: float
    standard_error: float | None
    images: int
    searched_only: int
    single_only: int
    p_value: float


class SearchResult(BaseModel):
    """Everything that a search, or a comparison without one, measured, and how."""

    model_config = ConfigDict(extra="forbid")

    version: Literal[2] = 2
    run: str
    protocol: str
    config: dict[str, Any]
    dataset: dict[str, Any]
    backbone: dict[str, Any]
    budget: dict[str, Any]
    rows: list[RowResult]
    paired: PairedComparison | None
    stages: dict[str, StageRecord]
    test_opened: OpeningRecord
    subnet: dict[str, Any]
    environment: dict[str, str]

    @property
    def selected(self) -> RowResult:
        """The row that was exported."""
        return next(row for row in self.rows if row.selected)
