"""The models that are measured: a subnet file, or all models of a run that can be rebuilt."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from nas_peft.data.source import Reading
from nas_peft.deployment.run_subnet import RunSubnets
from nas_peft.robustness.result import EXPORTED
from nas_peft.run.results import RowResult
from nas_peft.settings.training_config import TrainingConfig
from search_spaces import InputError
from supernet import Subnet


@dataclass(frozen=True)
class NamedModel:
    """A model with its name and label in tables."""

    name: str
    label: str
    params: int
    subnet: Subnet


@dataclass(frozen=True)
class RunModels:
    """The models of a run, of its first seed; ``left_out`` has the reason for each row without weights."""

    config: TrainingConfig
    models: tuple[NamedModel, ...]
    left_out: dict[str, str]

    @property
    def reading(self) -> Reading:
        """How the run read its data set."""
        return Reading(self.config.layout, self.config.domains)


def models_of_run(path: Path, on_row: Callable[[int, int], None]) -> RunModels:
    """Rebuild the models of a run's table, final ones where there are any.

    A row that lost to another of its kind has the weights of its training on the training set alone.
    ``on_row`` is called with the number of rows done and in all. Raises `InputError` for a folder without
    results, and for a run none of whose models can be rebuilt.
    """
    of_run = RunSubnets.of(path)
    rows = of_run.results().rows
    labels = [row.label for row in rows]
    found: list[NamedModel] = []
    left_out: dict[str, str] = {}
    for number, row in enumerate(rows, 1):
        try:
            found.append(NamedModel(row.name, _label(row, labels), row.params, of_run.row(row)))
        except InputError as error:
            left_out[row.name] = str(error)
        on_row(number, len(rows))
    if not found:
        raise InputError(
            f"no model of '{path}' can be rebuilt; the first because {next(iter(left_out.values()))}"
        )
    return RunModels(of_run.config, tuple(found), left_out)


def _label(row: RowResult, labels: Sequence[str]) -> str:
    """The label of a row among others: the exported one says so, and rows of one label have their names."""
    if row.selected:
        return f"{row.label} {EXPORTED}"
    return row.label if labels.count(row.label) == 1 else f"{row.label} ({row.name})"
