"""Progress as records of the logger ``nas_peft``, for use as a library."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from nas_peft.run.time_left import StageTime, now
from nas_peft.settings.durations import in_words

if TYPE_CHECKING:
    from nas_peft.run.progress import ScoredModel

LOGGER = logging.getLogger("nas_peft")
"""Stages and messages are at level INFO, steps and scored models at level DEBUG."""


class ProgressLog:
    """Shows nothing by itself: the program that uses the library decides what becomes of the records."""

    def start(self) -> None:
        """Begin."""

    def stop(self, error: BaseException | None) -> None:
        """End; errors are the caller's."""

    def stage_began(self, stage: StageTime, unit: str) -> None:
        """Log the start of a stage."""
        LOGGER.debug("%s began", stage.name)

    def stage_moved(self, stage: StageTime) -> None:
        """Log a step."""
        LOGGER.debug("%s: %d of %s", stage.name, stage.done, stage.total)

    def stage_ended(self, stage: StageTime) -> None:
        """Log the end of a stage with its seconds."""
        if stage.finished_before:
            LOGGER.info("%s: finished before", stage.name)
        else:
            LOGGER.info("%s: ended after %s", stage.name, in_words(stage.seconds(now())))

    def said(self, message: str) -> None:
        """Log a message."""
        LOGGER.info("%s", message)

    def scored(self, scored: ScoredModel, best: str) -> None:
        """Log a scored model."""
        LOGGER.debug("%s %s: accuracy %s, loss %s", scored.kind, scored.name, scored.accuracy, scored.loss)

    def told(self, event: str, fields: Mapping[str, Any]) -> None:
        """Log an event."""
        LOGGER.debug("%s: %s", event, dict(fields))
