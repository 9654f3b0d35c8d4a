"""Result of a run, as stored in ``results.json``."""

from __future__ import annotations

from pathlib import Path
from statistics import fmean, stdev
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from nas_peft.run.json_file import CHECKSUM, first_fault, read_json
from nas_peft.run.place import require_run
from nas_peft.run.stage_records import InputsRecord, OpeningRecord, PlanRecord, StageRecord
from nas_peft.settings.metric import SEED_FIELDS, Metric
from search_spaces import InputError

if TYPE_CHECKING:
    import pandas

Verdict: TypeAlias = Literal["better", "tie", "worse"]
Role: TypeAlias = Literal["full", "single", "searched", "runner_up"]


class RunResult(BaseModel):
    """One training of a row, including trainings by recipes that were not chosen.

    With ``on="train"`` it was scored on the validation split; with ``on="train_val"`` it is a final model,
    evaluated on the test set. ``lr`` is the learning rate in ``recipe``, which is ``None`` in results of
    version 0.1. ``image_passes`` are forward and backward, ``losses`` the mean training loss by
    epoch. ``stopped_at`` is the epoch after which an early-stopped training ended, ``error`` the reason of a
    failed one.
    """

    model_config = ConfigDict(extra="forbid")

    on: Literal["train", "train_val"]
    seed: int
    lr: float
    recipe: dict[str, Any] | None = None
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
    """One seed of a row. Accuracies are fractions; the test accuracy is that of the seed's final model.

    ``val_*`` come from a training on the training split, ``test_*`` from one on training and validation
    split, both by the row's recipe, of which ``lr`` is the learning rate (``None`` for inherited weights).
    ``image_passes`` (forward and backward) and ``seconds`` are the sums over both trainings; ``losses`` is
    the final model's mean training loss by epoch. The balanced accuracy is the mean of the classes'
    recalls, ``test_recalls``, which are ``None`` for classes without images; macro F1 is the mean of their
    F1. Results of earlier versions have neither. ``val_shifted_*`` are on shifted validation images, with
    the objective ``robust``.
    """

    model_config = ConfigDict(extra="forbid")

    seed: int
    lr: float | None
    val_accuracy: float
    val_loss: float
    test_accuracy: float | None
    test_balanced_accuracy: float | None = None
    test_macro_f1: float | None = None
    test_recalls: list[float | None] | None = None
    test_loss: float | None
    val_balanced_accuracy: float | None = None
    val_macro_f1: float | None = None
    val_shifted_accuracy: float | None = None
    val_shifted_loss: float | None = None
    image_passes: int
    seconds: float
    losses: list[float]

    def by_metric(self, metric: Metric) -> dict[str, Any]:
        """The metric's name with its scores, as the subnet's file records them; empty for accuracy."""
        if metric == "accuracy":
            return {}
        names = [f"{part}_{SEED_FIELDS[metric]}" for part in ("val", "test")]
        return {"metric": metric, **{name: getattr(self, name) for name in names}}


class IngredientResult(BaseModel):
    """A training whose weights are averaged: the seed of its image order, and its learning rate."""

    model_config = ConfigDict(extra="forbid")

    order_seed: int
    lr: float


class AveragingResult(BaseModel):
    """Ingredients of a row of averages, chosen on validation data from the trainings of the row ``of``.

    ``ingredients`` are listed for each seed's final model. A soup is their mean, and so is ``mean``, the last
    step of the exported row, whose ingredients differ in the order of the images alone. WiSE-FT has one
    ingredient, and its network is the point ``alpha`` on the line from the pretrained function (0) to the
    network after training (1). In runs of earlier versions, whose ``begins`` is ``None``, the line began at
    the network before training, which may have inherited modules. ``temperatures`` calibrate the
    probabilities of each seed's model; they are fitted to the validation images, with the logits of the
    average of the trainings on the training set alone. ``calibrated_loss`` is the validation loss after
    temperature scaling on other images. Runs of earlier versions have neither.
    """

    model_config = ConfigDict(extra="forbid")

    of: str
    way: Literal["uniform-soup", "greedy-soup", "wise-ft", "mean"]
    alpha: float | None
    ingredients: dict[int, list[IngredientResult]]
    temperatures: dict[int, float] = {}
    calibrated_loss: float | None = None
    begins: Literal["pretrained"] | None = None


