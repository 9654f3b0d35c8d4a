"""A good picture stays one whatever its metadata; a damaged picture stays damaged."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from nas_peft.data.decoding import UnreadableImage, read_image
from nas_peft.data.png_metadata import without_metadata


def chunk(kind: bytes, data: bytes, checksum: int | None = None) -> bytes:
    crc = zlib.crc32(kind + data) if checksum is None else checksum
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", crc)


@pytest.fixture
def plain() -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (8, 9, 3), np.uint8)).save(file, "PNG")
    return file.getvalue()


def inserted(plain: bytes, chunks: bytes) -> bytes:
    return plain[:33] + chunks + plain[33:]  # behind the signature and the header


@pytest.mark.parametrize(
    "metadata",
    [
        chunk(b"tEXt", b"a\0b", checksum=1),
        chunk(b"zTXt", b"a\0\0" + zlib.compress(b"x" * (2 * PngImagePlugin.MAX_TEXT_CHUNK))),
        chunk(b"pHYs", b"1"),
    ],
    ids=["wrong checksum", "outsized text", "cut resolution"],
)
def test_a_picture_with_broken_metadata_is_read_without_them(plain, tmp_path, metadata):
    content = inserted(plain, metadata)
    assert without_metadata(io.BytesIO(content)) == plain
    path = tmp_path / "a.png"
    path.write_bytes(content)
    for source in (path, io.BytesIO(content)):
        assert read_image(source, "a").tobytes() == read_image(io.BytesIO(plain), "a").tobytes()


def test_transparency_is_part_of_the_picture(plain):
    clear = chunk(b"tRNS", struct.pack(">3H", 1, 2, 3))
    assert without_metadata(
        io.BytesIO(inserted(plain, clear + chunk(b"tEXt", b"a", checksum=1)))
    ) == inserted(plain, clear)


def test_damaged_pixels_stay_an_error(plain):
    middle = plain.index(b"IDAT") + 20
    damaged = plain[:middle] + bytes([plain[middle] ^ 1]) + plain[middle + 1 :]
    for content in (damaged, inserted(damaged, chunk(b"tEXt", b"a", checksum=1)), plain[: len(plain) // 2]):
        assert without_metadata(io.BytesIO(content)) is None
        with pytest.raises(UnreadableImage, match="image 'a' cannot be decoded"):
            read_image(io.BytesIO(content), "a")


def test_other_files_and_pictures_without_metadata_are_no_cases(plain):
    assert without_metadata(io.BytesIO(plain)) is None
    assert without_metadata(io.BytesIO(b"GIF89a")) is None
