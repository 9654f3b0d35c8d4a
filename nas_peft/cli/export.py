"""``nas-peft export``: a subnet in the form of another library."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nas_peft.cli.completion import run_folders
from nas_peft.cli.run_options import MovedData
from nas_peft.cli.subnet_options import BackboneWeights, Debug, ModuleFiles
from nas_peft.cli.user_errors import user_errors


def export(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="RUN|FILE",
            help="Run folder of nas-peft search or baselines, or a subnet checkpoint.",
            autocompletion=run_folders,
        ),
    ],
    to: Annotated[
        str,
        typer.Option(
            help="Form: merged (a plain timm checkpoint), peft (a LoRA adapter of Hugging Face PEFT), "
            "onnx, torch-export, subnet (a checkpoint of nas-peft), or hub-folder (a checkpoint with a model "
            "card, for the Hugging Face hub, or a model of timm where the backbone was trained)."
        ),
    ],
    output: Annotated[
        Path,
        typer.Option(
            help="File to write (.safetensors or .pth for merged, .onnx, .pt2 for torch-export, .safetensors "
            "for subnet), or the new folder of a PEFT adapter or hub folder."
        ),
    ],
    row: Annotated[
        str | None,
        typer.Option(
            help="Row of the run's results table, by name (lora_rank-2) or label (LoRA alone); by default "
            "the exported model."
        ),
    ] = None,
    candidate: Annotated[
        int | None,
        typer.Option(
            help="Candidate of the run's search, as nas-peft front numbers them: with retrained weights if "
            "the run has them, else with weights inherited from the supernet."
        ),
    ] = None,
    images: Annotated[
        list[Path],
        typer.Option(
            help="Image file to compare the export with the subnet on; can be given several times. By "
            "default images of the subnet's data set, if that is on this machine, else generated pictures."
        ),
    ] = [],  # noqa: B006
    half: Annotated[
        bool,
        typer.Option(
            "--half", help="Store the weights of --to subnet and --to hub-folder in float16: half the size."
        ),
    ] = False,
    license: Annotated[
        str | None,
        typer.Option(
            help="Licence on the model card of --to hub-folder, by the hub's identifiers (such as apache-2.0 "
            "or cc-by-4.0); by default unknown."
        ),
    ] = None,
    tolerance: Annotated[
        float | None,
        typer.Option(
            min=0,
            help="Largest accepted difference of a logit, relative to the largest logit (absolute where that "
            "is below 1); by default 1e-4, or 1e-2 with --half.",
        ),
    ] = None,
    dataset: MovedData = None,
    backbone_weights: BackboneWeights = None,
    module_file: ModuleFiles = [],  # noqa: B006
    json_lines: Annotated[bool, typer.Option("--json", help="Print the report as one JSON object.")] = False,
    debug: Debug = False,
) -> None:
    """Write a subnet as another library reads it, and check that its logits are the subnet's.

    An export that differs by more than the tolerance is removed, and the exit status is then 2. A run names
    its own backbone weights and module files.
    """
    with user_errors(debug):
        import json
        import sys

        from search_spaces import InputError

        of_run = source.is_dir()
        if not of_run and (row is not None or candidate is not None):
            raise InputError(
                "--row and --candidate pick a subnet of a run folder; give one, or leave them out"
            )
        if not of_run and dataset is not None:
            raise InputError(
                "--dataset is for the data of a run, and a subnet file needs none; give a run folder, or "
                "leave it out"
            )
        if of_run and (backbone_weights is not None or module_file):
            raise InputError("a run names its own backbone weights and module files; leave them out")
        from nas_peft.cli.early_checks import require_run_or_subnet

        require_run_or_subnet(source)  # before torch is imported
        from nas_peft.deployment.exporting import export_model, require_form
        from nas_peft.run.outputs import require_no_input, require_no_run_file

        require_form(to, output, half=half, license=license)
        require_no_run_file(output)
        read = [path for path in (source, backbone_weights, *module_file, *images) if path is not None]
        require_no_input(output, read)
        if of_run:
            from nas_peft.deployment.run_subnet import subnet_of_run

            subnet = subnet_of_run(source, row=row, candidate=candidate, dataset=dataset)
        else:
            from nas_peft.run.module_files import import_module_files
            from supernet import load_subnet

            import_module_files(module_file)
            subnet = load_subnet(source, backbone_weights=backbone_weights)
        report = export_model(
            subnet, to, output, images=images, tolerance=tolerance, half=half, license=license
        )
        if json_lines:
            print(json.dumps(report.to_dict()))
        else:
            print("\n".join(report.lines()))
        if of_run and subnet.training.get("on") == "train":
            print(
                f"note: the row '{subnet.training['name']}' lost to another of its kind, so that it has no "
                "final model; its weights are those of the training on the training set alone",
                file=sys.stderr,
            )
        if candidate is not None and subnet.training.get("weights") == "inherited":
            print(
                f"note: candidate {candidate} has the weights inherited from the supernet; nas-peft front "
                f"{source} --candidate {candidate} --retrain --export FILE retrains it",
                file=sys.stderr,
            )


FIRST_SCREEN = dict.fromkeys(("to", "output", "row", "candidate", "half", "json_lines"), "Options")
