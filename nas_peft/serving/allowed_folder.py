"""The folder from which clients may load subnets."""

from __future__ import annotations

from pathlib import Path

from nas_peft.serving.refusal import Refusal
from search_spaces.errors import InputError


class AllowedFolder:
    """Finds files in one folder and nowhere else.

    Paths are resolved first, symbolic links included, so neither ``..`` nor a link leads out of the folder.
    Raises `InputError` if there is no such folder.
    """

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise InputError(f"no folder at '{folder}'; give the folder from which clients may load subnets")
        self._root = folder.resolve()

    def holds(self, file: Path) -> bool:
        """Whether ``file`` is in the folder, after following links."""
        return file.resolve().is_relative_to(self._root)

    def file(self, given: str) -> Path:
        """The file at a path relative to the folder.

        Raises `Refusal`: 403 for a path that leads out of the folder, whether or not there is a file, and 404
        if there is none.
        """
        try:
            path = (self._root / given).resolve()
            outside = not path.is_relative_to(self._root)
            there = not outside and path.is_file()
        except (ValueError, OSError, RuntimeError) as error:  # a null byte, a long name, a loop of links
            raise Refusal(400, "the file is no valid path; give a path relative to the folder") from error
        if outside:
            raise Refusal(403, "the file is outside the folder from which subnets may be loaded")
        if not there:
            raise Refusal(404, f"no file '{shortened(given)}' in the folder from which subnets may be loaded")
        return path


def shortened(text: str, most: int = 80) -> str:
    """A text of a client as a refusal shows it: printable, and at most ``most`` characters long."""
    shown = "".join(c if c.isprintable() else "?" for c in text)
    return shown if len(shown) <= most else f"{shown[: most - 1]}…"
