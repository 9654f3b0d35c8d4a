"""The folder of the cache: an entry for each data set and preprocessing; the longest unused go first."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from nas_peft.data.cache_entry import CacheEntry, stat_of
from nas_peft.data.cache_settings import CacheSettings, default_limit, existing, size_text
from nas_peft.data.use_lock import in_use, locked_file, remove_unheld
from search_spaces.errors import InputError

_UNFINISHED = ".unfinished"
_LOCK = ".lock"
_REMOVING = "removing.lock"
_COPY = ".copy"
_SPARE = 1 << 28  # bytes that stay free on the disk


@dataclass(frozen=True)
class DataCache:
    """Entries in ``folder``, which take at most ``limit`` bytes; ``limit_given`` if somebody has set that."""

    folder: Path
    limit: int
    limit_given: bool

    @classmethod
    def of(cls, settings: CacheSettings) -> DataCache | None:
        """The cache of the settings, ``None`` if they switch it off."""
        if settings.folder is None:
            return None
        limit = default_limit(settings.folder) if settings.limit is None else settings.limit
        return cls(settings.folder, limit, settings.limit is not None)

    def entries(self) -> list[CacheEntry]:
        """All finished entries, the last used first."""
        if not self.folder.is_dir():
            return []
        found = [CacheEntry.read(path) for path in sorted(self.folder.iterdir()) if path.is_dir()]
        return sorted((entry for entry in found if entry is not None), key=lambda e: e.used, reverse=True)

    def entry(self, key: str, say: Callable[[str], None]) -> CacheEntry | None:
        """The entry of a key, unless there is none or it is damaged, which is said."""
        folder = self.folder / key
        if not folder.exists():
            return None
        entry = CacheEntry.read(folder)
        reason = "its record is damaged" if entry is None else entry.damage("glance")
        if entry is None or reason:
            say(f"cache: the decoded images in '{folder}' are damaged ({reason}) and are decoded anew")
            return None
        entry.mark_used()
        return entry

    @contextmanager
    def locked(self, key: str, say: Callable[[str], None]) -> Iterator[None]:
        """One process at a time builds the entry of a key; the others wait, and are told so.

        Raises `InputError` if the folder cannot be written to.
        """
        waiting = "cache: another process is decoding these images; waiting for it"
        with self._held(key + _LOCK, lambda: say(waiting)):
            yield

    @contextmanager
    def removing(self) -> Iterator[None]:
        """One process at a time removes entries. Raises `InputError` if the folder cannot be written to."""
        if not self.folder.is_dir():  # there is nothing to remove
            yield
            return
        with self._held(_REMOVING):
            try:
                yield
            finally:
                (self.folder / _REMOVING).unlink(missing_ok=True)

    @contextmanager
    def _held(self, name: str, on_wait: Callable[[], None] = lambda: None) -> Iterator[None]:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            file = locked_file(self.folder / name, on_wait)
        except OSError as error:
            raise not_writable(self.folder, error) from error
        try:
            yield
        finally:
            os.close(file)

    def unfinished(self, key: str) -> Path:
        """A new folder for the files of an entry while they are written, by the holder of its lock."""
        folder = self.folder / (key + _UNFINISHED)
        shutil.rmtree(folder, ignore_errors=True)  # of a process that was killed
        folder.mkdir()
        return folder

    def finish(self, unfinished: Path) -> Path:
        """Give a folder with a complete record its name, at once; a damaged one in its place is removed."""
        folder = unfinished.with_suffix("")
        with suppress(FileNotFoundError):  # there is none, or another process removes it
            shutil.rmtree(folder)
        unfinished.rename(folder)
        return folder

    def make_room(self, needed: int, name: str) -> None:
        """Remove entries that nobody uses, the least recently used first, until ``needed`` bytes fit.

        Entries beyond the limit go, and as many as the disk is short of. Raises `InputError` if that is not
        enough, before anything is removed.
        """
        if self.limit_given and needed > self.limit:
            raise InputError(
                f"the decoded images of '{name}' need {size_text(needed)}, and the cache's limit is "
                f"{size_text(self.limit)}; give a larger --cache-limit, or --cache none to keep "
                "them in memory"
            )
        with self.removing():
            self._make_room(needed, name)

    def _make_room(self, needed: int, name: str) -> None:
        held = self.nbytes
        free = shutil.disk_usage(existing(self.folder)).free
        unused: list[CacheEntry | Path] = [entry for entry in self.entries() if not entry.in_use]
        unused += [copy for copy in self.copies() if not in_use(copy)]
        unused.sort(key=_last_used, reverse=True)
        going = []
        while unused and (held + needed > self.limit or free < needed + _SPARE):
            going.append(unused.pop())
            size = _size(going[-1])
            held, free = held - size, free + size
        if free < needed + _SPARE:
            raise InputError(
                f"the decoded images of '{name}' need {size_text(needed)} in '{self.folder}', and "
                f"{size_text(max(0, free - _SPARE))} of that disk can be used; make room, or give --cache a "
                "folder on another disk, or --cache none to keep them in memory"
            )
        for entry in going:
            self.remove(entry)

    @property
    def nbytes(self) -> int:
        """Bytes of all entries and copies."""
        return sum(map(_size, self.entries())) + sum(map(_size, self.copies()))

    def copy(self, digest: str) -> Path:
        """The place of a copy of an image file that was decoded on another machine."""
        return self.folder / (digest + _COPY)

    def copies(self) -> list[Path]:
        """All copies from other machines."""
        return sorted(self.folder.glob("*" + _COPY)) if self.folder.is_dir() else []

    def remove(self, what: CacheEntry | Path) -> None:
        """Remove an entry or a copy."""
        key = what.key if isinstance(what, CacheEntry) else what.stem
        with suppress(FileNotFoundError):  # it has gone meanwhile
            if isinstance(what, CacheEntry):
                shutil.rmtree(what.folder)
            else:
                what.unlink()
        remove_unheld(self.folder / (key + _LOCK))  # held by whoever builds a damaged entry anew

    def remove_leftovers(self) -> None:
        """Remove what `leftovers` names, copies that nobody reads, and what is remembered of sources."""
        for folder in self.leftovers():
            shutil.rmtree(folder)
        for copy in self.copies():
            if not in_use(copy):
                self.remove(copy)
        if self.folder.is_dir():
            for path in self.folder.glob("*.json"):
                path.unlink(missing_ok=True)

    def leftovers(self) -> list[Path]:
        """Folders of unfinished or damaged entries that nobody is working on, such as of killed processes."""
        if not self.folder.is_dir():
            return []
        return [
            path
            for path in sorted(self.folder.iterdir())
            if path.is_dir() and CacheEntry.read(path) is None and not in_use(path.with_suffix(_LOCK))
        ]


def keep(path: Path, data: bytes) -> None:
    """Write a file of the cache that saves time at later starts, if the folder and the disk take it."""
    from supernet.atomic_file import write_atomically  # imports torch

    with suppress(OSError):  # others may share a cache that they can only read
        write_atomically(path, data)


def not_writable(folder: Path, error: OSError) -> InputError:
    """The error for a cache that images have to be written to, and cannot."""
    return InputError(
        f"the cache '{folder}' cannot be written to ({error.strerror}); give --cache another folder, or "
        "--cache none"
    )


def _size(what: CacheEntry | Path) -> int:
    """Bytes of an entry or a copy; 0 for one that has gone meanwhile."""
    if isinstance(what, CacheEntry):
        return what.nbytes
    copy = stat_of(what)
    return 0 if copy is None else copy.st_size


def _last_used(what: CacheEntry | Path) -> float:
    if isinstance(what, CacheEntry):
        return what.used
    copy = stat_of(what)
    return 0.0 if copy is None else copy.st_mtime
