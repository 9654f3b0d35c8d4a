"""A subnet ready for use: one architecture's network with its classes and preprocessing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
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

    ``metrics`` and ``training`` are the run's records of the subnet (accuracy, seed, data set, recipe).
    Dividing the logits by ``temperature`` calibrates the probabilities; ``None`` where none was fitted.
    """

    network: Supernet
    backbone: Backbone
    classes: tuple[str, ...]
    preprocessing: Preprocessing
    metrics: dict[str, Any]
    training: dict[str, Any]
    temperature: float | None = None

    @property
    def architecture(self) -> Architecture:
        """The sizes of the modules."""
        return self.network.capacity

    @property
    def params(self) -> int:
        """Number of parameters of modules and head."""
        return sum(t.numel() for t in self.network.module_tensors(self.architecture).values())

    @torch.inference_mode()
    def logits(self, images: Iterable[Image], batch_size: int = 64) -> Tensor:
        """Float32 logits ``(N, classes)`` of PIL images, preprocessed as in training.

        Images are converted one by one and not kept, so a generator holds only one image in memory.
        """
        device = self.network.head.weight.device
        pixels = [self.preprocessing.to_tensor(image) for image in images]
        if not pixels:
            return torch.empty(0, len(self.classes))
        batches = [torch.stack(pixels[i : i + batch_size]) for i in range(0, len(pixels), batch_size)]
        return torch.cat([self.network(self.preprocessing.normalise(x.to(device))).cpu() for x in batches])

    def probabilities(self, images: Iterable[Image], batch_size: int = 64) -> Tensor:
        """Class probabilities ``(N, classes)``: the softmax of `logits`."""
        return self.logits(images, batch_size).softmax(-1)
