"""Several ways to show the progress of one run, each told everything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from nas_peft.run.time_left import StageTime

if TYPE_CHECKING:
    from nas_peft.run.progress import Display, ScoredModel


class SeveralDisplays:
    """Passes each call on to ``displays``, in their order."""

    def __init__(self, displays: Sequence[Display]) -> None:
        self._displays = displays

    def start(self) -> None:
        """Begin."""
        for display in self._displays:
            display.start()

    def stop(self, error: BaseException | None) -> None:
        """End."""
        for display in self._displays:
            display.stop(error)

    def stage_began(self, stage: StageTime, unit: str) -> None:
        """Show a new stage."""
        for display in self._displays:
            display.stage_began(stage, unit)

    def stage_moved(self, stage: StageTime) -> None:
        """Show a step."""
        for display in self._displays:
            display.stage_moved(stage)

    def stage_ended(self, stage: StageTime) -> None:
        """Show the end of a stage."""
        for display in self._displays:
            display.stage_ended(stage)

    def said(self, message: str) -> None:
        """Show text."""
        for display in self._displays:
            display.said(message)

    def scored(self, scored: ScoredModel, best: str) -> None:
        """Show a scored model."""
        for display in self._displays:
            display.scored(scored, best)

    def told(self, event: str, fields: Mapping[str, Any]) -> None:
        """Pass on an event."""
        for display in self._displays:
            display.told(event, fields)
