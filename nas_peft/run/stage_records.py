"""The records of a run's stages: the files under ``stages/``, and the costs in ``results.json``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel, ConfigDict, SerializerFunctionWrapHandler, model_serializer

from search_spaces import LatencyTable


class StageRecord(BaseModel):
    """The cost of a stage, and whatever else a stage of its kind records.

    ``image_passes`` are images through the backbone forward and backward, ``image_passes_full`` those of them
    that train the backbone too, ``image_passes_forward`` those that only go forward. ``peak_memory`` is in
    bytes, ``None`` where it cannot be measured. Only fields that were given are written.
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
    """Linear probing: the learning rates tried, their validation losses, and the one chosen."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    lrs: list[float]
    val_losses: list[float]
    lr: float


class LatencyRecord(StageRecord):
    """A latency table with the conditions of its measurement.

    ``networks`` are the latencies measured, ``table`` what `LatencyTable.to_dict` gives.
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
        """The table by which candidates are weighed."""
        return LatencyTable.from_dict(self.table)


class SupernetRecord(StageRecord):
    """The training of one supernet: ``losses`` are the mean training losses by epoch."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    losses: list[float]


class LengthRecord(StageRecord):
    """The choice among supernets of several lengths: the median loss of each, by its number of epochs."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    epochs: int
    losses: dict[str, float]


class SupernetsRecord(StageRecord):
    """All supernets of a run; ``epochs`` and ``losses`` as in `LengthRecord`, where there were several."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    supernets: list[SupernetRecord]
    epochs: int | None = None
    losses: dict[str, float] | None = None


class SearchStageRecord(StageRecord):
    """A search that has ended.

    ``candidates`` were scored, ``dropped`` of them left the race early; ``images`` counts the scored pairs of
    candidate and image, ``images_without_racing`` what these would have been without the race.
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


class RecordPlace(BaseModel):
    """Where Optuna records a search: ``storage`` is ``None`` for the run folder's own journal."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    storage: str | None
    study: str


class OpeningRecord(BaseModel):
    """When the test set was opened, and the decision that had been frozen before."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    opened_at: str
    decision: dict[str, Any]


class InputsRecord(BaseModel):
    """Data, backbone and space of a run, which a resumed run must find unchanged.

    ``nas_peft`` is the version that started the run; version 0.1 did not write it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    dataset: dict[str, Any]
    fingerprint: str
    classes: list[str]
    backbone: dict[str, Any]
    space: dict[str, Any] | None = None
    module_files: dict[str, str] | None = None
    nas_peft: str | None = None

    def changed(self, now: InputsRecord) -> list[str]:
        """The names of what differs between this run's start and ``now``.

        Data are the same where pixels, labels and classes are, wherever the folder is and whatever lies
        beside it: how they were read is not compared.
        """
        before, after = self.model_dump(mode="json"), now.model_dump(mode="json")
        names = [
            name for name in before if name not in ("nas_peft", "dataset") and before[name] != after[name]
        ]
        return list(dict.fromkeys("dataset" if n in ("fingerprint", "classes") else n for n in names))


class StageCosts:
    """The records of a run's stages by name, in the order in which the stages ended."""

    def __init__(self) -> None:
        self._records: dict[str, StageRecord] = {}

    def add(self, name: str, record: StageRecord) -> None:
        """Note a stage. One that was done in several goes takes the seconds of all of them."""
        before = self._records.get(name)
        seconds = record.seconds + (before.seconds if before else 0.0)
        self._records[name] = record.model_copy(update={"seconds": seconds})

    def __iter__(self) -> Iterator[str]:
        return iter(self._records)

    def to_dict(self) -> dict[str, StageRecord]:
        """The records by name, as they are read back from ``results.json``: without their own types."""
        return {name: StageRecord(**record.model_dump()) for name, record in self._records.items()}
