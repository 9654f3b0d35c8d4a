"""Progress bars that tests of stages read."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from nas_peft.run.progress import Advance, StageBars


class CountingBars(StageBars):
    """Shows nothing and keeps each step that it was told: ``(done, total)``, in order."""

    def __init__(self) -> None:
        super().__init__(quiet=True)
        self.seen: list[tuple[int, int]] = []

    @contextmanager
    def stage(self, name: str) -> Iterator[Advance]:
        yield lambda done, total: self.seen.append((done, total))


@pytest.fixture(scope="session")
def counting_bars() -> Callable[[], CountingBars]:
    """Makes new bars, whose ``seen`` has the steps."""
    return CountingBars
