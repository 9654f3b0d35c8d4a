"""Progress of a run, with one bar for each stage."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

Advance = Callable[[int, int], None]
"""Called with the number of steps done and the total number of steps."""


class CountedBar:
    """A bar that each call moves by one step."""

    def __init__(self, advance: Advance, total: int) -> None:
        self._advance = advance
        self._total = total
        self._done = 0
        self.move_to(0)

    def __call__(self) -> None:
        """Count one more step."""
        self.move_to(self._done + 1)

    def move_to(self, done: int) -> None:
        """Set the number of steps done."""
        self._done = done
        self._advance(done, self._total)

    def end(self) -> None:
        """End the bar: the steps done are the total."""
        self._advance(self._done, self._done)


class StageBars:
    """Bars on standard error, or one line at the end of each stage where that is not a terminal.

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
        """Print text above the bars literally, brackets and colons included."""
        self.console.print(message, highlight=False, soft_wrap=True, markup=False, emoji=False)

    @contextmanager
    def stage(self, name: str) -> Iterator[Advance]:
        """A bar named ``name``, moved by calling the yielded function."""
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
        """A bar named ``name`` of ``total`` steps; calling the yielded object moves the bar by one step."""
        with self.stage(name) as advance:
            yield CountedBar(advance, total)
