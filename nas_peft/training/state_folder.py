"""The folder for the states of unfinished trainings, as seen from a worker's machine."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from nas_peft.training.training import Training


@dataclass(frozen=True)
class StateFolder:
    """The folder with the states of unfinished trainings, beside their records in the run folder.

    A worker whose machine does not see the run folder keeps no states. The folder is recognised by the
    configuration file in it, which must be this run's.
    """

    run: Path
    digest: str

    @classmethod
    def of(cls, run: Path) -> StateFolder:
        """The state folder of an existing run folder."""
        return cls(run.resolve(), _digest(run))

    def seen(self) -> bool:
        """Whether this machine sees the run folder."""
        return _digest(self.run) == self.digest

    def file(self, training: Training) -> Path | None:
        """The file of ``training``'s state; ``None`` if this machine does not see the run folder."""
        return state_file(self.run, training) if self.seen() else None


def state_file(run: Path, training: Training) -> Path:
    """The file of an unfinished training's state in a run folder."""
    return run / "trainings" / f"{training.key}.state.pt"


def _digest(run: Path) -> str:
    file = run / "config.yaml"
    return hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else ""
