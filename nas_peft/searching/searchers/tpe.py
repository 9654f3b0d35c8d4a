"""The tree-structured Parzen estimator, by Optuna."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from optuna.samplers import TPESampler

from nas_peft.searching.candidate import Candidate, Proposal
from nas_peft.searching.searchers.optuna_study import ask_sampler, finite, first_population
from nas_peft.searching.searchers.searcher import Searcher
from nas_peft.searching.searchers.task import SearchTask
from search_spaces.streams import stream


@dataclass(frozen=True)
class Tpe(Searcher):
    """Models which sizes the good candidates have and the others do not (Bergstra et al. 2011).

    Optuna's ``TPESampler`` with its defaults, learning from the first generation on; minimises the validation
    loss, and with it the loss on shifted images where candidates have one.
    """

    task: SearchTask

    def ask(self, generation: int, history: Sequence[Candidate]) -> list[Proposal]:
        """See `Searcher.ask`."""
        rng = stream(self.task.seed, "tpe", generation)
        if finite(history) < 2:  # a model needs two
            return first_population(self.task, history, rng)
        robust = any(c.shifted_loss is not None for c in history)
        return ask_sampler(
            "tpe",
            lambda seed: TPESampler(n_startup_trials=0, seed=seed),
            lambda c: (c.loss, self.task.cost(c)) if robust else (c.loss,),
            self.task,
            history,
            rng,
        )
