"""``nas-peft search``: its options are the fields of the configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from nas_peft.cli.config_options import with_fields
from nas_peft.cli.ray_options import CpusPerTrial, GpusPerTrial, RayAddress
from nas_peft.cli.result_output import print_result
from nas_peft.cli.user_errors import user_errors
from nas_peft.settings.search_config import SearchConfig


def _run_search(
    *,
    out: Annotated[
        Path | None, typer.Option(help="Run folder; by default one under runs/ for this configuration.")
    ] = None,
    storage: Annotated[
        str | None,
        typer.Option(
            help="Where Optuna records the search: sqlite:///FILE, another database URL, or FILE.journal; "
            "by default study.journal in the run folder."
        ),
    ] = None,
    study: Annotated[
        str | None, typer.Option(help="Name of the study in --storage; by default the run folder's name.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    ray_address: RayAddress = None,
    cpus_per_trial: CpusPerTrial = None,
    gpus_per_trial: GpusPerTrial = None,
    workers: Annotated[
        int,
        typer.Option(help="Processes that score candidates, each with a GPU or a share of the cores."),
    ] = 1,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    **fields: Any,
) -> None:
    """Search the best modules for a data set, compare with the baselines, and export the winner.

    The data set is an embedded name (digits, shapes-count, shapes-location, shapes-orientation), a folder of
    class folders (with or without train, val and test in it), a VTAB-1k task folder, or a name of timm
    (torch/cifar100, hfds/..., wds/..., tfds/...). A run that was stopped goes on with the same command.
    """
    with user_errors(debug):
        from nas_peft.cli.early_checks import require_data_and_weights
        from nas_peft.machine.ray_session import RayOptions

        config = SearchConfig.of(**fields)
        require_data_and_weights(config)  # before torch is imported
        ray_options = RayOptions(ray_address, cpus_per_trial, gpus_per_trial)

        from nas_peft.main_job import search as run
        from nas_peft.run.progress import StageBars

        with StageBars() as bars:
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
