"""The order of a recorded search's candidates, which needs neither its data nor its backbone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nas_peft.run.search_inputs import searcher_options
from nas_peft.searching.candidate import Candidate
from nas_peft.searching.robust_ranking import RobustRanking, by_loss
from nas_peft.searching.searchers import Searcher, SearchTask, build_searcher
from nas_peft.searching.searchers.registry import SEARCHERS
from nas_peft.settings.search_config import SearchConfig
from search_spaces import SearchSpace


@dataclass(frozen=True)
class RecordedRanking:
    """How a run ranks the candidates within a budget, as `SearchInputs.ranked` does.

    ``first`` says in words which candidate comes first.
    """

    rank: Callable[[Sequence[Candidate]], list[Candidate]]
    first: str

    @classmethod
    def of(cls, config: SearchConfig, space: Mapping[str, Any] | None) -> RecordedRanking:
        """The ranking of a run, by its configuration and its recorded space.

        By loss for a searcher that is not known here, as one of a user's own program.
        """
        if config.robust:
            return cls(RobustRanking(config.robust_margin), "the lowest shifted loss by the robust rule")
        by_default = cls(by_loss, "the lowest loss")
        if config.searcher not in SEARCHERS or space is None:
            return by_default
        members = SearchSpace.from_dict(space)
        task = SearchTask(
            space=members,
            fits=lambda architecture: True,  # only ranks, and is given what is within the budget
            sampler=members,
            references=(),
            population=config.population,
            generations=config.generations,
            seed=config.seed,
        )
        searcher = build_searcher(config.searcher, task, searcher_options(config))
        if type(searcher).ranked is Searcher.ranked:
            return by_default
        return cls(searcher.ranked, f"ranked first by the searcher '{config.searcher}'")
