"""An image that a client sent, decoded within the limit of pixels."""

from __future__ import annotations

from io import BytesIO

from PIL import Image, UnidentifiedImageError

from nas_peft.data.decoding import UnreadableImage, read_image
from nas_peft.data.image_files import register_heic
from nas_peft.serving.refusal import Refusal

_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "MPO", "JPEG2000", "AVIF", "HEIF")


def accepted_formats() -> tuple[str, ...]:
    """Formats that the server decodes: those of cameras, phones and the web that this Pillow reads.

    Pillow knows many more. Some start other programs (EPS), and some have been read by nobody for years.
    """
    register_heic()
    Image.init()
    return tuple(name for name in _FORMATS if name in Image.OPEN)


def decoded(body: bytes) -> Image.Image:
    """The image in RGB, upright.

    Raises `Refusal`: 415 for bytes that are no image of an accepted format, 413 for more pixels than
    `nas_peft.data.decoding.pixel_limit` allows, 422 for a damaged image and for one that is nearly a line.
    """
    try:
        return read_image(BytesIO(body), "of the request", accepted_formats())
    except UnreadableImage as error:
        reason = f"the image cannot be decoded: {error.reason}"
        if isinstance(error.__cause__, (Image.DecompressionBombError, Image.DecompressionBombWarning)):
            raise Refusal(413, reason) from error
        if isinstance(error.__cause__, UnidentifiedImageError):
            raise Refusal(415, f"{reason}; accepted are {', '.join(accepted_formats())}") from error
        raise Refusal(422, reason) from error
