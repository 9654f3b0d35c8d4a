"""A finished search, read from its run folder, for `front` and `audit`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from nas_peft.run.config_file import read_config
from nas_peft.run.module_files import import_unchanged
from nas_peft.run.moved_inputs import require_data, with_found_paths
from nas_peft.run.place import require_run
from nas_peft.run.progress import StageBars
from nas_peft.run.recorded_ranking import RecordedRanking
from nas_peft.run.results import SearchResult
from nas_peft.run.run_folder import RunFolder
from nas_peft.run.search_inputs import SearchInputs
from nas_peft.run.stage_records import PLAN, InputsRecord, PlanRecord, SearchStageRecord
from nas_peft.searching.candidate import Candidate, cost_of
from nas_peft.searching.generation import read_generation
from nas_peft.searching.pareto import pareto_front
from nas_peft.searching.robust_ranking import by_loss
from nas_peft.settings.metric import SEED_FIELDS
from nas_peft.settings.search_config import SearchConfig
from search_spaces import Architecture, Budget, InputError


@dataclass(frozen=True)
class ExportedRow:
    """The row that a run exported, with its mean validation score by the run's metric (``None`` if unknown).

    ``candidate`` is the one with its architecture, if the search had it.
    """

    name: str
    label: str
    val_score: float | None
    candidate: Candidate | None


@dataclass(frozen=True)
class FinishedSearch:
    """Configuration, folder, candidates and the search stage's record of a run."""

    config: SearchConfig
    folder: RunFolder
    candidates: tuple[Candidate, ...]
    stage: SearchStageRecord

    @classmethod
    def read(cls, path: Path, dataset: str | None = None) -> FinishedSearch:
        """Read a run folder; needs neither the data nor the backbone.

        Relative paths of the run are found from any working folder, see `with_found_paths`. ``dataset`` says
        where the data are now, if they have moved.

        Imports the run's module files, without which its candidates' kinds are unknown; a module file that
        has changed since the run started is not executed.

        Raises `InputError` for a folder that is not a run folder, for a run whose search has not ended, and
        for a module file that is gone or has changed.
        """
        values = recorded_options(path)
        if "searcher" not in values:
            raise InputError(
                f"'{path}' is a run of nas-peft baselines, which searches nothing; "
                "give a folder of nas-peft search"
            )
        config, folder = SearchConfig.of(**values), RunFolder(path)
        if (plan := folder.read_stage(PLAN, PlanRecord)) is not None:
            config = config.planned(plan.set_options)
        record = folder.read_stage("inputs", InputsRecord)
        module_files = config.module_files  # as they were recorded
        config = with_found_paths(config, path, record.started_in if record else None, dataset)
        stage = folder.read_stage("search", SearchStageRecord)
        if stage is None:
            raise InputError(
                f"the search of '{path}' has not ended; start its nas-peft search command again to resume"
            )
        inputs = folder.required_stage("inputs", InputsRecord)
        digests = inputs.module_files or {}
        known = {
            str(now): digests.get(str(then), "")
            for then, now in zip(module_files, config.module_files, strict=True)
        }
        import_unchanged(config.module_files, known, path)
        candidates: list[Candidate] = []
        for generation in range(config.generations):
            scored = read_generation(folder.generation(generation))
            candidates += scored.candidates if scored else []
        if len(candidates) != stage.candidates:
            raise InputError(
                f"the run '{path}' has {len(candidates)} of its {stage.candidates} candidates: files are "
                "missing under generations/; start the command of the run again, which scores them again"
            )
        return cls(config, folder, tuple(candidates), stage)

    def inputs(self, bars: StageBars) -> SearchInputs:
        """Data, backbone and space, loaded again. Raises `InputError` if they differ from the run's."""
        require_data(self.config, self.folder.path)
        inputs = SearchInputs.load(self.config, bars)
        recorded = self.folder.required_stage("inputs", InputsRecord)
        inputs.require_unchanged(recorded)
        return inputs

    @cached_property
    def exported(self) -> ExportedRow | None:
        """What the run exported; ``None`` for a run that has not ended."""
        if not self.folder.results.is_file():
            return None
        row = SearchResult.read(self.folder.results).selected
        architecture = Architecture.from_dict(row.architecture)
        alike = [c for c in self.candidates if c.architecture == architecture]
        number = row.name.removeprefix("candidate-")
        own = [c for c in alike if str(c.number) == number]
        field = f"val_{SEED_FIELDS[self.config.metric]}"
        known = all(getattr(seed, field) is not None for seed in row.seeds)
        score = row.mean(field) if known else None
        return ExportedRow(row.name, row.label, score, next(iter([*own, *alike]), None))

    @cached_property
    def ranking(self) -> RecordedRanking:
        """The order of the candidates within a budget."""
        return RecordedRanking.of(self.config, self.folder.required_stage("inputs", InputsRecord).space)

    def cost(self, candidate: Candidate) -> float:
        """Cost of a candidate, which the front sets against the loss."""
        return cost_of(candidate, self.config.front_field)

    def front(self) -> list[Candidate]:
        """The Pareto front, cheapest first."""
        return pareto_front(self.candidates, self.cost)

    def pick(self, budget: str | None = None) -> Candidate:
        """The best candidate within a budget, by default the run's, in the run's own order.

        Where the searcher ranks none of those within the budget, by loss.

        Raises `InputError` for a budget that cannot be read or that is below all candidates.
        """
        text = budget or self.config.budget
        limit = Budget.parse(
            text, backbone_params=self.stage.backbone_params, count_head=self.config.count_head
        ).limit(self.stage.head_params)
        within = [c for c in self.candidates if c.params <= limit]
        if not within:
            least = min(c.params for c in self.candidates)
            raise InputError(
                f"the budget {text!r} leaves {limit:,} parameters for modules, and the smallest candidate of "
                f"'{self.folder.path}' has {least:,}; raise the budget"
            )
        return (self.ranking.rank(within) or by_loss(within))[0]

    def numbered(self, number: int) -> Candidate:
        """The candidate with the given number. Raises `InputError` if there is none."""
        if not 0 <= number < len(self.candidates):
            raise InputError(
                f"candidate is {number}, and '{self.folder.path}' has the candidates 0 to "
                f"{len(self.candidates) - 1}; nas-peft front lists those on the front"
            )
        return self.candidates[number]


def recorded_options(path: Path) -> dict[str, Any]:
    """The options in a run's ``config.yaml``. Raises `InputError` for a folder that is not a run folder."""
    require_run(path)
    return read_config(path / "config.yaml")
