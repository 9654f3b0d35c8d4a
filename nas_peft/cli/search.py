"""``nas-peft search``, whose options are the fields of `SearchConfig`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from nas_peft.cli.cache_options import CacheFolder, CacheLimit, use_cache
from nas_peft.cli.config_options import given, with_fields
from nas_peft.cli.ray_options import CpusPerTrial, GpusPerTrial, RayAddress
from nas_peft.cli.result_output import print_result
from nas_peft.cli.user_errors import user_errors
from nas_peft.settings.durations import AUTO
from nas_peft.settings.search_config import SearchConfig

PLANNED_WITH = {
    *("dataset", "layout", "domains", "data_root", "shots", "skip_bad_images", "drop_duplicates"),
    *("max_pixels", "backbone", "backbone_weights", "image_size", "module_files", "seed"),
    *("budget", "count_head", "baselines", "precision", "micro_batches", "checkpointing", "pack"),
}
"""Options that say nothing of recipe and search: with these alone the command is planned for ``auto``."""


def with_time(fields: dict[str, Any]) -> dict[str, Any]:
    """The ``fields`` of a command, with the time ``auto`` where none of them says how to search and train.

    Whoever gives such an option, and no time, gets what was asked for, and the documented defaults.
    """
    if {"time", "preset"} & set(fields) or set(fields) - PLANNED_WITH:
        return fields
    return fields | {"time": AUTO}


def _run_search(
    *,
    context: typer.Context,
    out: Annotated[
        Path | None,
        typer.Option(help="Run folder; by default a folder under runs/ named after data and configuration."),
    ] = None,
    storage: Annotated[
        str | None,
        typer.Option(
            help="Storage for Optuna's record of the search: sqlite:///FILE, another database URL, or "
            "FILE.journal; by default study.journal in the run folder."
        ),
    ] = None,
    study: Annotated[
        str | None,
        typer.Option(help="Name of the Optuna study in --storage; by default the name of the run folder."),
    ] = None,
    device: Annotated[str, typer.Option(help="Device to compute on: auto, cpu or cuda.")] = "auto",
    ray_address: RayAddress = None,
    cpus_per_trial: CpusPerTrial = None,
    gpus_per_trial: GpusPerTrial = None,
    workers: Annotated[
        int,
        typer.Option(
            help="Number of processes that score candidates, each with a GPU or a share of the cores."
        ),
    ] = 1,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Print the plan for --time or --preset, with the expected seconds of each stage, and stop.",
        ),
    ] = False,
    cache: CacheFolder = None,
    cache_limit: CacheLimit = None,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    **fields: Any,
) -> None:
    """Search for the best modules for a data set, compare them with baselines, and export the winner.

    The data set is an embedded name (digits, shapes-count, shapes-location, shapes-orientation), a folder of
    class folders (with or without train, val and test folders above them), a VTAB-1k task folder, a table of
    paths and labels (CSV, TSV or text), or a timm name (torch/cifar100, hfds/..., hfids/..., wds/...,
    tfds/...). The same command resumes a stopped run.
    """
    with user_errors(debug):
        use_cache(cache, cache_limit)
        from nas_peft.cli.early_checks import require_data_and_weights
        from nas_peft.machine.compiler import require_compiler
        from nas_peft.machine.ray_session import RayOptions
        from nas_peft.machine.system import require_system

        require_system()
        config = SearchConfig.of(**with_time(given(fields, context)))
        require_data_and_weights(config)  # before torch is imported
        ray_options = RayOptions(ray_address, cpus_per_trial, gpus_per_trial)
        if config.compile:
            require_compiler()
        if not config.no_retrain or workers > 1:
            ray_options.require_answer()

        from rich.console import Console

        from nas_peft.main_job import plan
        from nas_peft.main_job import search as run
        from nas_peft.planning.table import plan_table
        from nas_peft.run.progress import StageBars

        with StageBars() as bars:
            if dry_run:
                made = plan(config, device=device, bars=bars, ray_options=ray_options)
                Console().print(plan_table(made))
                return
            result = run(
                config,
                out,
                device=device,
                bars=bars,
                storage=storage,
                study=study,
                ray_options=ray_options,
                workers=workers,
            )
        print_result(result)


search = with_fields(SearchConfig, _run_search)
