"""NSGA-II, by Optuna: the front of loss against cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from optuna.samplers import NSGAIISampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from nas_peft.searching.candidate import Candidate, Proposal
from nas_peft.searching.searchers.optuna_study import ask_sampler, finite, first_population
from nas_peft.searching.searchers.searcher import Searcher
from nas_peft.searching.searchers.task import SearchTask
from search_spaces.streams import stream


@dataclass(frozen=True)
class Nsga2(Searcher):
    """Minimises loss and cost together (Deb et al. 2002), with Optuna's ``NSGAIISampler``.

    All proposals aim at the front, where `Evolution` spends half of them within the budget. Candidates are
    ranked by loss for retraining, like those of every searcher.
    """

    searches_front: ClassVar[bool] = True
    task: SearchTask

    def ask(self, generation: int, history: Sequence[Candidate]) -> list[Proposal]:
        """See `Searcher.ask`."""
        rng = stream(self.task.seed, "nsga2", generation)
        task = self.task.over_range
        if finite(history) < 2:  # a crossover has two parents
            return first_population(task, history, rng)
        return ask_sampler(
            "nsga2",
            lambda seed: _SamplerOfGenerations(generation, task.population, seed),
            lambda c: (c.loss, task.cost(c)),
            task,
            history,
            rng,
        )


class _SamplerOfGenerations(NSGAIISampler):
    """Takes a trial's generation from the search, where Optuna would count completed trials.

    The two differ when candidates failed or a generation was short.
    """

    def __init__(self, generation: int, population: int, seed: int) -> None:
        super().__init__(population_size=population, seed=seed)
        self._generation = generation

    def get_trial_generation(self, study: Study, trial: FrozenTrial) -> int:
        """The generation that is being proposed."""
        return self._generation

    def get_population(self, study: Study, generation: int) -> list[FrozenTrial]:
        """The candidates of a generation that have a loss."""
        trials = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        return [t for t in trials if t.user_attrs["generation"] == generation]
