"""Records of a run's stages: the files under ``stages/``, and the costs in ``results.json``."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from pydantic import BaseModel, ConfigDict, SerializerFunctionWrapHandler, model_serializer

from search_spaces import LatencyTable


class StageRecord(BaseModel):
    """Cost of a stage, with further fields for each kind of stage.

    ``image_passes`` counts images through the backbone forward and backward, ``image_passes_full`` those
    among them that also train the backbone, ``image_passes_forward`` images that go forward only.
    ``peak_memory`` is in bytes, ``None`` where it cannot be measured. Only given fields are written.
    """

    model_config = ConfigDict(frozen=True, extra="allow")

    seconds: float
    image_passes: int = 0
    image_passes_forward: int | float = 0
    image_passes_full: int = 0
    peak_memory: int | None = None

    @model_serializer(mode="wrap")
    def _only_given(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {name: value for name, value in handler(self).items() if name in self.model_fields_set}


class ProbeRecord(StageRecord):
    """Linear probing: the learning rates tried, their validation losses, and the one chosen.

    ``losses_balanced`` are the losses by class balance where several, or another than ``none``, were tried;
    ``val_losses`` are then those of the chosen one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    lrs: list[float]
    val_losses: list[float]
    lr: float
    class_balance: str = "none"
    losses_balanced: dict[str, list[float]] | None = None


class LatencyRecord(StageRecord):
    """A latency table with the conditions of its measurement.

    ``networks`` holds the measured latencies, ``table`` the output of `LatencyTable.to_dict`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    environment: dict[str, str]
    unit: str
    batch_size: int
    image_size: list[int]
    threads: int
    precision: str
    modules: str
    rounds: int
    networks: dict[str, float]
    table: dict[str, Any]

    def latency_table(self) -> LatencyTable:
        """The latency table that gives the candidates' costs."""
        return LatencyTable.from_dict(self.table)


class SupernetRecord(StageRecord):
    """The training of one supernet: ``losses`` are the mean training losses by epoch."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    losses: list[float]


class SupernetChoiceRecord(StageRecord):
    """The choice among supernets of several recipes, and each one's median loss.

    ``losses`` are by number of epochs and the variants of the recipe: ``4``, ``4 crop``, ``4 crop weighted``.
    ``recipe`` is the chosen one of these names, absent in runs of earlier versions.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    epochs: int
    augmentation: str = "none"
    class_balance: str = "none"
    recipe: str | None = None
    losses: dict[str, float]


class SupernetsRecord(StageRecord):
    """All supernets of a run; the choice as in `SupernetChoiceRecord` if there were several recipes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    supernets: list[SupernetRecord]
    epochs: int | None = None
    augmentation: str | None = None
    class_balance: str | None = None
    losses: dict[str, float] | None = None


class SearchStageRecord(StageRecord):
    """A finished search.

    ``candidates`` were scored, and ``dropped`` of them were eliminated early; ``images`` counts the scored
    pairs of candidate and image, ``images_without_racing`` the pairs that scoring without racing would take.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    searcher: dict[str, Any]
    candidates: int
    dropped: int
    images: int
    images_without_racing: int
    head_params: int
    backbone_params: int


class TrainingsRecord(StageRecord):
    """A stage of separate trainings."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    trainings: int


class PruningRecord(StageRecord):
    """LoRA that was trained and cut.

    ``start_rank`` is the rank before, ``architecture`` what is left, and ``threshold`` the smallest singular
    value there. ``architecture`` is empty where the training failed, for the reason ``error``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    start_rank: int
    architecture: dict[str, Any]
    threshold: float | None
    losses: list[float]
    error: str | None = None


