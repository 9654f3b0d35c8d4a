"""Folders from which Ray's workers import: those of the command, and no others."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any


class ImportPath(list[str]):
    """A list that takes only folders from which this process imports, too.

    Ray puts the current folder first on the import path of its workers. A file of the user's that is called
    ``random.py`` or ``torch.py`` there would be imported in place of the module, by the workers alone.
    """

    def extend(self, folders: Iterable[str]) -> None:
        """Append the folders that are on ``sys.path``, where an empty entry is the current folder."""
        super().extend(folder for folder in folders if folder in sys.path or "" in sys.path)


def job_config() -> Any:
    """Ray's settings of a job whose workers import from where this process does."""
    from ray.job_config import JobConfig

    config = JobConfig()
    config._py_driver_sys_path = ImportPath()  # an empty list as argument would be replaced
    return config
