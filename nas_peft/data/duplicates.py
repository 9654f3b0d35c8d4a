"""Images that several parts of a data set share: equal pixels, and near copies by perceptual hash."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from nas_peft.data.image_files import shown_name
from nas_peft.data.image_rows import chunks
from nas_peft.data.part import Part
from nas_peft.data.picture_hashes import PictureHash
from supernet.images import Images

PAIRS = (("train", "val"), ("train", "test"), ("val", "test"))
"""Pairs of parts that are compared, the earlier part first."""

MOST_BITS = 4
"""Perceptual hashes (64 bits) of near copies differ in at most this many bits."""

LEAST_DETAIL = 0.97
"""Grey copies of near copies, of 64 pixels or the pictures' own size, correlate at least this well."""

LEAST_CORRELATION = 0.99
"""The pixels of near copies, at the backbone's size, correlate at least this well."""

_EXAMPLES = 5
_CHUNK = 2048
_PRODUCTS = 1 << 24  # of hashes at once, 64 MB


@dataclass(frozen=True)
class Duplicates:
    """Images that two parts have in common.

    Attributes:
        identical: for each pair of parts, number of images of the later part that are equal, pixel by pixel,
            to an image of the earlier part, after the backbone's preprocessing.
        near: for each pair of parts, number of further images of the later part that are near copies of an
            image of the earlier part, by perceptual hashes at the pictures' own size and by correlation.
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


def find_duplicates(
    parts: Mapping[str, Part],
    names: Mapping[str, Sequence[str]],
    hashes: Mapping[str, Sequence[PictureHash | None]],
) -> Duplicates:
    """Compare the images of all parts; ``names`` and ``hashes`` are those of each part's images, in order."""
    digests = {part: _digests(images.images) for part, images in parts.items()}
    signs = {part: _signs(found) for part, found in hashes.items()}
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
        alike = [
            (i, j)
            for i, j in _close_pairs(signs[earlier], signs[later])
            if digests[later][j] not in shared
            and _detail(hashes[earlier][i], hashes[later][j]) >= LEAST_DETAIL
            and _correlation(_image(parts[earlier], i), _image(parts[later], j)) >= LEAST_CORRELATION
        ]
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


def _signs(hashes: Sequence[PictureHash | None]) -> Tensor:
    """Hashes as -1 and 1, float32 (N, 64); zeros for an image without contrast."""
    rows = [np.zeros(64) if found is None else np.where(found.bits, 1, -1) for found in hashes]
    return torch.from_numpy(np.stack(rows).astype(np.float32))


def _close_pairs(earlier: Tensor, later: Tensor) -> Iterator[tuple[int, int]]:
    """Index pairs of an earlier and a later image whose hashes are nearly the same."""
    step = max(1, min(_CHUNK, _PRODUCTS // len(earlier)))
    for start in range(0, len(later), step):
        # The product of two hashes of 64 values -1 or 1 is 64 minus twice the number of differing bits.
        close = earlier @ later[start : start + step].T >= 64 - 2 * MOST_BITS
        for i, j in close.nonzero().tolist():
            yield i, start + j


def _detail(one: PictureHash | None, other: PictureHash | None) -> float:
    """Correlation of the grey copies of two images with contrast."""
    assert one is not None  # without contrast it is close to none
    assert other is not None
    return one.detail(other)


def _image(part: Part, index: int) -> Tensor:
    return part.images[index : index + 1][0]


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
