"""The halves of a set of test images: one to look at, one for the table."""

from __future__ import annotations

from typing import Literal, TypeAlias

import torch

from nas_peft.data.folds import stratified_folds
from nas_peft.data.part import Part
from search_spaces.streams import stream

Half: TypeAlias = Literal["develop", "final"]
HALVES: tuple[Half, ...] = ("develop", "final")


def half_of(part: Part, half: Half, study: str, most: int | None = None) -> Part:
    """One half of the images, stratified by class; of these at most ``most``, the first of a fixed order.

    ``study`` names the study, each of which has halves of its own.
    """
    first, second = stratified_folds(part.labels, 2, stream(0, study, "halves"))
    chosen = first if half == "develop" else second
    if most is not None and most < len(chosen):
        order = stream(0, study, "images").permutation(len(chosen))[:most]
        chosen = chosen[torch.from_numpy(order).sort().values]
    return part.take(chosen)
