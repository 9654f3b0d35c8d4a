"""The images that a command line names: files, and folders with all images at any depth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nas_peft.data.folder_walk import FolderWalk
from nas_peft.data.image_files import may_be_picture, shown_name
from search_spaces import InputError

MODEL_SUFFIX = ".safetensors"
"""The ending by which a subnet file is told from an image."""


@dataclass(frozen=True)
class FoundImages:
    """Image files in the order in which they were given, those of a folder in order of path.

    ``unread`` says of each kind of picture in the folders that this installation cannot read how many there
    are, and the remedy. ``left_out`` says so of all other files, which are no pictures.
    """

    paths: tuple[Path, ...]
    unread: dict[str, int]
    left_out: dict[str, int]


def models_and_images(paths: Sequence[Path]) -> tuple[list[Path], list[Path]]:
    """The subnet files among ``paths``, which end in ``.safetensors``, and the others.

    Raises `InputError` if either is missing, and for a run folder, whose subnet file is then named.
    """
    models = [path for path in paths if path.suffix.lower() == MODEL_SUFFIX]
    others = [path for path in paths if path.suffix.lower() != MODEL_SUFFIX]
    for path in others:
        file = path / "subnet.safetensors"
        if file.is_file() and (path / "config.yaml").is_file():
            raise InputError(f"'{shown_name(str(path))}' is a run folder; give its subnet file, {file}")
    if not models:
        raise InputError(
            "no subnet file is given; its name ends in .safetensors, such as RUN/subnet.safetensors"
        )
    if not others:
        raise InputError("no image is given; give image files, or folders of images, beside the subnet file")
    return models, others


def find_images(paths: Sequence[Path]) -> FoundImages:
    """The images that ``paths`` name.

    A file is an image whatever its name. Folders are walked as data sets are: hidden and system files,
    thumbnails and run folders are left out. Raises `InputError` for a path that is not there, and for a
    folder without images.
    """
    found: list[Path] = []
    unread: dict[str, int] = {}
    left_out: dict[str, int] = {}
    for path in paths:
        if path.is_file():
            found.append(path)
        elif path.is_dir():
            walk = FolderWalk(path)
            inside = walk.images(path)
            for reason, names in walk.left_out.items():
                counts = unread if may_be_picture(reason) else left_out
                counts[reason] = counts.get(reason, 0) + len(names)
            if not inside:
                held = ", ".join(f"{len(names)} {reason}" for reason, names in walk.left_out.items())
                which = f", which holds {held}" if held else ""
                raise InputError(
                    f"no image in the folder '{shown_name(str(path))}'{which}; give a folder of images"
                )
            found += inside
        else:
            raise InputError(
                f"no image or folder at '{shown_name(str(path))}'; give image files, or folders of images"
            )
    return FoundImages(tuple(found), unread, left_out)
