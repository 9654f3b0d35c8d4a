"""Decoding of image files of any kind to RGB."""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from nas_peft.data.file_kinds import described_file
from nas_peft.data.image_files import register_heic, shown_name
from search_spaces.errors import InputError

DEFAULT_MAX_PIXELS = 89_478_485
"""Default limit of PIL: a quarter of a gigabyte in RGB."""

_WITH_ALPHA = {"RGBA", "RGBa", "LA", "PA"}
_SIXTEEN_BIT = {"I", "I;16", "I;16L", "I;16B", "I;16N"}
_MOST_16_BIT = 65535


# Without a handler Python prints what PIL logs before raising; the error says more.
logging.getLogger("PIL").addHandler(logging.NullHandler())


class UnreadableImage(InputError):
    """An image that cannot be decoded; the message has its name, the reason and the remedy."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(
            f"image '{shown_name(name)}' cannot be decoded: {' '.join(reason.split())}; "
            "repair or remove it, or leave such images out with --skip-bad-images"
        )
        self.name = name
        self.reason = " ".join(reason.split())


@contextmanager
def pixel_limit(max_pixels: int) -> Iterator[None]:
    """Context in which `read_image` refuses images of more than ``max_pixels`` pixels, on all threads.

    The limit guards against decompression bombs, files of a few bytes that decode to gigantic images.
    """
    before = Image.MAX_IMAGE_PIXELS
    Image.MAX_IMAGE_PIXELS = max_pixels
    try:
        with warnings.catch_warnings():  # PIL warns above the limit and raises above twice the limit
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            yield
    finally:
        Image.MAX_IMAGE_PIXELS = before


def read_image(source: Path | IO[bytes], name: str, formats: tuple[str, ...] | None = None) -> Image.Image:
    """The image in RGB, turned upright as its EXIF block says; the first frame if there are several.

    An image whose EXIF block is malformed stays as it is stored, as in viewers.

    Args:
        source: path or open binary file.
        name: name of the image in errors.
        formats: PIL's names of the only formats to try, for images from strangers; by default all.

    Raises:
        UnreadableImage: the file is damaged, has more pixels than `pixel_limit` allows, or is not an image.
    """
    register_heic()
    try:
        with Image.open(source, formats=formats) as image:
            image.load()
            upright = _upright(image)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise UnreadableImage(name, f"{_too_large(error)} (--max-pixels)") from error
    # Damaged bytes make PIL's format plugins raise anything: OSError, SyntaxError, struct.error, IndexError.
    except Exception as error:
        reason = str(error)
        if isinstance(error, UnidentifiedImageError):
            reason = described_file(source) or "it is not an image file"
        raise UnreadableImage(name, reason or type(error).__name__) from error
    return to_rgb(upright, name)


def _upright(image: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    # Malformed EXIF blocks, too, make PIL raise anything; the pixels are intact.
    except Exception:
        return image.copy()


def _too_large(error: Exception) -> str:
    numbers = [int(text) for text in re.findall(r"[0-9]+", str(error))]
    if len(numbers) != 2:
        return str(error)
    # Above twice the limit, PIL's error names twice the limit.
    limit = numbers[1] if isinstance(error, Warning) else Image.MAX_IMAGE_PIXELS or numbers[1]
    return (
        f"it has {numbers[0]:,} pixels and the limit is {limit:,}, against decompression bombs; "
        "raise the limit if you trust the file"
    )


def to_rgb(image: Image.Image, name: str) -> Image.Image:
    """The image in 8-bit RGB as a viewer shows it.

    PIL's own ``convert("RGB")`` shows the colours hidden in transparent pixels and clips 16-bit grey at 255.
    Here transparent pixels lie on white, and 16 bits are scaled to 8.

    Raises:
        UnreadableImage: the range of pixel values is unknown (floating point, more than 16 bits), or PIL
            cannot convert the colour space.
    """
    if image.mode in _SIXTEEN_BIT:
        return _from_16_bit(image, name).convert("RGB")
    if image.mode in _WITH_ALPHA or "transparency" in image.info:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, "white")
        return Image.alpha_composite(white, rgba).convert("RGB")
    if image.mode == "F":
        raise UnreadableImage(
            name, "its pixels are floating-point numbers of unknown range; store 8 or 16 bits"
        )
    try:
        if image.mode == "LAB":
            return _from_lab(image)
        return image.convert("RGB")
    except (ValueError, ImageCms.PyCMSError) as error:
        raise UnreadableImage(name, f"colour space {image.mode}: {error}") from error


def _from_lab(image: Image.Image) -> Image.Image:
    converted = ImageCms.profileToProfile(
        image, ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB"), outputMode="RGB"
    )
    assert converted is not None  # None only if the image is changed in place
    return converted


def _from_16_bit(image: Image.Image, name: str) -> Image.Image:
    values: np.ndarray[Any, Any] = np.asarray(image).astype(np.int64)
    if values.min() < 0 or values.max() > _MOST_16_BIT:
        raise UnreadableImage(
            name, f"its values reach from {values.min()} to {values.max()}; store 8 or 16 bits"
        )
    # The high byte, as PIL itself reads 16-bit colour.
    return Image.fromarray((values >> 8).astype(np.uint8))
