"""Hostile images: damaged bytes of every format, headers that lie, things that are no images."""

from __future__ import annotations

import io
import os
import pickle  # noqa: TID251 - written here, to see that nothing reads it
import shutil
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, PngImagePlugin

from benchmarks.faults.hostile.attempt import Hostile
from benchmarks.faults.hostile.ground import Ground, search_words
from benchmarks.faults.hostile.texts import damaged, one_of

_FORMATS = (
    *(("png", "RGB"), ("png", "RGBA"), ("png", "P"), ("png", "I;16"), ("png", "1"), ("jpeg", "RGB")),
    *(("jpeg", "CMYK"), ("jpeg", "L"), ("gif", "P"), ("bmp", "RGB"), ("tiff", "F"), ("tiff", "I;16")),
    *(("tiff", "LAB"), ("webp", "RGBA"), ("ico", "RGBA"), ("ppm", "RGB"), ("tga", "RGBA"), ("pcx", "L")),
)
_NAMES = (
    "x.png",
    "x.jpg",
    "x.JPEG",
    "x.gif",
    "x.tif",
    "x.webp",
    "[red]x.png",
    "\udcff.png",
    "a\nb.png",
    "💥.bmp",
)
_NOTHING = (
    b"",
    b"\0",
    b"text",
    b"<svg xmlns='http://www.w3.org/2000/svg'/>",
    b"%PDF-1.7\n",
    b"GIF89a",
    b"BM",
)


def encoded(rng: np.random.Generator) -> bytes:
    """A small noisy image in a format and mode that are drawn."""
    form, mode = one_of(rng, _FORMATS)
    image = Image.fromarray(rng.integers(0, 256, (24, 24, 3)).astype(np.uint8))
    if mode == "I;16":
        image = Image.fromarray(rng.integers(0, 65536, (24, 24)).astype(np.uint16))
    elif mode == "F":
        image = Image.fromarray(rng.normal(0, 1e30, (24, 24)).astype(np.float32))
    elif mode == "LAB":
        image = Image.frombytes("LAB", image.size, image.tobytes())
    else:
        image = image.convert(mode)
    stream = io.BytesIO()
    image.save(stream, form)
    return stream.getvalue()


def lying_png(width: int, height: int) -> bytes:
    """A PNG of a few bytes whose header names a size."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b""))
        + chunk(b"IEND", b"")
    )


def with_long_text() -> bytes:
    """A PNG whose compressed comment is sixteen million characters long."""
    stream = io.BytesIO()
    text = PngImagePlugin.PngInfo()
    text.add_text("comment", "a" * 2**24, zip=True)
    Image.new("RGB", (8, 8)).save(stream, "png", pnginfo=text)
    return stream.getvalue()


class Executed:
    """An object whose pickle writes a file when it is loaded."""

    def __init__(self, file: Path) -> None:
        self.file = str(file)

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkfifo, (self.file,)


def hostile_image(rng: np.random.Generator, ground: Ground) -> Hostile:
    """A hostile image, classified, or among the images of a search."""
    executed = ground.here / "executed"
    how = int(rng.integers(10))
    if how < 5:
        data = damaged(rng, encoded(rng))
    elif how == 5:
        data = encoded(rng)
    elif how == 6:
        data = lying_png(*one_of(rng, ((0, 0), (1, 10**6), (60_000, 60_000), (2**31 - 1, 2**31 - 1), (9, 9))))
    elif how == 7:
        data = with_long_text()
    elif how == 8:
        data = pickle.dumps(Executed(executed))
    else:
        data = one_of(rng, _NOTHING)
    name = str(one_of(rng, _NAMES))
    about = f"{name}: {data[:24]!r} ({len(data)} bytes)"
    if rng.random() < 0.5:
        file = ground.here / name
        file.write_bytes(data)
        words = ["predict", "--json", str(ground.subnet), str(file)]
        if rng.random() < 0.3:
            words.append(str(ground.picture))
        return Hostile(about, words, forbidden=(executed,))
    shutil.copytree(ground.images, ground.here / "images")
    (ground.here / "images" / "ant" / name).write_bytes(data)
    words = search_words(ground.here / "images", ground.here / "run")
    words += ["--skip-bad-images"] if rng.random() < 0.3 else []
    return Hostile(about, words, forbidden=(executed,))