class RowResult(BaseModel):
    """One row of the table.

    ``params`` are all trained parameters: ``module_params`` (including the trained part of the backbone) and
    the head. ``bytes`` is their size in float32, ``flops`` the floating point operations of a forward pass on
    one image, see `search_spaces.count_flops`. ``seeds`` are the trainings that count, ``runs`` all
    trainings. Rows without a test accuracy are searched subnets that lost to another on validation data, rows
    that halving dropped after the round ``dropped_after`` of recipes, and failed rows, which have no seeds
    and give the reason in ``error``. ``averaging`` is set for averages of other trainings; their costs
    include those of the trainings.
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
    dropped_after: int | None = None

    @property
    def tested(self) -> bool:
        """Whether the row was evaluated on the test set."""
        return bool(self.seeds) and all(s.test_accuracy is not None for s in self.seeds)

    def mean(self, metric: str) -> float:
        """Mean over seeds of a field of `SeedResult`."""
        return fmean(getattr(s, metric) for s in self.seeds)

    def std(self, metric: str) -> float | None:
        """Standard deviation over seeds; ``None`` for one seed."""
        return stdev(getattr(s, metric) for s in self.seeds) if len(self.seeds) > 1 else None


class PairedComparison(BaseModel):
    """The best searched subnet minus the best single method on the test set, both chosen on validation data.

    ``differences`` are by seed, in the ``metric`` of the run (accuracy, or minus the log loss);
    ``difference`` is their mean, ``standard_error`` its standard error (``None`` for one seed). Of the
    ``images`` of the first seed, ``searched_only`` are classified correctly only by the searched subnet and
    ``single_only`` only by the single method; ``p_value`` is from McNemar's exact test of these counts. With
    another metric than accuracy, ``interval`` is the 95% bootstrap interval of the first seed's difference
    over images.
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
    metric: Metric = "accuracy"
    interval: tuple[float, float] | None = None


class RivalResult(BaseModel):
    """The exported row against another row on the validation set.

    ``difference`` is the exported row's score minus the other's, by the metric of the run (accuracy, or
    minus the log loss), ``interval`` its 90% bootstrap interval over images, and over seeds where there are
    several. ``better`` is the share of resamples in which the exported row is better, where level ones count
    half; from 0.1 to 0.9 the ``verdict`` is ``tie``. ``loss_difference`` is that of the losses after
    temperature scaling on other images.
    """

    model_config = ConfigDict(extra="forbid")

    row: str
    difference: float
    loss_difference: float
    interval: tuple[float, float]
    better: float
    verdict: Verdict


class DecisionResult(BaseModel):
    """How the exported row was chosen, and how sure that is. All of it is about the validation set.

    ``by`` is the step of the ``rule`` that decided (``alone`` if ``among``, the number of rows that may be
    exported, is 1), ``fraction`` the number of standard errors within which scores count as equal (where
    ``robust``, those within which they are not too low for the loss on shifted images to decide; runs of
    earlier versions recorded another number there). ``roles``
    names the ``rivals`` that are full fine-tuning, the best single method, the best searched subnet and the
    one that would be exported instead. ``expected_regret`` is the score by which the best row that may be
    exported is ahead of the exported one, on average over ``resamples``. ``loss`` is the exported row's loss
    after temperature scaling on other images; runs of earlier versions have none. ``metric`` is the one that
    decides, for which the step ``accuracy`` stands.

    With ``robust`` the choice was for shifted images. Rivals and regret are of unchanged images all the same.
    """

    model_config = ConfigDict(extra="forbid")

    rule: str
    metric: Metric = "accuracy"
    fraction: float
    by: Literal["alone", "accuracy", "loss", "params", "shifted"]
    among: int
    images: int
    resamples: int
    roles: dict[Role, str]
    rivals: list[RivalResult]
    expected_regret: float
    loss: float | None = None
    robust: bool = False

    @model_validator(mode="after")
    def _robust_by_its_step(self) -> DecisionResult:
        """Runs of earlier versions did not record ``robust``, and their step says it."""
        self.robust = self.robust or self.by == "shifted"
        return self

    @property
    def better_full(self) -> RivalResult | None:
        """Full fine-tuning, if it is better than the exported row by more than the noise."""
        full = next((rival for rival in self.rivals if rival.row == self.roles.get("full")), None)
        return full if full is not None and full.verdict == "worse" else None


