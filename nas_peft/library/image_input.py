"""Images as Python programs have them, and as a table of files that a run can read."""

from __future__ import annotations

import csv
import os
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from nas_peft.data.decoding import read_image
from nas_peft.data.home_folder import expanded
from nas_peft.data.image_files import shown_name
from nas_peft.data.text_lists import is_whole_number
from nas_peft.prediction.image_paths import find_images
from search_spaces import InputError
from supernet.rgb_image import UnsuitableImage, rgb_image

Images: TypeAlias = "str | Path | NDArray[np.uint8] | Sequence[str | Path | Image.Image | NDArray[np.uint8]]"
"""A folder of images, an array (N, H, W, 3) of bytes, or a list of paths, PIL images or arrays (H, W, 3)."""

FORMS = (
    "give a folder, a list of paths, a list of PIL images, or an array of N images, H rows, W columns and 3 "
    "colours in uint8"
)


def is_one_path(images: Any) -> bool:
    """Whether ``images`` is the path of a folder or of a table, in place of the images."""
    return isinstance(images, (str, os.PathLike))


def as_sequence(images: Any) -> Sequence[Any]:
    """The images one by one, each a path, a PIL image, or an array (H, W, 3) of bytes.

    A folder stands for its image files, at any depth and sorted by path. Raises `InputError` for anything
    else.
    """
    if is_one_path(images):
        return find_images([expanded(images)]).paths
    if isinstance(images, np.ndarray) and images.dtype.kind not in "OU":
        if images.ndim != 4 or images.shape[-1] != 3 or images.dtype != np.uint8:
            raise InputError(f"the images are an array of shape {images.shape} and {images.dtype}; {FORMS}")
        if len(images) and not images.size:
            raise InputError(f"the images are an array of shape {images.shape}, without pixels; {FORMS}")
        return list(images)
    if not isinstance(images, (Sequence, np.ndarray)):
        raise InputError(f"the images are of the type {type(images).__name__}; {FORMS}")
    for place, image in enumerate(images):
        _require_image(image, place)
    return list(images)


def opened(images: Sequence[Any]) -> Iterator[Image.Image]:
    """The images of `as_sequence` as PIL images in upright RGB, each when it is asked for.

    A PIL image is treated as the file from which it was opened. Raises `UnreadableImage` for a file that
    cannot be decoded, and `InputError` for a PIL image that cannot be and for a file that is not there.
    """
    for place, image in enumerate(images):
        if is_one_path(image):
            yield read_image(existing_file(image), str(image))
        else:
            yield _in_memory(image, place)


def write_table(images: Sequence[Any], labels: Sequence[str], folder: Path) -> Path:
    """A table of the images and labels in ``folder``, which a search reads as its data set.

    Images in memory are written beside it as PNG files, without loss. Files stay where they are; those whose
    paths have no place in a table get a link beside it. Raises `InputError` for a file that is not there.
    """
    files = [existing_file(image).absolute() if is_one_path(image) else None for image in images]
    folder.mkdir(parents=True, exist_ok=True)
    table = folder / "images.csv"
    with table.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("path", "label"))
        for number, (image, given, label) in enumerate(zip(images, files, labels, strict=True)):
            path = folder.absolute() / f"{number:07d}.png"
            if given is not None:
                path = _in_table(given, path)
            else:
                pixels = np.asarray(_in_memory(image, number))  # without the remarks of a file
                Image.fromarray(pixels).save(path, compress_level=1)
            writer.writerow((path, label))
    return table


def existing_file(image: str | Path) -> Path:
    """The file of an image, with the home folder in place of ``~``. Raises `InputError` if it is missing."""
    path = expanded(image)
    try:
        if path.is_file():
            return path
        why = "is not a file" if path.exists() else "is missing"
    except OSError as error:
        why = f"cannot be reached ({error.strerror})"
    raise InputError(f"the image '{shown_name(str(image))}' {why}; give paths of image files")


def _in_table(path: Path, link: Path) -> Path:
    """The path itself if a table in UTF-8 gives it back, else that of a link to it."""
    text = str(path)
    is_utf8 = shown_name(text) == unicodedata.normalize("NFC", text)
    if is_utf8 and text.splitlines() == [text] and text == text.strip():
        return path
    link.unlink(missing_ok=True)  # of a fit that was stopped
    link.symlink_to(path)
    return link


def class_names(classes: Sequence[Any]) -> tuple[str, ...]:
    """Names of the classes in a table: their texts where a table tells these apart, else their places.

    Texts are in Unicode's composed form, in which a subnet has its class names.
    """
    names = tuple(unicodedata.normalize("NFC", str(label)) for label in classes)
    return names if all(map(_is_plain, names)) and len(set(names)) == len(names) else _places(len(names))


def _is_plain(name: str) -> bool:
    """Whether a table gives the name back: no space around it, no control character, and no 007 beside 7."""
    if not name or name != name.strip() or not name.isprintable() or name != shown_name(name):
        return False
    return not is_whole_number(name) or name == str(int(float(name)))


def _places(count: int) -> tuple[str, ...]:
    return tuple(f"class-{place:06d}" for place in range(count))


def _in_memory(image: Image.Image | NDArray[np.uint8], place: int) -> Image.Image:
    picture = image if isinstance(image, Image.Image) else Image.fromarray(image)
    try:
        picture.load()  # PIL reads the pixels of an opened file when they are needed
        return rgb_image(picture)
    except UnsuitableImage as error:
        raise InputError(f"image {place} cannot be used: {error.reason}") from error
    except (OSError, SyntaxError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise InputError(
            f"image {place} cannot be decoded: {reason}; repair or leave out its file"
        ) from error


def _require_image(image: Any, place: int) -> None:
    if is_one_path(image) or isinstance(image, Image.Image):
        return
    if isinstance(image, np.ndarray) and image.ndim == 3 and image.shape[2] == 3 and image.dtype == np.uint8:
        if not image.size:
            raise InputError(f"image {place} is an array of shape {image.shape}, without pixels; {FORMS}")
        return
    what = f"{image!r:.60}" if not isinstance(image, np.ndarray) else f"{image.dtype} of shape {image.shape}"
    raise InputError(f"image {place} is {what}; {FORMS}")
