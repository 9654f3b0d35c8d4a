"""The progress of a run, kept by trackers."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from nas_peft.run.progress import ScoredModel
from nas_peft.run.results import RowResult, SearchResult
from nas_peft.run.time_left import StageTime
from nas_peft.settings.metric import SEED_FIELDS
from nas_peft.tracking.finished_run import retell
from nas_peft.tracking.tracker import Tracker
from search_spaces.errors import InputError


class TrackedProgress:
    """A `Display` that passes losses, candidates, scores and the final table on to trackers.

    A tracker that cannot begin ends the command before its work. One that fails later is left out with a
    warning: the run folder has every number, and an hour of training is worth more than its record elsewhere.

    Args:
        trackers: makers of the trackers by name.
    """

    def __init__(self, trackers: Mapping[str, Callable[[], Tracker]]) -> None:
        self._makers = trackers
        self._trackers: dict[str, Tracker] = {}
        self._folder: Path | None = None
        self._best = math.inf

    def start(self) -> None:
        """Wait for the run folder."""

    def stop(self, error: BaseException | None) -> None:
        """Keep the final table and the exported file if the run has ended, and end the trackers."""
        if error is None and self._folder is not None and (self._folder / "results.json").is_file():
            self._keep_result(SearchResult.of_run(self._folder))
        self._each(lambda tracker: tracker.end(failed=error is not None))
        self._trackers = {}

    def stage_began(self, stage: StageTime, unit: str) -> None:
        """Keep nothing."""

    def stage_moved(self, stage: StageTime) -> None:
        """Keep nothing."""

    def stage_ended(self, stage: StageTime) -> None:
        """Keep nothing."""

    def said(self, message: str) -> None:
        """Keep nothing."""

    def scored(self, scored: ScoredModel, best: str) -> None:
        """Keep a candidate, or the losses and the score of a training."""
        if scored.kind == "candidate":
            self._keep_candidate(scored)
            return
        fields = scored.fields
        # by the key, which differs wherever trainings do; trackers take few letters
        own = re.sub(r"[^\w.-]", "-", fields["key"].removeprefix(f"{scored.name}."))
        group = f"trainings/{scored.name}/{own}"
        self._losses(group, fields["train_losses"])
        if scored.loss is not None and scored.accuracy is not None:
            values = {"val_loss": scored.loss, "val_accuracy": scored.accuracy}
            self._numbers(group, values, len(fields["train_losses"]))

    def told(self, event: str, fields: Mapping[str, Any]) -> None:
        """Begin the trackers at the event ``run``; keep the losses of a supernet.

        Raises `InputError` for a tracker that cannot begin.
        """
        if event == "run":
            self._begin(Path(fields["folder"]), fields["config"])
        elif event == "supernet":
            self._losses(f"supernet/{fields['name']}", fields["train_losses"])

    def _begin(self, folder: Path, options: Mapping[str, Any]) -> None:
        self._folder = folder
        for name, make in self._makers.items():
            try:
                tracker = make()
                tracker.begin(folder, options)
            except Exception as error:  # of a library that may raise anything
                raise InputError(
                    f"the tracker {name} cannot begin: {_reason(error)}; set it up, or leave --tracker "
                    f"{name} out"
                ) from error
            self._trackers[name] = tracker
        if (folder / "results.json").is_file():  # nothing will be trained, and nothing told
            retell(folder, self)

    def _keep_candidate(self, scored: ScoredModel) -> None:
        fields = scored.fields
        values = {
            "loss": scored.loss,
            "accuracy": scored.accuracy,
            "params": fields["params"],
            "generation": fields["generation"],
        }
        if scored.eligible and scored.loss is not None:
            self._best = min(self._best, scored.loss)
        if math.isfinite(self._best):
            values["best_loss"] = self._best
        self._numbers("candidates", values, int(scored.name.removeprefix("candidate-")))

    def _keep_result(self, result: SearchResult) -> None:
        rows = [_row(row) for row in result.rows]
        subnet = Path(result.run) / "subnet.safetensors"
        self._each(lambda tracker: tracker.table("rows", rows))
        if subnet.is_file():
            self._each(lambda tracker: tracker.artifact(subnet))

    def _losses(self, group: str, losses: Sequence[float]) -> None:
        for epoch, loss in enumerate(losses, 1):
            self._numbers(group, {"train_loss": loss}, epoch)

    def _numbers(self, group: str, values: Mapping[str, float | None], step: int) -> None:
        kept = {name: float(v) for name, v in values.items() if v is not None and math.isfinite(v)}
        self._each(lambda tracker: tracker.numbers(group, kept, step))

    def _each(self, action: Callable[[Tracker], None]) -> None:
        for name, tracker in list(self._trackers.items()):
            try:
                action(tracker)
            except Exception as error:  # of a library that may raise anything
                del self._trackers[name]
                print(
                    f"warning: the tracker {name} failed and keeps nothing more: {_reason(error)}; the run "
                    "goes on",
                    file=sys.stderr,
                )


def _row(row: RowResult) -> dict[str, Any]:
    """A row of the final table; what a row does not have is ``None``."""
    scores = [f"{part}_{field}" for part in ("val", "test") for field in SEED_FIELDS.values()]
    known = [all(getattr(seed, name) is not None for seed in row.seeds) for name in scores]
    means = {
        name: row.mean(name) if row.seeds and there else None
        for name, there in zip(scores, known, strict=True)
    }
    return {
        "row": row.name,
        "label": row.label,
        "exported": row.selected,
        "module_params": row.module_params,
        "seeds": len(row.seeds),
        **means,
    }


def _reason(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
