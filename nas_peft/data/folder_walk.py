"""Walk through folders of images: which are found, and which are left out and why."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import Path

from nas_peft.data.image_files import may_be_picture, shown_name, why_no_image, why_system_folder
from search_spaces.errors import InputError

LINKED_TWICE = "links to a file that is read already"
LINKED_FOLDER = "links to a folder that is read already"


class FolderWalk:
    """Finds folders and images below a root, and records what it leaves out.

    Links are followed, since class folders are often made of links. Links to a folder above, or to a file of
    the same class, are left out, and so are hidden and system files, folders of thumbnails, and run folders
    of nas-peft.

    Attributes:
        left_out: for each reason, the paths left out, relative to the root, as keys of a dictionary in the
            order in which they were found.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.left_out: dict[str, dict[str, None]] = {}

    def leave_out(self, path: Path, reason: str) -> None:
        """Record that the path is left out."""
        relative = shown_name(os.path.relpath(path, self.root))
        self.left_out.setdefault(reason, {})[relative] = None

    def folders(self, folder: Path) -> list[Path]:
        """Sub-folders that may hold data, in order of name; the others are left out.

        Raises `InputError` for one folder under two names, whose images would count twice.
        """
        kept: list[Path] = []
        above = {_identity(parent) for parent in (folder, *folder.parents)}
        seen: dict[tuple[int, int], Path] = {}
        for child in _in_order(Path(path) for path, is_folder in _entries(folder) if is_folder):
            if reason := self._why_no_data(child, nested=False):
                self.leave_out(child, reason)
            elif _identity(child) in above:
                self.leave_out(child, LINKED_FOLDER)
            elif (twin := seen.get(_identity(child))) is not None:
                raise InputError(
                    f"'{child.name}' and '{twin.name}' in '{folder}' are one folder under two names; "
                    "remove one of them"
                )
            else:
                seen[_identity(child)] = child
                kept.append(child)
        return kept

    def images(self, folder: Path) -> list[Path]:
        """Images at any depth, in order of path, each file once; other files are left out."""
        seen: set[tuple[int, int]] = set()
        found: list[Path] = []
        for path in _in_order(self._files(folder)):
            # Opening a pipe or a socket would block.
            if not path.is_file():
                self.leave_out(path, "broken links and special files")
            elif reason := why_no_image(path):
                self.leave_out(path, reason)
            elif (identity := _identity(path)) in seen:
                self.leave_out(path, LINKED_TWICE)
            else:
                seen.add(identity)
                found.append(path)
        return found

    def has_image(self, folder: Path) -> bool:
        """Whether the folder holds an image at any depth."""
        quiet = FolderWalk(self.root)
        return any(path.is_file() and why_no_image(path) is None for path in quiet._files(folder))

    def holds_file(self, folder: Path) -> bool:
        """Whether the folder holds a file of any kind, at any depth."""
        return any(True for _ in FolderWalk(self.root)._files(folder))

    def holds_only_other_files(self, folder: Path) -> bool:
        """Whether the folder holds files at any depth, and none that is an image or may be one."""
        others = False
        for path in FolderWalk(self.root)._files(folder):
            if path.is_file():
                reason = why_no_image(path)
                if reason is None or may_be_picture(reason):
                    return False
                others = True
        return others

    def files(self, folder: Path) -> list[Path]:
        """Files directly in the folder that are not hidden, in order of name."""
        return _in_order(
            path for path in folder.iterdir() if not path.is_dir() and not path.name.startswith(".")
        )

    def _files(self, folder: Path) -> Iterator[Path]:
        seen = {_identity(folder)}
        waiting = [folder]
        while waiting:
            for name, is_folder in _entries(waiting.pop()):
                path = Path(name)
                if not is_folder:
                    yield path
                elif reason := self._why_no_data(path, nested=True):
                    self.leave_out(path, reason)
                elif (identity := _identity(path)) in seen:
                    self.leave_out(path, LINKED_FOLDER)
                else:
                    seen.add(identity)
                    waiting.append(path)

    def _why_no_data(self, folder: Path, *, nested: bool) -> str | None:
        if reason := why_system_folder(folder.name, nested=nested):
            return reason
        return "run folders of nas-peft" if _is_for_runs(folder) else None


def _in_order(paths: Iterable[Path]) -> list[Path]:
    """The paths in order of their parts in composed Unicode; splits are drawn in this order.

    File systems keep names composed or decomposed, so that two copies of a folder may differ in that.
    """

    def key(path: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
        return tuple(unicodedata.normalize("NFC", part) for part in path.parts), path.parts

    return sorted(paths, key=key)


def _entries(folder: Path) -> list[tuple[str, bool]]:
    """The paths in a folder, and whether each is a folder or a link to one.

    The listing itself tells it of everything but links, so that large folders need no look at each file.
    They are texts, because a `Path` of each of many files takes longer than to list them.
    """
    with os.scandir(folder) as entries:
        return [
            (entry.path, Path(entry.path).is_dir() if entry.is_symlink() else entry.is_dir())
            for entry in entries
        ]


def _is_for_runs(folder: Path) -> bool:
    """Whether the folder is a run folder, or a folder ``runs`` of nothing but run folders."""
    if _is_run(folder):
        return True
    if folder.name != "runs":
        return False
    inside = list(folder.iterdir())
    return bool(inside) and all(path.is_dir() and _is_run(path) for path in inside)


def _is_run(folder: Path) -> bool:
    return (folder / "config.yaml").is_file() and (folder / "stages").is_dir()


def _identity(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_dev, found.st_ino
