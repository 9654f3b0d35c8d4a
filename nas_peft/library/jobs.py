"""The jobs as functions: options are keywords, messages are logged, and the process stays as it was."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from nas_peft import baselines_job, main_job
from nas_peft.library.unchanged_state import unchanged_state
from nas_peft.machine.ray_session import RayOptions
from nas_peft.run.progress import StageBars
from nas_peft.run.results import SearchResult
from nas_peft.settings.baselines_config import BaselinesConfig
from nas_peft.settings.default_time import with_time
from nas_peft.settings.search_config import SearchConfig
from nas_peft.settings.training_config import TrainingConfig
from search_spaces import InputError

if TYPE_CHECKING:  # in Python 3.10 it is not in the standard library
    from typing_extensions import Unpack

    from nas_peft.library.options import BaselinesOptions, SearchOptions

_C = TypeVar("_C", bound=TrainingConfig)


def search(
    config: SearchConfig | None = None,
    out: str | Path | None = None,
    *,
    device: str = "auto",
    bars: StageBars | None = None,
    storage: str | None = None,
    study: str | None = None,
    ray_options: RayOptions | None = None,
    workers: int = 1,
    **options: Unpack[SearchOptions],
) -> SearchResult:
    """Search the subnet for a data set, compare it with the baselines, and write a run folder.

    ``nas_peft.search(dataset="photos", time="20m")`` does what ``nas-peft search --dataset photos --time
    20m`` does, with the same defaults. An interrupted run resumes; the result of a finished run is read.

    Random streams, thread numbers, environment, signal handlers and loggers are afterwards as before.
    Messages go to the logger ``nas_peft``, at level INFO.

    Args:
        config: configuration of the search, in place of ``options``. A configuration without a time is not
            planned.
        out: the run folder; by default ``runs/DATASET-BACKBONE-HASH``.
        device: ``cpu``, ``cuda``, or ``auto`` for a GPU where there is one.
        bars: progress bars, such as ``StageBars()``; by default messages are logged.
        storage: storage of the Optuna study: a URL, or a journal file; by default the run folder's journal.
        study: name of the study in ``storage``; by default that of the run folder.
        ray_options: the Ray to use, and the resources of each training.
        workers: number of processes that score candidates; the results do not depend on it.
        options: options of ``nas-peft search``, spelled with underscores; ``dataset`` is required.

    Raises:
        InputError: a mistake in the options, a loss of the supernet that is not finite, no subnet that could
            be trained, or a Ray that cannot be started or reached.
    """
    with unchanged_state():
        return main_job.search(
            _configuration(SearchConfig, config, with_time(options) if config is None else options),
            None if out is None else Path(out),
            device=device,
            bars=bars,
            storage=storage,
            study=study,
            ray_options=ray_options,
            workers=workers,
            unplanned=tuple(options) if config is None else (),
        )


def baselines(
    config: BaselinesConfig | None = None,
    out: str | Path | None = None,
    *,
    device: str = "auto",
    bars: StageBars | None = None,
    ray_options: RayOptions | None = None,
    **options: Unpack[BaselinesOptions],
) -> SearchResult:
    """Compare single methods and baselines on a data set, and export the best single method; no search.

    ``nas_peft.baselines(dataset="photos", seeds=3)`` does what ``nas-peft baselines --dataset photos --seeds
    3`` does. An interrupted run resumes; the result of a finished run is read. `search` says what is logged
    and what stays as it was.

    Args:
        config: configuration of the comparison, in place of ``options``.
        out: the run folder; by default ``runs/DATASET-BACKBONE-HASH``.
        device: ``cpu``, ``cuda``, or ``auto`` for a GPU where there is one.
        bars: progress bars, such as ``StageBars()``; by default messages are logged.
        ray_options: the Ray to use, and the resources of each training.
        options: options of ``nas-peft baselines``, spelled with underscores; ``dataset`` is required.

    Raises:
        InputError: a mistake in the options, no single method that could be trained, or a Ray that cannot be
            started or reached.
    """
    with unchanged_state():
        return baselines_job.compare_baselines(
            _configuration(BaselinesConfig, config, options),
            None if out is None else Path(out),
            device=device,
            bars=bars,
            ray_options=ray_options,
        )


def _configuration(kind: type[_C], config: _C | None, options: Mapping[str, Any]) -> _C:
    """The given configuration, or the one with the given options."""
    if config is not None and options:
        raise InputError(
            f"a {kind.__name__} is given, and the option {next(iter(options))} beside it; give all options "
            "in the configuration, or all as keywords"
        )
    if config is not None:
        if not isinstance(config, kind):
            raise InputError(
                f"the configuration is {config!r:.60}; give a {kind.__name__}, or options as keywords, such "
                "as dataset='photos'"
            )
        return config
    if options.get("dataset") is None and set(options) <= set(kind.model_fields):
        raise InputError(
            "no data set is given; give dataset a folder or a name, such as dataset='photos' (nas-peft "
            "datasets lists the names)"
        )
    # fields that hold a path or a name are texts
    return kind.of(**{k: os.fspath(v) if isinstance(v, os.PathLike) else v for k, v in options.items()})
