"""A data set as one folder of images per class."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from torch import Tensor

from nas_peft.data.decoding import read_image
from nas_peft.data.listing import Item, Listing, ToTensor
from nas_peft.data.splits import too_few_images
from search_spaces.errors import InputError

IMAGE_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".gif"}
)
_PART_NAMES = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}


def list_class_folders(root: Path, to_tensor: ToTensor) -> Listing:
    """The images below ``root``, by class folder.

    Either ``root/CLASS/**/IMAGE``, or ``root/train/CLASS/**/IMAGE`` with ``val`` (or ``valid``,
    ``validation``) and ``test`` beside ``train``. The second form is recognised by ``train`` having
    sub-folders, so that a class may be called "train". Class names and images are sorted; hidden files and
    folders are left out, and so is what lies beside the class folders, which the listing names.

    Raises:
        InputError: no class folders, a part named twice, a class without images, or a class of val or test
            that train lacks.
    """
    folders = {folder.name: folder for folder in _visible(root) if folder.is_dir()}
    parts = _part_folders(root, folders)
    if not parts:
        classes = _class_names(root, root)
        missing = ["val", "test"]
        train = _items(root, classes, ["train", *missing], to_tensor)
        return Listing(
            root.name, f"class folders in {root}", classes, train, None, None, ignored=_beside(root, classes)
        )
    classes = _class_names(parts["train"], root)
    missing = [part for part in ("val", "test") if part not in parts]
    for part in parts.keys() - {"train"}:
        strangers = sorted(set(_class_names(parts[part], root)) - set(classes))
        if strangers:
            raise InputError(
                f"class folder '{parts[part] / strangers[0]}' has no counterpart in '{parts['train']}'; "
                f"every class needs training images: add them, or take the folder out"
            )
    listed = {
        part: _items(folder, classes, ["train", *missing] if part == "train" else [part], to_tensor)
        for part, folder in parts.items()
    }
    return Listing(
        root.name,
        f"class folders in {root}",
        classes,
        listed["train"],
        listed.get("val"),
        listed.get("test"),
        ignored=_beside(root, [folder.name for folder in parts.values()]),
    )


def _part_folders(root: Path, folders: dict[str, Path]) -> dict[str, Path]:
    """The folders of the parts, or nothing where the class folders lie in ``root`` itself."""
    parts: dict[str, Path] = {}
    for name, folder in folders.items():
        part = _PART_NAMES.get(name.lower())
        if part is None:
            continue
        if part in parts:
            raise InputError(
                f"folder '{root}' has two {part} folders, '{parts[part].name}' and '{name}'; keep one of them"
            )
        parts[part] = folder
    if "train" in parts and any(child.is_dir() for child in _visible(parts["train"])):
        return parts
    # A class may be called "train" or "test", but a data set of nothing else is a mistake.
    if parts and len(parts) == len(folders):
        raise InputError(
            f"folder '{root}' has {', '.join(sorted(folders))} but no class folders in 'train'; "
            "arrange the images as train/CLASS/IMAGE"
        )
    return {}


def _class_names(folder: Path, root: Path) -> tuple[str, ...]:
    names = tuple(sorted(child.name for child in _visible(folder) if child.is_dir()))
    if not names:
        where = "" if folder == root else f" of '{root}'"
        raise InputError(
            f"folder '{folder}'{where} has no class folders; arrange the images as CLASS/IMAGE, "
            "one folder per class"
        )
    return names


def _items(
    folder: Path, classes: tuple[str, ...], serves: list[str], to_tensor: ToTensor
) -> tuple[Item, ...]:
    """The images of one part; ``serves`` are the parts they must supply, for the error."""
    items: list[Item] = []
    for label, name in enumerate(classes):
        if not (folder / name).is_dir():
            continue
        images = sorted(_images(folder / name))
        if not images:
            raise too_few_images(str(folder / name), 0, len(serves), serves)
        items.extend(Item(str(path), label, partial(_load, path, to_tensor)) for path in images)
    return tuple(items)


def _load(path: Path, to_tensor: ToTensor) -> Tensor:
    return to_tensor(read_image(path, str(path)))


def _images(folder: Path) -> Iterator[Path]:
    # Links are followed: class folders are often gathered from elsewhere that way.
    for where, folders, files in os.walk(folder, followlinks=True):
        folders[:] = [name for name in folders if not _hidden(name)]
        for name in files:
            if Path(name).suffix.lower() in IMAGE_SUFFIXES and not _hidden(name):
                yield Path(where) / name


def _visible(folder: Path) -> list[Path]:
    return sorted(child for child in folder.iterdir() if not _hidden(child.name))


def _hidden(name: str) -> bool:
    # macOS archives carry a "__MACOSX" folder of look-alikes that are no images.
    return name.startswith(".") or name == "__MACOSX"


def _beside(root: Path, used: tuple[str, ...] | list[str]) -> tuple[str, ...]:
    return tuple(child.name for child in _visible(root) if child.name not in used)
