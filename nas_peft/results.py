"""The result of a search, as it stands in ``results.json``."""

from __future__ import annotations

from statistics import fmean, stdev
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict


class SeedResult(BaseModel):
    """One seed of one row. Accuracies are fractions; the test was taken by the final model of that seed.

    ``val_*`` come from a training on the training part, ``test_*`` from one on training and validation part;
    ``image_passes`` (forward and backward) and ``seconds`` are of both together, ``losses`` are the final
    model's mean training loss by epoch.
    """

    model_config = ConfigDict(extra="forbid")

    seed: int
    val_accuracy: float
    val_loss: float
    test_accuracy: float | None
    test_loss: float | None
    image_passes: int
    seconds: float
    losses: list[float]


class RowResult(BaseModel):
    """One row of the table.

    ``params`` is all that is trained: ``module_params`` (the backbone's for full fine-tuning) and the head.
    ``bytes`` are those of these tensors in float32, ``flops`` the floating point operations of a forward pass
    on one image, see `search_spaces.count_flops`.
    Rows without a test accuracy are searched subnets that lost to another one on validation data.
    """

    model_config = ConfigDict(extra="forbid")

    name: str
    label: str
    group: Literal["searched", "single", "baseline"]
    architecture: dict[str, Any]
    description: str
    module_params: int
    head_params: int
    params: int
    bytes: int
    flops: int
    recipe: dict[str, Any]
    selected: bool
    seeds: list[SeedResult]

    @property
    def tested(self) -> bool:
        """Whether it was among the final models."""
        return all(s.test_accuracy is not None for s in self.seeds)

    def mean(self, metric: str) -> float:
        """Mean of a field of `SeedResult` over seeds."""
        return fmean(getattr(s, metric) for s in self.seeds)

    def std(self, metric: str) -> float | None:
        """Standard deviation over seeds; ``None`` for one seed."""
        return stdev(getattr(s, metric) for s in self.seeds) if len(self.seeds) > 1 else None


class SearchResult(BaseModel):
    """Everything that a search measured, and how."""

    model_config = ConfigDict(extra="forbid")

    version: Literal[1] = 1
    run: str
    protocol: str
    config: dict[str, Any]
    dataset: dict[str, Any]
    backbone: dict[str, Any]
    budget: dict[str, Any]
    rows: list[RowResult]
    stages: dict[str, dict[str, Any]]
    test_opened: dict[str, Any]
    subnet: dict[str, Any]
    environment: dict[str, str]

    @property
    def selected(self) -> RowResult:
        """The row that was exported."""
        return next(row for row in self.rows if row.selected)
