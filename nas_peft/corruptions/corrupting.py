"""Corrupted copies of images that a backbone's preprocessing has made."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from nas_peft.corruptions.batch import bytes_of, floats_of
from nas_peft.corruptions.catalogue import CORRUPTIONS, SEVERITIES, Use
from search_spaces.streams import stream

BATCH = 64
"""Images that are corrupted at a time."""


def corrupted(images: Tensor, name: str, severity: int, *, use: Use) -> Tensor:
    """A corrupted copy of each image.

    An image is corrupted as the preprocessing gives it, resized and cropped, so that a picture of 32 pixels
    takes the parameters of CIFAR-C however large its file is. The draws of chance come from a generator of
    its pixels, the corruption and the severity: an image has the same copy in each data set, order and batch.

    Args:
        images: uint8 ``(N, 3, H, W)``, on the CPU.
        name: name of a corruption.
        severity: 1 to 5.
        use: the purpose of the copies; a corruption for another purpose is refused.

    Raises ``ValueError`` for a corruption that is not for ``use``, and for an unknown severity.
    """
    corruption = CORRUPTIONS[name]
    if corruption.use != use:
        raise ValueError(f"the corruption '{name}' is for the {corruption.use}, not for the {use}")
    if severity not in SEVERITIES:
        raise ValueError(f"severity is {severity}; allowed are {SEVERITIES[0]} to {SEVERITIES[-1]}")
    found = torch.empty_like(images)
    parameters = corruption.parameters(severity, max(images.shape[-2:]))
    for start in range(0, len(images), BATCH):
        pixels = images[start : start + BATCH].permute(0, 2, 3, 1).contiguous().numpy()
        generators = [stream(zlib.crc32(image.data), name, severity) for image in pixels]
        changed = corruption.function(floats_of(pixels), parameters, generators)
        copies = torch.from_numpy(np.ascontiguousarray(bytes_of(changed)))
        found[start : start + BATCH] = copies.permute(0, 3, 1, 2)
    return found


def corrupted_copies(
    images: Tensor, names: Sequence[str], severities: Sequence[int], *, use: Use
) -> Iterator[tuple[str, int, Tensor]]:
    """Name, severity and `corrupted` copies of all images, one corruption and severity after another."""
    for name in names:
        for severity in severities:
            yield name, severity, corrupted(images, name, severity, use=use)
