"""From an image file to RGB, whatever the file holds."""

from __future__ import annotations

from pathlib import Path
from typing import IO, Any

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from search_spaces.errors import InputError

_WITH_ALPHA = {"RGBA", "RGBa", "LA", "PA"}
_SIXTEEN_BIT = {"I", "I;16", "I;16L", "I;16B", "I;16N"}
_MOST_16_BIT = 65535


class UnreadableImage(InputError):
    """An image that cannot be decoded; names it, the reason and the remedy."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(
            f"image '{name}' cannot be decoded: {' '.join(reason.split())}; "
            "mend or remove it, or leave such images out with --skip-bad-images"
        )
        self.name = name


def read_image(source: Path | IO[bytes], name: str) -> Image.Image:
    """The image in RGB, upright; the first frame where there are several.

    Args:
        source: a path or an open binary file.
        name: what the error calls it.

    Raises:
        UnreadableImage: it is damaged, too large to be an honest image, or not an image.
    """
    try:
        with Image.open(source) as image:
            image.load()
            upright = ImageOps.exif_transpose(image)
    # Damaged bytes make PIL's format plugins raise anything: OSError, SyntaxError, struct.error, IndexError.
    except Exception as error:
        reason = "it is not an image file" if isinstance(error, UnidentifiedImageError) else str(error)
        raise UnreadableImage(name, reason or type(error).__name__) from error
    return to_rgb(upright, name)


def to_rgb(image: Image.Image, name: str) -> Image.Image:
    """The image in 8-bit RGB as a viewer shows it.

    PIL's own ``convert("RGB")`` shows the colours hidden under transparent pixels and cuts 16-bit grey off at
    255; here transparency lies on white and 16 bits are scaled to 8.

    Raises:
        UnreadableImage: pixel values without a known range (floating point, more than 16 bits), or a colour
            space that PIL cannot convert.
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
        return image.convert("RGB")
    except ValueError as error:
        raise UnreadableImage(name, f"colour space {image.mode}: {error}") from error


def _from_16_bit(image: Image.Image, name: str) -> Image.Image:
    values: np.ndarray[Any, Any] = np.asarray(image).astype(np.int64)
    if values.min() < 0 or values.max() > _MOST_16_BIT:
        raise UnreadableImage(
            name, f"its values reach from {values.min()} to {values.max()}; store 8 or 16 bits"
        )
    # The high byte, as PIL itself reads 16-bit colour.
    return Image.fromarray((values >> 8).astype(np.uint8))
