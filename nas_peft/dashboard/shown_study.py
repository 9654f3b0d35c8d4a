"""The study as the dashboard shows it: a copy in memory, with names that people read."""

from __future__ import annotations

import json
import math
import mimetypes
import uuid
import warnings
from pathlib import Path
from typing import Any

import optuna
from optuna.artifacts import FileSystemArtifactStore
from optuna.exceptions import ExperimentalWarning
from optuna.storages import InMemoryStorage
from optuna.trial import FrozenTrial, Trial, create_trial

from nas_peft.front.plot import AXES
from nas_peft.settings.metric import Metric, inherited_accuracy
from search_spaces import KINDS

LOSS = "loss with inherited weights"


class ShownStudy:
    """A study in memory with its artifacts in a folder; both end with the dashboard.

    Args:
        name: name of the study.
        cost: field of a candidate that is the second objective.
        artifacts: an existing empty folder.
        metric: the metric of the run, which decides what a candidate's accuracy is.
    """

    def __init__(self, name: str, cost: str, artifacts: Path, metric: Metric = "accuracy") -> None:
        self.metric: Metric = metric
        self.storage = InMemoryStorage()
        self.store = FileSystemArtifactStore(artifacts)
        self.study = optuna.create_study(
            study_name=name, storage=self.storage, directions=["minimize", "minimize"]
        )
        with warnings.catch_warnings():  # the only way to name an objective for the dashboard
            warnings.simplefilter("ignore", ExperimentalWarning)
            self.study.set_metric_names([LOSS, AXES.get(cost, cost)])
        self._added = 0

    def add(self, trials: list[FrozenTrial]) -> int:
        """Add those of ``trials``, all recorded so far in their order, that are new; their number."""
        new = trials[self._added :]
        self.study.add_trials([readable(trial, self.metric) for trial in new])
        self._added += len(new)
        return len(new)

    def describe(self, values: dict[str, str]) -> None:
        """Show ``values`` beside the study."""
        for name, value in values.items():
            self.study.set_user_attr(name, value)

    def trial(self, candidate: int) -> FrozenTrial | None:
        """The trial of the candidate with a number, ``None`` if it is not there."""
        found = self.study.get_trials(deepcopy=False)
        return next((trial for trial in found if trial.user_attrs["candidate"] == candidate), None)

    def note(self, text: str, trial: FrozenTrial | None = None) -> None:
        """Set the note of the study, or of a trial, in Markdown."""
        from optuna_dashboard import save_note

        save_note(self.study if trial is None else Trial(self.study, trial._trial_id), text)

    def attach(self, file: Path, trial: FrozenTrial | None = None) -> str:
        """Attach a file to the study, or to a trial; the address of the file on the dashboard's page."""
        number, study = str(uuid.uuid4()), self.study._study_id
        kind, encoding = mimetypes.guess_type(file.name)
        about = {
            "artifact_id": number,
            "filename": file.name,
            "mimetype": kind or "application/octet-stream",
            "encoding": encoding,
        }
        # Optuna's upload_artifact refuses trials that have ended; the dashboard looks here, too
        owner = "artifacts:" if trial is None else f"dashboard:artifacts:{trial._trial_id}:"
        self.storage.set_study_system_attr(study, f"{owner}{number}", json.dumps(about))
        with file.open("rb") as content:
            self.store.write(number, content)
        return (
            f"/artifacts/{study}/{number}"
            if trial is None
            else f"/artifacts/{study}/{trial._trial_id}/{number}"
        )


def readable(trial: FrozenTrial, metric: Metric = "accuracy") -> FrozenTrial:
    """A recorded trial with readable parameters and attributes, its values and times kept.

    What the trial records as accuracy is named by the run's ``metric``.
    """
    params: dict[str, Any] = {}
    distributions: dict[str, Any] = {}
    for recorded, size in trial.params.items():
        if (name := _parameter(recorded)) is not None:
            params[name] = size
            distributions[name] = trial.distributions[recorded]
    given = trial.user_attrs
    attributes = {
        "candidate": given["number"],
        "generation": given["generation"],
        "origin": given["origin"],
        "modules": given.get("modules", ""),
        "parameters": given["params"],
        f"{inherited_accuracy(metric)} % with inherited weights": round(100 * float(given["accuracy"]), 2),
        "images scored": given["images"],
        "eliminated early": bool(given.get("dropped", False)),
    }
    if given.get("dropped") and math.isfinite(float(given.get("loss", math.inf))):
        attributes["loss, estimated"] = round(float(given["loss"]), 4)
    shown = create_trial(
        state=trial.state,
        values=trial.values,
        params=params,
        distributions=distributions,
        user_attrs=attributes,
    )
    shown.datetime_start, shown.datetime_complete = trial.datetime_start, trial.datetime_complete
    return shown


def _parameter(recorded: str) -> str | None:
    """``layer 04 LoRA`` for ``layer03.lora_rank``; ``None`` for a layer that cannot have the kind."""
    layer, _, kind = recorded.partition(".")
    if not layer.removeprefix("layer").isdigit():
        return recorded
    number = int(layer.removeprefix("layer"))
    if kind not in KINDS:  # of a module file that is not imported here
        return f"layer {number + 1:02d} {kind}"
    if KINDS[kind].first_layer_only:
        return KINDS[kind].label if number == 0 else None
    return f"layer {number + 1:02d} {KINDS[kind].label}"
