"""A finished run as its report reads it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nas_peft.run.finished_search import FinishedSearch, recorded_options
from nas_peft.run.moved_inputs import with_found_paths
from nas_peft.run.results import RowResult, SearchResult
from nas_peft.run.run_folder import RunFolder
from nas_peft.run.stage_records import InputsRecord
from nas_peft.settings.baselines_config import BaselinesConfig
from nas_peft.settings.metric import Metric
from nas_peft.settings.search_config import SearchConfig
from nas_peft.settings.training_config import TrainingConfig
from search_spaces import Architecture, InputError


@dataclass(frozen=True)
class ReportedRun:
    """Result, recorded options and inputs of a run, and its search where it had one that can be read.

    ``no_search`` says why ``search`` is ``None``.
    """

    path: Path
    result: SearchResult
    options: dict[str, Any]
    inputs: InputsRecord
    search: FinishedSearch | None
    no_search: str

    @classmethod
    def read(cls, path: Path) -> ReportedRun:
        """Read a run folder; needs neither the data nor the backbone.

        Raises `InputError` for a folder that is not a run folder and for a run that has not ended.
        """
        options = recorded_options(path)
        folder = RunFolder(path)
        if not folder.results.is_file():
            raise InputError(
                f"the run '{path}' has not ended: it has no results.json; start its command again to go on"
            )
        result = SearchResult.read(folder.results)
        inputs = folder.required_stage("inputs", InputsRecord)
        search, reason = None, "The run compared methods without a search (nas-peft baselines)."
        if "searcher" in options:
            try:
                search, reason = FinishedSearch.read(path), ""
            except InputError as error:
                reason = f"The candidates of the search could not be read: {error}."
        return cls(path, result, options, inputs, search, reason)

    @property
    def selected(self) -> RowResult:
        """The exported row."""
        return self.result.selected

    @property
    def config(self) -> TrainingConfig:
        """The options of the run, with relative paths as they are found from this working folder."""
        kind = SearchConfig if "searcher" in self.options else BaselinesConfig
        return with_found_paths(kind.of(**self.options), self.path, self.inputs.started_in)

    @property
    def metric(self) -> Metric:
        """The metric that decided."""
        decision = self.result.decision
        found: Metric = decision.metric if decision else self.result.config.get("metric", "accuracy")
        return found

    @property
    def labels(self) -> dict[str, str]:
        """The label of each row by its name, with the name where several rows share a label."""
        rows = self.result.rows
        alike = [row.label for row in rows]
        return {
            row.name: row.label if alike.count(row.label) == 1 else f"{row.label} ({row.name})"
            for row in rows
        }

    @property
    def budget_limit(self) -> int:
        """The most module parameters that the budget leaves."""
        budget = self.result.budget
        head = self.selected.head_params if budget["count_head"] else 0
        return int(budget["max_params"]) - head


def architecture_of(row: RowResult) -> Architecture | None:
    """The architecture of a row, ``None`` where a module kind is not known here."""
    try:
        return Architecture.from_dict(row.architecture)
    except InputError:
        return None
