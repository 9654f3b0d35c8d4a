"""A subnet ready for use: one architecture's network with its classes and preprocessing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import torch
from PIL.Image import Image
from torch import Tensor

from search_spaces import Architecture
from supernet.backbones import Backbone
from supernet.preprocessing import Preprocessing
from supernet.supernet import Supernet


@dataclass(frozen=True)
class Subnet:
    """The content of a checkpoint with its backbone.

    ``classes`` are the class names: column i of logits and probabilities is ``classes[i]``. ``preprocessing``
    is what images go through, the backbone's own: size, crop, mean and deviation.

    ``metrics`` and ``training`` are the run's records of the subnet (accuracy, seed, data set, recipe).
    Dividing the logits by ``temperature`` calibrates the probabilities; ``None`` where none was fitted. The
    logits themselves are never divided.
    """

    network: Supernet = field(repr=False)
    backbone: Backbone
    classes: tuple[str, ...]
    preprocessing: Preprocessing
    metrics: dict[str, Any]
    training: dict[str, Any] = field(repr=False)
    temperature: float | None = None

    @property
    def architecture(self) -> Architecture:
        """The sizes of the modules."""
        return self.network.capacity

    @property
    def changed_backbone(self) -> bool:
        """Whether training changed the backbone's own weights, so that a subnet file holds them too."""
        return self.backbone.trained or self.network.backbone is not self.backbone.model

    @property
    def params(self) -> int:
        """Number of parameters of modules and head."""
        return sum(t.numel() for t in self.network.module_tensors(self.architecture).values())

    @torch.inference_mode()
    def logits(self, images: Iterable[Image], batch_size: int = 64) -> Tensor:
        """Float32 logits ``(N, classes)`` of PIL images, preprocessed as their files are in training.

        Images are converted one by one and computed batch by batch, so a generator holds one image in memory,
        beside a batch of small tensors. Raises ``TypeError`` for anything but PIL images, and for one image
        that is not in a list, and `UnsuitableImage` for an image without a form in RGB.
        """
        if isinstance(images, Image):
            raise TypeError("one image is given; give a list of images, such as [image]")
        pixels = (self.preprocessing.to_tensor(image) for image in images)
        batches = [self.logits_of(torch.stack(batch)) for batch in _batches(pixels, batch_size)]
        return torch.cat(batches) if batches else torch.empty(0, len(self.classes))

    @torch.inference_mode()
    def logits_of(self, pixels: Tensor) -> Tensor:
        """Float32 logits ``(B, classes)``, on the CPU, of images ``(B, 3, H, W)`` in uint8.

        The images come from ``preprocessing.to_tensor``, and are one batch on the subnet's device.
        """
        device = self.network.head.weight.device
        logits: Tensor = self.network(self.preprocessing.normalise(pixels.to(device)))
        return logits.cpu()

    def probabilities(self, images: Iterable[Image], batch_size: int = 64) -> Tensor:
        """Calibrated class probabilities ``(N, classes)`` of PIL images: `probabilities_of` the `logits`."""
        return self.probabilities_of(self.logits(images, batch_size))

    def probabilities_of(self, logits: Tensor) -> Tensor:
        """The softmax of ``logits (…, classes)``, divided by the temperature where one was fitted."""
        return (logits / (self.temperature or 1.0)).softmax(-1)


def _batches(items: Iterable[Tensor], size: int) -> Iterator[list[Tensor]]:
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch
