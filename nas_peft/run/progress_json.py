"""Progress as JSON on standard output: one object a line, for programs (docs/output.md)."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from nas_peft.run.time_left import RunTime, StageTime, now

if TYPE_CHECKING:
    from nas_peft.run.progress import ScoredModel


BETWEEN = 0.5
"""Seconds between two steps of a stage that are written, at least."""


class ProgressJson:
    """Writes each event, with its name in ``event`` and in ``time`` the seconds since the command began."""

    def __init__(self, run: RunTime) -> None:
        self._run = run
        self._started = now()
        self._step = (-BETWEEN, 0)  # when the last step was written, and which it was

    def start(self) -> None:
        """Begin."""
        self._started = now()

    def stop(self, error: BaseException | None) -> None:
        """Say that the command ended early; a finished one has said ``result``."""
        if error is not None:
            self.told("stopped", {"by": type(error).__name__, "reason": str(error)})

    def stage_began(self, stage: StageTime, unit: str) -> None:
        """Write ``stage`` with the state ``began``."""
        known = {"unit": unit or None, "expected_seconds": _rounded(self._run.stage_left(stage, now()))}
        self._step = (-BETWEEN, 0)
        self.told("stage", {"stage": stage.name, "state": "began", **known})

    def stage_moved(self, stage: StageTime) -> None:
        """Write ``step``, unless the last one was a moment ago and this is not the last of the stage."""
        written, before = self._step
        last = stage.done == stage.total
        if stage.done and stage.done != before and (last or now() - written >= BETWEEN):
            self._step = (now(), stage.done)
            self.told(
                "step", {"stage": stage.name, "done": stage.done, "total": stage.total, **self._left(stage)}
            )

    def stage_ended(self, stage: StageTime) -> None:
        """Write ``stage`` with the state ``ended``, or ``finished before``."""
        state = "finished before" if stage.finished_before else "ended"
        seconds = _rounded(stage.seconds(now()))
        self.told("stage", {"stage": stage.name, "state": state, "steps": stage.done, "seconds": seconds})

    def said(self, message: str) -> None:
        """Write ``message``."""
        self.told("message", {"text": message})

    def scored(self, scored: ScoredModel, best: str) -> None:
        """Write ``candidate`` or ``training``."""
        known = {"name": scored.name, "label": scored.label, "accuracy": scored.accuracy, "loss": scored.loss}
        self.told(scored.kind, {**known, "found": scored.found, **scored.fields})

    def told(self, event: str, fields: Mapping[str, Any]) -> None:
        """Write an event."""
        content = {"event": event, "time": _rounded(now() - self._started), **fields}
        finite = {name: None if _endless(value) else value for name, value in content.items()}
        print(json.dumps(finite), file=sys.stdout, flush=True)

    def _left(self, stage: StageTime) -> dict[str, float | None]:
        of_stage, of_run = self._run.stage_left(stage, now()), self._run.left(now())
        return {"seconds_left": _rounded(of_stage), "run_seconds_left": _rounded(of_run)}


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 2)


def _endless(value: object) -> bool:
    """Whether JSON has no number for the value."""
    return isinstance(value, float) and not math.isfinite(value)
