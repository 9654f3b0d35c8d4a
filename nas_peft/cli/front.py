"""``nas-peft front``: the Pareto front of a run, and export of any of its candidates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nas_peft.cli.cache_options import CacheFolder, use_cache
from nas_peft.cli.completion import run_folders
from nas_peft.cli.progress_options import ProgressStyle, Quiet, bars_of
from nas_peft.cli.ray_options import CpusPerTrial, GpusPerTrial, RayAddress
from nas_peft.cli.run_options import MovedData
from nas_peft.cli.user_errors import user_errors

if TYPE_CHECKING:
    from nas_peft.run.finished_search import FinishedSearch
    from nas_peft.searching.candidate import Candidate
    from nas_peft.settings.metric import Metric


def front(
    run: Annotated[
        Path, typer.Argument(help="Run folder of a finished nas-peft search.", autocompletion=run_folders)
    ],
    budget: Annotated[
        str | None,
        typer.Option(
            help="Pick the best candidate within this budget, such as 500k, 0.4M or 0.75% (of the backbone); "
            "by default within the budget of the run."
        ),
    ] = None,
    candidate: Annotated[
        int | None,
        typer.Option(help="Pick the candidate with this number, instead of the best within a budget."),
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option(help="Picture file to write: svg, png or pdf; by default front.svg in the run folder."),
    ] = None,
    export: Annotated[
        Path | None,
        typer.Option(
            help="Checkpoint file to write with the picked subnet and the weights inherited from the "
            "supernet, or retrained weights with --retrain."
        ),
    ] = None,
    retrain: Annotated[
        bool,
        typer.Option(
            "--retrain", help="Retrain the picked subnet for --export, instead of using inherited weights."
        ),
    ] = False,
    json_lines: Annotated[
        bool, typer.Option("--json", help="Print one JSON object for each point of the front.")
    ] = False,
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
    """List and draw the front of loss against cost that a search found; pick a candidate and export it.

    The search is not repeated, and the test set is not read.
    """
    with user_errors(debug):
        use_cache(cache, None)
        from nas_peft.run.place import require_run

        require_run(run)  # before torch is imported
        from nas_peft.front.plot import plot_front, require_format
        from nas_peft.machine.device_names import require_device_name
        from nas_peft.machine.ray_session import RayOptions
        from nas_peft.run.finished_search import FinishedSearch
        from nas_peft.run.outputs import require_no_run_file
        from nas_peft.run.text_console import TextConsole
        from search_spaces import InputError

        if budget and candidate is not None:
            raise InputError("budget and candidate both pick a candidate; give one of them")
        require_device_name(device)  # also where nothing is computed
        if retrain and not export:
            raise InputError("--retrain needs --export FILE; give it, or leave --retrain out")
        if export and export.is_dir():
            raise InputError(f"'{export}' is a folder; give a file to --export")
        for file, option in ((export, "--export"), (plot, "--plot")):
            if file and not file.absolute().parent.is_dir():
                raise InputError(f"no folder '{file.parent}' for {option}; create it, or give another path")
            if file:
                require_no_run_file(file)
        ray_options = RayOptions(ray_address, cpus_per_trial, gpus_per_trial)
        if ray_options != RayOptions() and not retrain:
            raise InputError(
                "ray_address, cpus_per_trial and gpus_per_trial need --retrain; give it, or leave them out"
            )
        if progress == "json" and not json_lines:
            raise InputError("--progress json writes to standard output, as the table does; give --json, too")
        bars = bars_of(progress, quiet)
        search = FinishedSearch.read(run, dataset)
        picture = plot or run / "front.svg"
        require_format(picture)
        points = search.front()
        pick = search.pick(budget) if candidate is None else search.numbered(candidate)
        said = list[str]()
        if export:
            from nas_peft.front.export import export_candidate
            from nas_peft.machine.devices import resolve_devices

            devices = resolve_devices(device, ray_options)
            ray_options.require_possible(devices.workers)
            with search.folder.held(), bars:
                found = export_candidate(
                    search,
                    pick,
                    export,
                    retrain=retrain,
                    device=devices.here,
                    bars=bars,
                    ray_options=ray_options,
                    worker_device=devices.workers,
                )
            said.append(
                f"subnet: {export} ({found['params']:,} parameters, {found['bytes']:,} bytes; validation "
                f"{_by_metric(search, found)}{_of_the_run(search)})"
            )
        title = f"{search.config.dataset}: {len(search.candidates)} candidates, seed {search.config.seed}"
        plot_front(
            picture,
            search.candidates,
            points,
            pick,
            exported=search.exported.candidate if search.exported else None,
            cost=search.cost,
            cost_name=search.config.front_field,
            title=title,
        )
        said.append(f"picture: {picture}")
        try:  # after the work: a reader that is content with some lines of it, such as head, ends the command
            _print_points(search, points, pick, json_lines)
        finally:
            for note in said:
                TextConsole(stderr=True).print(note, soft_wrap=True)


def _print_points(
    search: FinishedSearch, points: Sequence[Candidate], pick: Candidate, json_lines: bool
) -> None:
    """Print the points of the front, the picked and the exported candidate: tables, or an object for each."""
    import json

    from nas_peft.front.table import EXPORTED, PICKED, front_tables, listed, mark
    from nas_peft.run.text_console import TextConsole

    if json_lines:
        on_front = {point.number for point in points}
        for point in listed(search, points, pick):
            signs = mark(search, point, pick)
            told = {
                "picked": PICKED in signs,
                "exported": EXPORTED in signs,
                "on_front": point.number in on_front,
            }
            print(json.dumps(point.to_dict() | told))
        return
    console = TextConsole()
    for table in front_tables(search, points, pick, console.width):
        console.print(table)
        console.print()


def _by_metric(search: FinishedSearch, found: Mapping[str, Any]) -> str:
    """The validation score of an exported candidate by the metric of the run."""
    from nas_peft.settings.metric import LABELS, SEED_FIELDS

    metric = search.config.metric
    score = found[f"val_{SEED_FIELDS[metric]}"]
    return f"{LABELS[metric]} {_score(metric, score)}"


def _score(metric: Metric, score: float) -> str:
    return f"{score:.3f}" if metric == "log-loss" else f"{100 * score:.1f}%"


def _of_the_run(search: FinishedSearch) -> str:
    """The validation score of the row that the run exported, to compare with."""
    exported = search.exported
    if exported is None or exported.val_score is None:
        return ""
    return f"; the run exported {exported.label} with {_score(search.config.metric, exported.val_score)}"


FIRST_SCREEN = dict.fromkeys(
    ("budget", "candidate", "plot", "export", "retrain", "json_lines", "dataset", "device"), "Options"
)
