"""Progress as plain lines on standard error, where that is no terminal: few more than one for a stage."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from nas_peft.data.count_words import count_words
from nas_peft.run.time_left import RunTime, StageTime, now
from nas_peft.settings.durations import in_words

if TYPE_CHECKING:
    from nas_peft.run.progress import ScoredModel

SILENCE = 60.0
"""Seconds without a line after which a stage says how far it has got."""


class ProgressLines:
    """Writes a line when a stage ends, and in a long stage about one a minute."""

    def __init__(self, run: RunTime, silence: float = SILENCE) -> None:
        self._run = run
        self._silence = silence
        self._units: dict[str, str] = {}
        self._last = now()
        self._best = ""

    def start(self) -> None:
        """Begin."""
        self._last = now()

    def stop(self, error: BaseException | None) -> None:
        """End; the command says why."""

    def stage_began(self, stage: StageTime, unit: str) -> None:
        """Remember the unit of the steps."""
        self._units[stage.name] = unit
        self._best = ""

    def stage_moved(self, stage: StageTime) -> None:
        """Say how far a long stage has got."""
        if now() - self._last >= self._silence and stage.total and stage.done < stage.total:
            self._write(
                f"{stage.name}: {stage.done} of {stage.total} {self._units.get(stage.name, '')}".rstrip()
                + f"{self._left()}{self._best}"
            )

    def stage_ended(self, stage: StageTime) -> None:
        """Say that a stage has ended, and how long it took."""
        if stage.finished_before:
            self._write(f"{stage.name}: finished before")
            return
        count = stage.total or stage.done
        steps = f"{count_words(count, self._units.get(stage.name, '')).strip()} in " if count else ""
        self._write(f"{stage.name}: {steps}{in_words(stage.seconds(now()))}{self._left()}{self._best}")

    def said(self, message: str) -> None:
        """Write a message."""
        self._write(message)

    def scored(self, scored: ScoredModel, best: str) -> None:
        """Remember the best for the next line."""
        self._best = f"; {best}" if best else ""

    def told(self, event: str, fields: Mapping[str, Any]) -> None:
        """Nothing: events are for programs."""

    def _left(self) -> str:
        left = self._run.left(now())
        return "" if not left or left < 1 else f"; about {in_words(left)} to go"

    def _write(self, text: str) -> None:
        self._last = now()
        print(text, file=sys.stderr, flush=True)
