"""NSGA-II, by Optuna: the front of loss against parameters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from optuna.samplers import NSGAIISampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from nas_peft.candidate import Candidate, Proposal
from nas_peft.searchers.optuna_study import ask_sampler, finite, first_population
from nas_peft.searchers.searcher import Searcher
from nas_peft.searchers.task import SearchTask
from search_spaces.streams import stream


@dataclass(frozen=True)
class Nsga2(Searcher):
    """Minimises validation loss and parameters together (Deb et al. 2002), with Optuna's ``NSGAIISampler``.

    `Evolution` looks for the best within the budget; this one for the best at every size below it. Its
    candidates are ranked by loss for retraining like all others; the record holds the front.
    """

    task: SearchTask

    def ask(self, generation: int, history: Sequence[Candidate]) -> list[Proposal]:
        """See `Searcher.ask`."""
        rng = stream(self.task.seed, "nsga2", generation)
        if finite(history) < 2:  # a crossover has two parents
            return first_population(self.task, history, rng)
        return ask_sampler(
            "nsga2",
            lambda seed: _SamplerOfGenerations(generation, self.task.population, seed),
            lambda c: (c.loss, float(c.params)),
            self.task,
            history,
            rng,
        )


class _SamplerOfGenerations(NSGAIISampler):
    """Takes the generation of a trial from the search, where Optuna counts completed trials.

    The two differ when candidates failed or a generation was short.
    """

    def __init__(self, generation: int, population: int, seed: int) -> None:
        super().__init__(population_size=population, seed=seed)
        self._generation = generation

    def get_trial_generation(self, study: Study, trial: FrozenTrial) -> int:
        """The one that is being proposed."""
        return self._generation

    def get_population(self, study: Study, generation: int) -> list[FrozenTrial]:
        """The candidates of a generation that have a loss."""
        trials = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        return [t for t in trials if t.user_attrs["generation"] == generation]
