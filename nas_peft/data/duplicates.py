"""Pictures that are in several parts of a data set: identical pixels, and near copies by perceptual hash."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import imagehash
import numpy as np
import torch
from PIL import Image
from torch import Tensor

from nas_peft.data.image_files import shown_name
from nas_peft.data.part import Part

PAIRS = (("train", "val"), ("train", "test"), ("val", "test"))
"""Which parts are compared, the earlier first."""

MOST_BITS = 4
"""Perceptual hashes (64 bits) of near copies differ in at most this many bits."""

LEAST_CORRELATION = 0.99
"""The pixels of near copies correlate at least this well."""

_LEAST_CONTRAST = 4.0  # standard deviation within a channel; a blank picture is like every other blank one
_EXAMPLES = 5
_CHUNK = 2048


@dataclass(frozen=True)
class Duplicates:
    """Pictures that two parts have in common, after the backbone's preprocessing.

    Attributes:
        identical: for each pair of parts, images of the later part whose pixels an image of the earlier has.
        near: likewise by perceptual hash (pHash) and correlation, without the identical ones.
        two_labels: groups of identical images, in one part or several, that have different labels.
        examples: names of images that belong together, a few.
        copies: for each earlier part, the indices of its images that a later part has too, ascending.
    """

    identical: dict[str, int]
    near: dict[str, int]
    two_labels: int
    examples: list[tuple[str, str]]
    copies: dict[str, list[int]] = field(repr=False)

    def to_dict(self) -> dict[str, object]:
        """Counts and examples, for JSON."""
        return {
            "identical": self.identical,
            "near": self.near,
            "two_labels": self.two_labels,
            "examples": [list(pair) for pair in self.examples],
        }


def find_duplicates(parts: Mapping[str, Part], names: Mapping[str, Sequence[str]]) -> Duplicates:
    """Compare the images of all parts; ``names`` are those of the images of each part, in order."""
    digests = {part: _digests(images.images) for part, images in parts.items()}
    hashes = {part: _perceptual_hashes(images.images) for part, images in parts.items()}
    identical: dict[str, int] = {}
    near: dict[str, int] = {}
    examples: list[tuple[str, str]] = []
    copies: dict[str, set[int]] = {"train": set(), "val": set()}
    for earlier, later in PAIRS:
        pair = f"{earlier} and {later}"
        first = {digest: index for index, digest in reversed(list(enumerate(digests[earlier])))}
        same = [(first[digest], j) for j, digest in enumerate(digests[later]) if digest in first]
        shared = {digests[later][j] for _, j in same}
        copies[earlier].update(i for i, digest in enumerate(digests[earlier]) if digest in shared)
        alike = _near_pairs(parts[earlier].images, parts[later].images, hashes[earlier], hashes[later])
        alike = [(i, j) for i, j in alike if digests[later][j] not in shared]
        copies[earlier].update(i for i, _ in alike)
        identical[pair], near[pair] = len(same), len({j for _, j in alike})
        examples += [
            (shown_name(names[earlier][i]), shown_name(names[later][j]))
            for i, j in [*same, *alike][:_EXAMPLES]
        ]
    return Duplicates(
        identical,
        near,
        _with_two_labels(parts, digests),
        examples[:_EXAMPLES],
        {part: sorted(indices) for part, indices in copies.items()},
    )


def _digests(images: Tensor) -> list[bytes]:
    return [hashlib.blake2b(image.numpy().tobytes(), digest_size=16).digest() for image in images]


def _perceptual_hashes(images: Tensor) -> Tensor:
    """pHash of each image as -1 and 1, float32 (N, 64); zeros for a picture without contrast."""

    def bits(image: Tensor) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
        pixels = image.permute(1, 2, 0).numpy()
        if pixels.std((0, 1)).max() < _LEAST_CONTRAST:
            return np.zeros(64, dtype=np.float32)
        found = imagehash.phash(Image.fromarray(np.ascontiguousarray(pixels))).hash
        return np.where(found.flatten(), 1, -1).astype(np.float32)

    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as threads:
        return torch.from_numpy(np.stack(list(threads.map(bits, images))))


def _near_pairs(
    earlier: Tensor, later: Tensor, earlier_hashes: Tensor, later_hashes: Tensor
) -> list[tuple[int, int]]:
    """Indices of images that are nearly the same, one pair for each image of both that has any."""
    found: list[tuple[int, int]] = []
    for start in range(0, len(later), _CHUNK):
        # Of 64 values that are -1 or 1 the product is 64 less twice the bits that differ.
        close = earlier_hashes @ later_hashes[start : start + _CHUNK].T >= 64 - 2 * MOST_BITS
        for i, j in close.nonzero().tolist():
            if _correlation(earlier[i], later[start + j]) >= LEAST_CORRELATION:
                found.append((i, start + j))
    return found


def _correlation(one: Tensor, other: Tensor) -> float:
    """Correlation of two images ``(3, H, W)``, each channel about its own mean."""
    stacked = torch.stack([one, other]).double()
    centred = stacked - stacked.mean((2, 3), keepdim=True)
    return float(torch.corrcoef(centred.flatten(1))[0, 1])


def _with_two_labels(parts: Mapping[str, Part], digests: Mapping[str, list[bytes]]) -> int:
    labels: dict[bytes, set[int]] = {}
    for part, images in parts.items():
        for digest, label in zip(digests[part], images.labels.tolist(), strict=True):
            labels.setdefault(digest, set()).add(label)
    return sum(len(found) > 1 for found in labels.values())
