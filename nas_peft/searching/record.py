"""Record of a search in Optuna: each evaluated candidate is a trial."""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.distributions import CategoricalDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.trial import FrozenTrial, TrialState, create_trial

from nas_peft.searching.candidate import Candidate
from nas_peft.searching.study_storage import StudyStorage
from search_spaces import InputError, SearchSpace


@dataclass(frozen=True)
class SearchRecord:
    """The study that holds a search's candidates, in the order of their numbers.

    A trial's parameters are the sizes by layer (``layer03.lora_rank``), its two values the loss with
    inherited weights and the cost on the front (both minimised), its user attributes all fields of
    `Candidate`. A candidate whose loss is not finite is a failed trial, and a candidate eliminated by racing
    is a pruned trial, so Optuna's front shows fully scored candidates only. Each trial is written atomically.
    """

    study: optuna.Study
    storage: StudyStorage
    space: SearchSpace
    cost: str

    @classmethod
    def open(
        cls, storage: StudyStorage, name: str, space: SearchSpace, *, cost: str, identity: dict[str, Any]
    ) -> SearchRecord:
        """Open or create the study ``name``.

        Args:
            storage: location of the study; ``optuna-dashboard ADDRESS`` shows it.
            name: study name, unique within a shared storage.
            space: space of the search.
            cost: field of `Candidate` that the front sets against the loss.
            identity: JSON-able; further values that must be equal for a search to resume.

        Raises `InputError` for a study of that name that belongs to another search, and for a storage that
        cannot be opened or reached.
        """
        optuna_storage = storage.open()
        study = storage.attempt(
            lambda: optuna.create_study(
                study_name=name,
                storage=optuna_storage,
                directions=["minimize", "minimize"],
                load_if_exists=True,
            )
        )
        record = cls(study, storage, space, cost)
        described = {"space": space.to_dict(), "cost": cost, **identity}
        storage.attempt(lambda: record._require_own(json.loads(json.dumps(described))))
        return record

    def candidates(self) -> list[Candidate]:
        """All recorded candidates."""
        trials = self.storage.attempt(self._trials)
        found = [Candidate.from_dict({"loss": math.inf} | t.user_attrs) for t in trials]
        return sorted(found, key=lambda c: c.number)

    def add_generation(self, candidates: Sequence[Candidate]) -> None:
        """Append the candidates of a generation that are not recorded yet.

        Raises `InputError` if a number is recorded with another architecture: another search writes to the
        study.
        """

        def add() -> None:
            self.storage.require_file()
            recorded = {t.user_attrs["number"]: t.user_attrs["architecture"] for t in self._trials()}
            for c in candidates:
                if recorded.get(c.number, c.architecture.to_dict()) != c.architecture.to_dict():
                    raise InputError(
                        f"candidate {c.number} of the study '{self.study.study_name}' in the storage "
                        f"'{self.storage.name}' is not this search's: another run writes there; give another "
                        "--study"
                    )
            self.study.add_trials([self._trial(c) for c in candidates if c.number not in recorded])
            self.storage.require_file()

        self.storage.attempt(add)

    def _trials(self) -> list[FrozenTrial]:
        return [t for t in self.study.get_trials(deepcopy=False) if "number" in t.user_attrs]

    def _require_own(self, described: dict[str, Any]) -> None:
        name, known = self.study.study_name, self.study.user_attrs
        if len(self.study.directions) != 2:
            different = ["objectives"]
        else:
            different = [key for key in described if key in known and known[key] != described[key]]
        if different:
            raise InputError(
                f"the study '{name}' in the storage '{self.storage.name}' belongs to another search: its "
                f"{', '.join(different)} differ; give another --study, or another --storage"
            )
        if not known:
            with warnings.catch_warnings():  # the only way to name an objective for the dashboard
                warnings.simplefilter("ignore", ExperimentalWarning)
                self.study.set_metric_names(["loss", self.cost])
        for key, value in described.items():
            if key not in known:
                self.study.set_user_attr(key, value)

    def _trial(self, candidate: Candidate) -> FrozenTrial:
        finite = math.isfinite(candidate.loss)
        attributes = candidate.to_dict() | {"modules": candidate.architecture.describe()}
        if not finite:
            del attributes["loss"]  # not valid JSON
        params: dict[str, Any] = {}
        distributions: dict[str, Any] = {}
        for kind, choices in self.space.kinds:
            allowed = sorted({0, *choices.sizes}) if choices.depths else list(choices.sizes)
            if len(allowed) == 1:
                continue  # no information
            for layer, size in enumerate(candidate.architecture[kind]):
                name = f"layer{layer:02d}.{kind}"
                params[name] = size
                distributions[name] = CategoricalDistribution(allowed)
        whole = finite and not candidate.dropped
        state = TrialState.COMPLETE if whole else TrialState.PRUNED if finite else TrialState.FAIL
        return create_trial(
            state=state,
            values=[candidate.loss, float(getattr(candidate, self.cost))] if whole else None,
            params=params,
            distributions=distributions,
            user_attrs=attributes,
        )
