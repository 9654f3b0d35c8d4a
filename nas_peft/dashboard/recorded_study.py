"""The study of a run as it is recorded, read without changing it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import BaseStorage, JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial

from nas_peft.run.finished_search import recorded_options
from nas_peft.run.run_folder import RunFolder
from nas_peft.run.stage_records import RecordPlace
from nas_peft.searching.study_storage import StudyStorage
from search_spaces import InputError


@dataclass
class RecordedStudy:
    """A study that a search has written, or still writes.

    A journal is never opened for writing: its whole lines are copied into ``scratch``, and Optuna reads the
    copy. So a running search is not disturbed, and a run folder may be read-only.

    Args:
        place: storage of the study.
        name: name of the study there.
        scratch: folder for the copy of a journal.
    """

    place: StudyStorage
    name: str
    scratch: Path
    _read: int = field(default=0, init=False)
    _study: optuna.Study | None = field(default=None, init=False)

    @classmethod
    def of_run(cls, run: Path, scratch: Path, storage: str | None = None) -> RecordedStudy:
        """The study of the run in folder ``run``.

        ``storage`` is the address of the storage where the run recorded it without a password.

        Raises `InputError` for a folder that is not a run folder, for a run without a search, for a search
        that has not begun, and for a storage that is not the run's.
        """
        if "searcher" not in recorded_options(run):
            raise InputError(
                f"'{run}' is a run of nas-peft baselines, which searches nothing; "
                "give a folder of nas-peft search"
            )
        folder = RunFolder(run)
        recorded = folder.read_stage("record", RecordPlace)
        if recorded is None:
            raise InputError(
                f"the search of '{run}' has no record yet; start this command again once the run has begun"
            )
        own = recorded.storage is None
        place = StudyStorage(storage or recorded.storage or str(folder.journal))
        if storage is not None and (own or place.name != recorded.storage):
            where = "its own folder; leave --storage out" if own else f"{recorded.storage}; give that one"
            raise InputError(f"the search of '{run}' is recorded in {where}")
        if ":***@" in place.address:
            raise InputError(
                f"the run recorded its storage {place.name} without the password; give --storage with it"
            )
        if place.file is not None and not place.file.is_file():
            raise InputError(
                f"the record of the search '{place.file}' is gone; put it back, or start the command of the "
                "run again, which writes it anew"
            )
        return cls(place, recorded.study, scratch)

    @property
    def attributes(self) -> dict[str, Any]:
        """What the search recorded of itself: ``cost``, ``searcher``, ``space`` and more."""
        study = self._read_study()
        return study.user_attrs

    def trials(self) -> list[FrozenTrial]:
        """The candidates recorded so far, in the order of their numbers."""
        study = self._read_study()
        found = self.place.attempt(lambda: study.get_trials(deepcopy=False))
        candidates = [trial for trial in found if "number" in trial.user_attrs]
        return sorted(candidates, key=lambda trial: int(trial.user_attrs["number"]))

    def _read_study(self) -> optuna.Study:
        if self.place.journal:
            self._copy_new_lines()
        if self._study is None:
            storage = self._open()
            try:
                self._study = self.place.attempt(
                    lambda: optuna.load_study(study_name=self.name, storage=storage)
                )
            except KeyError as error:
                raise InputError(
                    f"the storage '{self.place.name}' has no study '{self.name}'; start the command of the "
                    "run again, which writes it anew"
                ) from error
        return self._study

    def _open(self) -> BaseStorage:
        if not self.place.journal:
            return self.place.open()
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        return JournalStorage(JournalFileBackend(str(self._copy)))

    @property
    def _copy(self) -> Path:
        return self.scratch / "study.journal"

    def _copy_new_lines(self) -> None:
        """Copy the lines that have been added; a line that is still being written waits for the next time."""
        with Path(self.place.address).open("rb") as journal:
            journal.seek(self._read)
            added = journal.read()
        whole = added[: added.rfind(b"\n") + 1]
        with self._copy.open("ab") as copy:
            copy.write(whole)
        self._read += len(whole)
