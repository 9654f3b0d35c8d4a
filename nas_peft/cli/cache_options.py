"""Options of the commands that read images through the cache."""

from __future__ import annotations

import os
from typing import Annotated, TypeAlias

import typer

from nas_peft.data.cache_settings import FOLDER_VARIABLE, LIMIT_VARIABLE, NONE, CacheSettings

CacheFolder: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--cache",
        help="Folder for the decoded images of large data sets, or none to keep them in memory; by default "
        f"the environment variable {FOLDER_VARIABLE}, else nas-peft/images in the user's cache folder.",
    ),
]
CacheLimit: TypeAlias = Annotated[
    str | None,
    typer.Option(
        help="Most that the cache may take, such as 50GB; the data sets that were not used for longest are "
        f"removed first. By default the environment variable {LIMIT_VARIABLE}, else a fifth of the disk."
    ),
]


def use_cache(folder: str | None, limit: str | None) -> None:
    """Make the options the settings of this process and of those that it starts.

    Raises `InputError` for a folder or a limit that cannot be.
    """
    settings = CacheSettings.of(folder, limit, os.environ)
    if folder is not None:
        os.environ[FOLDER_VARIABLE] = str(settings.folder or NONE)
    if limit is not None:
        os.environ[LIMIT_VARIABLE] = limit
