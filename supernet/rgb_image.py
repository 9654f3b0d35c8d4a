"""Pictures of any mode in upright 8-bit RGB, as a viewer shows them."""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import ExifTags, Image, ImageCms, ImageOps

from search_spaces import InputError

LONGEST = 100
"""Longer side of an image, in shorter ones: resizing enlarges both, a line of pixels to gigabytes."""

_STRIP = 256  # rows that are put on white at a time
_WITH_ALPHA = {"RGBA", "RGBa", "LA", "PA"}
_SIXTEEN_BIT = {"I", "I;16", "I;16L", "I;16B", "I;16N"}
_MOST_16_BIT = 65535


class UnsuitableImage(InputError):
    """An image that has no form in RGB; ``reason`` is a clause, for errors that name the image."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"an image cannot be used: {reason}")
        self.reason = reason


def rgb_image(image: Image.Image) -> Image.Image:
    """The image in 8-bit RGB, turned upright as its EXIF block says.

    PIL's own ``convert("RGB")`` leaves photos of a turned camera on their side, shows the colours hidden in
    transparent pixels, and clips 16-bit grey at 255. Here transparent pixels lie on white, and 16 bits are
    scaled to 8. An upright image in RGB is returned as it is, so that no second copy is in memory.

    Raises:
        UnsuitableImage: the range of pixel values is unknown (floating point, more than 16 bits), PIL cannot
            convert the colour space, there are no pixels, or the image is nearly a line (see `LONGEST`).
    """
    width, height = image.size
    if not width or not height:
        raise UnsuitableImage(f"it has {width} × {height} pixels; give at least one")
    if max(width, height) > LONGEST * min(width, height):
        raise UnsuitableImage(
            f"it has {width:,} × {height:,} pixels; one side is over {LONGEST} times the other, and resizing "
            "would enlarge both"
        )
    return _in_rgb(upright(image))


def upright(image: Image.Image) -> Image.Image:
    """The image turned as its EXIF block says; as it is where that block is malformed, as in viewers."""
    try:  # without EXIF's orientation, exif_transpose would copy all pixels
        turned = image.getexif().get(ExifTags.Base.Orientation, 1) != 1
        return ImageOps.exif_transpose(image) if turned else image
    # Malformed EXIF blocks make PIL raise anything; the pixels are intact.
    except Exception:
        return image


def _in_rgb(image: Image.Image) -> Image.Image:
    if image.mode in _SIXTEEN_BIT:
        return _from_16_bit(image).convert("RGB")
    if image.mode in _WITH_ALPHA or "transparency" in image.info:
        return _on_white(image)
    if image.mode == "RGB":
        return image
    if image.mode == "F":
        raise UnsuitableImage("its pixels are floating-point numbers of unknown range; store 8 or 16 bits")
    try:
        if image.mode == "LAB":
            return _from_lab(image)
        return image.convert("RGB")
    except (ValueError, ImageCms.PyCMSError) as error:
        raise UnsuitableImage(f"colour space {image.mode}: {error}") from error


def _on_white(image: Image.Image) -> Image.Image:
    found = Image.new("RGB", image.size)
    for top in range(0, image.height, _STRIP):  # several copies of the whole image would be large
        strip = image.crop((0, top, image.width, min(top + _STRIP, image.height))).convert("RGBA")
        white = Image.new("RGBA", strip.size, "white")
        found.paste(Image.alpha_composite(white, strip).convert("RGB"), (0, top))
    return found


def _from_lab(image: Image.Image) -> Image.Image:
    converted = ImageCms.profileToProfile(
        image, ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB"), outputMode="RGB"
    )
    assert converted is not None  # None only if the image is changed in place
    return converted


def _from_16_bit(image: Image.Image) -> Image.Image:
    values: np.ndarray[Any, Any] = np.asarray(image)
    if values.min() < 0 or values.max() > _MOST_16_BIT:
        raise UnsuitableImage(f"its values reach from {values.min()} to {values.max()}; store 8 or 16 bits")
    # The high byte, as PIL itself reads 16-bit colour.
    return Image.fromarray((values >> 8).astype(np.uint8))
