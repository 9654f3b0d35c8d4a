"""``nas-peft audit``: how well the scores of a search rank subnets."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nas_peft.cli.cache_options import CacheFolder, use_cache
from nas_peft.cli.completion import run_folders
from nas_peft.cli.progress_options import ProgressStyle, Quiet, bars_of
from nas_peft.cli.ray_options import CpusPerTrial, GpusPerTrial, RayAddress
from nas_peft.cli.run_options import MovedData
from nas_peft.cli.subnet_options import require_outputs
from nas_peft.cli.user_errors import user_errors


def audit(
    run: Annotated[
        Path, typer.Argument(help="Run folder of a finished nas-peft search.", autocompletion=run_folders)
    ],
    subnets: Annotated[
        int, typer.Option(help="Number of random subnets within the budget to retrain; at least 8.")
    ] = 24,
    seeds: Annotated[int, typer.Option(help="Number of retrainings of each subnet, one for each seed.")] = 3,
    plot: Annotated[
        Path | None,
        typer.Option(help="Picture file to write: svg, png or pdf; by default audit.svg in the run folder."),
    ] = None,
    dataset: MovedData = None,
    device: Annotated[str, typer.Option(help="Device to compute on: auto, cpu or cuda.")] = "auto",
    ray_address: RayAddress = None,
    cpus_per_trial: CpusPerTrial = None,
    gpus_per_trial: GpusPerTrial = None,
    cache: CacheFolder = None,
    progress: ProgressStyle = "auto",
    quiet: Quiet = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Retrain a random sample of subnets and report how well the search's scores rank them.

    The same command resumes a stopped audit. The test set is not read.
    """
    with user_errors(debug):
        use_cache(cache, None)
        from nas_peft.run.place import require_run

        require_run(run)  # before torch is imported
        picture = plot or run / "audit.svg"
        require_outputs(picture)
        from nas_peft.audit.plot import plot_audit
        from nas_peft.audit.stage import audit as run_audit
        from nas_peft.audit.table import audit_summary, audit_table
        from nas_peft.front.plot import require_format
        from nas_peft.machine.devices import resolve_devices
        from nas_peft.machine.ray_session import RayOptions
        from nas_peft.run.finished_search import FinishedSearch
        from nas_peft.run.text_console import TextConsole

        require_format(picture)
        bars = bars_of(progress, quiet)
        search = FinishedSearch.read(run, dataset)
        ray_options = RayOptions(ray_address, cpus_per_trial, gpus_per_trial)
        devices = resolve_devices(device, ray_options)
        ray_options.require_possible(devices.workers)
        with search.folder.held(), bars:
            found = run_audit(
                search,
                subnets=subnets,
                seeds=seeds,
                device=devices.here,
                bars=bars,
                ray_options=ray_options,
                worker_device=devices.workers,
            )
        plot_audit(picture, found)  # first: the reader of what is printed may go
        if progress == "json":
            bars.tell("result", **found.model_dump(mode="json"))
        else:
            console = TextConsole()
            console.print(audit_table(found))
            console.print(audit_summary(found, search))
        TextConsole(stderr=True).print(f"record: {run / 'audit.json'}, picture: {picture}", soft_wrap=True)
