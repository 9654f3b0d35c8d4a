"""Progress of a run, one bar for each stage."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

Advance = Callable[[int, int], None]
"""Called with the steps done and the steps in all."""


class CountedBar:
    """A bar that is moved by one step at each call."""

    def __init__(self, advance: Advance, total: int) -> None:
        self._advance = advance
        self._total = total
        self._done = 0
        self.move_to(0)

    def __call__(self) -> None:
        """One more step is done."""
        self.move_to(self._done + 1)

    def move_to(self, done: int) -> None:
        """So many steps are done."""
        self._done = done
        self._advance(done, self._total)

    def end(self) -> None:
        """No more steps will follow: those that are done are all."""
        self._advance(self._done, self._done)


class StageBars:
    """Bars on standard error; where that is no terminal, one line at the end of each stage.

    ``StageBars(quiet=True)`` shows nothing, for use as a library.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self.console = Console(stderr=True, quiet=quiet)
        self._bars = Progress(
            TextColumn("{task.description:<34}"),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=self.console,
            disable=not self.console.is_terminal,
        )

    def __enter__(self) -> StageBars:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def say(self, message: str) -> None:
        """Print text above the bars, brackets and colons in it as they are."""
        self.console.print(message, highlight=False, soft_wrap=True, markup=False, emoji=False)

    @contextmanager
    def stage(self, name: str) -> Iterator[Advance]:
        """A bar named ``name`` that the yielded function moves."""
        task = self._bars.add_task(name, total=None)
        seen = [0, 0]

        def advance(done: int, total: int) -> None:
            seen[:] = done, total
            self._bars.update(task, completed=done, total=total)

        yield advance
        self._bars.update(task, completed=seen[1], total=seen[1])
        if not self.console.is_terminal:
            self.console.print(f"{name}: {seen[1]}/{seen[1]}", highlight=False)

    @contextmanager
    def counted(self, name: str, total: int) -> Iterator[CountedBar]:
        """A bar named ``name`` of ``total`` steps that each call of what is yielded moves by one."""
        with self.stage(name) as advance:
            yield CountedBar(advance, total)
