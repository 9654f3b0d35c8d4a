"""The most probable classes of images, by one or several subnets."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import torch
from torch import Tensor

from nas_peft.data.blank_images import are_blank
from nas_peft.data.decoding import UnreadableImage, read_image
from supernet import Preprocessing, Subnet

BATCH = 16
"""Images that are computed at a time."""


@dataclass(frozen=True)
class Model:
    """A subnet with the name by which results call it: the path that was given."""

    name: str
    subnet: Subnet


@dataclass(frozen=True)
class Prediction:
    """The most probable classes of an image by one model, each with its calibrated probability."""

    image: Path
    model: str
    classes: tuple[tuple[str, float], ...]


def classify(
    models: Sequence[Model],
    images: Iterable[Path],
    *,
    top: int,
    on_unreadable: Callable[[Path, UnreadableImage], None],
    on_blank: Callable[[Path], None] = lambda path: None,
) -> Iterator[list[Prediction]]:
    """The ``top`` classes of each image, batch by batch: all models of an image, then the next image.

    Each image is decoded once, shrunk for every preprocessing among the models, and dropped before the next
    image is decoded. So memory holds one image of full size, however many there are. ``on_unreadable`` is
    called with an image that cannot be decoded, which is then left out, and ``on_blank`` with one that shows
    next to nothing, as pictures of 12 bits in files of 16 do.
    """
    kinds = dict.fromkeys(model.subnet.preprocessing for model in models)
    waiting = iter(images)
    while batch := list(islice(waiting, BATCH)):
        read: list[Path] = []
        pixels: dict[Preprocessing, list[Tensor]] = {kind: [] for kind in kinds}
        for path in batch:
            try:
                shrunk = _shrunk(path, kinds)
            except UnreadableImage as error:
                on_unreadable(path, error)
                continue
            read.append(path)
            for kind, tensor in shrunk.items():
                pixels[kind].append(tensor)
        if not read:
            yield []
            continue
        stacked = {kind: torch.stack(found) for kind, found in pixels.items()}
        for path, *empty in zip(read, *map(are_blank, stacked.values()), strict=True):
            if all(empty):
                on_blank(path)
        by_model = [_best(model, stacked[model.subnet.preprocessing], read, top) for model in models]
        yield [prediction for of_image in zip(*by_model, strict=True) for prediction in of_image]


def _shrunk(path: Path, kinds: Iterable[Preprocessing]) -> dict[Preprocessing, Tensor]:
    """The image as each preprocessing gives it; the full size is dropped on return."""
    image = read_image(path, str(path))
    return {kind: kind.to_tensor(image) for kind in kinds}


def _best(model: Model, pixels: Tensor, paths: Sequence[Path], top: int) -> list[Prediction]:
    names = model.subnet.classes
    probabilities = model.subnet.probabilities_of(model.subnet.logits_of(pixels))
    values, places = probabilities.topk(min(top, len(names)))
    return [
        Prediction(path, model.name, tuple((names[int(i)], float(p)) for p, i in zip(*row, strict=True)))
        for path, *row in zip(paths, values, places, strict=True)
    ]
