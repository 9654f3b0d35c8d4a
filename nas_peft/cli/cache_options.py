"""Options of the commands that read images through the cache."""

from __future__ import annotations

import os
from typing import Annotated, TypeAlias

import typer

from nas_peft.data.cache_settings import FOLDER_VARIABLE, LIMIT_VARIABLE, NONE, CacheSettings
from search_spaces.errors import InputError

CacheFolder: TypeAlias = Annotated[
    str | None, typer.Option("--cache", help=f"Folder of decoded images, or none; else {FOLDER_VARIABLE}.")
]


def use_cache(folder: str | None, limit: str | None) -> None:
    """Make the options the settings of this process and of those that it starts.

    Raises `InputError` for a folder or a limit that cannot be.
    """
    if folder is not None and not folder.strip():
        raise InputError("the name of the folder for --cache is empty; give a folder, or none for no cache")
    settings = CacheSettings.of(folder, limit, os.environ)
    if folder is not None:
        os.environ[FOLDER_VARIABLE] = str(settings.folder or NONE)
    if limit is not None:
        os.environ[LIMIT_VARIABLE] = limit
