"""Progress of a run, one bar for each stage."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

Advance = Callable[[int, int], None]
"""Called with the steps done and the steps in all."""


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
        """Print one line above the bars."""
        self.console.print(message, highlight=False, soft_wrap=True)

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
