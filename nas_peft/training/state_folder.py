"""Where unfinished trainings keep their states, and who can see it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from nas_peft.training.training import Training


@dataclass(frozen=True)
class StateFolder:
    """Where the states of unfinished trainings are: beside their records in the run folder.

    A worker on a machine that does not see the run folder has none; it is told by the configuration there,
    which has to be this run's.
    """

    run: Path
    digest: str

    @classmethod
    def of(cls, run: Path) -> StateFolder:
        """Of a run folder that is there."""
        return cls(run.resolve(), _digest(run))

    def seen(self) -> bool:
        """Whether the run folder is seen from here."""
        return _digest(self.run) == self.digest

    def file(self, training: Training) -> Path | None:
        """The state of ``training``, if the run folder is seen from here."""
        return state_file(self.run, training) if self.seen() else None


def state_file(run: Path, training: Training) -> Path:
    """The state of an unfinished training in a run folder."""
    return run / "trainings" / f"{training.key}.state.pt"


def _digest(run: Path) -> str:
    file = run / "config.yaml"
    return hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else ""
