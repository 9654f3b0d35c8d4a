"""``nas-peft predict``: classify images with an exported subnet."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nas_peft.cli.user_errors import user_errors


def predict(
    file: Annotated[Path, typer.Argument(help="Subnet checkpoint (subnet.safetensors of a run).")],
    images: Annotated[list[Path], typer.Argument(help="Image files.")],
    module_file: Annotated[
        list[Path], typer.Option(help="Python file that registers a module kind of the subnet; repeatable.")
    ] = [],  # noqa: B006
    top: Annotated[int, typer.Option(min=1, help="Classes to print for each image.")] = 3,
    backbone_weights: Annotated[
        Path | None, typer.Option(help="Weights file of the backbone, if the subnet was trained on one.")
    ] = None,
    json_lines: Annotated[bool, typer.Option("--json", help="Print one JSON object for each image.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Print class names and probabilities of images, most probable first."""
    with user_errors(debug):
        import json

        from nas_peft.data.decoding import UnreadableImage, read_image
        from nas_peft.run.module_files import import_module_files
        from search_spaces import InputError
        from supernet import load_subnet

        for path in images:
            if not path.is_file():
                raise InputError(f"no image at '{path}'; give image files")
        opened = []
        for path in images:
            try:
                opened.append(read_image(path, str(path)))
            except UnreadableImage as error:  # its own remedy is an option of search
                reason = str(error).rpartition("; ")[0]
                raise InputError(f"{reason}; give image files") from error
        import_module_files(module_file)
        subnet = load_subnet(file, backbone_weights=backbone_weights)
        for path, probabilities in zip(images, subnet.probabilities(opened), strict=True):
            best = probabilities.topk(min(top, len(subnet.classes)))
            found = [
                (subnet.classes[int(i)], float(p)) for p, i in zip(best.values, best.indices, strict=True)
            ]
            if json_lines:
                print(json.dumps({"image": str(path), "classes": dict(found)}))
            else:
                print(f"{path}: " + ", ".join(f"{name} {probability:.1%}" for name, probability in found))
