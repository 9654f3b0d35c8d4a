"""``nas-peft baselines``, whose options are the fields of `BaselinesConfig`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from nas_peft.cli.cache_options import CacheFolder, CacheLimit, use_cache
from nas_peft.cli.config_options import with_fields
from nas_peft.cli.ray_options import CpusPerTrial, GpusPerTrial, RayAddress
from nas_peft.cli.result_output import print_result
from nas_peft.cli.user_errors import user_errors
from nas_peft.settings.baselines_config import BaselinesConfig


def _run_baselines(
    *,
    out: Annotated[
        Path | None,
        typer.Option(help="Run folder; by default a folder under runs/ named after data and configuration."),
    ] = None,
    device: Annotated[str, typer.Option(help="Device to compute on: auto, cpu or cuda.")] = "auto",
    ray_address: RayAddress = None,
    cpus_per_trial: CpusPerTrial = None,
    gpus_per_trial: GpusPerTrial = None,
    cache: CacheFolder = None,
    cache_limit: CacheLimit = None,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    **fields: Any,
) -> None:
    """Compare single methods within the budget and baselines on a data set, without a search.

    Protocol, tables and run folder are those of nas-peft search. The single method that is best on validation
    data is exported. The same command resumes a stopped run.
    """
    with user_errors(debug):
        use_cache(cache, cache_limit)
        from nas_peft.cli.early_checks import require_data_and_weights
        from nas_peft.machine.ray_session import RayOptions
        from nas_peft.machine.system import require_system

        require_system()
        config = BaselinesConfig.of(**fields)
        require_data_and_weights(config)  # before torch is imported
        ray_options = RayOptions(ray_address, cpus_per_trial, gpus_per_trial)
        ray_options.require_answer()

        from nas_peft.baselines_job import compare_baselines
        from nas_peft.run.progress import StageBars

        with StageBars() as bars:
            result = compare_baselines(config, out, device=device, bars=bars, ray_options=ray_options)
        print_result(result)


baselines = with_fields(BaselinesConfig, _run_baselines)
