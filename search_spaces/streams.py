"""Random streams: every generator of a run derives from its recorded seed and a path of names."""

from __future__ import annotations

import zlib

import numpy as np


def stream(seed: int, *path: str | int) -> np.random.Generator:
    """An independent generator for the use that ``path`` names, such as ``stream(0, "search", 3)``.

    The same seed and path give the same numbers whatever was drawn elsewhere, so a stage that resumes, is
    skipped or runs in another process draws the same numbers. Names enter through their CRC-32, since
    Python's own hash of a string changes from process to process.
    """
    entropy = [seed] + [zlib.crc32(str(part).encode()) for part in path]
    return np.random.default_rng(np.random.SeedSequence(entropy))


def stream_seed(seed: int, *path: str | int) -> int:
    """A seed below 2**63 from the stream that ``path`` names, for libraries with their own generators."""
    return int(stream(seed, *path).integers(2**63))
