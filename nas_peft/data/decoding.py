"""Decoding of image files of any kind to RGB."""

from __future__ import annotations

import io
import logging
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from PIL import Image, UnidentifiedImageError

from nas_peft.data.file_kinds import described_file
from nas_peft.data.image_files import register_heic, shown_name
from nas_peft.data.png_metadata import without_metadata
from search_spaces.errors import InputError

DEFAULT_MAX_PIXELS = 89_478_485
"""Default limit of PIL: a quarter of a gigabyte in RGB."""

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

    @property
    def may_pass(self) -> bool:
        """Whether the system could not read the file, as without permission or a network; it may be whole."""
        return isinstance(self.__cause__, OSError) and self.__cause__.errno is not None


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
        UnreadableImage: the file is damaged, has more pixels than `pixel_limit` allows, has no form in RGB
            (`supernet.rgb_image`), or is not an image.
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
    from supernet.rgb_image import upright  # imports torch

    with Image.open(source, formats=formats) as image:
        image.load()
        return upright(image)  # an EXIF block may be read from the open file


def _without_metadata(source: Path | IO[bytes], formats: tuple[str, ...] | None) -> Image.Image | None:
    """The picture of a PNG whose metadata alone are damaged."""
    try:
        content = without_metadata(source)
        return None if content is None else _decoded(io.BytesIO(content), formats)
    except Exception:  # the picture, too, is damaged: the first error says how
        return None


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
    """The image in upright 8-bit RGB by `supernet.rgb_image`.

    Raises:
        UnreadableImage: the image has no form in RGB, as described there.
    """
    from supernet.rgb_image import UnsuitableImage, rgb_image  # imports torch

    try:
        return rgb_image(image)
    except UnsuitableImage as error:
        raise UnreadableImage(name, error.reason) from error