class SearchResult(BaseModel):
    """All measurements of a search, or of a comparison without a search, and their conditions.

    ``decision`` is ``None`` where nothing was trained separately, and in results of earlier versions;
    ``plan`` is ``None`` in runs without a time.
    """

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
    decision: DecisionResult | None = None
    stages: dict[str, StageRecord]
    plan: PlanRecord | None = None
    test_opened: OpeningRecord
    subnet: dict[str, Any]
    environment: dict[str, str]

    @model_validator(mode="before")
    @classmethod
    def _without_checksum(cls, values: Any) -> Any:
        """Of the file, which `read` compares; the text of ``results.json`` is valid with it."""
        return {k: v for k, v in values.items() if k != CHECKSUM} if isinstance(values, dict) else values

    @classmethod
    def read(cls, file: Path) -> SearchResult:
        """The result in ``results.json``; its ``run`` is the folder where the file is now.

        Raises `InputError` for a missing, damaged or other file.
        """
        content = read_json(file)
        if content is None:
            raise InputError(f"there is no result '{file}'; start the command of the run again to end it")
        try:
            result = cls.model_validate(content)
        except ValidationError as error:
            raise InputError(
                f"'{file}' is not a result of this version of nas-peft: {first_fault(error)}; "
                "search anew with another --out"
            ) from error
        return result.model_copy(update={"run": str(file.parent)})

    @classmethod
    def of_run(cls, folder: Path) -> SearchResult:
        """The result of the finished run in ``folder``, which may have been moved since the run ended.

        Raises `InputError` for a folder that is not a run folder, and for a run that has not ended.
        """
        require_run(folder)
        file = folder / "results.json"
        if not file.is_file():
            raise InputError(
                f"the run '{folder}' has not ended: it has no results.json; start its command again to go on"
            )
        return cls.read(file)

    def inputs(self) -> InputsRecord:
        """Data, backbone and space as the run recorded them in its folder.

        Raises `InputError` if the record is missing or damaged.
        """
        file = Path(self.run) / "stages" / "inputs.json"
        content = read_json(file)
        if content is None:
            raise InputError(f"the run '{self.run}' lacks '{file}'; start the command of the run again")
        return InputsRecord.model_validate({k: v for k, v in content.items() if k != CHECKSUM})

    @property
    def selected(self) -> RowResult:
        """The exported row."""
        return next(row for row in self.rows if row.selected)

    @property
    def decided(self) -> RowResult:
        """The row that the decision is about: the exported one, or the one whose mean is exported."""
        averaging = self.selected.averaging
        if averaging is None or averaging.way != "mean":
            return self.selected
        return next(row for row in self.rows if row.name == averaging.of)

    def to_dataframe(self, of: Literal["rows", "trainings"] = "rows") -> pandas.DataFrame:
        """The results as a dataframe of pandas: a line for each row of the table, or for each training.

        Accuracies are fractions. `nas_peft.run.data_frame` lists the columns. Raises `InputError` if pandas
        is not installed.
        """
        from nas_peft.run.data_frame import data_frame

        return data_frame(self, of)
