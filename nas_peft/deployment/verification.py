"""The comparison of an export with the subnet that it was made from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from nas_peft.deployment.check_images import BATCHES, CheckImages
from supernet import Supernet

TOLERANCE = 1e-4
"""Largest accepted difference of a logit, relative to the largest logit (absolute where that is below 1)."""

HALF_TOLERANCE = 1e-2
"""The same for weights stored in float16, of which each is rounded to three significant digits."""


@dataclass(frozen=True)
class Verification:
    """The largest difference of the logits, the largest accepted one, and the images that were compared."""

    difference: float
    accepted: float
    images: str

    @property
    def passed(self) -> bool:
        """Whether the difference is accepted; a NaN is not."""
        return self.difference <= self.accepted

    def describe(self) -> str:
        """One sentence for people."""
        return (
            f"largest difference of the logits {self.difference:.1e} (accepted {self.accepted:.1e}) on "
            f"{self.images}, in batches of {', '.join(map(str, BATCHES[:-1]))} and {BATCHES[-1]}"
        )


@torch.inference_mode()
def verify(
    subnet: Supernet,
    exported: Callable[[Tensor], Tensor],
    images: CheckImages,
    tolerance: float = TOLERANCE,
) -> Verification:
    """Compare the logits of ``exported`` with the subnet's, batch by batch."""
    own = subnet(images.pixels)
    found = torch.cat([exported(batch) for batch in torch.split(images.pixels, list(BATCHES))])
    if found.shape != own.shape:
        return Verification(float("inf"), tolerance, images.source)
    largest = max(1.0, float(own.abs().max()))
    return Verification(float((found - own).abs().max()), tolerance * largest, images.source)
