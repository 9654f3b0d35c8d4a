"""``nas-peft robustness``: accuracy and calibration of models on corrupted images and other domains."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nas_peft.cli.progress_options import ProgressStyle, Quiet, bars_of
from nas_peft.cli.subnet_options import (
    MAX_PIXELS,
    BackboneWeights,
    DataRoot,
    Debug,
    Domains,
    FolderLayout,
    MaxPixels,
    ModuleFiles,
    OneDevice,
    SkipBadImages,
    require_outputs,
)
from nas_peft.cli.user_errors import user_errors


def robustness(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="RUN|FILE",
            help="Run folder, for all models of its table that can be rebuilt, or a subnet file.",
        ),
    ],
    dataset: Annotated[
        str | None,
        typer.Option(
            help="Labelled images: a folder, table or name, as nas-peft search reads them; by default the "
            "run's own."
        ),
    ] = None,
    shifted: Annotated[
        list[str],
        typer.Option(
            help="Other domain to test on: NAME=FOLDER with a folder for each class, or NAME=TABLE; or "
            "without a name a folder DOMAIN/CLASS or a table with a column 'domain'; can be repeated."
        ),
    ] = [],  # noqa: B006
    corruptions: Annotated[
        str,
        typer.Option(help="Corruptions to test on: all, none, or names of ImageNet-C such as snow,fog."),
    ] = "all",
    severities: Annotated[
        str, typer.Option(help="Severities of each corruption, from 1 (mild) to 5, such as 1,3,5.")
    ] = "1,2,3,4,5",
    images: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Number of test images to use, of each class alike, drawn with seed 0; by default all.",
        ),
    ] = None,
    layout: FolderLayout = "auto",
    domains: Domains = False,
    plot: Annotated[
        Path | None,
        typer.Option(
            help="Picture to write of clean against shifted accuracy of a run's models: svg, png or pdf."
        ),
    ] = None,
    data_root: DataRoot = None,
    skip_bad_images: SkipBadImages = False,
    max_pixels: MaxPixels = MAX_PIXELS,
    device: OneDevice = "auto",
    backbone_weights: BackboneWeights = None,
    module_file: ModuleFiles = [],  # noqa: B006
    json_lines: Annotated[bool, typer.Option("--json", help="Print all scores as one JSON object.")] = False,
    progress: ProgressStyle = "auto",
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Measure models on corrupted images, other domains and rare classes.

    The corruptions are the fifteen of ImageNet-C, applied to the picture as the backbone's preprocessing
    gives it. Those that --objective robust chooses by are others, and none can be given here.
    """
    with user_errors(debug):
        from nas_peft.cli.early_checks import require_run_or_subnet
        from search_spaces import InputError

        bars = bars_of(progress, quiet)
        of_run = source.is_dir()
        require_run_or_subnet(source)  # before torch is imported
        if of_run and (backbone_weights is not None or module_file):
            raise InputError("a run names its own backbone weights and module files; leave them out")
        if not of_run and plot is not None:
            raise InputError("--plot compares the models of a run, and one file is given; give a run folder")
        if not of_run and dataset is None:
            raise InputError("a subnet file is measured on a data set; give --dataset, or a run folder")
        read_otherwise = layout != "auto" or domains or data_root or skip_bad_images
        if of_run and dataset is None and (read_otherwise or max_pixels != MAX_PIXELS):
            raise InputError(
                "without --dataset the run's own data set is read as the run read it; leave out --layout, "
                "--domains, --data-root, --skip-bad-images and --max-pixels"
            )
        require_outputs(plot, inputs=() if dataset is None else [Path(dataset)])
        from nas_peft.robustness.options import levels, test_corruptions

        chosen, at = test_corruptions(corruptions), levels(severities)
        if not chosen and not shifted:
            raise InputError("there is nothing to test on; give --corruptions all, or a --shifted set")
        from nas_peft.data.source import Reading, require_source
        from nas_peft.front.plot import require_format

        if plot:
            require_format(plot)
        reading = Reading(layout, domains)
        if dataset is not None:
            require_source(dataset, reading)  # before torch is imported

        import json

        from nas_peft.machine.devices import resolve_device
        from nas_peft.robustness.command import Request, measure_robustness
        from nas_peft.robustness.plot import plot_robustness
        from nas_peft.robustness.table import tables
        from nas_peft.run.module_files import import_module_files
        from nas_peft.run.text_console import TextConsole

        import_module_files(module_file)
        request = Request(
            source=source,
            dataset=dataset,
            reading=reading,
            shifted=tuple(shifted),
            corruptions=chosen,
            severities=at,
            most_images=images,
            data_root=data_root,
            skip_bad_images=skip_bad_images,
            max_pixels=max_pixels,
            backbone_weights=backbone_weights,
        )
        with bars:
            result = measure_robustness(request, resolve_device(device), bars)
        notes = TextConsole(stderr=True)
        if plot:
            plot_robustness(plot, result, f"robustness of the models of {source.name}")
        if progress == "json":
            bars.tell("result", **result.to_dict())
        elif json_lines:
            print(json.dumps(result.to_dict()))
        else:
            for table in tables(result):
                TextConsole().print(table)
        for name, reason in result.left_out.items():
            notes.print(f"left out: {name}: {reason}", soft_wrap=True)
        for note in result.notes:
            notes.print(f"note: {note}", soft_wrap=True)
        if plot:
            notes.print(f"picture: {plot}", soft_wrap=True)


FIRST_SCREEN = dict.fromkeys(
    ("dataset", "shifted", "corruptions", "severities", "images", "plot", "device", "json_lines"), "Options"
)
