"""Shifted images by which candidates and trainings are chosen: corrupted copies of unseen images."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from nas_peft.corruptions.catalogue import SEVERITIES, corruptions_for
from nas_peft.corruptions.corrupting import corrupted
from nas_peft.data import Part
from search_spaces.streams import stream


@dataclass(frozen=True)
class ShiftedValidation:
    """Shifted images with the margin of the rule: see `nas_peft.protocol.decision.decide`."""

    part: Part
    margin: float


def corrupted_for_choice(part: Part, seed: int) -> Part:
    """A copy of each image by each corruption for choosing, corruption after corruption.

    The severity of each copy, 1 to 5, is drawn for it from ``seed``, so that all severities count and there
    are only as many copies as corruptions. No corruption of the test is among them.
    """
    copies = []
    for name in corruptions_for("choice"):
        severities = torch.from_numpy(stream(seed, "severities", name).choice(SEVERITIES, len(part)))
        images = torch.empty(part.images.shape, dtype=torch.uint8)
        for severity in SEVERITIES:
            at = (severities == severity).nonzero().flatten()
            if len(at):
                images[at] = corrupted(part.images[at], name, severity, use="choice")
        copies.append(Part(images, part.labels))
    return Part.join(copies)
