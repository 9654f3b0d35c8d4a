"""Progress of a run: what its stages report, and the ways to show it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Literal, Protocol, TypeAlias

from nas_peft.run.several_displays import SeveralDisplays
from nas_peft.run.time_left import RunTime, StageTime, now
from nas_peft.settings.metric import LABELS, Metric

Advance = Callable[[int, int], None]
"""Called with the number of steps done and the total number of steps."""

Style: TypeAlias = Literal["auto", "plain", "json"]
"""``auto`` shows bars on a terminal and plain lines elsewhere; ``json`` writes events for programs."""


@dataclass(frozen=True)
class ScoredModel:
    """A model that was scored: a candidate with inherited weights, or a separate training.

    ``name`` is its name in files, ``label`` the one that people read, with ``recipe`` in brackets.
    ``accuracy`` is a fraction; accuracy and loss are ``None`` where there is no score. ``score`` is by the
    ``metric`` of the run where that is another one, higher is better. ``eligible`` says
    whether it may become the best so far: it may be exported, and its score is complete. ``found`` says that
    an earlier start of the run did it. ``fields`` are further values for programs.
    """

    kind: Literal["candidate", "training"]
    name: str
    label: str
    accuracy: float | None
    loss: float | None
    recipe: str = ""
    eligible: bool = True
    found: bool = False
    fields: Mapping[str, Any] = field(default_factory=dict)
    metric: Metric = "accuracy"
    score: float | None = None

    @property
    def order(self) -> tuple[float, float]:
        """Sort key, the best first: candidates by their loss, trainings by their score and then loss."""
        loss = float("inf") if self.loss is None else self.loss
        score = (self.accuracy or 0.0) if self.score is None else self.score
        return (loss, 0.0) if self.kind == "candidate" else (-score, loss)

    def in_words(self) -> str:
        """The model with its score."""
        if self.kind == "candidate":
            return f"{self.label}, loss {self.loss:.3f} with inherited weights"
        recipe = f" ({self.recipe})" if self.recipe else ""
        if self.score is None:
            return f"{self.label}, validation {100 * (self.accuracy or 0.0):.1f}%{recipe}"
        amount = f"{-self.score:.3f}" if self.metric == "log-loss" else f"{100 * self.score:.1f}%"
        return f"{self.label}, validation {LABELS[self.metric]} {amount}{recipe}"


class Display(Protocol):
    """A way to show progress. Each call returns at once and raises nothing."""

    def start(self) -> None:
        """Begin."""

    def stop(self, error: BaseException | None) -> None:
        """End, because of ``error`` if there is one."""

    def stage_began(self, stage: StageTime, unit: str) -> None:
        """Show a new stage, which counts its steps in ``unit``."""

    def stage_moved(self, stage: StageTime) -> None:
        """Show that a stage has got further."""

    def stage_ended(self, stage: StageTime) -> None:
        """Show that a stage has ended."""

    def said(self, message: str) -> None:
        """Show text, literally."""

    def scored(self, scored: ScoredModel, best: str) -> None:
        """Show a scored model; ``best`` says in words which one is the best so far."""

    def told(self, event: str, fields: Mapping[str, Any]) -> None:
        """Pass on an event for programs."""


class CountedBar:
    """A bar that each call moves by one step."""

    def __init__(self, advance: Advance, total: int, find: Callable[[int], None]) -> None:
        self._advance = advance
        self._total = total
        self._find = find
        self._done = 0
        self.move_to(0)

    def __call__(self) -> None:
        """Count one more step."""
        self.move_to(self._done + 1)

    def move_to(self, done: int) -> None:
        """Set the number of steps done."""
        self._done = done
        self._advance(done, self._total)

    def find(self, steps: int = 1) -> None:
        """Count steps that an earlier start of the run has done."""
        self._find(steps)
        self.move_to(self._done + steps)

    def end(self) -> None:
        """End the bar: the steps done are the total."""
        self._advance(self._done, self._done)


class StageBars:
    """Progress of a command: a context manager that stages report to.

    On a terminal each stage is a bar with the time left, below them are the whole run and what is best so
    far; elsewhere each stage is a line on standard error. ``style="json"`` writes a JSON object a line to
    standard output (docs/output.md lists them). ``quiet=True`` shows nothing, for use as a library: what
    happens goes to the logger ``nas_peft``. ``also`` are further displays, such as trackers.
    """

    def __init__(self, *, quiet: bool = False, style: Style = "auto", also: Sequence[Display] = ()) -> None:
        self.time = RunTime()
        shown = _display(quiet, style, self.time)
        self._display: Display = SeveralDisplays([shown, *also]) if also else shown
        self._before = ""
        self._best: dict[str, ScoredModel] = {}
        self._running: list[StageTime] = []

    def __enter__(self) -> StageBars:
        self._display.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._display.stop(error)

    def expect(self, plans: Sequence[Mapping[str, float]], *, measured: bool) -> None:
        """Expect the stages of one of ``plans`` (see `RunTime`), and show the time that the run has left."""
        self.time.plans, self.time.measured = plans, measured

    def say(self, message: str) -> None:
        """Show text above the bars literally, brackets and colons included."""
        self._display.said(message)

    def tell(self, event: str, **fields: Any) -> None:
        """Report an event for programs; people do not see it."""
        self._display.told(event, fields)

    def scored(self, scored: ScoredModel) -> None:
        """Report a scored model, which may be the best so far."""
        best = self._best.get(scored.kind)
        if scored.eligible and scored.loss is not None and (best is None or scored.order < best.order):
            self._best[scored.kind] = best = scored
        count = ""
        if self._running and (stage := self._running[-1]).total:
            count = f"; {stage.done} of {stage.total} {scored.kind}s"
        self._display.scored(scored, f"best so far: {best.in_words()}{count}" if best else "")

    @contextmanager
    def within(self, whose: str) -> Iterator[None]:
        """Put ``whose`` before the names of the stages: ``NOAH's``."""
        self._before = f"{whose} "
        try:
            yield
        finally:
            self._before = ""

    @contextmanager
    def stage(self, name: str) -> Iterator[Advance]:
        """A bar named ``name``, moved by calling the yielded function.

        The unit of its steps is in brackets: ``supernet (epochs)``.
        """
        words, _, unit = f"{self._before}{name}".removesuffix(")").partition(" (")
        stage = self.time.begin(words, now())
        self._running.append(stage)
        self._display.stage_began(stage, unit)

        def advance(done: int, total: int) -> None:
            if done > stage.done:
                stage.moved = now()
            stage.done, stage.total = done, total
            self._display.stage_moved(stage)

        try:
            yield advance
            stage.ended = now()
            self._display.stage_ended(stage)
        finally:
            self._running.remove(stage)

    @contextmanager
    def counted(self, name: str, total: int) -> Iterator[CountedBar]:
        """A bar named ``name`` of ``total`` steps; calling the yielded object moves the bar by one step."""
        with self.stage(name) as advance:
            yield CountedBar(advance, total, self.find)

    def find(self, steps: int) -> None:
        """Note that so many steps of the running stage were done by an earlier start of the run."""
        if self._running:
            self._running[-1].found += steps


def _display(quiet: bool, style: Style, run: RunTime) -> Display:
    """The display for a style; what it needs is imported here, because libraries show nothing."""
    if quiet:
        from nas_peft.run.progress_log import ProgressLog

        return ProgressLog()
    if style == "json":
        from nas_peft.run.progress_json import ProgressJson

        return ProgressJson(run)
    from nas_peft.run.text_console import TextConsole

    console = TextConsole(stderr=True)
    if style == "plain" or not console.is_terminal:
        from nas_peft.run.progress_lines import ProgressLines

        return ProgressLines(run)
    from nas_peft.run.progress_bars import ProgressBars

    return ProgressBars(run, console)
