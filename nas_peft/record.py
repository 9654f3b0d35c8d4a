"""The record of a run in Optuna: each evaluated candidate is a trial."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import CategoricalDistribution
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.trial import FrozenTrial, TrialState, create_trial

from nas_peft.candidate import Candidate
from search_spaces import SearchSpace

SEARCH_STUDY = "search"

_STALE_LOCK_SECONDS = 3  # an append takes milliseconds: an older lock is of a killed process


@dataclass(frozen=True)
class SearchRecord:
    """The study that holds a search's candidates, in the order of their numbers.

    A trial's parameters are the sizes by layer (``layer03.lora_rank``), its value is the validation loss with
    inherited weights (minimised), its user attributes are everything else in `Candidate`. A candidate whose
    loss is not finite is a failed trial. Trials are written one by one, each as a whole or not at all.
    """

    study: optuna.Study
    space: SearchSpace

    @classmethod
    def open(cls, journal: Path, space: SearchSpace) -> SearchRecord:
        """Open or create the study in an Optuna journal file (``optuna-dashboard FILE`` shows it)."""
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        _cut_half_line(journal)
        lock = JournalFileOpenLock(str(journal), grace_period=_STALE_LOCK_SECONDS)
        storage = JournalStorage(JournalFileBackend(str(journal), lock))
        study = optuna.create_study(
            study_name=SEARCH_STUDY, storage=storage, direction="minimize", load_if_exists=True
        )
        return cls(study, space)

    def candidates(self) -> list[Candidate]:
        """Everything recorded so far."""
        found = [
            Candidate.from_dict(t.user_attrs["candidate"] | {"loss": _loss(t)}) for t in self.study.trials
        ]
        return sorted(found, key=lambda c: c.number)

    def describe(self, searcher: dict[str, Any]) -> None:
        """Say in the study's attributes which searcher proposes, once."""
        if "searcher" not in self.study.user_attrs:
            self.study.set_user_attr("searcher", searcher)

    def add_generation(self, candidates: Sequence[Candidate]) -> None:
        """Append one generation."""
        self.study.add_trials([self._trial(c) for c in candidates])

    def _trial(self, candidate: Candidate) -> FrozenTrial:
        finite = math.isfinite(candidate.loss)
        data = candidate.to_dict()
        del data["loss"]  # it is the trial's value
        params: dict[str, Any] = {}
        distributions: dict[str, Any] = {}
        for kind, choices in self.space.kinds:
            allowed = sorted({0, *choices.sizes}) if choices.depths else list(choices.sizes)
            for layer, size in enumerate(candidate.architecture[kind]):
                name = f"layer{layer:02d}.{kind}"
                params[name] = size
                distributions[name] = CategoricalDistribution(allowed)
        return create_trial(
            state=TrialState.COMPLETE if finite else TrialState.FAIL,
            value=candidate.loss if finite else None,
            params=params,
            distributions=distributions,
            user_attrs={
                "candidate": data,
                "params": candidate.params,
                "accuracy": candidate.accuracy,
                "generation": candidate.generation,
                "origin": candidate.proposal.origin,
                "architecture": candidate.architecture.describe(),
            },
        )


def _cut_half_line(journal: Path) -> None:
    """Remove what a kill or a full disk left of an entry; Optuna reads no journal that goes on after it."""
    if journal.exists() and not (written := journal.read_bytes()).endswith(b"\n"):
        os.truncate(journal, written.rfind(b"\n") + 1)


def _loss(trial: FrozenTrial) -> float:
    return trial.value if trial.value is not None else math.inf
