"""Progress as bars on a terminal: one for each stage, and lines on the whole run and on the best so far."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from rich.console import Console, RenderableType
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TextColumn
from rich.text import Text

from nas_peft.run.time_left import RunTime, StageTime, now
from nas_peft.run.wrapped_text import wrapped

if TYPE_CHECKING:
    from nas_peft.run.progress import ScoredModel


class ProgressBars:
    """Bars on a console, renewed ten times a second by a thread of their own."""

    def __init__(self, run: RunTime, console: Console) -> None:
        self._run = run
        self._console = console
        self._bars = _Bars(run, console)
        self._tasks: dict[int, TaskID] = {}

    def start(self) -> None:
        """Begin."""
        self._bars.start()

    def stop(self, error: BaseException | None) -> None:
        """End; the bars of the stages stay on the screen."""
        self._bars.over = True
        self._bars.stop()

    def stage_began(self, stage: StageTime, unit: str) -> None:
        """Add a bar."""
        name = f"{stage.name} ({unit})" if unit else stage.name
        self._tasks[id(stage)] = self._bars.add_task(name, total=None, stage=stage)

    def stage_moved(self, stage: StageTime) -> None:
        """Move the bar."""
        self._bars.update(self._tasks[id(stage)], completed=stage.done, total=stage.total)

    def stage_ended(self, stage: StageTime) -> None:
        """Fill the bar."""
        steps = stage.total or stage.done or 1
        self._bars.update(self._tasks[id(stage)], completed=steps, total=steps)

    def said(self, message: str) -> None:
        """Print text above the bars; what continues a line stands further to the right than its beginning."""
        text = wrapped(message, self._console.width)
        self._console.print(text, highlight=False, markup=False, emoji=False, soft_wrap=True)

    def scored(self, scored: ScoredModel, best: str) -> None:
        """Renew the line below the bars."""
        self._bars.best = best

    def told(self, event: str, fields: Mapping[str, Any]) -> None:
        """Nothing: events are for programs."""


class _Bars(Progress):
    """The bars of the stages, and below them the whole run and the best so far."""

    def __init__(self, run: RunTime, console: Console) -> None:
        self.best = ""
        self.over = False
        self._run = run
        self._began = now()
        super().__init__(
            TextColumn("{task.description:<30}", markup=False),
            BarColumn(bar_width=14),
            _Steps(),
            _Time(run),
            console=console,
        )

    def get_renderables(self) -> Iterable[RenderableType]:
        """The tables and lines to draw."""
        yield self.make_tasks_table(self.tasks)
        if self.over:
            return
        left = self._run.left(now())
        if left is not None:
            passed = now() - self._began
            yield Text(
                f"whole run: {_clock(passed)} passed, about {_clock(left)} left "
                f"({100 * passed / (passed + left) if passed + left else 0:.0f}%)",
                no_wrap=True,
                overflow="ellipsis",
            )
        if self.best:
            yield Text(self.best, style="bold", no_wrap=True, overflow="ellipsis")


class _Steps(ProgressColumn):
    """Steps done, of the total; nothing for a stage that counts none."""

    def render(self, task: Task) -> Text:
        """The two numbers."""
        stage: StageTime = task.fields["stage"]
        return Text("" if stage.total is None else f"{task.completed:>5.0f}/{stage.total:<5}")


class _Time(ProgressColumn):
    """Time that a stage has left while it runs, and has taken once it has ended."""

    def __init__(self, run: RunTime) -> None:
        self._run = run
        super().__init__()

    def render(self, task: Task) -> Text:
        """The time, or that an earlier start of the run did the stage."""
        stage: StageTime = task.fields["stage"]
        if stage.finished_before:
            return Text("finished before")
        if stage.ended is not None:
            return Text(f"{_clock(stage.seconds(now()))} taken")
        left = self._run.stage_left(stage, now())
        return Text("" if left is None else f"{_clock(left)} left")


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"
