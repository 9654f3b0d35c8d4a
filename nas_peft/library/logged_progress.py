"""Progress of a run as messages of Python's ``logging``."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager

from nas_peft.run.progress import Advance, StageBars

LOGGER = logging.getLogger("nas_peft")
"""The logger of a run: INFO for messages and ended stages, DEBUG for stages that begin."""


class LoggedProgress(StageBars):
    """Messages and stages of a run at the logger ``nas_peft``; nothing on standard error."""

    def __init__(self) -> None:
        super().__init__(quiet=True)

    def say(self, message: str) -> None:
        """Log a message of the run."""
        LOGGER.info("%s", message)

    @contextmanager
    def stage(self, name: str) -> Iterator[Advance]:
        """A stage named ``name``; its end is logged with the number of steps and the seconds."""
        started = time.perf_counter()
        LOGGER.debug("%s: begins", name)
        steps = 0

        def advance(done: int, total: int) -> None:
            nonlocal steps
            steps = done

        yield advance
        LOGGER.info("%s: %d in %.1f s", name, steps, time.perf_counter() - started)
