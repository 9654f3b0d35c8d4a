"""Images that several parts of a data set share: equal pixels, and near copies by perceptual hash."""

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
from nas_peft.data.image_rows import chunks
from nas_peft.data.part import Part
from supernet.images import Images

PAIRS = (("train", "val"), ("train", "test"), ("val", "test"))
"""Pairs of parts that are compared, the earlier part first."""

MOST_BITS = 4
"""Perceptual hashes (64 bits) of near copies differ in at most this many bits."""

LEAST_CORRELATION = 0.99
"""The pixels of near copies correlate at least this well."""

_LEAST_CONTRAST = 4.0  # standard deviation within a channel; below it, all images look alike
_EXAMPLES = 5
_CHUNK = 2048
_PRODUCTS = 1 << 24  # of hashes at once, 64 MB


@dataclass(frozen=True)
class Duplicates:
    """Images that two parts have in common, after the backbone's preprocessing.

    Attributes:
        identical: for each pair of parts, number of images of the later part that are equal, pixel by pixel,
            to an image of the earlier part.
        near: for each pair of parts, number of further images of the later part that are near copies of an
            image of the earlier part, by perceptual hash (pHash) and correlation.
        two_labels: number of groups of equal images, in one part or several, with different labels.
        examples: names of a few pairs of equal or nearly equal images.
        copies: for each earlier part, ascending indices of its images that a later part also has.
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
    """Compare the images of all parts; ``names`` has the names of each part's images, in order."""
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


def _digests(images: Images) -> list[bytes]:
    return [
        hashlib.blake2b(image.numpy().tobytes(), digest_size=16).digest()
        for some in chunks(images)
        for image in some
    ]


def _perceptual_hashes(images: Images) -> Tensor:
    """pHash of each image as -1 and 1, float32 (N, 64); zeros for an image without contrast."""

    def bits(image: Tensor) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
        pixels = image.permute(1, 2, 0).numpy()
        if pixels.std((0, 1)).max() < _LEAST_CONTRAST:
            return np.zeros(64, dtype=np.float32)
        found = imagehash.phash(Image.fromarray(np.ascontiguousarray(pixels))).hash
        return np.where(found.flatten(), 1, -1).astype(np.float32)

    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as threads:
        return torch.from_numpy(np.stack([row for some in chunks(images) for row in threads.map(bits, some)]))


def _near_pairs(
    earlier: Images, later: Images, earlier_hashes: Tensor, later_hashes: Tensor
) -> list[tuple[int, int]]:
    """Index pairs of an earlier and a later image that are nearly the same."""
    found: list[tuple[int, int]] = []
    step = max(1, min(_CHUNK, _PRODUCTS // len(earlier)))
    for start in range(0, len(later), step):
        # The product of two hashes of 64 values -1 or 1 is 64 minus twice the number of differing bits.
        close = earlier_hashes @ later_hashes[start : start + step].T >= 64 - 2 * MOST_BITS
        for i, j in close.nonzero().tolist():
            one, other = earlier[i : i + 1][0], later[start + j : start + j + 1][0]
            if _correlation(one, other) >= LEAST_CORRELATION:
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
