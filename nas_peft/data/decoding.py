"""Decoding of image files of any kind to RGB."""

from __future__ import annotations

import io
import logging
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from PIL import ExifTags, Image, ImageCms, ImageOps, UnidentifiedImageError

from nas_peft.data.file_kinds import described_file
from nas_peft.data.image_files import register_heic, shown_name
from nas_peft.data.png_metadata import without_metadata
from search_spaces.errors import InputError

DEFAULT_MAX_PIXELS = 89_478_485
"""Default limit of PIL: a quarter of a gigabyte in RGB."""

LONGEST = 100
"""Longer side of an image, in shorter ones: resizing enlarges both, a line of pixels to gigabytes."""

_STRIP = 256  # rows that are put on white at a time
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
            warnings.filterwarnings("ignore", module=r"PIL\.")  # of metadata that nobody reads
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            yield
    finally:
        Image.MAX_IMAGE_PIXELS = before


def read_image(source: Path | IO[bytes], name: str, formats: tuple[str, ...] | None = None) -> Image.Image:
    """The image in RGB, turned upright as its EXIF block says; the first frame if there are several.

    An image whose EXIF block is malformed stays as it is stored, as in viewers. A PNG whose metadata are
    damaged or outsized is read without them.

    Args:
        source: path or open binary file.
        name: name of the image in errors.
        formats: PIL's names of the only formats to try, for images from strangers; by default all.

    Raises:
        UnreadableImage: the file is damaged, has more pixels than `pixel_limit` allows, is nearly a line (see
            `LONGEST`), or is not an image.
    """
    register_heic()
    try:
        upright = _decoded(source, formats)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise UnreadableImage(name, f"{_too_large(error)} (--max-pixels)") from error
    # Damaged bytes make PIL's format plugins raise anything: OSError, SyntaxError, struct.error, IndexError.
    except Exception as error:
        picture = _without_metadata(source, formats)
        if picture is None:
            reason = str(error)
            if isinstance(error, UnidentifiedImageError):
                reason = described_file(source) or "it is not an image file"
            raise UnreadableImage(name, reason or type(error).__name__) from error
        upright = picture
    return to_rgb(upright, name)


def _decoded(source: Path | IO[bytes], formats: tuple[str, ...] | None) -> Image.Image:
    with Image.open(source, formats=formats) as image:
        image.load()
        return _upright(image)


def _without_metadata(source: Path | IO[bytes], formats: tuple[str, ...] | None) -> Image.Image | None:
    """The picture of a PNG whose metadata alone are damaged."""
    try:
        content = without_metadata(source)
        return None if content is None else _decoded(io.BytesIO(content), formats)
    except Exception:  # the picture, too, is damaged: the first error says how
        return None


def _upright(image: Image.Image) -> Image.Image:
    try:  # without EXIF's orientation, exif_transpose would copy all pixels
        turned = image.getexif().get(ExifTags.Base.Orientation, 1) != 1
        return ImageOps.exif_transpose(image) if turned else image
    # Malformed EXIF blocks, too, make PIL raise anything; the pixels are intact.
    except Exception:
        return image


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
    Here transparent pixels lie on white, and 16 bits are scaled to 8. An image that is in RGB already is
    returned as it is, so that no second copy is in memory.

    Raises:
        UnreadableImage: the range of pixel values is unknown (floating point, more than 16 bits), PIL cannot
            convert the colour space, or the image is nearly a line (see `LONGEST`).
    """
    if max(image.size) > LONGEST * min(image.size):
        width, height = image.size
        raise UnreadableImage(
            name,
            f"it has {width:,} × {height:,} pixels; one side is over {LONGEST} times the other, and resizing "
            "would enlarge both",
        )
    if image.mode in _SIXTEEN_BIT:
        return _from_16_bit(image, name).convert("RGB")
    if image.mode in _WITH_ALPHA or "transparency" in image.info:
        return _on_white(image)
    if image.mode == "RGB":
        return image
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


def _from_16_bit(image: Image.Image, name: str) -> Image.Image:
    values: np.ndarray[Any, Any] = np.asarray(image)
    if values.min() < 0 or values.max() > _MOST_16_BIT:
        raise UnreadableImage(
            name, f"its values reach from {values.min()} to {values.max()}; store 8 or 16 bits"
        )
    # The high byte, as PIL itself reads 16-bit colour.
    return Image.fromarray((values >> 8).astype(np.uint8))
