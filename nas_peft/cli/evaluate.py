"""``nas-peft evaluate``: measures of a subnet on labelled images, class by class."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

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


def evaluate(
    file: Annotated[Path, typer.Argument(help="Subnet checkpoint (subnet.safetensors of a run).")],
    dataset: Annotated[
        str, typer.Option(help="Labelled images: a folder, table or name, as nas-peft search reads them.")
    ],
    part: Annotated[
        Literal["test", "val", "train", "all"] | None,
        typer.Option(
            help="Part to evaluate on; by default the test part if there is one or the data set is the "
            "subnet's own (then split off as in its run), else all images."
        ),
    ] = None,
    layout: FolderLayout = "auto",
    domains: Domains = False,
    predictions: Annotated[
        Path | None,
        typer.Option(
            help="CSV file to write: path, class, predicted class and calibrated probabilities of each image."
        ),
    ] = None,
    confusion: Annotated[
        Path | None, typer.Option(help="Picture of the confusion matrix to write: svg, png or pdf.")
    ] = None,
    mistakes: Annotated[
        Path | None,
        typer.Option(
            help="Contact sheet of the most confident mistakes to write, at most 25: svg, png or pdf."
        ),
    ] = None,
    data_root: DataRoot = None,
    skip_bad_images: SkipBadImages = False,
    max_pixels: MaxPixels = MAX_PIXELS,
    device: OneDevice = "auto",
    backbone_weights: BackboneWeights = None,
    module_file: ModuleFiles = [],  # noqa: B006
    json_lines: Annotated[
        bool, typer.Option("--json", help="Print all measures as one JSON object.")
    ] = False,
    progress: ProgressStyle = "auto",
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Evaluate a subnet: accuracy, calibration and each class, with intervals."""
    with user_errors(debug):
        from nas_peft.cli.early_checks import require_subnet
        from nas_peft.data.source import Reading, require_source

        require_subnet(file)  # before torch is imported
        bars = bars_of(progress, quiet)
        reading = Reading(layout, domains)
        require_source(dataset, reading)  # before torch is imported
        outputs = (predictions, confusion, mistakes)
        given = [path for path in (file, Path(dataset), backbone_weights, *module_file) if path is not None]
        require_outputs(*outputs, inputs=given)

        import json

        import torch

        from nas_peft.data.blank_images import ANSWERS_MEAN_LITTLE, blank_warning
        from nas_peft.data.decoding import pixel_limit
        from nas_peft.data.image_files import shown_name
        from nas_peft.evaluation.labelled_images import LabelledImages, logits_of
        from nas_peft.evaluation.measures import measure
        from nas_peft.evaluation.mistakes import confident_mistakes, plot_mistakes
        from nas_peft.evaluation.report import plot_confusion, tables, write_predictions
        from nas_peft.front.plot import require_format
        from nas_peft.machine.devices import resolve_device
        from nas_peft.run.module_files import import_module_files
        from nas_peft.run.text_console import TextConsole
        from supernet import load_subnet

        for picture in (confusion, mistakes):
            if picture:
                require_format(picture)
        import_module_files(module_file)
        subnet = load_subnet(file, backbone_weights=backbone_weights)
        subnet.network.to(resolve_device(device))
        with pixel_limit(max_pixels), bars:
            images = LabelledImages.of(
                subnet, dataset, part, root=data_root, reading=reading, skip_bad_images=skip_bad_images
            )
            require_outputs(*outputs, inputs=(item.file for item in images.items if item.file is not None))
            rows, blank = [], list[str]()
            with bars.counted("evaluation (images)", len(images.items)) as bar:
                for _, row in logits_of(subnet, images, lambda item: blank.append(item.name)):
                    rows.append(row)
                    bar()
            raw = torch.stack(rows).double()
            probabilities = subnet.probabilities_of(raw).numpy()
            measures = measure(raw.numpy(), images.labels, subnet.classes, subnet.temperature)
            if mistakes:
                worst = confident_mistakes(images.items, probabilities, images.labels, subnet.classes)
                plot_mistakes(mistakes, worst, f"most confident mistakes of {images.source}")
        if blank:
            example = f"'{shown_name(blank[0])}'"
            said = blank_warning(len(blank), len(images.items), example, ANSWERS_MEAN_LITTLE)
            typer.echo(f"warning: {said}", err=True)
        if predictions:
            names = [item.name for item in images.items]
            write_predictions(predictions, names, probabilities, images.labels, subnet.classes)
        if confusion:
            plot_confusion(confusion, measures, images.source)
        found = {"images": images.source, "temperature": subnet.temperature} | measures.to_dict()
        if progress == "json":
            bars.tell("result", **found)
        elif json_lines:
            print(json.dumps(found))
        else:
            for table in tables(measures, images.source, subnet.temperature):
                TextConsole().print(table)


FIRST_SCREEN = dict.fromkeys(
    ("dataset", "part", "predictions", "confusion", "mistakes", "skip_bad_images", "device", "json_lines"),
    "Options",
)
