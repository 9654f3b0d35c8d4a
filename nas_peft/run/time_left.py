"""Estimates of the time that a stage and the whole run have left."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

TRUST = 0.25
"""Share of a measured plan that counts as observed before anything has run."""


@dataclass
class StageTime:
    """A stage's steps and times: ``found`` of the ``done`` steps were finished by an earlier start.

    ``expected`` are the seconds that the whole stage was expected to take, if known. ``moved`` is the time of
    the last step, ``ended`` that of the end. Times are those of `time.monotonic`.
    """

    name: str
    started: float
    expected: float | None = None
    done: int = 0
    total: int | None = None
    found: int = 0
    moved: float = 0.0
    ended: float | None = None

    @property
    def finished_before(self) -> bool:
        """Whether an earlier start of the run had done all of it."""
        return self.ended is not None and self.found > 0 and self.found >= self.done

    def seconds(self, now: float) -> float:
        """Seconds since the start of the stage, up to its end."""
        return (now if self.ended is None else self.ended) - self.started

    def left(self, now: float, scale: float | None = 1.0) -> float | None:
        """Seconds left, or ``None`` where nothing is known.

        The expectation, times ``scale``, counts at first; the speed of the steps counts the more, the more of
        them are done.
        """
        if self.ended is not None:
            return 0.0
        own = self.done - self.found
        rest = None if self.total is None else self.total - self.done
        by_steps = None
        if own > 0 and rest is not None:
            pace = (self.moved - self.started) / own
            by_steps = max(pace * rest - (now - self.moved), 0.0)
        by_plan = None
        if self.expected is not None and scale is not None:
            share = 1.0 if not self.total else 1 - self.found / self.total
            by_plan = max(scale * self.expected * share - self.seconds(now), 0.0)
        if by_steps is None or by_plan is None or rest is None:
            return by_plan if by_steps is None else by_steps
        known = own / (own + rest) if own + rest else 1.0
        return known * by_steps + (1 - known) * by_plan


@dataclass
class RunTime:
    """The stages of a run that have begun, and the expectation for those that have not.

    ``plans`` are the expected seconds of each stage by name, one plan for each course that the run may take,
    the shortest first. With ``measured`` they are seconds of this machine, otherwise only their ratios count,
    and nothing is known until a part of a stage has run.
    """

    plans: Sequence[Mapping[str, float]] = ()
    measured: bool = False
    stages: list[StageTime] = field(default_factory=list)

    def begin(self, name: str, now: float) -> StageTime:
        """A new stage."""
        stage = StageTime(name, now, moved=now)
        self.stages.append(stage)
        stage.expected = self._plan().get(name)
        return stage

    def left(self, now: float) -> float | None:
        """Seconds left of the whole run, or ``None`` where nothing is known."""
        plan, scale = self._plan(), self.scale(now)
        if not plan or scale is None:
            return None
        begun = {stage.name for stage in self.stages}
        left = scale * sum(seconds for name, seconds in plan.items() if name not in begun)
        for stage in self.stages:
            if stage.ended is None:
                left += stage.left(now, scale) or 0.0
        return left

    def stage_left(self, stage: StageTime, now: float) -> float | None:
        """Seconds left of one stage, or ``None`` where nothing is known."""
        return stage.left(now, self.scale(now))

    def scale(self, now: float) -> float | None:
        """The ratio of actual to expected seconds of what has run by now; ``None`` where it is not known."""
        plan = self._plan()
        actual = expected = 0.0
        for stage in self.stages:
            seconds, own = plan.get(stage.name), stage.done - stage.found
            if seconds is None or stage.finished_before or own <= 0:
                continue
            steps = stage.done if stage.ended is not None else (stage.total or stage.done)
            actual += (stage.moved if stage.ended is None else stage.ended) - stage.started
            expected += seconds * own / max(steps, 1)
        if self.measured:
            prior = TRUST * sum(plan.values())
            actual, expected = actual + prior, expected + prior
        return actual / expected if expected > 0 else None

    def _plan(self) -> Mapping[str, float]:
        """The shortest plan that has all begun stages which any plan has."""
        begun = {stage.name for stage in self.stages} & {name for plan in self.plans for name in plan}
        return next(
            (plan for plan in self.plans if begun <= plan.keys()), self.plans[-1] if self.plans else {}
        )


def now() -> float:
    """The current time, for differences alone."""
    return time.monotonic()
