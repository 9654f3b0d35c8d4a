"""Descriptions of files that cannot be decoded, by their first bytes, for errors that name the cause."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import IO

_LONGEST_SNIFF = 4096
_TIFF = {b"II*\0": "<", b"MM\0*": ">"}
_WIDTH, _HEIGHT, _BITS, _BANDS, _SAMPLE_FORMAT = 256, 257, 258, 277, 339
_SIZES = {1: 1, 3: 2, 4: 4}
_NUMBERS = {1: "whole numbers", 2: "signed whole numbers", 3: "floating-point numbers", 6: "complex numbers"}


def described_file(source: Path | IO[bytes]) -> str | None:
    """Kind of the file and a remedy, or ``None`` if its first bytes say no more than PIL's error."""
    if isinstance(source, Path):
        try:
            with source.open("rb") as file:
                return _described(file)
        except OSError as error:
            return error.strerror
    source.seek(0)
    return _described(source)


def _described(file: IO[bytes]) -> str | None:
    start = file.read(_LONGEST_SNIFF)
    text = start.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if not start:
        return "the file is empty"
    if start.startswith(b"version https://git-lfs"):
        return "it is a Git LFS pointer and not the image; run 'git lfs pull'"
    if text.startswith((b"<!doctype html", b"<html", b"<head")):
        return "it is a web page and not an image: the download went wrong; download the image again"
    if text.startswith(b"<svg") or (text.startswith(b"<?xml") and b"<svg" in text):
        return "it is an SVG drawing; convert it to PNG"
    if text.startswith(b"<?xml"):
        return "it is an XML file"
    if start.startswith(b"%PDF"):
        return "it is a PDF document; export its pages as PNG"
    if start[4:8] == b"ftyp":
        return _described_media(start[8:12])
    if start.startswith((b"PK\x03\x04", b"\x1f\x8b", b"Rar!", b"7z\xbc\xaf")):
        return "it is an archive; unpack it"
    if start.startswith(b"\x93NUMPY"):
        return "it is a NumPy array; save it as PNG or 8-bit TIFF"
    if start[128:132] == b"DICM":
        return "it is a DICOM file; export it as PNG"
    if start.startswith((b"II+\0", b"MM\0+")):
        return "it is a BigTIFF of a kind that Pillow does not read; store it as RGB or grey TIFF or PNG"
    if start[:4] in _TIFF:
        return _described_tiff(file, _TIFF[start[:4]])
    if not any(start.strip(b"\0")):
        return f"its first {len(start):,} bytes are all zero, as after an interrupted copy; copy it again"
    return None


def _described_media(brand: bytes) -> str:
    if brand in (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1"):
        return "it is an HEIC image; to read intact ones: pip install 'nas-peft[heic]', or convert to JPEG"
    if brand in (b"avif", b"avis"):
        return "it is an AVIF image that this Pillow does not read; install Pillow 11.3, or convert to PNG"
    if brand == b"crx ":
        return "it is a camera raw file; export it as JPEG or PNG"
    return "it is a video; extract its frames as JPEG or PNG"


def _described_tiff(file: IO[bytes], order: str) -> str | None:
    try:
        tags = _tiff_tags(file, order)
    except (struct.error, OSError, ValueError):
        return None
    bands = tags.get(_BANDS, [1])[0]
    bits = tags.get(_BITS, [1])[0]
    numbers = _NUMBERS.get(tags.get(_SAMPLE_FORMAT, [1])[0], "values of an unknown kind")
    size = f"{tags.get(_WIDTH, ['?'])[0]} × {tags.get(_HEIGHT, ['?'])[0]} pixels"
    what = f"it is a TIFF of {size} with {bands} band{'' if bands == 1 else 's'} of {bits}-bit {numbers}"
    if bands > 4:
        return f"{what}; a backbone takes 3: pick three bands, and store them as an 8-bit RGB image"
    return f"{what}, which Pillow does not read; store it as RGB or grey with 8 or 16 bits"


def _tiff_tags(file: IO[bytes], order: str) -> dict[int, list[int]]:
    """Tags of a TIFF's first image whose values are whole numbers."""
    file.seek(4)
    (at,) = struct.unpack(f"{order}I", file.read(4))
    file.seek(at)
    (count,) = struct.unpack(f"{order}H", file.read(2))
    entries = [file.read(12) for _ in range(count)]
    tags: dict[int, list[int]] = {}
    for entry in entries:
        tag, kind, number = struct.unpack(f"{order}HHI", entry[:8])
        size = _SIZES.get(kind)
        if size is None or not 0 < number <= 64:
            continue
        value = entry[8:]
        if size * number > 4:
            file.seek(struct.unpack(f"{order}I", value)[0])
            value = file.read(size * number)
        letter = {1: "B", 2: "H", 4: "I"}[size]
        tags[tag] = list(struct.unpack(f"{order}{number}{letter}", value[: size * number]))
    return tags
