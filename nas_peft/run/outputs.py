"""Files that commands write, none of which may replace a file that the command reads or a run needs."""

from __future__ import annotations

import os
from collections.abc import Iterable
from fnmatch import fnmatchcase
from pathlib import Path

from nas_peft.data.image_files import shown_name
from search_spaces.errors import InputError

_OF_A_RUN = (
    "config.yaml",
    "results.json",
    "audit.json",
    "study.journal",
    "subnet.safetensors",
    "supernet*.safetensors",
    "supernet*.state.pt",
    "stages",
    "trainings",
    "generations",
    "noah",
    "tensorboard",
    "wandb",
)
"""Files and folders that a run keeps in its folder; pictures, reports and exports are a user's."""


def require_no_run_file(output: Path) -> None:
    """Raise `InputError` for an output that is a file of a finished or begun run, also by a link.

    Other commands read these files for as long as the folder is there.
    """
    for path in dict.fromkeys((Path(os.path.normpath(output.absolute())), Path(os.path.realpath(output)))):
        for folder in path.parents:
            if not ((folder / "config.yaml").is_file() and (folder / "stages").is_dir()):
                continue
            if any(fnmatchcase(path.relative_to(folder).parts[0], own) for own in _OF_A_RUN):
                raise InputError(
                    f"the output '{shown_name(str(output))}' is a file of the run '{folder}', which other "
                    "commands read; give another path"
                )


def require_no_input(output: Path, inputs: Iterable[Path]) -> None:
    """Raise `InputError` for an output that is one of the files that the command reads, also by a link."""
    if not output.exists():
        return
    for file in inputs:
        if file.exists() and file.samefile(output):
            raise InputError(
                f"the output '{shown_name(str(output))}' is a file that the command reads; give another path"
            )
