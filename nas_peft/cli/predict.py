"""``nas-peft predict``: classify images with an exported subnet."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nas_peft.cli.user_errors import user_errors

if TYPE_CHECKING:
    from collections.abc import Iterator

    from PIL.Image import Image
    from torch import Tensor

_BATCH = 8  # images that are read and classified before their classes are printed


def predict(
    file: Annotated[Path, typer.Argument(help="Subnet checkpoint (subnet.safetensors of a run).")],
    images: Annotated[list[Path], typer.Argument(help="Image files to classify.")],
    module_file: Annotated[
        list[Path],
        typer.Option(
            help="Python file that registers module kinds of the subnet; can be given several times."
        ),
    ] = [],  # noqa: B006
    top: Annotated[int, typer.Option(min=1, help="Number of classes to print for each image.")] = 3,
    backbone_weights: Annotated[
        Path | None,
        typer.Option(help="Weights file of the backbone, if the subnet was trained with --backbone-weights."),
    ] = None,
    json_lines: Annotated[bool, typer.Option("--json", help="Print one JSON object for each image.")] = False,
    max_pixels: Annotated[int, typer.Option(min=1, help="Largest image to decode, in pixels.")] = 89_478_485,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Classify images: print the most probable classes of each, with their probabilities.

    Images that cannot be decoded are named on standard error, and the exit status is then 2.
    """
    with user_errors(debug):
        from nas_peft.data.decoding import UnreadableImage, pixel_limit, read_image
        from nas_peft.data.image_files import shown_name
        from nas_peft.run.module_files import import_module_files
        from search_spaces import InputError
        from supernet import load_subnet

        for path in images:
            if not path.is_file():
                raise InputError(f"no image at '{shown_name(str(path))}'; give image files")
        import_module_files(module_file)
        subnet = load_subnet(file, backbone_weights=backbone_weights)
        read: list[Path] = []

        def opened(paths: list[Path]) -> Iterator[Image]:
            for path in paths:
                try:
                    yield read_image(path, str(path))
                except UnreadableImage as error:
                    text = f"image '{shown_name(str(path))}' cannot be decoded: {error.reason}"
                    if len(images) == 1:
                        raise InputError(f"{text}; give image files") from error
                    print(f"error: {text}", file=sys.stderr)
                else:
                    read.append(path)

        with pixel_limit(max_pixels):
            for start in range(0, len(images), _BATCH):
                before = len(read)
                found = subnet.probabilities(opened(images[start : start + _BATCH]))
                for path, probabilities in zip(read[before:], found, strict=True):
                    _print_classes(path, probabilities, subnet.classes, top, json_lines)
        if len(read) < len(images):
            raise InputError(
                f"{len(images) - len(read)} of {len(images)} images cannot be decoded; the others are printed"
            )


def _print_classes(
    path: Path, probabilities: Tensor, classes: tuple[str, ...], top: int, json_lines: bool
) -> None:
    import json

    best = probabilities.topk(min(top, len(classes)))
    found = [(classes[int(i)], float(p)) for p, i in zip(best.values, best.indices, strict=True)]
    if json_lines:
        print(json.dumps({"image": str(path), "classes": dict(found)}), flush=True)
    else:
        print(f"{path}: " + ", ".join(f"{name} {chance:.1%}" for name, chance in found), flush=True)
