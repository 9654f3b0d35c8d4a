"""``nas-peft baselines``, whose options are the fields of `BaselinesConfig`."""

from __future__ import annotations

from typing import Any

import typer

from nas_peft.cli.cache_options import use_cache
from nas_peft.cli.config_options import first_screen, with_fields
from nas_peft.cli.lost_output import outlive_reader
from nas_peft.cli.option_sources import ConfigFile, options_of
from nas_peft.cli.progress_options import end_of_run, stage_bars
from nas_peft.cli.subnet_options import Debug
from nas_peft.cli.user_errors import user_errors
from nas_peft.settings.baselines_config import BaselinesConfig
from nas_peft.settings.command_options import RunOptions
from nas_peft.settings.panels import Screen


def _run_baselines(
    *,
    context: typer.Context,
    config: ConfigFile = None,
    debug: Debug = False,
    **fields: Any,
) -> None:
    """Compare single methods within the budget and baselines on a data set, without a search.

    Protocol, tables and run folder are those of nas-peft search. The single method that is best on validation
    data is exported. The same command resumes a stopped run.
    """
    with user_errors(debug):
        from nas_peft.cli.early_checks import require_data_and_weights, require_places
        from nas_peft.machine.ray_session import RayOptions
        from nas_peft.machine.system import require_system

        require_system()
        outlive_reader()  # the product is the run folder
        compared, options = options_of((BaselinesConfig, RunOptions), fields, context, config)
        use_cache(options.cache, options.cache_limit)
        bars = stage_bars(options)
        require_places(options)
        found = require_data_and_weights(compared)  # before torch is imported
        ray_options = RayOptions(options.ray_address, options.cpus_per_trial, options.gpus_per_trial)
        ray_options.require_answer()

        with bars:
            bars.say(found)

            from nas_peft.baselines_job import compare_baselines

            result = compare_baselines(
                compared, options.out, device=options.device, bars=bars, ray_options=ray_options
            )
        end_of_run(bars, options, result)


baselines = with_fields((BaselinesConfig, RunOptions), _run_baselines)
FIRST_SCREEN = first_screen(BaselinesConfig, RunOptions) | {"config": Screen.RUN.value}
