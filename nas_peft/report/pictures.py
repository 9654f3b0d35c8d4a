"""Images in the report: samples with their predictions, and the most confident mistakes."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from pathlib import PurePath

import numpy as np
from PIL import Image

from nas_peft.data.image_files import shown_name
from nas_peft.data.listing import Item
from nas_peft.evaluation.mistakes import confident_mistakes
from nas_peft.report.judged_images import JudgedImages
from search_spaces.streams import stream

SAMPLES, MISTAKES = 12, 12
"""Pictures of either kind, at most."""
LONGEST_SIDE = 160
"""Pixels of a picture's longer side: twice what the page shows, for screens of high density."""
SHORT = 64
"""Images up to this side are kept as they are, without loss, and enlarged by the browser."""


@dataclass(frozen=True)
class Picture:
    """An image with what was predicted for it.

    Args:
        source: the image as a ``data:`` address.
        name: end of the image's path: its folder and its file.
        predicted: predicted class.
        probability: its probability, as a text.
        true: true class.
        probability_of_true: the probability of the true class, as a text.
        right: whether both classes are the same.
        small: whether it has so few pixels that smoothing would blur it.
    """

    source: str
    name: str
    predicted: str
    probability: str
    true: str
    probability_of_true: str
    right: bool
    small: bool

    @property
    def words(self) -> str:
        """The picture in words, for a screen reader."""
        if self.right:
            return f"Test image of {self.true}, predicted correctly"
        return f"Test image of {self.true}, predicted as {self.predicted}"


def sample_pictures(judged: JudgedImages, seed: int) -> tuple[Picture, ...]:
    """Images drawn at random, right or wrong, in the order of the data set; the same for the same seed."""
    rng = stream(seed, "report samples")
    chosen = rng.choice(len(judged.items), min(SAMPLES, len(judged.items)), replace=False)
    probabilities = judged.probabilities
    return tuple(
        _picture(
            judged.items[i],
            judged.classes[int(probabilities[i].argmax())],
            float(probabilities[i].max()),
            judged.classes[judged.labels[i]],
            float(probabilities[i, judged.labels[i]]),
        )
        for i in np.sort(chosen)
    )


def mistake_pictures(judged: JudgedImages) -> tuple[Picture, ...]:
    """The mistakes with the highest probability of the wrong class."""
    found = confident_mistakes(judged.items, judged.probabilities, judged.labels, judged.classes, MISTAKES)
    return tuple(_picture(m.item, m.predicted, m.probability, m.true, m.probability_of_true) for m in found)


def _picture(item: Item, predicted: str, probability: float, true: str, of_true: float) -> Picture:
    pixels = item.load().permute(1, 2, 0).numpy()
    image = Image.fromarray(
        pixels if pixels.dtype == np.uint8 else (255 * pixels).clip(0, 255).astype(np.uint8)
    )
    small = max(image.size) <= SHORT
    return Picture(
        _address(image, small),
        _short(item.name),
        shown_name(predicted),
        f"{probability:.1%}",
        shown_name(true),
        f"{of_true:.1%}",
        predicted == true,
        small,
    )


def _short(name: str) -> str:
    """The last two parts of a path; the rest may tell more of a machine than a reader should know."""
    return "/".join(PurePath(shown_name(name)).parts[-2:])


def _address(image: Image.Image, small: bool) -> str:
    data = io.BytesIO()
    if small:
        image.save(data, "PNG", optimize=True)
    else:
        image.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
        image.save(data, "JPEG", quality=80, optimize=True)
    kind = "png" if small else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(data.getvalue()).decode()}"
