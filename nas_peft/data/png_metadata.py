"""PNG files with damaged or outsized metadata: the same pictures without these chunks."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_ANCILLARY = 0x20  # bit of a chunk type's first byte
_OF_THE_PICTURE = {b"tRNS"}


def without_metadata(source: Path | IO[bytes]) -> bytes | None:
    """The PNG file with the chunks of its picture alone, byte for byte, or ``None``.

    ``None`` stands for other formats, for a damaged picture (whose chunks have wrong checksums or are cut
    off), and for a file without metadata.
    """
    if isinstance(source, Path):
        with source.open("rb") as file:
            return without_metadata(file)
    source.seek(0)
    if source.read(len(_SIGNATURE)) != _SIGNATURE:
        return None
    content = source.read()
    kept = [_SIGNATURE]
    for kind, chunk in _chunks(content):
        if kind[0] & _ANCILLARY and kind not in _OF_THE_PICTURE:
            continue
        if struct.unpack(">I", chunk[-4:])[0] != zlib.crc32(chunk[4:-4]):
            return None
        kept.append(chunk)
    found = b"".join(kept)
    return found if kept[-1][4:8] == b"IEND" and len(found) < len(_SIGNATURE) + len(content) else None


def _chunks(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Type of each chunk and the whole chunk, with length and checksum, up to the end of the picture."""
    at = 0
    while at + 12 <= len(content):
        (length,) = struct.unpack_from(">I", content, at)
        kind, chunk = content[at + 4 : at + 8], content[at : at + 12 + length]
        if len(chunk) < 12 + length:
            return
        yield kind, chunk
        if kind == b"IEND":
            return
        at += 12 + length
