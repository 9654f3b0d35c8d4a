"""``nas-peft search``, whose options are the fields of `SearchConfig`."""

from __future__ import annotations

from typing import Any

import typer

from nas_peft.cli.cache_options import use_cache
from nas_peft.cli.config_options import first_screen, given, with_fields
from nas_peft.cli.lost_output import outlive_reader
from nas_peft.cli.option_sources import ConfigFile, options_of, planned_run
from nas_peft.cli.progress_options import end_of_run, stage_bars
from nas_peft.cli.subnet_options import Debug
from nas_peft.cli.user_errors import user_errors
from nas_peft.settings.command_options import SearchOptions
from nas_peft.settings.default_time import with_time
from nas_peft.settings.panels import Screen
from nas_peft.settings.search_config import SearchConfig


def _run_search(
    *,
    context: typer.Context,
    config: ConfigFile = None,
    debug: Debug = False,
    **fields: Any,
) -> None:
    """Search for the best modules for a data set, compare them with baselines, and export the winner.

    The data set is a folder of class folders, a table of paths and labels, or a name: nas-peft datasets lists
    all forms. The same command resumes a stopped run.
    """
    with user_errors(debug):
        from nas_peft.cli.early_checks import require_data_and_weights, require_places
        from nas_peft.machine.compiler import require_compiler
        from nas_peft.machine.ray_session import RayOptions
        from nas_peft.machine.system import require_system

        require_system()
        outlive_reader()  # the product is the run folder
        searched, options = options_of(
            (SearchConfig, SearchOptions), fields, context, config, completed=with_time
        )
        plan_of = planned_run(context, config)
        asked = [name for name in given(fields, context) if name in SearchConfig.model_fields]
        use_cache(options.cache, options.cache_limit)
        bars = stage_bars(options)
        require_places(options)
        found = require_data_and_weights(searched)  # before torch is imported
        ray_options = RayOptions(options.ray_address, options.cpus_per_trial, options.gpus_per_trial)
        if searched.compile:
            require_compiler()
        if not searched.no_retrain or options.workers > 1:
            ray_options.require_answer()

        with bars:
            bars.say(found)

            from nas_peft.main_job import plan
            from nas_peft.main_job import search as run
            from nas_peft.planning.table import plan_notes, plan_table
            from nas_peft.run.text_console import TextConsole

            if options.dry_run:
                made = plan(
                    searched, device=options.device, bars=bars, ray_options=ray_options, plan_of=plan_of
                )
                if options.progress == "json":
                    bars.tell("plan", **made.model_dump(mode="json"))
                else:
                    console = TextConsole()
                    console.print(plan_table(made))
                    console.print(plan_notes(made))
                return
            result = run(
                searched,
                options.out,
                device=options.device,
                bars=bars,
                storage=options.storage,
                study=options.study,
                ray_options=ray_options,
                workers=options.workers,
                plan_of=plan_of,
                unplanned=asked if config is None else (),
            )
        end_of_run(bars, options, result)


search = with_fields((SearchConfig, SearchOptions), _run_search)
FIRST_SCREEN = first_screen(SearchConfig, SearchOptions) | {"config": Screen.RUN.value}
