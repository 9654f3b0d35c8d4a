"""The files of an export: written aside, then moved to where they stay, all or none."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from search_spaces import InputError


@dataclass(frozen=True)
class OutputFiles:
    """An output that is being written in a folder aside, on the same file system.

    ``path`` is where the output will be, and ``written`` where a form writes it first, under the same name:
    the name's ending tells readers what a file is, and a file names those that belong beside it.
    """

    path: Path
    written: Path
    _replaced: Path
    """Folder that keeps what stood in the places of the files."""

    @classmethod
    @contextmanager
    def aside(cls, path: Path) -> Iterator[OutputFiles]:
        """The output for ``path``; the folder aside is removed at the end.

        An existing folder gets the files of the output, and stays: it may be the working folder, or a mount.
        """
        name = path.resolve().name if path.is_dir() else path.name
        beside = path if path.is_dir() else path.absolute().parent
        with tempfile.TemporaryDirectory(prefix=f".{name}-", dir=beside) as folder:
            new, old = Path(folder, "new"), Path(folder, "replaced")
            new.mkdir()
            old.mkdir()
            yield cls(path, new / name, old)

    @property
    def bytes(self) -> int:
        """Size of everything that was written."""
        return sum(file.stat().st_size for file in self.written.parent.rglob("*") if file.is_file())

    @property
    def companions(self) -> tuple[Path, ...]:
        """Where further files will be, which a form has written beside a file and which belong there."""
        others = sorted(file for file in self.written.parent.iterdir() if file.name != self.written.name)
        return tuple(self.path.parent / file.name for file in others)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """The files at their places; if the body raises, they go, and what stood there is back.

        A file without companions replaces an earlier one at once. Of several files the output itself leaves
        first and comes last, so that a kill leaves no file beside the data of another.

        Raises:
            InputError: a folder stands in the place of a companion.
        """
        moves = self._moves()
        if len(moves) == 1:
            ((source, target),) = moves
            source.replace(target)
            yield
            return
        for _, target in moves:
            if target.is_dir():
                raise InputError(
                    f"'{target}' is a folder, and the export needs a file of this name; give another --output"
                )
        with ExitStack() as undo:
            for _, target in reversed(moves):
                if os.path.lexists(target):
                    kept = self._replaced / target.name
                    target.rename(kept)
                    undo.callback(kept.replace, target)
            for source, target in moves:
                source.rename(target)
                undo.callback(target.replace, source)
            yield
            undo.pop_all()

    def _moves(self) -> list[tuple[Path, Path]]:
        """From where to where each file goes, the output itself last."""
        if self.path.is_dir():  # empty, as was checked
            return [(file, self.path / file.name) for file in sorted(self.written.iterdir())]
        others = [(self.written.parent / target.name, target) for target in self.companions]
        return [*others, (self.written, self.path)]