class RecordPlace(BaseModel):
    """Optuna's storage and study of a search; ``storage`` is ``None`` for the run folder's own journal."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    storage: str | None
    study: str


PLAN = "plan"
"""Name of the stage that plans a run for a given time."""


class Speeds(BaseModel):
    """Seconds per image, as measured on this machine before the plan was made.

    ``forward`` is a forward pass, ``supernet`` a training step of the supernet, ``subnet`` and ``full`` steps
    of separate trainings, of which ``places`` run at once. ``gpu_share`` is the share of a GPU that each of
    these takes, if the plan has chosen it; ``None`` if the user has, and without a GPU.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    forward: float
    supernet: float
    subnet: float
    full: float
    places: int
    gpu_share: float | None = None


class PlanRecord(BaseModel):
    """The plan of a run: the options that it sets, and the seconds that each stage is expected to take.

    ``time`` is the limit as it was given, ``seconds`` the same in seconds. ``before`` are the seconds from
    the start of the command to the plan. ``level`` is the plan's place among the ``levels``, from 1;
    ``set_options`` are the options that the plan sets, in the terms of ``config.yaml``. ``stages`` holds if
    the rounds of recipes end as early as they can; ``lengthened`` are the stages of longer courses: with the
    late choices, with one more round, with two more, and so on.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    time: str
    seconds: float
    before: float
    level: int
    levels: int
    set_options: dict[str, Any]
    speeds: Speeds
    stages: dict[str, float]
    lengthened: list[dict[str, float]] = []

    @property
    def expected(self) -> float:
        """Seconds from the start of the command to its end, if more epochs soon are no better."""
        return self.before + sum(self.stages.values())

    @property
    def longest(self) -> float:
        """Seconds of the command if all rounds of recipes are run."""
        return self.before + sum([self.stages, *self.lengthened][-1].values())

    def of(self, stages: Collection[str]) -> dict[str, float]:
        """The expected stages of a run that had these."""
        plans = [self.stages, *self.lengthened]
        return next((plan for plan in plans if set(stages) <= plan.keys()), plans[-1])


class OpeningRecord(BaseModel):
    """Time of opening the test set, and the decision frozen before it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    opened_at: str
    decision: dict[str, Any]


class InputsRecord(BaseModel):
    """Data, backbone and space of a run, which a resumed run must find unchanged.

    ``nas_peft`` is the version that started the run; version 0.1 did not write it. ``started_in`` is the
    folder in which its command was given, from which relative paths are meant.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    dataset: dict[str, Any]
    fingerprint: str
    classes: list[str]
    backbone: dict[str, Any]
    space: dict[str, Any] | None = None
    module_files: dict[str, str] | None = None
    nas_peft: str | None = None
    started_in: str | None = None

    def changed(self, now: InputsRecord) -> list[str]:
        """Names of the inputs that differ between the run's start and ``now``.

        Data are equal when pixels, labels and classes are, wherever the folder is and whatever else is in it:
        how they were read is not compared.
        """
        before, after = self.model_dump(mode="json"), now.model_dump(mode="json")
        not_compared = ("nas_peft", "dataset", "started_in", "module_files")
        names = [name for name in before if name not in not_compared and before[name] != after[name]]
        files = [list((record["module_files"] or {}).values()) for record in (before, after)]
        names += ["module_files"] if files[0] != files[1] else []
        return list(dict.fromkeys("dataset" if n in ("fingerprint", "classes") else n for n in names))


class StageCosts:
    """The records of a run's stages by name, in the order in which the stages ended."""

    def __init__(self) -> None:
        self._records: dict[str, StageRecord] = {}

    def add(self, name: str, record: StageRecord) -> None:
        """Note a stage. A stage that was resumed takes the sum of the seconds of all its attempts."""
        before = self._records.get(name)
        seconds = record.seconds + (before.seconds if before else 0.0)
        self._records[name] = record.model_copy(update={"seconds": seconds})

    def to_dict(self) -> dict[str, StageRecord]:
        """The records by name as read back from ``results.json``, without their own types."""
        return {name: StageRecord(**record.model_dump()) for name, record in self._records.items()}
