"""Small computations of the supernet that a GPU and a CPU are compared by."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import nn

from search_spaces import Architecture, SearchSpace, load_space
from supernet import (
    Curve,
    Execution,
    NonFiniteLoss,
    OnePerImage,
    Preprocessing,
    Recipe,
    Supernet,
    create_backbone,
    evaluate,
    score,
    train,
    train_pack,
)

CLASSES = 5
LAYERS = {"real": 8, "simulated": 1}
"""Layers of the shipped backbone, by the sort of GPU."""


@cache
def pretrained(layers: int) -> nn.Module:
    """The first layers of the shipped backbone, on the CPU."""
    model: Any = create_backbone("vit_micro_patch8_32").model
    model.blocks = model.blocks[:layers]
    return model


@dataclass(frozen=True)
class Trainings:
    """The computations on the first ``layers`` layers of the shipped backbone."""

    layers: int

    @property
    def space(self) -> SearchSpace:
        return load_space("default", self.layers)

    def network(self, device: str, capacity: Architecture | None = None) -> Supernet:
        """A network with modules whose weights are not zero."""
        model = copy.deepcopy(pretrained(self.layers))
        supernet = Supernet(model, capacity or self.space.largest(), CLASSES)
        generator = torch.Generator().manual_seed(1)
        with torch.no_grad():
            for module in supernet.elastic_modules():
                for value in module.parameters():
                    value.add_(torch.randn(value.shape, generator=generator) * 0.02)
        return supernet.to(device)

    def data(self, number: int = 16) -> tuple[torch.Tensor, torch.Tensor]:
        generator = torch.Generator().manual_seed(0)
        pixels = torch.randint(0, 256, (number, 3, 32, 32), dtype=torch.uint8, generator=generator)
        return pixels, torch.arange(number) % CLASSES

    def candidates(self) -> list[Architecture]:
        rng = np.random.default_rng(0)
        return [self.space.sample(rng) for _ in range(4)]

    def scored(self, device: str, precision: str, batch_size: int | None = None) -> torch.Tensor:
        net = self.network(device)
        options = {"preprocessing": Preprocessing.of(net.backbone), "precision": precision}
        options["batch_size"] = batch_size
        return torch.stack([e.losses for e in score(net, *self.data(), self.candidates(), **options)])

    def evaluated(self, device: str, precision: str, batch_size: int = 256) -> torch.Tensor:
        net = self.network(device)
        options = {"preprocessing": Preprocessing.of(net.backbone), "precision": precision}
        options["batch_size"] = batch_size
        return evaluate(net, *self.data(), architecture=self.candidates()[0], **options).losses

    def trained(self, device: str, execution: Execution, batch_size: int = 8) -> list[float]:
        """The mean losses of two epochs with an architecture for each image."""
        net = self.network(device)
        chooser = OnePerImage(self.space.sample, self.space.largest().kinds)
        return train(
            net,
            *self.data(),
            preprocessing=Preprocessing.of(net.backbone),
            chooser=chooser,
            recipe=Recipe(epochs=2, lr=1e-4, batch_size=batch_size),
            seed=0,
            execution=execution,
        ).losses

    def packed(self, recipes: Sequence[Recipe]) -> tuple[list[Supernet], list[Curve | NonFiniteLoss]]:
        """Networks of different architectures and their curves, trained on the GPU in one pack."""
        networks = self.networks(len(recipes))
        curves = train_pack(
            networks,
            *self.data(),
            preprocessing=Preprocessing.of(networks[0].backbone),
            recipes=recipes,
            seeds=range(len(recipes)),
        )
        return networks, curves

    def networks(self, number: int) -> list[Supernet]:
        """Networks of different architectures around one backbone on the GPU."""
        backbone = self.network("cuda").backbone
        return [
            Supernet(backbone, architecture, CLASSES, seed=1) for architecture in self.candidates()[:number]
        ]
