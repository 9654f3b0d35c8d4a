"""Images from strangers: what is decoded, and what is refused with which status."""

from __future__ import annotations

import pickle  # noqa: TID251  # to send one, never to read one
import struct
import zlib
from io import BytesIO

import pytest
from PIL import Image

from nas_peft.data.decoding import pixel_limit
from nas_peft.serving.refusal import Refusal
from nas_peft.serving.uploaded_image import accepted_formats, decoded

from .conftest import png, random_image


def encoded(kind: str) -> bytes:
    file = BytesIO()
    random_image(0).save(file, kind)
    return file.getvalue()


def png_of_size(width: int, height: int) -> bytes:
    """A PNG of a few bytes that announces any size."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM"])
def test_formats_of_cameras_and_the_web_are_decoded(kind):
    assert kind in accepted_formats()
    assert decoded(encoded(kind)).size == (48, 40)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"no image", 415),
        (pickle.dumps({"a": [1, 2]}), 415),
        (b"PK\x03\x04" + bytes(100), 415),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n", 415),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", 415),
        (encoded("TGA"), 415),
        (png(random_image(0))[:200], 422),
        (encoded("JPEG")[:300], 422),
        (b"\x89PNG\r\n\x1a\n" + bytes(50), 415),
        (png_of_size(100_000, 100_000), 413),
        (png_of_size(1001, 1000), 413),
        (png_of_size(0, 7), 415),
        (png(Image.new("RGB", (1, 101))), 422),
        (png(Image.new("RGB", (200_000, 1))), 422),
    ],
    ids=[
        *("text", "pickle", "zip", "EPS", "SVG", "TGA", "half a PNG", "half a JPEG", "no PNG"),
        *("huge", "one row too many", "no width", "a column", "a line"),
    ],
)
def test_other_bytes_are_refused(body, status):
    with pixel_limit(1_000_000), pytest.raises(Refusal) as refused:
        decoded(body)
    assert refused.value.status == status, refused.value.reason
    assert refused.value.reason.startswith("the image ")
