"""Relative paths of a run, from other working folders and after a move."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import Any, TypeVar

from nas_peft.data.embedded import EMBEDDED
from nas_peft.data.home_folder import expanded
from nas_peft.data.timm_datasets import is_timm_name
from nas_peft.settings.training_config import TrainingConfig
from search_spaces import InputError, preset_names

_Config = TypeVar("_Config", bound=TrainingConfig)

_PATHS = ("dataset", "space", "backbone_weights", "data_root")
_FOLDER = "local-dir:"


def with_found_paths(
    config: _Config, run: Path, started_in: str | None, dataset: str | None = None
) -> _Config:
    """The configuration of a run with paths that exist from here.

    A relative path that does not exist is looked for in the folder in which the run's command was given, then
    in the folders above the run folder. What is found is compared with the run's record wherever it is used,
    so that a wrong find is noticed.

    Args:
        config: the recorded configuration.
        run: the run folder.
        started_in: the folder in which the run's command was given; older runs have no record of it.
        dataset: where the data are now, instead of looking for them.
    """
    bases = [*([Path(started_in)] if started_in else []), *run.absolute().parents]
    changed: dict[str, Any] = {}
    for name in _PATHS:
        value = getattr(config, name, None)
        if value is not None and not _is_name(name, str(value)):
            changed[name] = type(value)(_found(str(value), bases))
    if config.backbone.startswith(_FOLDER):
        changed["backbone"] = _FOLDER + _found(config.backbone.removeprefix(_FOLDER), bases)
    if files := getattr(config, "module_files", ()):
        changed["module_files"] = tuple(Path(_found(str(file), bases)) for file in files)
    if dataset is not None:
        changed["dataset"] = str(PurePath(dataset)) if dataset.strip("/") else dataset
    return config.model_copy(update=changed)


def require_data(config: TrainingConfig, run: Path) -> None:
    """Raise `InputError` if the data of a run are not where its configuration says, with the remedy."""
    if not _is_name("dataset", config.dataset) and not _exists(config.dataset):
        raise InputError(
            f"the data of the run '{run}' are not at '{config.dataset}'; give the path where they are now "
            "with --dataset"
        )


def _is_name(field: str, value: str) -> bool:
    """Whether a value names what comes with the package or with timm, rather than a path."""
    if field == "dataset":
        return value in EMBEDDED or is_timm_name(value)
    return field == "space" and value in preset_names()


def _found(value: str, bases: Sequence[Path]) -> str:
    if Path(value).is_absolute() or _exists(value):
        return value
    return next((str(base / value) for base in bases if _exists(base / value)), value)


def _exists(path: str | Path) -> bool:
    try:
        return expanded(path).exists()
    except (OSError, ValueError):  # a name that the file system cannot have, or a home folder from elsewhere
        return False
