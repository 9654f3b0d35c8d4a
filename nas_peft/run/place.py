"""Places of run folders: what can be said of them at the start, before torch is imported."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path

from search_spaces.errors import InputError

_SHOWN = 3  # runs that an error names
LEAST_ROOM = 100 * 2**20
"""Bytes that must be free for a run; one with a small backbone takes some ten million."""


def require_run(path: Path) -> None:
    """Raise `InputError` for a path that is no run folder."""
    if not (path / "config.yaml").is_file():
        raise _no_run(path)


def _no_run(path: Path) -> InputError:
    """The error for a path that is no run folder, with a few runs that lie beside or in the path."""
    runs = [found for found in _runs_in(path.parent) if found.name != path.name] + _runs_in(path)
    # the name that someone has shortened comes first
    runs.sort(key=lambda run: (not run.name.startswith(path.name), str(run)))
    more = f" and {len(runs) - _SHOWN} more" if len(runs) > _SHOWN else ""
    there = f"; there are {', '.join(str(run) for run in runs[:_SHOWN])}{more}" if runs else ""
    return InputError(
        f"'{path}' is not a run folder: it has no config.yaml; give one of nas-peft search or nas-peft "
        f"baselines{there}"
    )


def _runs_in(folder: Path) -> list[Path]:
    """The run folders in a folder, as far as the system lets them be seen."""
    with suppress(OSError):
        return [file.parent for file in folder.glob("*/config.yaml") if (file.parent / "stages").is_dir()]
    return []


def require_place(path: Path) -> None:
    """Raise `InputError` for a path that cannot be a run folder: a file, or a folder of something else."""
    if path.exists() and not path.is_dir():
        raise InputError(f"the run folder '{path}' is a file; give another --out")
    file = path / "config.yaml"
    if path.exists() and not file.exists() and any(p.name != f"{file.name}.partial" for p in path.iterdir()):
        raise InputError(f"the folder '{path}' is not empty and holds no run; give another --out")


def require_room(path: Path) -> None:
    """Raise `InputError` where the folder ``path`` cannot be written or made, and where the disk is full."""
    there = next(place for place in (path.absolute(), *path.absolute().parents) if place.exists())
    if not there.is_dir():
        raise InputError(f"the run folder '{path}' cannot be made: '{there}' is a file; give another --out")
    if not os.access(there, os.W_OK | os.X_OK):
        raise InputError(
            f"the run folder '{path}' cannot be written: permission denied for '{there}'; give another "
            "--out, or change the permissions"
        )
    free = shutil.disk_usage(there).free
    if free < LEAST_ROOM:
        raise InputError(
            f"the disk of '{there}' has {free / 2**20:.0f} MiB free, and a run needs "
            f"{LEAST_ROOM / 2**20:.0f}; free some, or give another --out"
        )
