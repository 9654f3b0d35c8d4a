"""Made-up scores of trainings on validation images and their copies."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from nas_peft.corruptions.catalogue import corruptions_for
from nas_peft.training.image_scores import ImageScores, ShiftedScores

IMAGES, CLASSES = 40, 4


@pytest.fixture
def scores() -> Callable[[int, int], ImageScores]:
    """Scores of 40 images, of which the first are wrong, as are the first copies by each corruption."""
    labels = torch.arange(IMAGES) % CLASSES
    copies = len(corruptions_for("choice"))

    def logits(mistakes: int) -> torch.Tensor:
        told = labels.clone()
        told[:mistakes] += 1
        return 4.0 * torch.nn.functional.one_hot(told % CLASSES, CLASSES)

    def of(wrong: int, wrong_copies: int) -> ImageScores:
        shifted = ShiftedScores(logits(wrong_copies).repeat(copies, 1), labels.repeat(copies), 9.0)
        return ImageScores.of(logits(wrong), labels, shifted)

    return of
