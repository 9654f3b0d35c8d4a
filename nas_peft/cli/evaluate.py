"""``nas-peft evaluate``: measures of a subnet on labelled images, class by class."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

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
    predictions: Annotated[
        Path | None,
        typer.Option(help="CSV file to write: path, class, predicted class and probability of each image."),
    ] = None,
    confusion: Annotated[
        Path | None, typer.Option(help="Picture of the confusion matrix to write: svg, png or pdf.")
    ] = None,
    data_root: Annotated[Path | None, typer.Option(help="Folder of timm data sets.")] = None,
    backbone_weights: Annotated[
        Path | None,
        typer.Option(help="Weights file of the backbone, if the subnet was trained with --backbone-weights."),
    ] = None,
    module_file: Annotated[
        list[Path],
        typer.Option(
            help="Python file that registers module kinds of the subnet; can be given several times."
        ),
    ] = [],  # noqa: B006
    json_lines: Annotated[
        bool, typer.Option("--json", help="Print all measures as one JSON object.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Evaluate a subnet: accuracy, calibration and each class, with bootstrap intervals."""
    with user_errors(debug):
        import json

        import numpy as np
        import torch
        from rich.console import Console

        from nas_peft.evaluation.labelled_images import LabelledImages, logits_of
        from nas_peft.evaluation.measures import measure
        from nas_peft.evaluation.report import plot_confusion, tables, write_predictions
        from nas_peft.front.plot import require_format
        from nas_peft.run.module_files import import_module_files
        from search_spaces import InputError
        from supernet import load_subnet

        if confusion:
            require_format(confusion)
        for output in (predictions, confusion):
            if output and not output.absolute().parent.is_dir():
                raise InputError(
                    f"no folder '{output.parent}' for '{output.name}'; create it, or give another"
                )
        import_module_files(module_file)
        subnet = load_subnet(file, backbone_weights=backbone_weights)
        images = LabelledImages.of(subnet, dataset, part, root=data_root)
        found = list(logits_of(subnet, images))
        logits = torch.stack([row for _, row in found]).numpy().astype(np.float64)
        measures = measure(logits, images.labels, subnet.classes, subnet.temperature)
        if predictions:
            names = [item.name for item in images.items]
            write_predictions(predictions, names, logits, images.labels, subnet.classes)
        if confusion:
            plot_confusion(confusion, measures, images.source)
        if json_lines:
            about = {"images": images.source, "temperature": subnet.temperature}
            print(json.dumps(about | measures.to_dict()))
        else:
            for table in tables(measures, images.source, subnet.temperature):
                Console().print(table)
