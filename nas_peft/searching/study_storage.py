"""Storage of a search's Optuna study: the run folder's journal, or any storage that Optuna supports."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import optuna
from optuna.exceptions import StorageInternalError
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from search_spaces import InputError

DELAYS = (1.0, 2.0, 4.0, 8.0)
"""Seconds before each further attempt to reach a storage."""
JOURNAL = ".journal"
_STALE_LOCK_SECONDS = 3  # an append takes milliseconds, so an older lock is from a killed process
_UNREACHABLE = (SQLAlchemyError, StorageInternalError, OSError)

_T = TypeVar("_T")


@dataclass(frozen=True)
class StudyStorage:
    """A storage by its address: the URL of a database, or the path of a journal file (``*.journal``).

    Accesses go through `attempt`, so a search survives a database that restarts or is briefly locked and a
    network drive that comes back.

    Args:
        address: address as the user gives it, see ``--storage``.
        notify: called with a message for each failed attempt.
        delays: seconds before each further attempt.
    """

    address: str
    notify: Callable[[str], None] = lambda message: None
    delays: Sequence[float] = DELAYS

    @property
    def name(self) -> str:
        """The address without its password."""
        if self.file:
            return self.address
        try:
            return make_url(self.address).render_as_string(hide_password=True)
        except ArgumentError:
            return self.address.partition("://")[0]

    @property
    def journal(self) -> bool:
        """Whether the storage is a journal file."""
        return "://" not in self.address

    @property
    def file(self) -> Path | None:
        """The storage's file, or ``None`` for a server."""
        if self.journal:
            return Path(self.address)
        try:
            url = make_url(self.address)
        except ArgumentError:
            return None
        named = url.get_backend_name() == "sqlite" and url.database not in (None, "", ":memory:")
        return Path(str(url.database)) if named else None

    def require_address(self) -> None:
        """Raise `InputError` for an address of no kind of storage, and for a file whose folder is missing."""
        if self.journal and Path(self.address).suffix != JOURNAL:
            raise InputError(
                f"the storage '{self.address}' is neither a URL such as sqlite:///studies.db nor a journal "
                f"file (*{JOURNAL}); give one of them"
            )
        if self.file is not None and self.file.is_dir():
            raise InputError(f"the storage '{self.name}' is a folder; give the name of a file in it")
        if self.file is not None and not self.file.absolute().parent.is_dir():
            raise InputError(f"no folder '{self.file.parent}' for the storage '{self.name}'; create it")

    def open(self) -> BaseStorage:
        """Optuna's storage. Raises `InputError` for an invalid address and for a storage out of reach."""
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.require_address()
        try:
            return self.attempt(self._open)
        except (ArgumentError, ImportError, ValueError, RuntimeError) as error:
            raise InputError(f"the storage '{self.name}' cannot be opened: {_reason(error)}") from error

    def attempt(self, action: Callable[[], _T]) -> _T:
        """The result of ``action``, attempted again while the storage cannot be reached.

        Raises `InputError` after the last attempt. Nothing is lost: the run folder has all candidates.
        """
        for delay in (*self.delays, None):
            try:
                return action()
            except _UNREACHABLE as error:
                if isinstance(error, ArgumentError):
                    raise
                if delay is None:
                    raise InputError(
                        f"the storage '{self.name}' cannot be reached: {_reason(error)}; when it can, start "
                        "the same command again to go on"
                    ) from error
                self.notify(f"storage '{self.name}': {_reason(error)}; again in {delay:g} s")
                time.sleep(delay)
        raise AssertionError("the last attempt returns or raises")

    def require_file(self) -> None:
        """Raise ``FileNotFoundError`` if the storage's file is gone.

        An open handle would go on writing to the deleted file.
        """
        if self.file and not self.file.exists():
            raise FileNotFoundError(f"the file '{self.file}' is gone")

    def _open(self) -> BaseStorage:
        if not self.journal:
            return RDBStorage(self.address)
        journal = Path(self.address)
        lock = JournalFileOpenLock(str(journal), grace_period=_STALE_LOCK_SECONDS)
        _cut_half_line(journal, lock)
        return JournalStorage(JournalFileBackend(str(journal), lock))


def _cut_half_line(journal: Path, lock: JournalFileOpenLock) -> None:
    """Remove an incomplete last entry, left by a kill or a full disk; Optuna could not read on after it.

    Under Optuna's own lock, so that an entry which another process is writing is waited for.
    """
    if not journal.exists():
        return
    lock.acquire()
    try:
        if not (written := journal.read_bytes()).endswith(b"\n"):
            os.truncate(journal, written.rfind(b"\n") + 1)
    finally:
        lock.release()


def _reason(error: BaseException) -> str:
    """The innermost cause in one line, since databases wrap their errors several times."""
    while error.__cause__ is not None:
        error = error.__cause__
    return str(getattr(error, "orig", None) or error).strip().splitlines()[0] or type(error).__name__
