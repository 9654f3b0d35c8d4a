"""An error about a file says what the file is."""

import struct

import numpy as np
import pytest
from PIL import Image

from nas_peft.data.decoding import UnreadableImage, pixel_limit, read_image


def write_tiff(path, bands: int) -> None:
    """An uncompressed TIFF of 4 × 4 pixels with that many bands of 16 bits."""
    body = np.zeros((4, 4, bands), "<u2").tobytes()
    at = 8 + len(body)
    tags = [(256, 3, 1, 4), (257, 3, 1, 4), (258, 3, bands, at), (259, 3, 1, 1), (262, 3, 1, 2)]
    tags += [(273, 4, 1, 8), (277, 3, 1, bands), (278, 3, 1, 4), (279, 4, 1, len(body)), (284, 3, 1, 1)]
    directory = struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", *tag) for tag in tags) + bytes(4)
    bits = struct.pack(f"<{bands}H", *[16] * bands)
    path.write_bytes(b"II*\0" + struct.pack("<I", at + len(bits)) + body + bits + directory)


def test_a_tiff_of_many_bands_is_called_so(tmp_path):
    write_tiff(tmp_path / "a.tif", 13)
    with pytest.raises(UnreadableImage, match="TIFF of 4 × 4 pixels with 13 bands of 16-bit whole numbers"):
        read_image(tmp_path / "a.tif", "a.tif")


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer"),
        (b"<!DOCTYPE html><html>404", "a web page"),
        (b"<svg xmlns='x'/>", "an SVG drawing"),
        (b"\0\0\0\x18ftypheic", "an HEIC image|cannot be decoded"),
        (b"\0\0\0\x18ftypisom", "a video"),
        (b"%PDF-1.7", "a PDF"),
        (b"PK\x03\x04", "an archive"),
        (b"", "the file is empty"),
        (bytes(100), "all zero"),
    ],
)
def test_what_is_no_image_is_named(tmp_path, content, kind):
    (tmp_path / "a.jpg").write_bytes(content)
    with pytest.raises(UnreadableImage, match=kind):
        read_image(tmp_path / "a.jpg", "a.jpg")


def test_nonsense_exif_does_not_matter(tmp_path, write_image):
    path = tmp_path / "a.png"
    Image.new("RGB", (4, 3), (1, 2, 3)).save(path, exif=b"Exif\0\0\x00\x08\x00\x02 no TIFF header here")
    assert read_image(path, "a").getpixel((0, 0)) == (1, 2, 3)


@pytest.mark.parametrize("limit", [300, 150])
def test_the_limit_of_pixels_can_be_raised(write_image, tmp_path, limit):
    path = write_image(tmp_path / "a.png", size=(20, 20))
    with (
        pixel_limit(limit),
        pytest.raises(UnreadableImage, match=f"400 pixels and the limit is {limit}, .*max"),
    ):
        read_image(path, "a.png")
    with pixel_limit(400):
        assert read_image(path, "a.png").size == (20, 20)


def test_lab_colours_are_converted(tmp_path):
    Image.new("LAB", (2, 2), (255, 128, 128)).save(tmp_path / "a.tif")
    assert min(read_image(tmp_path / "a.tif", "a").getpixel((0, 0))) > 240
